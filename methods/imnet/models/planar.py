"""IM-NET in two dimensions: images as implicit fields over the plane (Chen & Zhang 2019, sections 3.1 and 4.4).

The paper's demonstration is a letter at all places of a picture: between two codes an implicit decoder moves it, where a
convolutional one fades one letter out and the other in.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from ...common.config import validate
from ...common.running.checkpoint import Meta, load_checkpoint, load_state
from ...common.running.devices import launch
from ...common.running.fit import Task, fit
from ...common.running.run import Run
from ..config import PlanarTrainConfig
from ..network import SLOPE, ImplicitDecoder
from .optimizer import scheduled_adam
from .planar_images import load_planar_images

log = logging.getLogger("ppr")
METHOD = "imnet-planar"
DECODER_FACTORS = (16, 8, 4, 2, 1)
LAST_WIDTH = 64
SKIPS = 4
VAL_IMAGES = 64
Float = NDArray[np.float32]


class PlanarEncoder(nn.Module):
    """Four convolutions with batch norm down to 4 x 4, and a last one over that.

    Args:
        side: of the images, 28 (the first convolution keeps the size) or 64 (it halves it).

    Shapes:
        images (B, 1, side, side) float in [0, 1] -> code (B, z_dim) in (0, 1).
    """

    def __init__(self, side: int, z_dim: int = 100, ef_dim: int = 16) -> None:
        super().__init__()
        if side not in (28, 64):
            raise ValueError(f"images of {side} pixels; the encoder takes 28 or 64")
        # Where TensorFlow's "SAME" pads an odd number of pixels, the one more lies to the right and below: 28 -> 28, 14, 7 -> 4.
        self.trailing = {1, 4} if side == 28 else set()
        widths = [1, ef_dim, 2 * ef_dim, 4 * ef_dim, 8 * ef_dim]
        for i, (inside, outside) in enumerate(pairwise(widths), start=1):
            stride = 1 if side == 28 and i == 1 else 2
            self.add_module(f"conv_{i}", nn.Conv2d(inside, outside, 4, stride, padding=1, bias=False))
            self.add_module(f"bn_{i}", nn.BatchNorm2d(outside))
        self.conv_5 = nn.Conv2d(widths[-1], z_dim, 4)

    def forward(self, images: Tensor) -> Tensor:
        features = images
        for i in range(1, 5):
            if i in self.trailing:
                features = F.pad(features, (0, 1, 0, 1))
            features = F.leaky_relu(self.get_submodule(f"bn_{i}")(self.get_submodule(f"conv_{i}")(features)), SLOPE)
        return torch.sigmoid(self.conv_5(features)).flatten(1)


class PlanarDecoder(ImplicitDecoder):
    """f(point, code) over the plane, in logits: points (B, P, 2), code (B, z_dim) -> (B, P).

    Hidden layers 16, 8, 4, 2 and 1 times `gf_dim` (paper: 64, so 1024-512-256-128-64), the input appended again to the first four.
    """

    def __init__(self, z_dim: int = 100, gf_dim: int = 64, octaves: int = 0) -> None:
        super().__init__(z_dim, [factor * gf_dim for factor in DECODER_FACTORS], SKIPS, octaves, "logit", dim=2)


class PlanarAutoEncoder(nn.Module):
    """Encoder and decoder for images of one size."""

    def __init__(self, side: int, config: PlanarTrainConfig) -> None:
        super().__init__()
        self.side = side
        self.encoder = PlanarEncoder(side, config.z_dim, config.ef_dim)
        self.generator = PlanarDecoder(config.z_dim, config.gf_dim, config.octaves)
        he = config.init_scheme == "he"
        for module in self.modules():
            if isinstance(module, nn.Linear):
                last = module.out_features == 1
                nn.init.zeros_(module.bias)
                if he:
                    nn.init.kaiming_normal_(module.weight, a=SLOPE, nonlinearity="linear" if last else "leaky_relu")
                else:
                    nn.init.normal_(module.weight, mean=1e-5 if last else 0.0, std=0.02)

    def forward(self, images: Tensor, points: Tensor) -> Tensor:
        """images (B, 1, side, side), points (B, P, 2) -> logits (B, P)."""
        return self.generator(points, self.encoder(images))


def pixel_points(side: int) -> Tensor:
    """Centres of the pixels in [-0.5, 0.5]^2 as (column, row), float32 [side^2, 2], row by row."""
    axis = (torch.arange(side) + 0.5) / side - 0.5
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([columns, rows], -1).reshape(-1, 2)


class PixelBatches:
    """The batches of an epoch from one of them on, from (seed, epoch) alone: images (B, 1, S, S), points (B, P, 2), labels (B, P)."""

    def __init__(self, images: Float, config: PlanarTrainConfig, *, rank: int = 0, world: int = 1) -> None:
        self.images, self.config, self.rank, self.world = images, config, rank, world
        self.steps = max(1, len(images) // (config.batch * world))
        self.points = pixel_points(images.shape[1])

    def __call__(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        config = self.config
        order = np.random.default_rng((config.seed, epoch)).permutation(len(self.images))
        for step in range(start, self.steps):
            first = (step * self.world + self.rank) * config.batch
            chosen = self.images[np.take(order, range(first, first + min(config.batch, len(order))), mode="wrap")]
            rng = np.random.default_rng((config.seed, epoch, step, self.rank))
            pixels = self._pixels(chosen, rng)
            labels = np.take_along_axis(chosen.reshape(len(chosen), -1), pixels, 1)
            yield torch.from_numpy(chosen)[:, None], self.points[torch.from_numpy(pixels)], torch.from_numpy(labels)

    def _pixels(self, images: Float, rng: np.random.Generator) -> NDArray[np.intp]:
        """Indices [B, P] of the pixels to learn from: all, or half uniform and half from the figure's bounding box."""
        count, side = len(images), images.shape[1]
        if not self.config.points:
            return np.tile(np.arange(side * side), (count, 1))
        pixels = rng.integers(side * side, size=(count, self.config.points))
        half = self.config.points // 2
        for row, image in enumerate(images):
            inside = np.argwhere(image > 0.5)
            if len(inside):
                low, high = np.maximum(inside.min(0) - 2, 0), np.minimum(inside.max(0) + 2, side - 1)
                near = rng.integers(low, high + 1, (half, 2))
                pixels[row, :half] = near[:, 0] * side + near[:, 1]
        return pixels


