"""Supervised training: one short loop on Lightning Fabric, with accumulation, clipping, moving average, early stop and exact resume.

A method gives a `Task`; `fit` does the rest. Methods that are not supervised learning write their own loop and use `launch`, `Run` and the
checkpoint functions just the same.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)

from ..config import BaseTrainConfig
from ..errors import PprError
from .checkpoint import Meta, save_checkpoint
from .interrupts import interruptible
from .run import Progress, Run, restore_rng, rng_state

log = logging.getLogger("ppr")
Batch = Any
FULL = StateDictOptions(full_state_dict=True, cpu_offload=True)


@dataclass
class Task:
    """What is to be trained.

    Args:
        network: the module whose weights are saved.
        optimizer: over its trainable parameters.
        step: (network, batch) -> named losses; their sum is minimised.
        batches: epoch -> this process's batches. Must depend on nothing but the epoch, so that a resumed epoch can skip ahead.
        steps: batches an epoch.
        validate: network -> metrics, called after each epoch without gradients; `score` of them is minimised.
        schedule: optimizer step -> factor on every learning rate.
        meta: describes the checkpoint; epoch and metrics are filled in.
        train_mode: puts the network into training mode; a method may keep parts of it frozen.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    step: Callable[[nn.Module, Batch], dict[str, Tensor]]
    batches: Callable[[int], Iterable[Batch]]
    steps: int
    validate: Callable[[nn.Module], dict[str, float]]
    score: Callable[[dict[str, float]], float]
    meta: Meta
    schedule: Callable[[int], float] = lambda _step: 1.0
    train_mode: Callable[[nn.Module], object] = nn.Module.train


@dataclass
class Position:
    """How far a training is; part of the resumable state."""

    epoch: int = 0
    step: int = 0  # batches done in this epoch
    updates: int = 0  # optimizer steps done in all
    best: float = math.inf
    stale: int = 0  # epochs since the best
    totals: dict[str, float] = field(default_factory=dict)  # sums of the losses of this epoch


