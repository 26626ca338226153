"""Images for the two-dimensional IM-NET: the letter A at all places of a picture, MNIST's idx files, .npz, or a folder."""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ...common.errors import PprError, UsageError
from ...common.reading import images
from ...common.reading.arrays import array_headers, read_arrays

Float = NDArray[np.float32]
SIDES = (28, 64)
LETTER = (29, 27)  # width and height of the A
MAX_BYTES = 1 << 31  # of pixels
IDX_BYTES = 0x08  # the type code of uint8 in an idx file


def letter_a() -> NDArray[np.uint8]:
    """A capital A, uint8 0/1 [27, 29]: drawn in outline at eight times the size and averaged."""
    width, height = LETTER
    scale = 8
    canvas = Image.new("L", (width * scale, height * scale))
    draw = ImageDraw.Draw(canvas)

    def polygon(points: list[tuple[float, float]], fill: int) -> None:
        draw.polygon([(x * scale, y * scale) for x, y in points], fill=fill)

    polygon([(11, 0), (18, 0), (29, 27), (22, 27), (14.5, 7), (7, 27), (0, 27)], 255)
    polygon([(8, 16), (21, 16), (22, 21), (7, 21)], 255)
    return (np.asarray(canvas.resize((width, height), Image.Resampling.BOX)) >= 128).astype(np.uint8)


def letter_a_images(columns: Sequence[int] | None = None, rows: Sequence[int] | None = None) -> Float:
    """The letter at the given places (left column, top row) of a 64 x 64 picture; by default at all of 35 x 37.

    The paper counts 35 x 37 places; the last column and the last row are not used.

    Returns:
        float32 0/1 [places, 64, 64], row by row.
    """
    letter = letter_a()
    columns, rows = range(35) if columns is None else columns, range(37) if rows is None else rows
    pictures = np.zeros((len(rows), len(columns), 64, 64), np.float32)
    for i, top in enumerate(rows):
        for j, left in enumerate(columns):
            pictures[i, j, top : top + letter.shape[0], left : left + letter.shape[1]] = letter
    return pictures.reshape(-1, 64, 64)


def load_planar_images(data: Sequence[str]) -> Float:
    """Images of a folder, an .npz (its first array [n, S, S]) or an idx file, gzipped or not; of nothing, the letters.

    Images of a folder are made grey; with a light background they are inverted, so that the figure is 1. Others than 28 or 64 pixels
    are scaled to 64.

    Returns:
        float32 [n, S, S] in [0, 1], S 28 or 64.

    Raises:
        UsageError: more than one source.
        PprError: nothing there, or not images.
    """
    if not data:
        return letter_a_images()
    if len(data) > 1:
        raise UsageError("planar training takes one source of images", hint="put the images into one folder")
    path = Path(data[0])
    if path.is_dir():
        return _folder(path)
    stack = _npz(path) if path.suffix == ".npz" else _idx(path)
    if stack.ndim != 3 or not stack.size or stack.shape[1] != stack.shape[2] or stack.shape[1] not in SIDES:
        raise PprError(f"{path}: {list(stack.shape)}, not images [n, 28, 28] or [n, 64, 64]")
    scaled = stack.astype(np.float32) / np.float32(255 if stack.dtype == np.uint8 and stack.max() > 1 else 1)
    if not (np.isfinite(scaled).all() and scaled.min() >= 0 and scaled.max() <= 1):
        raise PprError(f"{path}: values are not within 0 to 1, nor bytes")
    return scaled


def _npz(path: Path) -> NDArray[Any]:
    """The first array of the file."""
    names = list(array_headers(path))
    if not names:
        raise PprError(f"{path}: an .npz without an array")
    return read_arrays(path, names[:1], max_bytes=MAX_BYTES)[names[0]]


def _idx(path: Path) -> NDArray[np.uint8]:
    """MNIST's format: two zero bytes, type, number of dimensions, big-endian sizes, values."""
    try:
        with path.open("rb") as plain:
            zipped = plain.read(2) == b"\x1f\x8b"
        with gzip.open(path) if zipped else path.open("rb") as stream:
            magic = stream.read(4)
            if magic != bytes([0, 0, IDX_BYTES, 3]):
                raise PprError(f"{path}: not an idx file of images", hint="give a folder, .npz, or MNIST's train-images-idx3-ubyte")
            shape = tuple(int(size) for size in np.frombuffer(stream.read(12), ">u4"))
            total = math.prod(shape)
            if total > MAX_BYTES:
                raise PprError(f"{path}: {total:,} pixels are too many")
            values = stream.read(total)
    except (OSError, EOFError, zlib.error) as error:
        raise PprError(f"{path}: cannot be read ({error})") from error
    if len(values) != total:
        raise PprError(f"{path}: truncated ({len(values)} of {total} pixels)", hint="copy or download the file again")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _folder(path: Path) -> Float:
    files = sorted(file for file in path.iterdir() if file.suffix.lower() in images.SUFFIXES)
    if not files:
        raise PprError(f"{path}: no images in this folder")
    first = Image.fromarray(images.decode(files[0], str(files[0])).rgb)
    side = first.width if first.size in ((28, 28), (64, 64)) else 64
    pictures = np.empty((len(files), side, side), np.float32)
    for index, file in enumerate(files):
        grey = Image.fromarray(images.decode(file, str(file), at_least=side).rgb).convert("L")
        picture = np.asarray(grey.resize((side, side), Image.Resampling.BILINEAR), np.float32) / 255
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        pictures[index] = 1 - picture if np.median(border) > 0.5 else picture
    return pictures
