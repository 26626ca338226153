"""Shapes that are unions of boxes: exact occupancy at any point and resolution, and their deformation.

Each box is an affine map from space to unit-cube coordinates, u = matrix @ p + offset; a point is inside where max |u| <= 1. Unlike
centre, axes and lengths this form is closed under every affine deformation of the shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError
from ...common.reading.arrays import read_arrays

Float = NDArray[np.float32]
SIGNS = np.array(np.meshgrid([-1, 1], [-1, 1], [-1, 1], indexing="ij")).reshape(3, 8).T.astype(np.float32)
MAX_SHAPES = 1 << 20
MAX_BYTES = 2 << 30
MIN_THICKNESS = 1 / 64  # of a shape's diagonal: a voxel of the encoder's input
MIN_LENGTH = 1e-3  # of a box's side, in the unit of the rows
#: The twelve triangles of a box over `SIGNS`, seen from outside counter-clockwise.
TRIANGLES = np.array(
    [[0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1], [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3]]
)


def usable(rows: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which rows of centre, lengths and two axes [..., 12] are boxes: with thickness, and with axes of two directions."""
    first, second = rows[..., 6:9], rows[..., 9:12]
    area = np.linalg.norm(np.cross(first, second), axis=-1)
    return (rows[..., 3:6].min(-1) >= MIN_LENGTH) & (area > 0.1)


@dataclass(frozen=True)
class BoxUnion:
    """One shape: K boxes.

    Args:
        matrix: float32 [K, 3, 3], rows are the box's axes divided by its half lengths.
        offset: float32 [K, 3].
    """

    matrix: Float
    offset: Float

    @classmethod
    def from_rows(cls, rows: NDArray[np.floating]) -> BoxUnion:
        """From rows of centre (3), full lengths (3), axis 1 (3), axis 2 (3), as GRASS stores them; axis 3 is their cross product.

        Rows without direction or thickness, of which GRASS has a few, are left out.
        """
        rows = np.asarray(rows, np.float64)
        rows = rows[usable(rows)]
        first = rows[:, 6:9] / np.linalg.norm(rows[:, 6:9], axis=1, keepdims=True)
        second = rows[:, 9:12] - (rows[:, 9:12] * first).sum(1, keepdims=True) * first
        second /= np.linalg.norm(second, axis=1, keepdims=True)
        axes = np.stack([first, second, np.cross(first, second)], axis=1)
        matrix = axes * (2 / rows[:, 3:6])[:, :, None]
        return cls(matrix.astype(np.float32), -np.einsum("kij,kj->ki", matrix, rows[:, :3]).astype(np.float32))

    @property
    def corners(self) -> Float:
        """float32 [K, 8, 3]."""
        return self.surface(np.broadcast_to(SIGNS, (len(self.matrix), 8, 3)))

    def surface(self, unit: NDArray[np.float32]) -> Float:
        """Unit-cube coordinates [K, n, 3] of each box -> points in space [K, n, 3]."""
        inverse = np.linalg.inv(self.matrix.astype(np.float64))
        return np.einsum("kij,knj->kni", inverse, unit - self.offset[:, None]).astype(np.float32)

    def transformed(self, linear: NDArray[np.floating], shift: NDArray[np.floating]) -> BoxUnion:
        """The shape with every point p moved to linear @ p + shift."""
        matrix = self.matrix @ np.linalg.inv(linear)
        return BoxUnion(matrix.astype(np.float32), (self.offset - matrix @ shift).astype(np.float32))

    def normalised(self) -> BoxUnion:
        """Bounding box centred at 0 with a DIAGONAL of 1, as IM-NET's data."""
        corners = self.corners.reshape(-1, 3)
        low, high = corners.min(0), corners.max(0)
        scale = 1 / np.linalg.norm(high - low)
        return self.transformed(np.eye(3) * scale, -(low + high) / 2 * scale)

    def occupancy(self, points: Float) -> NDArray[np.bool_]:
        """Which of points [n, 3] are inside, bool [n]."""
        unit = np.matmul(self.matrix, points.T) + self.offset[:, :, None]
        return (np.abs(unit) <= 1).all(1).any(0)

    def depth(self, points: Float) -> Float:
        """How deep points [n, 3] are inside, float32 [n]: 1 - max |u| of the deepest box; 0 on the surface, negative outside."""
        deepest = np.full(len(points), -np.inf, np.float32)
        for matrix, offset in zip(self.matrix, self.offset, strict=True):
            np.maximum(deepest, 1 - np.abs(points @ matrix.T + offset).max(1), out=deepest)
        return deepest

    def extents(self) -> tuple[Float, Float]:
        """Lowest and highest coordinates of each box, float32 [K, 3] each."""
        corners = self.corners
        return corners.min(1), corners.max(1)

    def thickened(self, least: float) -> BoxUnion:
        """The shape with every box at least `least` thick, so that a voxel grid of that pitch does not lose its thin boards."""
        factor = np.maximum(least / 2 / self.half_lengths(), 1).astype(np.float32)
        return BoxUnion(self.matrix / factor[:, :, None], self.offset / factor)

    def half_lengths(self) -> Float:
        """Half the thickness of each box along its own three axes, float32 [K, 3] (of the slabs |u_i| <= 1)."""
        return 1 / np.linalg.norm(self.matrix, axis=2)

    def voxels(self, resolution: int, *, dilate: float = 0.0) -> NDArray[np.bool_]:
        """Occupancy of the voxel centres of the cube [-0.5, 0.5]^3, bool [R, R, R] indexed [x, y, z].

        Args:
            dilate: every box is made thicker by that much on each side (in units of the cube); half a voxel is about what
                surface voxelisation does, which marks every voxel that is touched.
        """
        grid = np.zeros((resolution,) * 3, bool)
        centres = ((np.arange(resolution) + 0.5) / resolution - 0.5).astype(np.float32)
        limits = 1 + dilate / self.half_lengths()
        corners = self.surface(SIGNS * limits[:, None])
        low = np.clip(np.floor((corners.min(1) + 0.5) * resolution - 0.5), 0, resolution).astype(int)
        high = np.clip(np.ceil((corners.max(1) + 0.5) * resolution + 0.5), 0, resolution).astype(int)
        for matrix, offset, limit, (x0, y0, z0), (x1, y1, z1) in zip(self.matrix, self.offset, limits, low, high, strict=True):
            inside: NDArray[np.bool_] | bool = True
            for row, shift, bound in zip(matrix, offset, limit, strict=True):
                plane = row[0] * centres[x0:x1, None] + row[1] * centres[None, y0:y1] + shift
                inside = (np.abs(plane[:, :, None] + row[2] * centres[z0:z1]) <= bound) & inside
            grid[x0:x1, y0:y1, z0:z1] |= inside
        return grid

    def triangles(self) -> Float:
        """The boxes' faces as triangles, float32 [12 K, 3, 3]; the parts of them inside other boxes included."""
        order = np.where(np.linalg.det(self.matrix)[:, None, None] < 0, TRIANGLES[:, ::-1], TRIANGLES)  # a mirrored box is inside out
        return self.corners[np.arange(len(self.matrix))[:, None, None], order].reshape(-1, 3, 3)


