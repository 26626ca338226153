"""What moves the weights of this method's models: Adam, and the course of its learning rate."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn

from ...common.running.fit import warm_cosine
from ..config import AdamConfig, ScheduledAdamConfig

BETA2 = 0.999  # the authors' code leaves it at this default


def adam(network: nn.Module, config: AdamConfig, *, fused: bool | None = None) -> torch.optim.Adam:
    """Adam over all of a network's parameters; `fused` None lets PyTorch choose the implementation."""
    return torch.optim.Adam(network.parameters(), lr=config.lr, betas=(config.beta1, BETA2), fused=fused)


def scheduled_adam(
    network: nn.Module, config: ScheduledAdamConfig, steps: int, *, fused: bool | None = None
) -> tuple[torch.optim.Adam, Callable[[int], float]]:
    """Adam, and the factor on its rate at each update of a training with `steps` batches an epoch."""
    updates = config.epochs * math.ceil(steps / config.accumulate)
    return adam(network, config, fused=fused), warm_cosine(updates) if config.schedule == "cosine" else lambda _update: 1.0
