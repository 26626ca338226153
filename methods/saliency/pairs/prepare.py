"""Write clean data sets: images/NAME.jpg beside masks/NAME.png, in a stored zip or a folder."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ...common.errors import PprError, UsageError
from ...common.reading.files import atomic_path
from ...common.reading.images import reduced
from .find import Pair, file_names, read_pair
from .procedural import scene

Write = Callable[[str, bytes], None]
EPOCH = (1980, 1, 1, 0, 0, 0)  # a fixed time in the archive: the same data give the same bytes


@contextlib.contextmanager
def data_set(out: Path, *, overwrite: bool = False) -> Iterator[Write]:
    """A function `write(relative path, bytes)` into a new .zip or folder, which appears when the block ends well, or not at all.

    Raises:
        UsageError: a zip that exists, without `overwrite`, or a folder that exists and is not empty, which is never replaced.
        PprError: it cannot be written.
    """
    if out.suffix.lower() == ".zip":
        with atomic_path(out, overwrite=overwrite) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
            yield lambda name, content: archive.writestr(zipfile.ZipInfo(name, EPOCH), content)
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UsageError(f"{out}: exists already", hint="choose another --out; a folder is never replaced")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{out.name}.", suffix=".part", dir=out.parent))
    except OSError as error:
        raise PprError(f"{out}: cannot write there ({error.strerror})", hint="choose another --out") from error
    try:
        yield lambda name, content: _write_file(temporary / name, content)
        temporary.chmod(0o755)
        temporary.replace(out)
    except OSError as error:
        raise PprError(f"{out}: writing failed ({error.strerror or error})") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def write_pair(write: Write, name: str, image: np.ndarray, mask: np.ndarray, *, quality: int) -> None:
    """Encode a pair: (H, W, 3) uint8 RGB as JPEG, (H, W) uint8 in {0, 255} as a PNG of one bit a pixel."""
    write(f"images/{name}.jpg", _encode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality]))
    write(f"masks/{name}.png", _encode(".png", mask, [cv2.IMWRITE_PNG_BILEVEL, 1]))


def _encode(suffix: str, image: np.ndarray, parameters: list[int]) -> bytes:
    return cv2.imencode(suffix, image, parameters)[1].tobytes()


def prepare(
    pairs: Sequence[Pair],
    out: Path,
    *,
    longest: int = 0,
    quality: int = 90,
    overwrite: bool = False,
    failed: Callable[[PprError], object] = lambda _error: None,
    done: Callable[[], object] = lambda: None,
) -> int:
    """Write the pairs that are sound; images and masks are reduced by area averaging, masks are then cut at > 127.

    Args:
        longest: longest side in pixels; larger images are reduced, none is enlarged. 0 keeps every size.
        quality: of the JPEGs, 1 to 100.
        failed: called with the error of each pair that is left out.
        done: called after each pair.

    Returns:
        how many pairs were written.

    Raises:
        UsageError: `out` exists.
        PprError: not one pair is sound (nothing is written then).
    """
    written = 0
    with data_set(out, overwrite=overwrite) as write:
        for pair, name in zip(pairs, file_names(pairs), strict=True):
            try:
                image, mask = read_pair(pair)
            except PprError as error:
                failed(error)
            else:
                if longest:
                    image, mask = reduced(image, longest), np.where(reduced(mask, longest) > 127, 255, 0).astype(np.uint8)
                write_pair(write, name, image, mask, quality=quality)
                written += 1
            done()
        if not written:
            raise PprError(f"{out}: not written, because no pair is sound")
    return written


def synthesise(
    out: Path, count: int, size: tuple[int, int], *, seed: int = 0, overwrite: bool = False, done: Callable[[], object] = lambda: None
) -> None:
    """Write `count` procedural scenes of `size` (width, height); the same arguments give the same bytes.

    Raises:
        UsageError: `out` exists.
    """
    with data_set(out, overwrite=overwrite) as write:
        for index in range(count):
            write_pair(write, f"scene-{index:05d}", *scene(*size, seed=seed, index=index), quality=95)
            done()
