"""Where IM-SVR's pictures come from: box unions rendered on demand, or the authors' HDF5 of renderings; and their random changes."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ...common.errors import PprError
from ..data import BoxShapes, Index
from ..shapes.boxes import BoxUnion
from ..shapes.hdf5 import dataset, open_hdf5
from ..shapes.views import SIDE, UInt8, centre_crop, random_view, render_boxes

SHIFT, SCALE, GAIN, GAMMA = 5.0, 0.12, 0.25, 0.2  # largest jitter: pixels, and the logs of three factors
MAX_SIDE = 1024
HELD_OUT = 10  # of pictures without named splits, every tenth shape


class Pictures(Protocol):
    """Where views of shapes come from."""

    @property
    def train(self) -> Index:
        """Rows of the training shapes."""

    @property
    def held_out(self) -> Index:
        """Rows of the held-out shapes."""

    def pictures(self, rows: Index, rng: np.random.Generator) -> list[UInt8]:
        """A random view of each shape, uint8 [128, 128]."""


class BoxPictures:
    """Box unions, rendered when they are asked for.

    Args:
        views: how many views of a shape there are, always the same; 0 draws a new one every time.
        copies: deformed copies of each training shape, whose rows follow those of the set.
    """

    def __init__(self, shapes: BoxShapes, *, views: int = 0, copies: int = 0, seed: int = 0) -> None:
        self.views, self.seed = views, seed
        self.boxes: list[BoxUnion] = [shapes.table[row] for row in range(len(shapes.table))]
        self.held_out = shapes.held_out
        first_copy = len(self.boxes)
        rng = np.random.default_rng((seed, 3))
        self.boxes += [shapes.deformation(self.boxes[row], rng) for _ in range(copies) for row in shapes.train]
        self.train = np.concatenate([shapes.train, np.arange(first_copy, len(self.boxes))])

    def pictures(self, rows: Index, rng: np.random.Generator) -> list[UInt8]:
        return [render_boxes(self.boxes[row], *self._view(int(row), rng)) for row in rows]

    def _view(self, row: int, rng: np.random.Generator) -> tuple[float, float]:
        return random_view(np.random.default_rng((self.seed, row, int(rng.integers(self.views)))) if self.views else rng)


class FilePictures:
    """The authors' HDF5 layout: `pixels` uint8 [n, views, 137, 137], of which the middle 128 x 128 is used.

    Held out is what `splits` does not call "train"; without it every tenth shape.

    Raises:
        PprError: no such data set, or of another type or size.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with open_hdf5(path) as file:
            pixels = dataset(file, "pixels", path)
            fits = pixels.ndim == 4 and min(pixels.shape) > 0 and SIDE <= min(pixels.shape[2:]) <= max(pixels.shape[2:]) <= MAX_SIDE
            if pixels.dtype != np.uint8 or not fits:
                raise PprError(f"{path}: 'pixels' is {pixels.dtype} {list(pixels.shape)}, not uint8 [n, views, 137, 137]")
            self.count, self.views = int(pixels.shape[0]), int(pixels.shape[1])
            training = np.arange(self.count) % HELD_OUT != HELD_OUT - 1
            if "splits" in file:
                training = dataset(file, "splits", path).asstr()[:] == "train"
        if len(training) != self.count or not training.any():
            raise PprError(f"{path}: 'splits' names no training shape, or not every shape's split")
        self.train, self.held_out = np.flatnonzero(training), np.flatnonzero(~training)

    def pictures(self, rows: Index, rng: np.random.Generator) -> list[UInt8]:
        with open_hdf5(self.path) as file:
            pixels = dataset(file, "pixels", self.path)
            return [centre_crop(pixels[int(row), int(rng.integers(self.views))]) for row in rows]


def jittered(picture: UInt8, rng: np.random.Generator) -> UInt8:
    """The picture shifted, scaled and with other brightness; the background stays white. Never mirrored: that is another shape.

    Shapes:
        uint8 [128, 128] -> the same.
    """
    scale, middle = np.exp(rng.uniform(-SCALE, SCALE)), picture.shape[0] / 2
    left, top = middle - (middle + rng.uniform(-SHIFT, SHIFT, 2)) / scale
    moved = Image.fromarray(picture).transform(
        (picture.shape[1], picture.shape[0]),
        Image.Transform.AFFINE,
        (1 / scale, 0, left, 0, 1 / scale, top),
        Image.Resampling.BILINEAR,
        fillcolor=255,
    )
    gain, gamma = np.exp(rng.uniform(-1, 1, 2) * (GAIN, GAMMA))
    darkness = np.clip((np.arange(256)[::-1] / 255) ** gamma * gain, 0, 1)
    return np.rint(255 * (1 - darkness)).astype(np.uint8)[np.asarray(moved)]


def as_views(pictures: list[UInt8]) -> Tensor:
    """uint8 [128, 128] each -> the network's input, float32 (B, 1, 128, 128) with 0 for white."""
    return torch.from_numpy(1 - np.stack(pictures)[:, None].astype(np.float32) / 255)