@dataclass(frozen=True)
class BoxSet:
    """Many box unions in one table.

    Args:
        boxes: float32 [n, K, 12] rows as `BoxUnion.from_rows`, zero padded.
        count: boxes of each shape, [n].
        base: identifier of the structure a shape is a variant of, [n]. Splits are made by it: variants are near-duplicates.
    """

    boxes: Float
    count: NDArray[np.integer]
    base: NDArray[np.integer]

    def __len__(self) -> int:
        return len(self.count)

    def __getitem__(self, index: int) -> BoxUnion:
        return BoxUnion.from_rows(self.boxes[index, : self.count[index]]).normalised().thickened(MIN_THICKNESS)

    def name(self, index: int) -> str:
        """`b<base>v<variant>`, the variant counted within its base."""
        variant = int((self.base[:index] == self.base[index]).sum())
        return f"b{self.base[index]:03d}v{variant:02d}"

    def split(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Indices for training and held-out ones: every tenth base (identifier ending in 3) is held out whole."""
        held_out = self.base % 10 == 3
        return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def load_boxes(path: Path) -> BoxSet:
    """Read a table of box unions from an .npz with `boxes`, `n` and `base`.

    Raises:
        PprError: not such a file, or its arrays do not belong together.
    """
    arrays = read_arrays(path, ("boxes", "n", "base"), max_bytes=MAX_BYTES)
    if len(arrays) < 3:
        raise PprError(f"{path}: not a table of boxes", hint="an .npz with boxes [n, K, 12], n [n] and base [n]")
    boxes, count, base = arrays["boxes"], arrays["n"], arrays["base"]
    if boxes.ndim != 3 or boxes.shape[2] != 12 or not 0 < len(boxes) <= MAX_SHAPES or not count.shape == base.shape == boxes.shape[:1]:
        raise PprError(f"{path}: boxes {boxes.shape}, n {count.shape} and base {base.shape} do not belong together")
    if boxes.dtype.kind != "f" or not np.isfinite(boxes).all() or count.min() < 1 or count.max() > boxes.shape[1]:
        raise PprError(f"{path}: boxes are not finite, or n is not between 1 and {boxes.shape[1]}")
    solid = (usable(boxes) & (np.arange(boxes.shape[1]) < count[:, None])).any(1)
    if not solid.all():
        raise PprError(f"{path}: shape {int(np.argmin(solid))} has no box with thickness and direction")
    return BoxSet(boxes.astype(np.float32), count.astype(np.int64), base.astype(np.int64))


def sample_points(
    shapes: Sequence[BoxUnion], count: int, rng: np.random.Generator, *, near: float = 0.75, spread: float = 0.03
) -> tuple[Float, Float]:
    """Points with their labels: the share `near` around the boxes' surfaces, the rest uniform in the cube.

    The distance to the surface is normal, with a third of `spread` for half of the near points and `spread` for the others.

    Returns:
        points float32 [B, count, 3] in [-0.5, 0.5], labels float32 [B, count] of 0 and 1.
    """
    points = rng.random((len(shapes), count, 3), np.float32) - 0.5
    labels = np.empty((len(shapes), count), np.float32)
    close = round(near * count)
    for row, shape in enumerate(shapes):
        half = shape.half_lengths()
        # The square root gives thin parts, which are the hard ones, more points than their area would.
        weight = np.sqrt(half[:, 0] * half[:, 1] + half[:, 1] * half[:, 2] + half[:, 2] * half[:, 0])
        box = rng.choice(len(half), close, p=weight / weight.sum())
        unit = rng.uniform(-1, 1, (close, 3)).astype(np.float32)
        area = half.prod(1, keepdims=True) / half
        face = (rng.random(close)[:, None] * area.sum(1)[box, None] > np.cumsum(area, 1)[box][:, :2]).sum(1)
        unit[np.arange(close), face] = rng.choice([-1.0, 1.0], close)
        inverse = np.linalg.inv(shape.matrix)
        surface = np.einsum("nij,nj->ni", inverse[box], unit - shape.offset[box])
        deviation = np.where(np.arange(close) % 2, spread, spread / 3)[:, None]
        points[row, :close] = np.clip(surface + rng.standard_normal((close, 3)) * deviation, -0.5, 0.5)
        labels[row] = shape.occupancy(points[row])
    return points, labels
