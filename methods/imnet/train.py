"""Train a shape autoencoder, IM-AE (Chen & Zhang 2019, section 3.3)."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..common.errors import PprError, UsageError
from ..common.running.checkpoint import Meta, load_checkpoint, load_state
from ..common.running.devices import launch
from ..common.running.fit import Task, fit
from ..common.running.run import Run
from .config import METHOD, TrainConfig
from .data import Batch, IoUSample, TrainBatches, fingerprint, load_shapes
from .models.bank import with_bank
from .models.optimizer import scheduled_adam
from .network import AutoEncoder

log = logging.getLogger("ppr")
LEVEL = {"logit": 0.0, "clamp": 0.5, "sigmoid": 0.5}


def field_loss(values: Tensor, labels: Tensor, config: TrainConfig) -> Tensor:
    """Mean squared error between field and label (equation 1, every weight 1), or binary cross-entropy."""
    if config.loss == "mse":
        return F.mse_loss(torch.sigmoid(values) if config.output == "logit" else values, labels)
    if config.output == "logit":
        return F.binary_cross_entropy_with_logits(values, labels)
    return F.binary_cross_entropy(values.clamp(1e-6, 1 - 1e-6), labels)


@torch.no_grad()
def quick_iou(network: nn.Module, samples: dict[str, list[IoUSample]], level: float) -> dict[str, float]:
    """Estimated mean IoU at 64^3 of each split's sample."""
    device = next(network.parameters()).device
    metrics = {}
    for split, shapes in samples.items():
        scores = []
        for shape in shapes:
            values = network(shape.voxels[None].to(device), shape.points[None].to(device))[0].cpu()
            scores.append(shape.iou(values > level))
        metrics[f"{split}_iou"] = float(np.mean(scores))
    return metrics


def train(config: TrainConfig, run: Run, *, resume: bool = False) -> None:
    """Train; the run directory then holds best.safetensors (highest held-out IoU) and last.safetensors.

    Raises:
        UsageError, PprError: data, weights or devices that cannot be used; a loss that is not finite.
    """
    torch.set_float32_matmul_precision("high")
    fabric = launch(config)
    shapes = load_shapes(config.data)
    indices = shapes.train[: config.limit] if config.limit else shapes.train
    batches = TrainBatches(shapes, indices, config, least=config.least_steps, rank=fabric.global_rank, world=fabric.world_size)
    network = AutoEncoder(config)
    if config.init and not resume:
        checkpoint = load_checkpoint(Path(config.init), method=METHOD)
        if checkpoint.meta.arch != config.arch:
            raise PprError(f"{config.init}: holds '{checkpoint.meta.arch}', not '{config.arch}'", hint=f"--arch {checkpoint.meta.arch}")
        networks = {key: value for key, value in checkpoint.state.items() if key.startswith(("encoder.", "generator."))}  # less the bank
        load_state(network, networks, config.init)
    if config.decoder_only:
        if not config.init:
            raise UsageError("decoder_only: there is no encoder to leave as it is", hint="give a checkpoint with --init")
        network.encoder.requires_grad_(False)

    rng = np.random.default_rng((config.seed, 1))
    splits = {"train": indices, "val": shapes.held_out if len(shapes.held_out) else indices}
    samples = {
        split: [IoUSample.draw(shapes.voxels(i), rng) for i in rng.permutation(members)[: config.val_shapes]]
        for split, members in splits.items()
    }
    # On the CPU PyTorch does not choose the fused implementation by itself.
    optimizer, schedule = scheduled_adam(network, config, batches.steps, fused=fabric.device.type == "cpu" or None)

    def step(module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        values = module(batch.voxels.to(fabric.device), batch.points.to(fabric.device))
        return {"loss": field_loss(values.float(), batch.labels.to(fabric.device), config)}

    task = Task(
        network=network,
        optimizer=optimizer,
        step=step,
        batches=batches,
        steps=batches.steps,
        validate=partial(quick_iou, samples=samples, level=LEVEL[config.output]),
        cost=lambda metrics: -metrics["val_iou"],
        meta=Meta(
            method=METHOD, arch=config.arch, config=config.model_dump(mode="json"), data=fingerprint(shapes, config.data), seed=config.seed
        ),
        schedule=schedule,
    )
    log.info("%s shapes to train on, %s held out", len(indices), len(shapes.held_out))
    fit(fabric, task, config, run, resume=resume)
    if fabric.is_global_zero:
        for path in {run.best, run.last}:
            with_bank(path, shapes, indices, path)
