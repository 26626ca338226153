"""The HDF5 files of IM-NET: voxels and sampled points of many shapes, and shape codes. Rows are read when they are asked for.

Layout of the authors' files: voxels uint8 [n, 64, 64, 64, 1], points_R uint8 [n, P, 3], values_R uint8 [n, P, 1] for R = 16, 32, 64; codes
in zs float32 [n, z]. Files written here also have names and splits (strings [n]) and the attribute `ppr`, a JSON object.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError
from ...common.reading.files import atomic_path
from .voxels import SIDE

if TYPE_CHECKING:
    import h5py

LEVELS = (16, 32, 64)
FINE = 256
MAX_SHAPES = 1 << 20
MAX_POINTS = 1 << 20
MAX_CHUNK_BYTES = 256 << 20
MAX_CODE_BYTES = 1 << 30

UInt8 = NDArray[np.uint8]
Float = NDArray[np.float32]


def coordinates(points: UInt8, unit: int) -> Float:
    """Indices on a grid of `unit` cells a side -> centres of the cells, float32 in [-0.5, 0.5]: (i + 0.5) / unit - 0.5 (section 2)."""
    return (points.astype(np.float32) + np.float32(0.5)) / np.float32(unit) - np.float32(0.5)


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """An HDF5 file open for reading.

    Raises:
        PprError: absent, or not HDF5; also when reading from it fails inside the block.
    """
    import h5py

    try:
        with path.open("rb"):
            pass
        with h5py.File(path, "r") as file:
            yield file
    except OSError as error:
        reason = error.strerror if error.errno and error.strerror else str(error).splitlines()[0]
        raise PprError(f"{path}: not an HDF5 file that can be read ({reason})", hint="the file is absent, truncated or damaged") from error


def dataset(file: h5py.File, name: str, path: Path) -> h5py.Dataset:
    """A data set that lies in this very file, whose chunks can be held in memory.

    Raises:
        PprError: it is missing, not a data set, or kept in another file.
    """
    import h5py

    kind = file.get(name, getlink=True)
    if kind is None:
        raise PprError(f"{path}: no data set '{name}'", hint=f"it holds: {', '.join(sorted(file)[:20]) or 'nothing'}")
    if isinstance(kind, h5py.ExternalLink):
        raise PprError(f"{path}: '{name}' is a link to another file", hint="copy the data into one file")
    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise PprError(f"{path}: '{name}' is not a data set")
    if found.external or found.is_virtual:
        raise PprError(f"{path}: '{name}' is kept in another file", hint="copy the data into one file")
    if found.chunks and math.prod(found.chunks) * found.dtype.itemsize > MAX_CHUNK_BYTES:
        raise PprError(f"{path}: '{name}' has chunks of more than {MAX_CHUNK_BYTES >> 20} MiB")
    return found


@dataclass(frozen=True)
class ShapeSet:
    """The shapes of a file. Nothing but names and sizes is in memory.

    Args:
        points_per_level: number of sampled points by level.
        point_unit: the grid that point indices count on: 64 or 256 at every level, or 0 where each level R has its own R-grid.
        names: of the shapes; empty if the file says nothing (see `name`).
        splits: "train" or "test" of each shape; empty if the file says nothing.
        meta: the attribute `ppr`.
    """

    path: Path
    count: int
    points_per_level: dict[int, int]
    point_unit: int
    names: list[str]
    splits: list[str]
    meta: dict[str, Any]

    def name(self, row: int) -> str:
        """A shape's name, or what it is called for want of one."""
        return self.names[row] if self.names else f"{self.path.stem}/{row:05d}"

    def unit(self, level: int) -> int:
        """The side of the grid that the point indices of a level count on."""
        return self.point_unit or level

    def rows(self, split: str) -> NDArray[np.int64]:
        """Indices of the shapes of a split, ascending."""
        return np.flatnonzero(np.array(self.splits, dtype=object) == split)

    def voxels(self, rows: Sequence[int] | NDArray[np.integer] | slice) -> UInt8:
        """uint8 0/1 [rows, 64, 64, 64]."""
        return self._read("voxels", rows, binary=True)[..., 0]

    def points(self, level: int, rows: Sequence[int] | NDArray[np.integer] | slice) -> UInt8:
        """Indices uint8 [rows, P, 3] on the grid of `unit(level)`."""
        found = self._read(f"points_{level}", rows, binary=False)
        if found.size and int(found.max()) >= self.unit(level):
            raise PprError(f"{self.path}: points_{level} has index {found.max()}, outside a grid of {self.unit(level)}")
        return found

    def values(self, level: int, rows: Sequence[int] | NDArray[np.integer] | slice) -> UInt8:
        """Occupancy uint8 0/1 [rows, P, 1] at those points."""
        return self._read(f"values_{level}", rows, binary=True)

    def coordinates(self, level: int, rows: Sequence[int] | NDArray[np.integer] | slice) -> Float:
        """The points as float32 [rows, P, 3] in [-0.5, 0.5]."""
        return coordinates(self.points(level, rows), self.unit(level))

    def _read(self, name: str, rows: Sequence[int] | NDArray[np.integer] | slice, *, binary: bool) -> UInt8:
        with open_hdf5(self.path) as file:
            stored = dataset(file, name, self.path)
            if isinstance(rows, slice):
                found = stored[rows]
            else:
                # HDF5 reads rows in ascending order, each once.
                wanted, place = np.unique(np.asarray(rows, np.int64), return_inverse=True)
                found = stored[wanted][place] if wanted.size else np.empty((0, *stored.shape[1:]), np.uint8)
        if binary and found.size and int(found.max()) > 1:
            raise PprError(f"{self.path}: '{name}' holds {found.max()}, not just 0 and 1")
        return found


