"""Supervised training: one short loop on Lightning Fabric, with accumulation, clipping, moving average, early stop and exact resume.

A method gives a `Task`; `fit` does the rest. Methods that are not supervised learning write their own steps on the same `Loop`.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
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
from .checkpoint import Meta
from .loop import Loop
from .run import Run

Batch = Any
GATHERED = StateDictOptions(full_state_dict=True, cpu_offload=True)
WHOLE = StateDictOptions(full_state_dict=True)


@dataclass
class Task:
    """What is to be trained.

    Args:
        network: the module whose weights are saved.
        optimizer: over its trainable parameters.
        step: (network, batch) -> named losses; their sum is minimised.
        batches: (epoch, first) -> this process's batches of the epoch from number `first` on. Must depend on nothing else, so that a
            resumed epoch goes on where it was.
        steps: batches an epoch.
        validate: network -> metrics, called after each epoch without gradients; `cost` of them is lowest in the best weights.
        schedule: optimizer step -> factor on every learning rate.
        meta: describes the checkpoint; epoch and metrics are filled in.
        train_mode: puts the network into training mode; a method may keep parts of it frozen.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    step: Callable[[nn.Module, Batch], dict[str, Tensor]]
    batches: Callable[[int, int], Iterable[Batch]]
    steps: int
    validate: Callable[[nn.Module], dict[str, float]]
    cost: Callable[[dict[str, float]], float]
    meta: Meta
    schedule: Callable[[int], float] = lambda _step: 1.0
    train_mode: Callable[[nn.Module], object] = nn.Module.train


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

    A step of the loop is one of the optimizer, on `config.accumulate` batches. Interrupted (Ctrl-C, SIGKILL) and called again with
    `resume`, it ends with the same weights as if it had not been interrupted.

    Raises:
        PprError: the loss is not finite; the checkpoints before it are kept.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the state at the end of the current step has been saved.
    """
    learner, tally = Learner(fabric, task, config), Tally()
    updates = math.ceil(task.steps / config.accumulate)
    loop = Loop(
        run,
        {"learner": learner, "tally": tally},
        steps=config.epochs * updates,
        epoch_steps=updates,
        save_minutes=config.save_minutes,
        resume=resume,
        processes=fabric,
    )
    stream, started = loop.stream(task.batches, config.accumulate), time.monotonic()
    for update in loop:
        batches = stream.take()
        sums = learner.update(batches, update, loop)
        loop.show({name: value / len(batches) for name, value in sums.items()})
        tally.add(sums, len(batches))
        if loop.epoch_ends:
            validate(learner, tally, loop, time.monotonic() - started)
            started = time.monotonic()
            if config.patience and tally.stale >= config.patience:
                loop.stop()


def validate(learner: Learner, tally: Tally, loop: Loop, seconds: float) -> None:
    """Measure the epoch's (averaged) weights, save and log them."""
    task, epoch = learner.task, loop.epoch + 1
    with torch.no_grad(), learner.averaged():
        task.network.eval()
        metrics = task.validate(task.network)
        weights: Any = get_model_state_dict(task.network, options=GATHERED)
        better = loop.checkpoint(weights, replace(task.meta, epoch=epoch), metrics, cost=task.cost(metrics))
    rate = task.optimizer.param_groups[0]["lr"]
    loop.log({"epoch": epoch, "lr": rate, **tally.end_epoch(better=better), **metrics, "best": better, "seconds": round(seconds, 1)})
    if loop.processes.is_global_zero:
        loop.run.draw_curves()


