"""Shapes of an HDF5 file with sampled points (the authors' layout) as a training set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from .config import TrainConfig
from .data import Batch, Index, stack_voxels
from .shapes.hdf5 import LEVELS, read_shapes


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
