"""Corners and cells of a cubic grid as single integers, arrays over few of them, and a field asked for its values there."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppr.methods.common.errors import PprError

Floats = NDArray[np.float32]
Keys = NDArray[np.int64]
#: Points float32 (n, 3) in world coordinates -> values float32 (n,), larger inside.
Field = Callable[[Floats], Floats]
#: The same points -> values as a field gives them, and outward normals float (n, 3) of any length, for less than asking twice.
FieldWithNormals = Callable[[Floats], tuple[Floats, NDArray[np.floating[Any]]]]
#: Called with what is being done ("seed", "front", "refine", "normals") and how many points were asked for that so far.
Progress = Callable[[str, int], None]

_BITS = 16
_MASK = (1 << _BITS) - 1
_BLOCK_BITS = 3
_BLOCK_MASK = (1 << _BLOCK_BITS) - 1
_BLOCK_CELLS = 1 << 3 * _BLOCK_BITS


def packed(offsets: NDArray[np.int64]) -> Keys:
    """(..., 3) index offsets -> what to add to a key to move by them."""
    return (offsets[..., 0] << 2 * _BITS) + (offsets[..., 1] << _BITS) + offsets[..., 2]


_ORIGIN = int(packed(np.ones(3, np.int64)))  # so that index -1, the padding, has a key too


@dataclass(frozen=True)
class Lattice:
    """A cube cut into `resolution`^3 cells; corners have indices 0 to `resolution`.

    One more layer of corners around it (indices -1 and resolution + 1) is padding and counts as outside. A key is the int64 form of a
    corner's index, and of the cell whose lowest corner it is; keys sort as the indices do.

    Attributes:
        low, high: world coordinates of the cube's walls, the same along all axes.
    """

    resolution: int
    low: float
    high: float

    @property
    def step(self) -> float:
        """Side of a cell in world units."""
        return (self.high - self.low) / self.resolution

    def keys(self, indices: NDArray[np.int64]) -> Keys:
        """int64 (..., 3) indices -> int64 (...) keys."""
        return packed(indices) + _ORIGIN

    def indices(self, keys: Keys) -> NDArray[np.int64]:
        """int64 (...) keys -> int64 (..., 3) indices."""
        return np.stack([keys >> 2 * _BITS, keys >> _BITS & _MASK, keys & _MASK], axis=-1) - 1

    def points(self, indices: NDArray[Any]) -> Floats:
        """World coordinates of corners, or of places between them, rounded once, to float32."""
        return np.asarray(self.low + indices * self.step, np.float32)

    def inside_box(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which indices are corners of the cube, and not padding."""
        return np.asarray(((indices >= 0) & (indices <= self.resolution)).all(axis=-1))


