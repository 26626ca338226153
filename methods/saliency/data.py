"""From image/mask pairs on disk to training and validation batches."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ..common.errors import PprError, UsageError
from .config import TrainConfig
from .network import Normalization
from .pairs.find import Pair, find_pairs, read_pair


@dataclass(frozen=True)
class Batch:
    """Shapes: image (B, 3, H, W) float32 as the network wants it, mask (B, 1, H, W) float32 in {0, 1}."""

    image: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Draw:
    """One example to prepare: which pair, at which side (0: native), with which random numbers."""

    index: int
    side: int
    key: tuple[int, ...]


def augment(image: np.ndarray, mask: np.ndarray, config: TrainConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Random rotation, crop, mirror and colour jitter, as strong as the configuration says."""
    height, width = mask.shape
    if config.rotate:
        turn = cv2.getRotationMatrix2D((width / 2, height / 2), rng.uniform(-config.rotate, config.rotate), 1.0)
        image = cv2.warpAffine(image, turn, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        mask = cv2.warpAffine(mask, turn, (width, height), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT)
    if config.crop:
        top, bottom, left, right = (rng.uniform(0, config.crop / 2, 4) * (height, height, width, width)).astype(int)
        image, mask = image[top : height - bottom, left : width - right], mask[top : height - bottom, left : width - right]
    if rng.random() < 0.5:
        image, mask = image[:, ::-1], mask[:, ::-1]
    if config.jitter:
        image = _jitter(image, config.jitter, rng)
    return np.ascontiguousarray(image), np.ascontiguousarray(mask)


def blank(shape: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """An image without an object: one colour, a gradient, or noise of some grain. (H, W) -> (H, W, 3) uint8.

    The data sets hold no such image, and a network that never saw one finds an object everywhere.
    """
    height, width = shape
    kind = rng.integers(3)
    first, second = rng.uniform(0, 255, (2, 3))
    if kind == 0:
        x: np.ndarray = np.broadcast_to(first, (height, width, 3))
    elif kind == 1:
        rows, columns = np.linspace(0, rng.uniform(-1, 1), height), np.linspace(0, rng.uniform(-1, 1), width)
        x = first + (second - first) * np.abs(rows[:, None] + columns)[..., None] / 2
    else:
        grain = 2 ** rng.integers(0, 6)
        channels = 3 if rng.random() < 0.5 else 1
        coarse = rng.standard_normal((height // grain + 2, width // grain + 2, channels))
        x = first + rng.uniform(5, 80) * cv2.resize(coarse, (width, height)).reshape(height, width, channels)
    return np.clip(x + rng.uniform(0, 4) * rng.standard_normal((height, width, 1)), 0, 255).astype(np.uint8)


def _jitter(image: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Contrast, brightness and saturation by factors within 1 +- strength / 2, and now and then no colour at all."""
    contrast, brightness, saturation = 1 + strength * rng.uniform(-0.5, 0.5, 3)
    if rng.random() < 0.1 * strength:
        saturation = 0.0
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    mean = float(grey.mean())
    coloured = cv2.addWeighted(image, saturation, cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), 1 - saturation, 0)
    return cv2.convertScaleAbs(coloured, alpha=contrast, beta=brightness * mean - contrast * mean)


def to_tensors(image: np.ndarray, mask: np.ndarray, side: int, normalization: Normalization) -> tuple[Tensor, Tensor]:
    """Resize to a square of `side` (0: keep) and normalise: (3, H, W) float32 and (1, H, W) float32 in {0, 1}."""
    if side:
        shrinking = image.shape[0] > side or image.shape[1] > side
        image = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
        mask = cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR)
    return normalize(image, normalization), torch.from_numpy((mask > 127).astype(np.float32))[None]


def normalize(image: np.ndarray, normalization: Normalization) -> Tensor:
    """(H, W, 3) uint8 RGB -> (3, H, W) float32 as the architecture wants it."""
    mean, std = np.array(normalization.mean, np.float32), np.array(normalization.std, np.float32)
    x = (image.astype(np.float32) / np.float32(normalization.scale) - mean) / std
    return torch.from_numpy(np.ascontiguousarray(x.transpose(2, 0, 1)[::-1] if normalization.bgr else x.transpose(2, 0, 1)))


class PairDataset(Dataset):
    """Prepares a `Draw`. Decoded pairs are kept in memory when the caller's process does the work."""

    def __init__(self, pairs: list[Pair], config: TrainConfig, normalization: Normalization, *, keep: bool) -> None:
        self.pairs, self.config, self.normalization = pairs, config, normalization
        self.kept: dict[int, tuple[np.ndarray, np.ndarray]] | None = {} if keep else None

    def __getitem__(self, draw: Draw) -> tuple[Tensor, Tensor]:
        image, mask = self.decoded(draw.index)
        if draw.key:
            rng = np.random.default_rng(draw.key)
            if rng.random() < self.config.blank:
                image, mask = blank(mask.shape, rng), np.zeros_like(mask)
            else:
                image, mask = augment(image, mask, self.config, rng)
        return to_tensors(image, mask, draw.side, self.normalization)

    def decoded(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.kept is not None and index in self.kept:
            return self.kept[index]
        pair = read_pair(self.pairs[index], resize_masks=self.config.resize_masks)
        if self.kept is not None:
            self.kept[index] = pair
        return pair


def collate(items: list[tuple[Tensor, Tensor]]) -> Batch:
    pictures, masks = zip(*items, strict=True)
    if len({picture.shape for picture in pictures}) > 1:
        raise PprError(
            "images of different sizes do not fit into one batch", hint="at native size give --batch 1, and accumulate for larger steps"
        )
    return Batch(torch.stack(pictures).contiguous(memory_format=torch.channels_last), torch.stack(masks))


class TrainBatches:
    """The batches of an epoch from one of them on, a function of (seed, epoch) alone, shared out to `world` processes.

    Every batch of an epoch has one side drawn from `config.sizes`; the same on all processes, so that they stay in step.
    """

    def __init__(self, pairs: list[Pair], config: TrainConfig, normalization: Normalization, *, rank: int = 0, world: int = 1) -> None:
        self.config, self.rank, self.world = config, rank, world
        self.count = len(pairs)
        self.steps = max(1, math.ceil(self.count / (config.batch * world)))
        self.dataset = PairDataset(pairs, config, normalization, keep=config.workers == 0)

    def __call__(self, epoch: int, first: int = 0) -> DataLoader:
        return DataLoader(
            self.dataset,
            batch_sampler=list(self.draws(epoch))[first:],
            num_workers=self.config.workers,
            collate_fn=collate,
            generator=torch.Generator(),  # its own: a loader draws a seed for its workers, which would move torch's numbers on
        )

    def draws(self, epoch: int) -> Iterator[list[Draw]]:
        rng = np.random.default_rng((self.config.seed, epoch))
        order = rng.permutation(self.count)
        sides = rng.choice(self.config.sizes, self.steps)
        size = self.config.batch
        for step in range(self.steps):
            # The last batches wrap around to the epoch's first images, so that every process has the same number of full batches.
            positions = (np.arange(size) * self.world + self.rank + step * size * self.world) % self.count
            yield [Draw(int(i), int(sides[step]), (self.config.seed, epoch, int(i))) for i in order[positions]]


def validation_batches(pairs: list[Pair], config: TrainConfig, normalization: Normalization, side: int) -> list[Batch]:
    """All validation pairs at one side (native: batches of one), unaugmented."""
    dataset = PairDataset(pairs, config, normalization, keep=False)
    chunk = 16 if side else 1
    draws = [Draw(index, side, ()) for index in range(len(pairs))]
    return [collate([dataset[draw] for draw in draws[start : start + chunk]]) for start in range(0, len(draws), chunk)]


def split(pairs: list[Pair], fraction: float, seed: int) -> tuple[list[Pair], list[Pair]]:
    """Training and held-out pairs; at least one of each."""
    order = np.random.default_rng((seed, 0x5A11)).permutation(len(pairs))
    held_out = min(max(1, round(fraction * len(pairs))), len(pairs) - 1)
    chosen = set(order[:held_out].tolist())
    return [p for i, p in enumerate(pairs) if i not in chosen], [p for i, p in enumerate(pairs) if i in chosen]


def load_splits(config: TrainConfig) -> tuple[list[Pair], list[Pair], dict[str, object]]:
    """Training pairs, validation pairs and the fingerprint of the data.

    Raises:
        UsageError: no training data, or too little to hold something out.
    """
    if not config.data:
        raise UsageError("no training data", hint="give --data PATH (folder, zip or list of pairs)")
    found = find_pairs([Path(path) for path in config.data])
    pairs = found.pairs[: config.limit] if config.limit else found.pairs
    if config.val:
        return pairs, find_pairs([Path(path) for path in config.val]).pairs, found.fingerprint()
    if len(pairs) < 2:
        raise UsageError("one pair is too little to hold a validation pair out", hint="give --val PATH")
    training, held_out = split(pairs, config.val_fraction, config.seed)
    return training, held_out, found.fingerprint()


def check(config: TrainConfig) -> None:
    """Find wrong data before a run directory is made: absent paths, no pairs, or pairs whose first one cannot be used.

    `pairs.check.check` reads every pair, which takes minutes for a large set.

    Raises:
        UsageError: as `load_splits`.
        PprError: a damaged file, or a mask whose size is not its image's.
    """
    training, held_out, _fingerprint = load_splits(config)
    for pair in (training[0], held_out[0]):
        read_pair(pair, resize_masks=config.resize_masks)