def read_shapes(path: Path) -> ShapeSet:
    """Open a file of shapes and check what it says of itself.

    Raises:
        PprError: not such a file: a data set is missing, has a wrong type or shape, or lies elsewhere.
    """
    with open_hdf5(path) as file:
        count = _checked(file, "voxels", path, (None, SIDE, SIDE, SIDE, 1)).shape[0]
        levels = {}
        for level in LEVELS:
            if f"points_{level}" in file or f"values_{level}" in file:
                points = _checked(file, f"points_{level}", path, (count, None, 3))
                _checked(file, f"values_{level}", path, (count, points.shape[1], 1))
                levels[level] = points.shape[1]
        if not levels:
            raise PprError(f"{path}: no sampled points (points_16, points_32 or points_64)", hint="make them with `ppr imnet prepare`")
        if not 1 <= count <= MAX_SHAPES or not all(1 <= points <= MAX_POINTS for points in levels.values()):
            raise PprError(f"{path}: {count} shapes with {max(levels.values())} points")
        meta = _meta(file, path)
        names, splits = (_strings(file, key, path, count) for key in ("names", "splits"))
        return ShapeSet(path, count, levels, _unit(file, meta, path), names, splits, meta)


def _checked(file: h5py.File, name: str, path: Path, shape: tuple[int | None, ...]) -> h5py.Dataset:
    found = dataset(file, name, path)
    fits = len(found.shape) == len(shape) and all(want in (None, have) for want, have in zip(shape, found.shape, strict=True))
    if found.dtype != np.uint8 or not fits:
        expected = ", ".join("n" if side is None else str(side) for side in shape)
        raise PprError(f"{path}: '{name}' is {found.dtype} {list(found.shape)}, not uint8 [{expected}]")
    return found


def _meta(file: h5py.File, path: Path) -> dict[str, Any]:
    text = file.attrs.get("ppr", "{}")
    try:
        found = json.loads(text)
    except (TypeError, ValueError) as error:
        raise PprError(f"{path}: the attribute 'ppr' is not JSON ({error})") from error
    if not isinstance(found, dict):
        raise PprError(f"{path}: the attribute 'ppr' is not a JSON object")
    return found


def _strings(file: h5py.File, name: str, path: Path, count: int) -> list[str]:
    import h5py

    if name not in file:
        return []
    found = dataset(file, name, path)
    if found.shape != (count,) or h5py.check_string_dtype(found.dtype) is None:
        raise PprError(f"{path}: '{name}' is {found.dtype} {list(found.shape)}, not a string for each of the {count} shapes")
    return [text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text) for text in found[:]]


def _unit(file: h5py.File, meta: dict[str, Any], path: Path) -> int:
    """The grid of the point indices: what the file says, else what its largest index tells (section 4)."""
    if "unit" in meta:
        unit = 0 if meta["unit"] == "R" else meta["unit"]
        if unit not in (0, SIDE, FINE):
            raise PprError(f"{path}: point indices count on a grid of {unit!r}", hint="64, 256 or 'R' is meant")
        return int(unit)
    level = next(level for level in LEVELS if f"points_{level}" in file)
    largest = max(int(file[f"points_{level}"][row].max()) for row in range(min(file["voxels"].shape[0], 8)))
    return 0 if largest < level else SIDE if largest < SIDE else FINE


def write_codes(path: Path, codes: NDArray[np.floating], *, overwrite: bool = True) -> None:
    """Write shape codes [n, z] as float32 `zs`, whole or not at all."""
    import h5py

    with atomic_path(path, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        file.create_dataset("zs", data=np.asarray(codes, np.float32))


def read_codes(path: Path) -> Float:
    """Shape codes, float32 [n, z].

    Raises:
        PprError: not a file of codes, or a code with a NaN or infinity.
    """
    with open_hdf5(path) as file:
        stored = dataset(file, "zs", path)
        if stored.dtype.kind != "f" or len(stored.shape) != 2 or not all(stored.shape):
            raise PprError(f"{path}: 'zs' is {stored.dtype} {list(stored.shape)}, not floats [n, z]")
        if stored.size * 4 > MAX_CODE_BYTES:
            raise PprError(f"{path}: {stored.shape[0]} codes of {stored.shape[1]} numbers, more than {MAX_CODE_BYTES >> 30} GiB")
        codes = stored[:].astype(np.float32)
    if not np.isfinite(codes).all():
        raise PprError(f"{path}: code {int(np.flatnonzero(~np.isfinite(codes).all(1))[0])} has a NaN or an infinity")
    return codes
