"""From files to batches: which shapes a `--data` argument stands for, their voxels for the encoder and labelled points for the decoder."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..common.config import BaseTrainConfig
from ..common.errors import UsageError
from .config import TrainConfig
from .shapes.boxes import BoxSet, BoxUnion, load_boxes, sample_points
from .shapes.deformation import Deformation, recombine
from .shapes.hdf5 import LEVELS, read_shapes
from .shapes.voxels import SIDE

BUNDLED = Path(__file__).parent / "demo" / "box_chairs.npz"
HALF_VOXEL = 0.5 / SIDE
PROPORTION = 0.25  # largest log factor on the heights of a recombined chair's two halves
Index = NDArray[np.intp]
Drawn = TypeVar("Drawn", covariant=True)


@dataclass(frozen=True)
class Batch:
    """voxels float32 (B, 1, 64, 64, 64), points float32 (B, P, 3) in [-0.5, 0.5], labels float32 (B, P) of 0 and 1."""

    voxels: Tensor
    points: Tensor
    labels: Tensor


class Shapes(Protocol):
    """A set of shapes to train on."""

    @property
    def train(self) -> Index:
        """Indices of the training shapes."""

    @property
    def held_out(self) -> Index:
        """Indices of the held-out shapes."""

    def name(self, index: int) -> str:
        """A shape's name, unique in the set."""

    def voxels(self, index: int) -> NDArray[np.bool_]:
        """Occupancy of a shape, bool [64, 64, 64]: what the encoder sees and what IoU is measured against."""

    def draw(self, indices: Index, config: TrainConfig, progress: float, rng: np.random.Generator) -> Batch:
        """A training batch; `progress` in [0, 1) is how far the training is."""


class BoxShapes:
    """Box unions: labels are exact at any point, and shapes can be deformed without error."""

    def __init__(self, table: BoxSet) -> None:
        self.table = table
        self.train, self.held_out = table.split()
        self.deformation = Deformation()

    def name(self, index: int) -> str:
        return self.table.name(index)

    def voxels(self, index: int) -> NDArray[np.bool_]:
        return self.table[index].voxels(SIDE)

    def draw(self, indices: Index, config: TrainConfig, progress: float, rng: np.random.Generator) -> Batch:
        # Less and less towards the end: the last steps are for the shapes as they are.
        amount = min(1.0, (1 - progress) / config.settle) if config.settle else 1.0
        recombined, deformed = config.recombine * amount, config.deform * amount
        shapes = [self._recombined(index, rng) if rng.random() < recombined else self.table[index] for index in indices]
        shapes = [self.deformation(shape, rng) if rng.random() < deformed else shape for shape in shapes]
        # Voxels of other sources mark whatever is touched, these what is inside: the encoder learns to read both.
        dilations = np.where(rng.random(len(shapes)) < deformed, rng.uniform(0, HALF_VOXEL, len(shapes)), 0.0)
        voxels = [shape.voxels(SIDE, dilate=dilate) for shape, dilate in zip(shapes, dilations, strict=True)]
        points, labels = sample_points(shapes, config.points, rng, near=config.near)
        return Batch(stack_voxels(voxels), torch.from_numpy(points), torch.from_numpy(labels))

    def _recombined(self, index: int, rng: np.random.Generator) -> BoxUnion:
        """The top of a shape on the legs of another training shape; the shape itself where they do not fit."""
        shape = self.table[index]
        above, below = np.exp(rng.uniform(-PROPORTION, PROPORTION, 2))
        return recombine(shape, self.table[rng.choice(self.train)], (above, below)) or shape


class PointShapes:
    """Shapes with points that were sampled beforehand; files that do not say which shapes are held out keep every tenth."""

    def __init__(self, path: Path) -> None:
        self.file = read_shapes(path)
        if self.file.splits:
            self.train, self.held_out = self.file.rows("train"), self.file.rows("test")
        else:
            # As the authors: names in order, the first part trains. Without names every tenth is held out.
            rows = np.arange(self.file.count)
            self.train, self.held_out = rows[rows % 10 != 9], rows[rows % 10 == 9]
        if not len(self.train):
            self.train = np.arange(self.file.count)

    def name(self, index: int) -> str:
        return self.file.name(index)

    def voxels(self, index: int) -> NDArray[np.bool_]:
        return self.file.voxels([index])[0] > 0

    def draw(self, indices: Index, config: TrainConfig, progress: float, rng: np.random.Generator) -> Batch:
        """Points of the level that `progress` has reached: 16, 32 and 64 in turn if progressive, else the finest."""
        levels = [level for level in LEVELS if level in self.file.points_per_level]
        level = levels[min(int(progress * len(levels)), len(levels) - 1)] if config.progressive else levels[-1]
        coordinates, values = self.file.coordinates(level, indices), self.file.values(level, indices)[..., 0]
        count = min(config.points, coordinates.shape[1])
        chosen = np.stack([rng.permutation(coordinates.shape[1])[:count] for _ in indices])
        return Batch(
            stack_voxels(list(self.file.voxels(indices) > 0)),
            torch.from_numpy(np.take_along_axis(coordinates, chosen[:, :, None], axis=1)),
            torch.from_numpy(np.take_along_axis(values, chosen, axis=1).astype(np.float32)),
        )


