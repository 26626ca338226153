"""Train a RAS network on image/mask pairs (deep supervision of every level, Chen et al. 2018, section 3.3; recipe v2 of 2020)."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..common.errors import PprError
from ..common.running.checkpoint import Meta, load_checkpoint, load_state, load_weights_file
from ..common.running.devices import launch
from ..common.running.fit import Task, fit
from ..common.running.run import Run
from .config import TrainConfig
from .data import Batch, TrainBatches, load_splits, validation_batches
from .network import ARCHITECTURES, RAS, disable_reverse_attention
from .trunks import MobileNetV2, ResNet50, folded_mobilenet_keys, unfold_norm
from .weights import EMBEDDED

log = logging.getLogger("ppr")
METHOD = "saliency"


def bce_iou(logit: Tensor, mask: Tensor) -> Tensor:
    """Mean binary cross-entropy plus soft IoU loss 1 - (sum(pg) + 1) / (sum(p) + sum(g) - sum(pg) + 1), averaged over images.

    Shapes:
        logit, mask (B, 1, H, W) -> scalar.
    """
    probability = torch.sigmoid(logit)
    overlap = (probability * mask).sum((1, 2, 3))
    union = (probability + mask).sum((1, 2, 3)) - overlap
    return F.binary_cross_entropy_with_logits(logit, mask) + (1 - (overlap + 1) / (union + 1)).mean()


LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"bce": F.binary_cross_entropy_with_logits, "bce+iou": bce_iou}


def schedule(kind: str, updates: int, step: int) -> float:
    """Factor on the peak learning rate after `step` of `updates` optimizer steps."""
    done = min((step + 1) / updates, 1.0)
    if kind == "triangular":
        return 1 - abs(2 * done - 1) if updates > 1 else 1.0
    if kind == "steps":
        return 1.0 if done <= 0.75 else 0.1
    warmup = min(done / 0.05, 1.0)
    return warmup * (0.01 + 0.99 * (1 + math.cos(math.pi * max(done - 0.05, 0) / 0.95)) / 2)


def build(config: TrainConfig) -> RAS:
    """The network of a configuration with fresh weights. The trunk has batch norm unless it starts from folded weights."""
    architecture = ARCHITECTURES[config.arch]
    folded = architecture.folded_trunk and bool(config.backbone_weights) and not config.trunk_batch_norm
    network = architecture.build(norm=not folded)
    if not config.reverse_attention:
        disable_reverse_attention(network)
    return network


def initialise(network: RAS, config: TrainConfig, calibration: Tensor | None = None) -> None:
    """Load the weights the configuration names: a whole checkpoint (`init`) or the trunk's (`backbone_weights`).

    Args:
        calibration: training images, needed where batch norm is put back into a folded trunk.

    Raises:
        PprError: a file that cannot be read or does not fit; says which architecture it holds.
    """
    if config.init:
        path = EMBEDDED.find(config.init)
        checkpoint = load_checkpoint(path, method=METHOD)
        if checkpoint.meta.arch != config.arch:
            raise PprError(f"{path}: holds '{checkpoint.meta.arch}', not '{config.arch}'", hint=f"give --arch {checkpoint.meta.arch}")
        load_state(network, checkpoint.state, str(path))
    elif config.backbone_weights:
        _load_trunk(network.trunk, config, calibration)
    else:
        log.warning("training the trunk from scratch: give --backbone-weights for results near the published ones")


def _load_trunk(trunk: nn.Module, config: TrainConfig, calibration: Tensor | None) -> None:
    path = config.backbone_weights
    state = load_weights_file(Path(path))
    if isinstance(trunk, MobileNetV2):
        state = folded_mobilenet_keys(state)
        if any(isinstance(module, nn.BatchNorm2d) for module in trunk.modules()):
            assert calibration is not None
            _check_folded(trunk, state, path)
            unfold_norm(trunk, state, calibration)
            return
    own = trunk.state_dict()
    load_state(trunk, {key: value for key, value in state.items() if key in own or not _is_classifier(key)}, path)


def _is_classifier(key: str) -> bool:
    return key.startswith(("classifier.", "fc."))


def _check_folded(trunk: MobileNetV2, state: dict[str, Tensor], path: str) -> None:
    for key, value in trunk.state_dict().items():
        if key.endswith("conv.weight") and (key not in state or state[key].shape != value.shape):
            raise PprError(f"{path}: no weights of the right shape for '{key}'", hint="the trunk of another width or network?")


def freeze(network: RAS, part: str) -> list[nn.Module]:
    """Stop gradients to a part of the trunk; returns the frozen modules, whose batch norms must stay in evaluation mode."""
    if part == "none":
        return []
    trunk = network.trunk
    if part == "trunk":
        frozen: list[nn.Module] = [trunk]
    elif isinstance(trunk, MobileNetV2):
        frozen = [trunk.stem, *trunk.blocks[: trunk.taps[0] + 1]]  # up to stride 4: half of the backward pass, little to learn
    else:
        frozen = trunk.stem() if isinstance(trunk, ResNet50) else list(trunk.features[:5])  # type: ignore[index]
    for module in frozen:
        module.requires_grad_(False)
    return frozen


def optimizer(network: RAS, config: TrainConfig) -> torch.optim.Optimizer:
    """Head and trunk at their own rates, no weight decay on vectors. The eccv recipe doubles the rate of biases and slows the global
    branch's score layer to a tenth, as its solver did."""
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    eccv = config.arch == "ras-vgg16"
    score = f"context.{len(network.context) - 1}." if eccv else None  # type: ignore[arg-type]
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = config.lr_trunk if name.startswith("trunk.") else config.lr_head
        if eccv:
            rate *= (2.0 if parameter.ndim == 1 else 1.0) * (0.1 if score and name.startswith(score) else 1.0)
        groups.setdefault((rate, 0.0 if parameter.ndim == 1 else config.weight_decay), []).append(parameter)
    described = [{"params": parameters, "lr": rate, "weight_decay": decay} for (rate, decay), parameters in groups.items()]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(described)
    return torch.optim.SGD(described, lr=config.lr_head, momentum=0.9, nesterov=not eccv)