class Learner:
    """A task's network, optimizer and moving average, on the processes of a training."""

    def __init__(self, fabric: Fabric, task: Task, config: BaseTrainConfig) -> None:
        self.fabric, self.task, self.config = fabric, task, config
        names = {parameter: name for name, parameter in task.network.named_parameters()}
        self.network, self.optimizer = fabric.setup(task.network, task.optimizer)
        # Sharding puts new parameters into the network; the optimizer has to move those.
        parameters = dict(task.network.named_parameters())
        for group in task.optimizer.param_groups:
            group["params"] = [parameters[names[parameter]] for parameter in group["params"]]
            group.setdefault("initial_lr", group["lr"])
        self.average = MovingAverage(task.network, config.ema) if config.ema else None

    def update(self, batches: list[Batch], number: int, loop: Loop) -> dict[str, float]:
        """One optimizer step on the mean gradient of some batches; returns the sums of their losses.

        Raises:
            PprError: a loss is not finite; the weights stay as they are.
        """
        self.task.train_mode(self.network)
        sums: dict[str, float] = {}
        for index, batch in enumerate(batches):
            with self.fabric.no_backward_sync(self.network, enabled=index + 1 < len(batches)):
                losses = self.task.step(self.network, batch)
                total = torch.stack(list(losses.values())).sum()
                loop.refuse_non_finite(total)
                self.fabric.backward(total / len(batches))
            sums = {name: sums.get(name, 0.0) + loss.item() for name, loss in losses.items()}
        self._move(number)
        return sums

    def _move(self, number: int) -> None:
        factor = self.task.schedule(number)
        for group in self.task.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * factor
        if self.config.clip:
            self.fabric.clip_gradients(self.network, self.optimizer, max_norm=self.config.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average:
            self.average.update(self.task.network, number + 1)

    def averaged(self) -> contextlib.AbstractContextManager[None]:
        """Inside the block the network has the weights that count: the averaged ones, if there are any."""
        return self.average.applied(self.task.network) if self.average else contextlib.nullcontext()

    def state_dict(self) -> dict[str, Any]:
        network, optimizer = self.task.network, self.task.optimizer
        # Asked for the state of an optimizer that has none yet, torch gives it one by a step, which Adam would count.
        moved = get_optimizer_state_dict(network, optimizer, options=GATHERED) if optimizer.state else None
        state: dict[str, Any] = {"network": get_model_state_dict(network, options=GATHERED), "optimizer": moved}
        if self.average:
            with self.average.applied(network):
                averaged: Any = get_model_state_dict(network, options=GATHERED)
                # On the CPU these are the network's own tensors, which will hold the plain weights again after this block.
                state["average"] = {key: value.clone() for key, value in averaged.items()}
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        network = self.task.network
        if self.average:
            set_model_state_dict(network, state["average"], options=WHOLE)
            self.average = MovingAverage(network, self.config.ema)
        set_model_state_dict(network, state["network"], options=WHOLE)
        if state["optimizer"] is not None:
            set_optimizer_state_dict(network, self.task.optimizer, state["optimizer"], options=WHOLE)


class Tally:
    """Sums of the losses of an epoch, and the epochs since the best one."""

    def __init__(self) -> None:
        self.totals: dict[str, float] = {}
        self.batches = 0
        self.stale = 0

    def add(self, sums: dict[str, float], batches: int) -> None:
        """Count the losses of some batches, summed."""
        self.totals = {name: self.totals.get(name, 0.0) + value for name, value in sums.items()}
        self.batches += batches

    def end_epoch(self, *, better: bool) -> dict[str, float]:
        """The mean losses of the epoch that ends."""
        means = {name: total / self.batches for name, total in self.totals.items()}
        self.totals, self.batches, self.stale = {}, 0, 0 if better else self.stale + 1
        return means

    def state_dict(self) -> dict[str, Any]:
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        vars(self).update(state)


def warm_cosine(updates: int, warm_up: int = 100) -> Callable[[int], float]:
    """Factor on the learning rate: linear over `warm_up` updates (of few, a tenth), then a cosine down to a hundredth after `updates`."""
    warm_up = max(1, min(warm_up, updates // 10))
    return lambda update: min((update + 1) / warm_up, 1.0) * (0.01 + 0.99 * (1 + math.cos(math.pi * update / updates)) / 2)
