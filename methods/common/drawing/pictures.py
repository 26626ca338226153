"""Pictures as files."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from ..errors import UsageError
from ..reading.files import atomic_path

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def check_picture(path: Path) -> None:
    """Refuse a file by its name.

    Raises:
        UsageError: a suffix that is no picture format.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise UsageError(f"{path}: not a picture format", hint="one of: png, jpg, webp")


def save_picture(picture: Image.Image, path: Path, *, overwrite: bool = False) -> None:
    """Write a picture in the format of its suffix, without transparency, whole or not at all.

    Raises:
        UsageError: a suffix that is no picture format, or a file that exists.
    """
    check_picture(path)
    with atomic_path(path, overwrite=overwrite) as temporary:
        picture.convert("RGB").save(temporary)