class KeyMap:
    """A value for every key of a lattice, stored in blocks of 8^3 where anything was written; elsewhere it reads as `fill`."""

    def __init__(self, lattice: Lattice, dtype: type[np.generic], fill: float) -> None:
        self._side = (lattice.resolution + 3 >> _BLOCK_BITS) + 1
        self._slots = np.zeros(self._side**3, np.int32)
        self._fill = fill
        self._used = 1  # slot 0 stands for all blocks never written
        self._values = np.full((8, _BLOCK_CELLS), fill, dtype)

    def __getitem__(self, keys: Keys) -> NDArray[Any]:
        block, cell = self._split(keys)
        return self._values.reshape(-1)[(self._slots[block].astype(np.int64) << 3 * _BLOCK_BITS) + cell]

    def __setitem__(self, keys: Keys, values: Any) -> None:
        block, cell = self._split(keys)
        new = np.unique(block[self._slots[block] == 0])
        if len(new):
            self._grow(self._used + len(new))
            self._slots[new] = np.arange(self._used, self._used + len(new))
            self._used += len(new)
        self._values[self._slots[block], cell] = values

    def _grow(self, slots: int) -> None:
        if slots > len(self._values):
            larger = np.full((max(slots, len(self._values) * 3 // 2), _BLOCK_CELLS), self._fill, self._values.dtype)
            larger[: self._used] = self._values[: self._used]
            self._values = larger

    def _split(self, keys: Keys) -> tuple[Keys, Keys]:
        i, j, k = keys >> 2 * _BITS, keys >> _BITS & _MASK, keys & _MASK
        block = ((i >> _BLOCK_BITS) * self._side + (j >> _BLOCK_BITS)) * self._side + (k >> _BLOCK_BITS)
        cell = ((i & _BLOCK_MASK) << 2 * _BLOCK_BITS) + ((j & _BLOCK_MASK) << _BLOCK_BITS) + (k & _BLOCK_MASK)
        return block, cell


@dataclass
class Sampler:
    """Asks a field in batches, checks what it answers, and keeps count.

    Attributes:
        together: the field and its normals in one, if there is such a function.
        asked: points asked for so far, by purpose.
        smallest, largest: of all values seen.
    """

    field: Field
    batch: int
    progress: Progress | None = None
    together: FieldWithNormals | None = None
    asked: dict[str, int] = dataclasses.field(default_factory=dict)
    smallest: float = math.inf
    largest: float = -math.inf

    def __call__(self, points: Floats, purpose: str) -> Floats:
        """float32 (n, 3) points -> float32 (n,) values.

        Raises:
            PprError: the field answers with another shape, or with NaN or infinity.
        """
        values = np.empty(len(points), np.float32)
        for start in range(0, len(points), self.batch):
            part = points[start : start + self.batch]
            values[start : start + self.batch] = self._checked(part, np.asarray(self.field(part)))
            self.count(purpose, len(part))
        self._note(values)
        return values

    def with_normals(self, points: Floats, purpose: str) -> tuple[Floats, NDArray[np.floating[Any]]]:
        """float32 (n, 3) points -> float32 (n,) values and (n, 3) normals of any length; counts for `purpose` and as normals.

        Raises:
            PprError: as when called; normals of another shape.
        """
        values, normals = np.empty(len(points), np.float32), np.empty((len(points), 3))
        for start in range(0, len(points), self.batch):
            assert self.together is not None
            part = points[start : start + self.batch]
            answer, directions = self.together(part)
            values[start : start + self.batch] = self._checked(part, np.asarray(answer))
            normals[start : start + self.batch] = checked_normals(part, directions)
            self.count(purpose, len(part))
            self.count("normals", len(part))
        self._note(values)
        return values, normals

    def _note(self, values: Floats) -> None:
        if len(values):
            self.smallest, self.largest = min(self.smallest, float(values.min())), max(self.largest, float(values.max()))

    def count(self, purpose: str, points: int) -> None:
        self.asked[purpose] = self.asked.get(purpose, 0) + points
        if self.progress is not None:
            self.progress(purpose, self.asked[purpose])

    def _checked(self, points: Floats, values: NDArray[Any]) -> NDArray[Any]:
        if values.shape != (len(points),):
            raise PprError(
                f"the field answers points of shape {points.shape} with values of shape {values.shape}, not {(len(points),)}",
                hint="it must give one number a point",
            )
        finite = np.isfinite(values)
        if not finite.all():
            worst = int(np.argmin(finite))
            place = ", ".join(f"{coordinate:.4g}" for coordinate in points[worst])
            bad = np.count_nonzero(~finite)
            raise PprError(
                f"the field is {values[worst]} at ({place}); {bad:,} of {len(values):,} values are not finite",
                hint="check the weights and the code it was made from",
            )
        return values


def checked_normals(points: Floats, normals: Any) -> NDArray[np.float64]:
    """Normals as float64 (n, 3).

    Raises:
        PprError: another shape.
    """
    normals = np.asarray(normals, np.float64)
    if normals.shape != points.shape:
        raise PprError(f"normals of shape {normals.shape} for points of shape {points.shape}")
    return normals
