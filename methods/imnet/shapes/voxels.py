"""Voxel grids: binvox files, coarser and finer grids, filled interiors. Arrays are bool [R, R, R], indexed [x, y, z]."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError
from ...common.reading.files import atomic_open

SIDE = 64  # of the grid that the encoder sees
MAX_SIDE = 1024
MAX_HEADER_BYTES = 4096
LONGEST_RUN = 255  # a binvox run length is one byte

Bool = NDArray[np.bool_]

log = logging.getLogger("ppr")


@dataclass(frozen=True)
class VoxelGrid:
    """A cubic grid and where it lies: voxel (i, j, k) has its centre at translate + scale * (ijk + 0.5) / R."""

    occupied: Bool
    translate: tuple[float, float, float] = (-0.5, -0.5, -0.5)
    scale: float = 1.0

    def __post_init__(self) -> None:
        shape = self.occupied.shape
        if self.occupied.dtype != np.bool_ or len(shape) != 3 or len(set(shape)) != 1 or not 1 <= shape[0] <= MAX_SIDE:
            raise ValueError(f"a grid is bool [R, R, R] with R from 1 to {MAX_SIDE}, not {self.occupied.dtype} {shape}")

    @property
    def side(self) -> int:
        return self.occupied.shape[0]


def check_shape(shape: tuple[int, ...], where: str) -> None:
    """Refuse a grid's shape before memory is asked for it.

    Raises:
        PprError: not three sides from 1 to 1024.
    """
    if len(shape) != 3 or not all(1 <= side <= MAX_SIDE for side in shape):
        raise PprError(f"{where}: a grid of {' x '.join(map(str, shape))} voxels", hint=f"three sides from 1 to {MAX_SIDE} can be read")


def solid_grid(occupied: Bool, where: str) -> Bool:
    """A grid that can be used: not empty, and a cube (a shorter side gets empty voxels at both ends).

    Raises:
        PprError: not one voxel is occupied; its code would be that of nothing at all.
    """
    if not occupied.any():
        raise PprError(f"{where}: the voxel grid is empty", hint="check the file, or the value 0.5 that float grids are cut at")
    side = max(occupied.shape)
    if min(occupied.shape) == side:
        return occupied
    log.warning("%s: %s voxels, padded to a cube of %d^3", where, " x ".join(map(str, occupied.shape)), side)
    return np.pad(occupied, [((side - length) // 2, side - length - (side - length) // 2) for length in occupied.shape])


def read_binvox(path: Path) -> VoxelGrid:
    """Read a .binvox file (format 1: runs of equal voxels, y fastest, then z, then x).

    Raises:
        PprError: not a binvox file, more than 1024 voxels a side, runs that do not add up to the grid exactly, or an empty grid.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            header = _header(stream, path)
            cells = math.prod(header.dim)
            if size - stream.tell() > 2 * cells:
                raise PprError(f"{path}: {size - stream.tell()} bytes of runs, too many for {cells} voxels", hint="the file is damaged")
            runs = np.frombuffer(stream.read(), np.uint8)
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})") from error
    total = int(runs[1::2].sum(dtype=np.int64))
    if runs.size % 2 or total != cells:
        raise PprError(f"{path}: the runs hold {total} voxels, the header says {cells}", hint="the file is truncated or damaged")
    x, y, z = header.dim
    ordered = np.repeat(runs[::2] != 0, runs[1::2]).reshape(x, z, y)
    occupied = solid_grid(np.ascontiguousarray(ordered.transpose(0, 2, 1)), str(path))
    return VoxelGrid(occupied, header.translate, header.scale)


@dataclass(frozen=True)
class _Header:
    dim: tuple[int, int, int]
    translate: tuple[float, float, float]
    scale: float


def _header(stream: BinaryIO, path: Path) -> _Header:
    """The text before the runs; the stream is left at their first byte."""
    if not stream.readline(MAX_HEADER_BYTES).startswith(b"#binvox"):
        raise PprError(f"{path}: not a binvox file (it does not begin with '#binvox')")
    dim: tuple[int, ...] = ()
    translate, scale = (0.0, 0.0, 0.0), 1.0
    while True:
        line = stream.readline(MAX_HEADER_BYTES)
        if not line.endswith(b"\n") or stream.tell() > MAX_HEADER_BYTES:
            raise PprError(f"{path}: the header has no line 'data'", hint="the file is truncated or damaged")
        word, *values = line.decode("ascii", "replace").split() or [""]
        try:
            if word == "data":
                break
            if word == "dim":
                dim = tuple(int(value) for value in values)
            elif word == "translate":
                first, second, third = (float(value) for value in values)
                translate = (first, second, third)
            elif word == "scale":
                (scale,) = (float(value) for value in values)
        except ValueError as error:
            raise PprError(f"{path}: the header's line '{line.decode('ascii', 'replace').strip()[:60]}' cannot be understood") from error
    check_shape(dim, str(path))
    if not all(math.isfinite(value) for value in (*translate, scale)):
        raise PprError(f"{path}: translate or scale is not a finite number")
    return _Header((dim[0], dim[1], dim[2]), translate, scale)