def planar_loss(logits: Tensor, labels: Tensor, loss: str) -> Tensor:
    """Binary cross-entropy, or the paper's mean squared error of the sigmoid."""
    return F.binary_cross_entropy_with_logits(logits, labels) if loss == "bce" else F.mse_loss(torch.sigmoid(logits), labels)


@torch.no_grad()
def decode(network: PlanarAutoEncoder, code: Tensor, side: int = 0) -> Float:
    """Images of codes (B, z_dim) at any size, float32 [B, side, side] in [0, 1]; `side` 0 is the size trained on."""
    side = side or network.side
    device = next(network.parameters()).device
    points = pixel_points(side).to(device)
    logits = torch.cat([network.generator(part.expand(len(code), -1, -1), code.to(device)) for part in points.split(1 << 14)], 1)
    return torch.sigmoid(logits).reshape(-1, side, side).cpu().numpy()


@torch.no_grad()
def encode_images(network: PlanarAutoEncoder, images: Float) -> Tensor:
    """Codes float32 (B, z_dim) of images [B, side, side], on the CPU."""
    device = next(network.parameters()).device
    return torch.cat([network.encoder(part[:, None].to(device)).cpu() for part in torch.from_numpy(images).split(256)])


def interpolate(network: PlanarAutoEncoder, first: Float, last: Float, steps: int, side: int = 0) -> Float:
    """Images of `steps` codes evenly spaced from that of one image to that of another, both included, float32 [steps, side, side]."""
    ends = encode_images(network, np.stack([first, last]))
    shares = torch.linspace(0, 1, steps)[:, None]
    return decode(network, (1 - shares) * ends[:1] + shares * ends[1:], side)


def image_iou(network: nn.Module, images: Float) -> dict[str, float]:
    """Mean IoU of images with what becomes of them, at a threshold of one half."""
    assert isinstance(network, PlanarAutoEncoder)
    scores = []
    for part in np.array_split(images, math.ceil(len(images) / 32)):
        decoded, true = decode(network, encode_images(network, part)) > 0.5, part > 0.5
        intersection, union = (decoded & true).sum((1, 2)), (decoded | true).sum((1, 2))
        scores.append(np.where(union, intersection / np.maximum(union, 1), 1.0))
    return {"val_iou": float(np.concatenate(scores).mean())}


def train_planar(config: PlanarTrainConfig, run: Run, *, resume: bool = False) -> None:
    """Train; the run directory then holds best.safetensors (highest IoU) and last.safetensors.

    As in the paper all images are learned; the IoU is of at most 64 of them, chosen by the seed.

    Raises:
        UsageError, PprError: data or devices that cannot be used; a loss that is not finite.
    """
    fabric = launch(config)
    images = load_planar_images(config.data)
    batches = PixelBatches(images, config, rank=fabric.global_rank, world=fabric.world_size)
    network = PlanarAutoEncoder(images.shape[1], config)
    log.info("%d images of %d pixels", len(images), images.shape[1])

    def step(module: nn.Module, batch: tuple[Tensor, Tensor, Tensor]) -> dict[str, Tensor]:
        views, points, labels = (part.to(fabric.device) for part in batch)
        return {"loss": planar_loss(module(views, points).float(), labels, config.loss)}

    chosen = np.random.default_rng((config.seed, 1)).permutation(len(images))[:VAL_IMAGES]
    optimizer, schedule = scheduled_adam(network, config, batches.steps)
    task = Task(
        network=network,
        optimizer=optimizer,
        step=step,
        batches=batches,
        steps=batches.steps,
        validate=partial(image_iou, images=images[chosen]),
        cost=lambda metrics: -metrics["val_iou"],
        meta=Meta(
            method=METHOD,
            arch=f"planar{images.shape[1]}",
            config=config.model_dump(mode="json"),
            data={"file": Path(config.data[0]).name if config.data else "letter A", "images": len(images), "side": images.shape[1]},
            seed=config.seed,
        ),
        schedule=schedule,
    )
    fit(fabric, task, config, run, resume=resume)


def load_planar(path: Path) -> PlanarAutoEncoder:
    """A trained network, in evaluation mode.

    Raises:
        UsageError, PprError: not a checkpoint of `train_planar`, or a damaged one.
    """
    checkpoint = load_checkpoint(path, method=METHOD)
    config = validate(PlanarTrainConfig, checkpoint.meta.config, where=str(path))
    network = PlanarAutoEncoder(int(checkpoint.meta.data.get("side", 64)), config)
    load_state(network, checkpoint.state, str(path))
    return network.eval()
