"""The training loop on a network of two layers: it resumes exactly, stops when it should, and shares work between processes.

Run as a script (`python test_training.py --help`) this file is one such training; the tests that kill it or spread it over processes do so.
"""

from __future__ import annotations

import argparse
import copy
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ppr.methods.common.config import BaseTrainConfig
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import Meta, load_checkpoint
from ppr.methods.common.running.devices import launch, resolve_device
from ppr.methods.common.running.fit import MovingAverage, Task, fit
from ppr.methods.common.running.run import Progress, Run

STEPS = 7
UPDATES = 3  # optimizer steps an epoch: batches in groups of three, three and one
CONFIG = BaseTrainConfig(epochs=3, batch=8, accumulate=3, clip=0.5, ema=0.9, seed=5, device="cpu", save_minutes=1e-9)


class PlainRun(Run):
    """A run without pictures, which would take most of the time here."""

    def draw_curves(self) -> None:
        return


def build(*, random: bool) -> nn.Sequential:
    """A small network; `random` adds what depends on state and chance: batch norm and dropout."""
    between = [nn.BatchNorm1d(16), nn.Dropout(0.3)] if random else []
    return nn.Sequential(nn.Linear(6, 16), *between, nn.ReLU(), nn.Linear(16, 1))


def examples(epoch: int, first: int = 0, rank: int = 0, world: int = 1) -> Iterator[tuple[Tensor, Tensor]]:
    """This process's part of the batches of an epoch: the target is a fixed function of the input."""
    for step in range(first, STEPS):
        generator = torch.Generator().manual_seed(100 * epoch + step)
        inputs = torch.randn(8, 6, generator=generator)
        target = inputs[:, :1] - 2 * inputs[:, 1:2]
        yield inputs[rank::world], target[rank::world]