def load_shapes(data: Sequence[str]) -> Shapes:
    """Shapes of a file: `.npz` of box unions or HDF5 from `prepare`; of nothing, the bundled chairs.

    Raises:
        UsageError: more than one file, or another suffix.
        PprError: the file cannot be read.
    """
    if len(data) > 1:
        raise UsageError("training takes one data file", hint="`ppr imnet prepare A B --out data.h5` makes one of several")
    path = Path(data[0]) if data else BUNDLED
    if path.suffix == ".npz":
        return BoxShapes(load_boxes(path))
    if path.suffix in (".h5", ".hdf5"):
        return PointShapes(path)
    raise UsageError(f"{path}: neither .npz of box unions nor HDF5", hint="`ppr imnet prepare` makes HDF5 of meshes and voxels")


def check(config: TrainConfig) -> None:
    """Find data that cannot be trained on, before a run directory is made.

    Raises:
        UsageError, PprError: as `load_shapes`.
    """
    load_shapes(config.data)


def fingerprint(shapes: Shapes, data: Sequence[str]) -> dict[str, Any]:
    """What a checkpoint says about its data: file, numbers of shapes, SHA-256 of the names in order."""
    names = "\n".join(shapes.name(int(index)) for index in [*shapes.train, *shapes.held_out])
    return {
        "file": Path(data[0]).name if data else BUNDLED.name,
        "train": len(shapes.train),
        "held_out": len(shapes.held_out),
        "names_sha256": hashlib.sha256(names.encode()).hexdigest(),
    }


def stack_voxels(grids: list[NDArray[np.bool_]]) -> Tensor:
    """bool [64, 64, 64] each -> float32 (B, 1, 64, 64, 64)."""
    return torch.from_numpy(np.stack(grids)[:, None].astype(np.float32))


class Source(Protocol[Drawn]):
    """What batches are drawn from."""

    def draw(self, indices: Index, config: Any, progress: float, rng: np.random.Generator, /) -> Drawn:
        """A training batch; `progress` in [0, 1) is how far the training is."""


class TrainBatches(Generic[Drawn]):
    """The batches of an epoch from one of them on, drawn from (seed, epoch, step) alone and prepared one step ahead in a thread.

    Args:
        least: steps an epoch has at least; fewer shapes than that takes are gone through several times.
    """

    def __init__(
        self, shapes: Source[Drawn], indices: Index, config: BaseTrainConfig, *, least: int = 1, rank: int = 0, world: int = 1
    ) -> None:
        self.shapes, self.indices, self.config, self.rank, self.world = shapes, indices, config, rank, world
        self.steps = max(least, len(indices) // (config.batch * world))

    def __call__(self, epoch: int, start: int = 0) -> Iterator[Drawn]:
        config = self.config
        order = np.random.default_rng((config.seed, epoch)).permutation(self.indices)
        size = min(config.batch, len(order))

        def draw(step: int) -> Drawn:
            first = (step * self.world + self.rank) * size
            chosen = np.take(order, range(first, first + size), mode="wrap")
            rng = np.random.default_rng((config.seed, epoch, step, self.rank))
            return self.shapes.draw(chosen, config, (epoch + step / self.steps) / config.epochs, rng)

        with ThreadPoolExecutor(1) as pool:
            futures = [pool.submit(draw, start)]
            for step in range(start, self.steps):
                if step + 1 < self.steps:
                    futures.append(pool.submit(draw, step + 1))
                yield futures.pop(0).result()


@dataclass(frozen=True)
class IoUSample:
    """Voxel centres from which a shape's IoU at 64^3 is estimated without asking for all 262,144 values.

    Occupied voxels, free ones within two voxels of them, and the other free ones are sampled apart, each with its weight.
    """

    voxels: Tensor
    points: Tensor
    occupied: Tensor
    weights: Tensor

    @classmethod
    def draw(cls, voxels: NDArray[np.bool_], rng: np.random.Generator, count: int = 1365) -> IoUSample:
        from scipy.ndimage import binary_dilation

        near = binary_dilation(voxels, iterations=2) & ~voxels
        chosen, weights = [], []
        for stratum in (voxels, near, ~(voxels | near)):
            members = np.flatnonzero(stratum)
            taken = rng.choice(members, min(count, len(members)), replace=False)
            chosen.append(taken)
            weights.append(np.full(len(taken), len(members) / max(len(taken), 1), np.float32))
        index = np.concatenate(chosen)
        points = ((np.stack(np.unravel_index(index, voxels.shape), 1) + 0.5) / SIDE - 0.5).astype(np.float32)
        return cls(
            stack_voxels([voxels])[0],
            torch.from_numpy(points),
            torch.from_numpy(voxels.reshape(-1)[index]),
            torch.from_numpy(np.concatenate(weights)),
        )

    def iou(self, inside: Tensor) -> float:
        """Estimated intersection over union of `inside` (bool, at `points`) with the shape."""
        intersection = (self.weights * (inside & self.occupied)).sum()
        union = (self.weights * (inside | self.occupied)).sum()
        return float(intersection / union.clamp(min=1e-9))
