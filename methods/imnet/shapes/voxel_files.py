"""Files of voxel grids: .binvox, .npy, .npz and .h5, one grid or many in a file.

An array is [X, Y, Z], [X, Y, Z, 1] or, with many grids, [n, X, Y, Z] or [n, X, Y, Z, 1]; whatever is above 0.5 is occupied. The array
"bits" of an .npz is uint8 [n, R^3 / 8], cubes packed as `np.packbits` does.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError, UsageError
from ...common.reading.arrays import MAX_ARRAY_BYTES, array_headers, map_array, read_arrays
from .hdf5 import dataset, open_hdf5
from .voxels import VoxelGrid, check_shape, read_binvox, solid_grid

SUFFIXES = (".binvox", ".npy", ".npz", ".h5", ".hdf5")
THRESHOLD = 0.5


@dataclass(frozen=True)
class Grids:
    """The grids of an open file. `read(index)` raises PprError for a bad or empty one; `single` if the file holds one and no list."""

    count: int
    single: bool
    read: Callable[[int], VoxelGrid]


def read_voxels(path: Path, index: int | None = None) -> VoxelGrid:
    """Read a voxel grid; a non-cubic one is padded to a cube, which the log mentions.

    Args:
        index: which grid of a file that holds many.

    Raises:
        UsageError: an unknown suffix, many grids without an index, or an index that the file does not have.
        PprError: a damaged, empty or unreasonably large grid.
    """
    with open_grids(path) as grids:
        if index is None and grids.count != 1:
            raise UsageError(f"{path}: holds {grids.count} grids", hint=f"say which one, 0 to {grids.count - 1}")
        if index is not None and not 0 <= index < grids.count:
            raise UsageError(f"{path}: no grid {index}", hint=f"it holds {grids.count}, counted from 0")
        return grids.read(index or 0)


@contextlib.contextmanager
def open_grids(path: Path) -> Iterator[Grids]:
    """The grids of a file, read one by one.

    Raises:
        UsageError: an unknown suffix.
        PprError: the file cannot be read, or has no grid or several arrays that could be one.
    """
    suffix = path.suffix.lower()
    if suffix == ".binvox":
        yield Grids(1, True, lambda _index: read_binvox(path))
    elif suffix == ".npy":
        array = map_array(path)
        yield _stack(path, array.shape, array.dtype, lambda row: array[row])
    elif suffix == ".npz":
        yield _npz(path)
    elif suffix in (".h5", ".hdf5"):
        with open_hdf5(path) as file:
            shapes = {name: dataset(file, name, path).shape for name in file if name == "voxels" or len(file) <= 64}
            stored = dataset(file, _grid_key(shapes, path), path)
            yield _stack(path, stored.shape, stored.dtype, lambda row: stored[row])
    else:
        raise UsageError(f"{path}: not a file of voxels by its suffix", hint=f"known are {', '.join(SUFFIXES)}")


def _stack(path: Path, shape: tuple[int, ...], dtype: np.dtype, rows: Callable[[int | slice], NDArray]) -> Grids:
    """Grids over an array of which `rows(index)` reads one, or all of it for a single grid."""
    if dtype.kind not in "buif":
        raise PprError(f"{path}: voxels of type {dtype}", hint="bool, integer and floating-point arrays can be read")
    single = len(shape) == 3 or (len(shape) == 4 and shape[3] == 1)
    if not single and (len(shape) not in (4, 5) or (len(shape) == 5 and shape[4] != 1)):
        raise PprError(f"{path}: an array {list(shape)} is no voxel grid", hint="[X, Y, Z] is one, [n, X, Y, Z] are many")
    check_shape(shape[:3] if single else shape[1:4], str(path))
    if not single and not shape[0]:
        raise PprError(f"{path}: holds no grid")

    def read(index: int) -> VoxelGrid:
        where = str(path) if single else f"{path}: grid {index}"
        found = np.asarray(rows(slice(None)) if single else rows(index))
        if dtype.kind == "f" and not np.isfinite(found).all():
            raise PprError(f"{where}: has a NaN or an infinity")
        occupied = (found > THRESHOLD).reshape(found.shape[:3])
        return VoxelGrid(solid_grid(occupied, where))

    return Grids(1 if single else shape[0], single, read)


def _npz(path: Path) -> Grids:
    headers = array_headers(path)
    key = _grid_key({name: header.shape for name, header in headers.items()}, path)
    shape, dtype = headers[key].shape, headers[key].dtype
    if dtype.hasobject or headers[key].nbytes > MAX_ARRAY_BYTES:
        raise PprError(f"{path}: '{key}' is {dtype} {list(shape)}", hint=f"numbers of up to {MAX_ARRAY_BYTES >> 30} GiB can be read")
    loaded: list[NDArray] = []

    def rows(index: int | slice) -> NDArray:
        if not loaded:
            loaded.append(read_arrays(path, (key,))[key])
        return loaded[0][index]

    if key != "bits":
        return _stack(path, shape, dtype, rows)
    side = round((8 * shape[-1]) ** (1 / 3))
    if dtype != np.uint8 or len(shape) != 2 or side**3 != 8 * shape[1]:
        raise PprError(f"{path}: 'bits' is {dtype} {list(shape)}, not uint8 [n, R^3 / 8]")
    return _stack(path, (shape[0], side, side, side), np.dtype(bool), lambda row: np.unpackbits(rows(row)).reshape(side, side, side))


def _grid_key(shapes: dict[str, tuple[int, ...]], path: Path) -> str:
    """The array that holds the grids: "voxels", "bits", or the only one of a suitable shape."""
    for name in ("voxels", "bits"):
        if name in shapes:
            return name
    suitable = [name for name, shape in shapes.items() if 3 <= len(shape) <= 5]
    if len(suitable) == 1:
        return suitable[0]
    listed = ", ".join(f"{name} {list(shape)}" for name, shape in list(shapes.items())[:8]) or "nothing"
    problem = "no array is a voxel grid" if not suitable else f"{len(suitable)} arrays could be the voxel grid"
    raise PprError(f"{path}: {problem} (it holds {listed})", hint="name the right one 'voxels'")