def squared_error(network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
    outputs = network(batch[0])
    return {"mse": (outputs - batch[1]).square().mean(), "size": 1e-3 * outputs.abs().mean()}


@torch.no_grad()
def validate(network: nn.Module) -> dict[str, float]:
    inputs, target = next(examples(99))
    return {"val_mse": (network(inputs) - target).square().mean().item()}


def train(config: BaseTrainConfig, run: Run, *, resume: bool = False, random: bool = True, **changes: Any) -> None:
    fabric = launch(config)
    network = build(random=random)
    task = Task(
        network=network,
        optimizer=torch.optim.AdamW(network.parameters(), lr=0.02),
        step=squared_error,
        batches=lambda epoch, first: examples(epoch, first, fabric.global_rank, fabric.world_size),
        steps=STEPS,
        validate=validate,
        cost=lambda metrics: metrics["val_mse"],
        meta=Meta("toy", "mlp"),
        schedule=lambda step: 1 / (1 + 0.1 * step),
    )
    for name, value in changes.items():
        setattr(task, name, value)
    fit(fabric, task, config, run, resume=resume)


def started(path: Path, config: BaseTrainConfig = CONFIG, **callbacks: Any) -> PlainRun:
    run = PlainRun(path, **callbacks)
    run.start(config)
    return run


def weights(path: Path) -> dict[str, Tensor]:
    return load_checkpoint(path).state


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    assert first.keys() == second.keys()
    for key, value in first.items():
        assert torch.equal(value, second[key]), key


def at_step(number: int, act: Callable[[], object]) -> Callable[[Progress], None]:
    """A report callback that does something after so many steps."""
    seen = 0

    def report(_progress: Progress) -> None:
        nonlocal seen
        seen += 1
        if seen == number:
            act()

    return report


class PowerFailure(Exception):
    """What ends a training without asking it."""


def fail() -> None:
    raise PowerFailure


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> PlainRun:
    run = started(tmp_path_factory.mktemp("whole") / "run")
    train(CONFIG, run)
    return run


def test_the_loss_falls_and_the_best_is_kept(uninterrupted):
    history = uninterrupted.history()
    assert [record["epoch"] for record in history] == [1, 2, 3]
    assert history[-1]["mse"] < history[0]["mse"]
    best = min(history, key=lambda record: record["val_mse"])
    meta = load_checkpoint(uninterrupted.best).meta
    assert (meta.epoch, meta.metrics["val_mse"]) == (best["epoch"], best["val_mse"])
    assert load_checkpoint(uninterrupted.last).meta.epoch == 3


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(number=st.integers(1, 3 * UPDATES - 1), gently=st.booleans())
def test_an_interrupted_training_ends_with_the_same_weights(uninterrupted, tmp_path_factory, number, gently):
    """Averages, batch norm, dropout, accumulation over an uneven epoch, momentum and schedule: bit for bit."""
    path = tmp_path_factory.mktemp("cut") / "run"
    act = (lambda: signal.raise_signal(signal.SIGINT)) if gently else fail
    with pytest.raises(KeyboardInterrupt if gently else PowerFailure):
        train(CONFIG, started(path, report=at_step(number, act)))
    torch.manual_seed(12345)  # another process would begin with other random numbers
    resumable = PlainRun(path)
    train(CONFIG, resumable, resume=resumable.resume.exists())
    assert_same(weights(resumable.last), weights(uninterrupted.last))
    assert_same(weights(resumable.best), weights(uninterrupted.best))
    kept = ("epoch", "lr", "mse", "val_mse", "best")
    assert [[record[key] for key in kept] for record in resumable.history()] == [
        [record[key] for key in kept] for record in uninterrupted.history()
    ]


def test_the_comparison_would_notice_a_lost_state(uninterrupted, tmp_path):
    """Another seed must give other weights, or the test above proves nothing."""
    config = CONFIG.model_copy(update={"seed": 6})
    run = started(tmp_path / "run", config)
    train(config, run)
    with pytest.raises(AssertionError):
        assert_same(weights(run.last), weights(uninterrupted.last))


def test_a_finished_training_resumes_to_nothing(tmp_path):
    config = CONFIG.model_copy(update={"epochs": 1})
    run = started(tmp_path / "run", config)
    train(config, run)
    before = run.last.read_bytes()
    train(config, run, resume=True)
    assert run.last.read_bytes() == before
    assert len(run.history()) == 1


def test_a_loss_that_is_not_finite_stops_and_keeps_the_last_good_weights(tmp_path):
    run = started(tmp_path / "run")
    train(CONFIG.model_copy(update={"epochs": 1}), run)
    good = run.last.read_bytes()

    def explode(network: nn.Module, batch: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        return {"mse": network(batch[0]).sum() * float("nan")}

    with pytest.raises(PprError, match="loss is nan in epoch 2, step 1") as caught:
        train(CONFIG, run, resume=True, step=explode)
    assert str(run.path) in (caught.value.hint or "")
    assert run.last.read_bytes() == good
    train(CONFIG, run, resume=True)
    assert run.history()[-1]["epoch"] == 3


def test_validation_that_is_not_a_number_does_not_hide_a_later_best(tmp_path):
    scores = iter([float("nan"), 0.5, 0.7])
    run = started(tmp_path / "run")
    train(CONFIG, run, validate=lambda _network: {"val_mse": next(scores)})
    assert load_checkpoint(run.best).meta.epoch == 2


def test_training_stops_after_epochs_without_improvement(tmp_path):
    scores = iter([0.5, 0.4, 0.6, 0.41, 0.3, 0.2])
    config = CONFIG.model_copy(update={"epochs": 6, "patience": 2})
    run = started(tmp_path / "run", config)
    train(config, run, validate=lambda _network: {"val_mse": next(scores)})
    assert [record["epoch"] for record in run.history()] == [1, 2, 3, 4]
    assert load_checkpoint(run.best).meta.epoch == 2


def recorded_norms(tmp_path: Path, clip: float) -> list[float]:
    """Gradient norms that the optimizer saw, with a loss whose gradients are large."""
    config = CONFIG.model_copy(update={"epochs": 1, "clip": clip})
    norms = []

    class Watching(torch.optim.SGD):
        def step(self, closure: Any = None) -> None:
            gradients = [parameter.grad for group in self.param_groups for parameter in group["params"]]
            norms.append(torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm().item())
            super().step(closure)

    network = build(random=False)
    optimizer = Watching(network.parameters(), lr=1e-4, momentum=0.9)
    step = lambda module, batch: {"mse": 1000 * squared_error(module, batch)["mse"]}  # noqa: E731
    train(config, started(tmp_path / f"clip{clip}", config), network=network, optimizer=optimizer, step=step)
    return norms


def test_gradients_are_clipped_to_the_norm(tmp_path):
    free, clipped = recorded_norms(tmp_path, 0.0), recorded_norms(tmp_path, 0.25)
    assert len(free) == len(clipped) == 3  # ceil(7 / 3) optimizer steps
    assert min(free) > 1
    assert clipped == pytest.approx([0.25] * 3, rel=1e-3)


def test_accumulated_gradients_are_those_of_one_large_batch(tmp_path):
    """7 batches in groups of 3, 3 and 1 move the weights as three batches of 24, 24 and 8 would."""
    config = CONFIG.model_copy(update={"epochs": 1, "ema": 0.0, "clip": 0.0})
    run = started(tmp_path / "run", config)
    network = build(random=False)
    reference = copy.deepcopy(network)
    loss = lambda module, batch: {"mse": (module(batch[0]) - batch[1]).square().mean()}  # noqa: E731
    train(
        config,
        run,
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        step=loss,
        schedule=lambda step: 1.0 / (1 + step),
    )

    batches = list(examples(0))
    for update, group in enumerate((batches[:3], batches[3:6], batches[6:])):
        inputs, target = (torch.cat(part) for part in zip(*group, strict=True))
        reference.zero_grad()
        (reference(inputs) - target).square().mean().backward()
        with torch.no_grad():
            for parameter in reference.parameters():
                assert parameter.grad is not None
                parameter -= 0.1 / (1 + update) * parameter.grad
    for key, value in weights(run.last).items():
        torch.testing.assert_close(value, reference.state_dict()[key], rtol=1e-5, atol=1e-6)


def test_the_moving_average_is_the_weighted_mean_of_the_past():
    network = nn.Linear(1, 1, bias=False)
    average = MovingAverage(network, 0.5)
    history = [network.weight.item()]
    expected = history[0]
    for updates in range(1, 8):
        with torch.no_grad():
            network.weight.fill_(float(updates))
        average.update(network, updates)
        decay = min(0.5, (1 + updates) / (10 + updates))
        expected = decay * expected + (1 - decay) * updates
    with average.applied(network):
        assert network.weight.item() == pytest.approx(expected, rel=1e-6)
    assert network.weight.item() == 7.0


@pytest.mark.parametrize("device", ["gpu", "cpu:0", "cuda:x", "auto:1", ""])
def test_what_is_no_device_is_refused(device):
    with pytest.raises(UsageError, match="not a device"):
        resolve_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="a machine without CUDA")
def test_an_absent_gpu_is_named():
    assert resolve_device("auto") == ("cpu", None)
    with pytest.raises(UsageError, match="no CUDA device"):
        resolve_device("cuda")


def test_half_precision_needs_a_gpu():
    with pytest.raises(UsageError, match="needs a GPU"):
        launch(CONFIG.model_copy(update={"precision": "16"}))


def script(*arguments: object) -> list[str]:
    return [sys.executable, __file__, *map(str, arguments)]


def environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1"}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_training_resumes_exactly(uninterrupted, tmp_path):
    """`kill -9` in the middle of an epoch: the files are whole, and the end is the same."""
    process = subprocess.Popen(script(tmp_path / "run", "--random", "--pause-at", 5), stdout=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    assert process.stdout.readline() == "paused\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=300)
    process.stdout.close()
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").meta.epoch == 1
    run = PlainRun(tmp_path / "run")
    train(CONFIG, run, resume=True)
    assert_same(weights(run.last), weights(uninterrupted.last))


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_two_processes_train_like_one(tmp_path, strategy):
    """Each has half of every batch; the mean of their gradients is that of the whole batch. Interrupted and resumed halfway."""
    alone = started(tmp_path / "alone")
    train(CONFIG, alone, random=False)
    shared = ["--devices", 2, "--strategy", strategy]
    cut = subprocess.run(
        script(tmp_path / "run", *shared, "--fail-at", 4), env=environment(), timeout=900, capture_output=True, text=True, check=False
    )
    assert "PowerFailure" in cut.stderr
    subprocess.run(script(tmp_path / "run", *shared, "--resume"), env=environment(), timeout=900, check=True)
    together = PlainRun(tmp_path / "run")
    assert [record["epoch"] for record in together.history()] == [1, 2, 3]
    for key, value in weights(alone.last).items():
        torch.testing.assert_close(weights(together.last)[key], value, rtol=1e-4, atol=1e-5)


def pause() -> None:
    os.write(1, b"paused\n")
    time.sleep(600)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("path", type=Path)
    parser.add_argument("--devices", type=int, default=1)
    parser.add_argument("--strategy", default="auto")
    parser.add_argument("--random", action="store_true")
    parser.add_argument("--resume", action="store_true")
    parser.add_argument("--pause-at", type=int, default=0)
    parser.add_argument("--fail-at", type=int, default=0)
    options = parser.parse_args()
    config = CONFIG.model_copy(update={"devices": options.devices, "strategy": options.strategy})
    run = PlainRun(options.path, report=at_step(options.pause_at, pause) if options.pause_at else at_step(options.fail_at, fail))
    if not options.resume and os.environ.get("LOCAL_RANK", "0") == "0":
        run.start(config)
    train(config, run, resume=options.resume, random=options.random)


if __name__ == "__main__":
    main()