class MovingAverage:
    """Exponential moving average of a network's floating-point state (weights and batch-norm statistics).

    The decay warms up as (1 + n) / (10 + n), so that early averages do not remember the initial weights.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.decay = decay
        self.shadow = {key: value.detach().clone() for key, value in network.state_dict().items() if value.is_floating_point()}

    @torch.no_grad()
    def update(self, network: nn.Module, updates: int) -> None:
        decay = min(self.decay, (1 + updates) / (10 + updates))
        for key, value in network.state_dict().items():
            if key in self.shadow:
                self.shadow[key].lerp_(value, 1 - decay)

    @contextlib.contextmanager
    def applied(self, network: nn.Module) -> Iterator[None]:
        """Inside the block the network has the averaged weights."""
        self._swap(network)
        try:
            yield
        finally:
            self._swap(network)

    @torch.no_grad()
    def _swap(self, network: nn.Module) -> None:
        for key, value in network.state_dict().items():
            if key in self.shadow:
                kept = value.clone()
                value.copy_(self.shadow[key])
                self.shadow[key].copy_(kept)


def fit(fabric: Fabric, task: Task, config: BaseTrainConfig, run: Run, *, resume: bool = False) -> None:
    """Train until the last epoch or early stop; `run.best` and `run.last` hold the weights.

    Interrupted (Ctrl-C, SIGKILL) and called again with `resume`, it ends with the same weights as if it had not been interrupted.

    Raises:
        PprError: the loss is not finite; the checkpoints before it are kept.
        KeyboardInterrupt: after Ctrl-C, once the state at the end of the current step has been saved.
    """
    training = _Fit(fabric, task, config, run)
    if resume:
        training.restore()
    with interruptible() as interrupted:
        while not training.finished:
            training.epoch(interrupted)
            training.validate()


class _Fit:
    """One training and where it stands."""

    def __init__(self, fabric: Fabric, task: Task, config: BaseTrainConfig, run: Run) -> None:
        self.fabric, self.task, self.config, self.run = fabric, task, config, run
        names = {parameter: name for name, parameter in task.network.named_parameters()}
        self.network, self.optimizer = fabric.setup(task.network, task.optimizer)
        # Sharding puts new parameters into the network; the optimizer has to move those.
        parameters = dict(task.network.named_parameters())
        for group in task.optimizer.param_groups:
            group["params"] = [parameters[names[parameter]] for parameter in group["params"]]
            group.setdefault("initial_lr", group["lr"])
        self.average = MovingAverage(task.network, config.ema) if config.ema else None
        self.position = Position()
        self.started = self.saved = time.monotonic()

    @property
    def finished(self) -> bool:
        stopped_early = self.config.patience and self.position.stale >= self.config.patience
        return self.position.epoch >= self.config.epochs or bool(stopped_early)

    def epoch(self, interrupted: threading.Event) -> None:
        """The rest of one epoch, from `position` on."""
        position, accumulate = self.position, self.config.accumulate
        self.started = time.monotonic()
        self.task.train_mode(self.network)
        for index, batch in enumerate(self.task.batches(position.epoch)):
            if index < position.step:
                continue
            group_end = min((index // accumulate + 1) * accumulate, self.task.steps)
            group_size = group_end - index // accumulate * accumulate
            complete = index + 1 == group_end
            with self.fabric.no_backward_sync(self.network, enabled=not complete):
                losses = self.task.step(self.network, batch)
                total = torch.stack(list(losses.values())).sum()
                # Summed over the processes, so that all stop if one has to; alone, the others would wait for it for ever.
                joint: Any = self.fabric.all_reduce(total.detach(), reduce_op="sum") if self.fabric.world_size > 1 else total
                if not torch.isfinite(joint):
                    raise PprError(
                        f"loss is {joint.item()} in epoch {position.epoch + 1}, step {index + 1}",
                        hint=f"lower the learning rate or set clip=1; the last good weights are in {self.run.path}",
                    )
                self.fabric.backward(total / group_size)
            if complete:
                self.update()
            values = {name: loss.item() for name, loss in losses.items()}
            position.step = index + 1
            position.totals = {name: position.totals.get(name, 0.0) + value for name, value in values.items()}
            self.run.report(Progress(position.epoch + 1, self.config.epochs, position.step, self.task.steps, values))
            if complete and self.agree(interrupted.is_set()):
                self.save_state()
                raise KeyboardInterrupt
            if complete and self.agree(time.monotonic() - self.saved > 60 * self.config.save_minutes):
                self.save_state()

    def update(self) -> None:
        """One optimizer step at the scheduled rates."""
        factor = self.task.schedule(self.position.updates)
        for group in self.task.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        if self.config.clip:
            self.fabric.clip_gradients(self.network, self.optimizer, max_norm=self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.position.updates += 1
        if self.average:
            self.average.update(self.task.network, self.position.updates)

    def validate(self) -> None:
        """Measure the epoch's (averaged) weights, save and log them."""
        position = self.position
        with torch.no_grad(), self.average.applied(self.task.network) if self.average else contextlib.nullcontext():
            self.task.network.eval()
            metrics = self.task.validate(self.task.network)
            score = self.task.score(metrics)
            better = score < position.best
            self.save_weights(metrics, best=better)
        losses = {name: total / position.step for name, total in position.totals.items()}
        position.best, position.stale = (score, 0) if better else (position.best, position.stale + 1)
        position.epoch, position.step, position.totals = position.epoch + 1, 0, {}
        if self.fabric.is_global_zero:
            rate, seconds = self.task.optimizer.param_groups[0]["lr"], round(time.monotonic() - self.started, 1)
            self.run.log({"epoch": position.epoch, "lr": rate, **losses, **metrics, "best": better, "seconds": seconds})
            self.run.draw_curves()
        self.save_state()

    def agree(self, condition: bool) -> bool:
        """The first process's view of a condition, so that all processes act alike."""
        return bool(self.fabric.broadcast(condition)) if self.fabric.world_size > 1 else condition

    def save_weights(self, metrics: dict[str, float], *, best: bool) -> None:
        state: Any = get_model_state_dict(self.task.network, options=FULL)
        if self.fabric.is_global_zero:
            meta = replace(self.task.meta, epoch=self.position.epoch + 1, metrics=metrics)
            save_checkpoint(self.run.last, state, meta)
            if best:
                save_checkpoint(self.run.best, state, meta)

    def save_state(self) -> None:
        network = self.task.network
        state = {
            "position": asdict(self.position),
            "network": get_model_state_dict(network, options=FULL),
            "optimizer": get_optimizer_state_dict(network, self.task.optimizer, options=FULL),
            "rng": rng_state(),
        }
        if self.average:
            with self.average.applied(network):
                averaged: Any = get_model_state_dict(network, options=FULL)
                # On the CPU these are the network's own tensors, which will hold the plain weights again after this block.
                state["average"] = {key: value.clone() for key, value in averaged.items()}
        if self.fabric.is_global_zero:
            self.run.save_state(state)
        self.saved = time.monotonic()

    def restore(self) -> None:
        """Go back to the last saved state."""
        network, full = self.task.network, StateDictOptions(full_state_dict=True)
        state = self.run.load_state()
        if self.average:
            set_model_state_dict(network, state["average"], options=full)
            self.average = MovingAverage(network, self.config.ema)
        set_model_state_dict(network, state["network"], options=full)
        set_optimizer_state_dict(network, self.task.optimizer, state["optimizer"], options=full)
        restore_rng(state["rng"])
        self.position = Position(**state["position"])
        if self.fabric.is_global_zero:
            self.run.truncate_history(self.position.epoch)


def warm_cosine(updates: int, warm_up: int = 100) -> Callable[[int], float]:
    """Factor on the learning rate: linear over `warm_up` updates (of few, a tenth), then a cosine down to a hundredth after `updates`."""
    warm_up = max(1, min(warm_up, updates // 10))
    return lambda update: min((update + 1) / warm_up, 1.0) * (0.01 + 0.99 * (1 + math.cos(math.pi * update / updates)) / 2)