def write_binvox(path: Path, grid: VoxelGrid, *, overwrite: bool = True) -> None:
    """Write a .binvox file, whole or not at all.

    Raises:
        UsageError: it exists, without `overwrite`.
    """
    ordered = grid.occupied.transpose(0, 2, 1).ravel()
    starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    lengths = np.diff(np.append(starts, ordered.size))
    pieces = -(-lengths // LONGEST_RUN)
    counts = np.full(pieces.sum(), LONGEST_RUN, np.uint8)
    counts[np.cumsum(pieces) - 1] = lengths - LONGEST_RUN * (pieces - 1)
    runs = np.stack([np.repeat(ordered[starts], pieces).astype(np.uint8), counts], axis=1)
    side, translate = grid.side, " ".join(f"{value:.9g}" for value in grid.translate)
    with atomic_open(path, overwrite=overwrite) as stream:
        stream.write(f"#binvox 1\ndim {side} {side} {side}\ntranslate {translate}\nscale {grid.scale:.9g}\ndata\n".encode("ascii"))
        stream.write(runs.tobytes())


def voxel_centres(resolution: int) -> NDArray[np.float32]:
    """Centres of the voxels of the cube [-0.5, 0.5]^3, float32 [R^3, 3], z fastest."""
    axis = ((np.arange(resolution) + 0.5) / resolution - 0.5).astype(np.float32)
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)


def max_pool(occupied: Bool, factor: int) -> Bool:
    """The grid coarser by an integer factor: a coarse voxel is occupied if any of the fine ones in it is (section 4).

    Shapes:
        [R, R, R] -> [R / factor, R / factor, R / factor].
    """
    if factor < 1 or len(occupied) % factor:
        raise ValueError(f"{len(occupied)} voxels cannot be pooled by {factor}")
    for axis in range(3):  # one by one, which is ten times faster than all at once
        before, (side, *after) = occupied.shape[:axis], occupied.shape[axis:]
        occupied = np.logical_or.reduce(occupied.reshape(*before, side // factor, factor, *after), axis=axis + 1)
    return occupied


def repeat(occupied: Bool, factor: int) -> Bool:
    """The grid finer by an integer factor, each voxel becoming factor^3."""
    for axis in (2, 1, 0):
        occupied = occupied.repeat(factor, axis)
    return occupied


def to_side(occupied: Bool, side: int) -> Bool:
    """The grid at another resolution: max-pooled where it gets coarser by an integer factor, else the nearest voxel of each centre."""
    native = occupied.shape[0]
    if native % side == 0:
        return occupied if native == side else max_pool(occupied, native // side)
    if side % native == 0:
        return repeat(occupied, side // native)
    nearest = (2 * np.arange(side) + 1) * native // (2 * side)
    return occupied[np.ix_(nearest, nearest, nearest)]


def resample(grid: VoxelGrid, side: int = 64) -> VoxelGrid:
    """The same cube with `side` voxels a side (see `to_side`), which the log mentions.

    Raises:
        PprError: nothing is left, because every part is thinner than a voxel.
    """
    if grid.side == side:
        return grid
    log.info("a grid of %d^3 resampled to %d^3 (%s)", grid.side, side, "max-pool" if grid.side % side == 0 else "nearest")
    occupied = to_side(grid.occupied, side)
    if not occupied.any():
        raise PprError(f"a grid of {grid.side}^3 is empty at {side}^3", hint=f"use a grid whose side is a multiple of {side}")
    return VoxelGrid(occupied, grid.translate, grid.scale)


def fill_holes(occupied: Bool) -> tuple[Bool, float]:
    """Fill what cannot be reached from outside through faces of empty voxels.

    Returns:
        the filled grid, and the voxels added as a share of those that were occupied.
    """
    from scipy import ndimage

    # The margin joins all of the outside, so that the first voxel's label is the label of everything outside.
    regions, _count = ndimage.label(np.pad(~occupied, 1, constant_values=True))
    filled = (regions != regions[0, 0, 0])[1:-1, 1:-1, 1:-1]
    before = int(np.count_nonzero(occupied))
    return filled, (int(np.count_nonzero(filled)) - before) / max(before, 1)
