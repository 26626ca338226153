"""Folders of trainings."""

from __future__ import annotations

from pathlib import Path

from ppr.methods.codedmarl.agents.centralised import Trainer
from ppr.methods.codedmarl.agents.model import TrainedAgents
from ppr.methods.codedmarl.config import TrainConfig


def a_run(folder: Path, **changes) -> Path:
    """The folder of a training that made no step."""
    trainer = Trainer(TrainConfig.model_validate({"hidden": 8, "episode_length": 5, "envs": 2} | changes))
    TrainedAgents.of(trainer.problem, trainer.states, iteration=0).save(folder / "best.safetensors")
    return folder