@torch.no_grad()
def quick_metrics(network: nn.Module, batches: list[Batch]) -> dict[str, float]:
    """MAE and IoU at 0.5 of the finest level at the network's resolution; `evaluate` measures properly, at the masks' size."""
    device = next(network.parameters()).device
    errors, overlaps = [], []
    for batch in batches:
        mask = batch.mask.to(device)
        probability = torch.sigmoid(network(batch.image.to(device))[0])
        errors.append((probability - mask).abs().mean((1, 2, 3)))
        found, truth = probability > 0.5, mask > 0.5
        overlaps.append(((found & truth).sum((1, 2, 3)) + 1e-6) / ((found | truth).sum((1, 2, 3)) + 1e-6))
    return {"val_mae": torch.cat(errors).mean().item(), "val_iou": torch.cat(overlaps).mean().item()}


def train(config: TrainConfig, run: Run, *, resume: bool = False) -> None:
    """Train; the run directory then holds best.safetensors (lowest validation MAE) and last.safetensors.

    Raises:
        UsageError, PprError: data, weights or devices that cannot be used; a loss that is not finite.
    """
    torch.set_float32_matmul_precision("high")
    fabric = launch(config)
    architecture = ARCHITECTURES[config.arch]
    training, held_out, fingerprint = load_splits(config)
    batches = TrainBatches(training, config, architecture.normalization, rank=fabric.global_rank, world=fabric.world_size)
    side = sorted(config.sizes)[len(config.sizes) // 2]
    validation = validation_batches(held_out, config, architecture.normalization, side)

    network = build(config)
    if not resume:
        initialise(network, config, torch.cat([batch.image for batch in validation])[:200] if side else None)
    frozen = freeze(network, config.freeze if config.backbone_weights else "none")
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    criterion = LOSSES[config.loss]
    updates = config.epochs * math.ceil(batches.steps / config.accumulate)

    def step(module: nn.Module, batch: Batch) -> dict[str, Tensor]:
        image, mask = batch.image.to(fabric.device), batch.mask.to(fabric.device)
        return {f"level{i}": criterion(logit.float(), mask) for i, logit in enumerate(module(image), start=1)}

    def train_mode(module: nn.Module) -> None:
        module.train()
        for part in frozen:
            part.eval()

    meta = Meta(method=METHOD, arch=config.arch, config=config.model_dump(mode="json"), data=fingerprint, seed=config.seed)
    task = Task(
        network=network,
        optimizer=optimizer(network, config),
        step=step,
        batches=batches,
        steps=batches.steps,
        validate=partial(quick_metrics, batches=validation),
        cost=lambda metrics: metrics["val_mae"],
        meta=meta,
        schedule=partial(schedule, config.schedule, updates),
        train_mode=train_mode,
    )
    log.info("%s pairs to train on, %s held out; %s", len(training), len(held_out), asdict(meta)["data"])
    fit(fabric, task, config, run, resume=resume)
