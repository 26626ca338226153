"""Frames to an animated GIF."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from ..errors import UsageError
from ..reading.files import atomic_path


def save_gif(frames: Sequence[Image.Image], path: Path, fps: float, *, overwrite: bool = False) -> None:
    """An endless animation; written whole or not at all. Equal frames in a row become one that is shown for longer.

    Raises:
        UsageError: no frames, a speed that is not positive, or a file that exists already.
    """
    if not frames or not fps > 0:
        raise UsageError(f"{path}: an animation needs frames and a positive speed, not {len(frames)} frames at {fps:g} a second")
    flat = [_on_white(frame).quantize(128, dither=Image.Dither.NONE) for frame in frames]
    with atomic_path(path, overwrite=overwrite) as temporary:
        duration = max(20, round(1000 / fps))  # viewers play shorter delays slowly
        flat[0].save(temporary, format="GIF", save_all=True, append_images=flat[1:], duration=duration, loop=0, optimize=False, disposal=1)


def _on_white(frame: Image.Image) -> Image.Image:
    sheet = Image.new("RGB", frame.size, "white")
    sheet.paste(frame, (0, 0), frame if frame.mode == "RGBA" else None)
    return sheet
