"""Runs for tests of training: without pictures, and cut off and taken up again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ppr.methods.common.running.checkpoint import load_checkpoint
from ppr.methods.common.running.run import Progress, Run


class PlainRun(Run):
    """A run without pictures of its curves."""

    def draw_curves(self) -> None:
        return


def started(folder: Path, config: Any) -> PlainRun:
    """A new run of a configuration."""
    run = PlainRun(folder)
    run.start(config)
    return run


def check_resumed_training(train: Callable[..., object], config: Any, folder: Path, at: tuple[int, int]) -> None:
    """Training that is cut off after a step (epoch, step), and resumed, ends with the weights of one that is not."""
    whole, broken = started(folder / "whole", config), started(folder / "broken", config)
    train(config, whole)

    def stop(progress: Progress) -> None:
        if (progress.epoch, progress.step) == at:
            raise RuntimeError("power cut")

    broken.report = stop
    with pytest.raises(RuntimeError, match="power cut"):
        train(config, broken)
    assert len(broken.history()) == at[0] - 1
    broken.report = lambda _progress: None
    train(config, broken, resume=True)
    assert [record["epoch"] for record in broken.history()] == list(range(1, config.epochs + 1))
    expected, found = (load_checkpoint(run.last).state for run in (whole, broken))
    assert set(expected) == set(found)
    assert all(torch.equal(expected[key], found[key]) for key in expected)
