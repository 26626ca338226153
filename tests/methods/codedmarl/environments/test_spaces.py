"""Spaces of gymnasium as vectors, and those that cannot be."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest
import torch

pytest.importorskip("pettingzoo")

from gymnasium.spaces import Box, Dict, Discrete

from ppr.methods.codedmarl.environments import make
from ppr.methods.common.errors import UsageError
from ppr.methods.common.random import torch_generator

from .crossing import Crossing, choose

FLAT, CHOICE = Box(-1, 1, (3,)), Discrete(3)


def test_spaces_become_vectors(named):
    environment = make(named(Crossing), agents=2, envs=3)
    assert [(spec.name, spec.observation, spec.actions, spec.kind, spec.team) for spec in environment.specs] == [
        ("walker_0", 3, 2, "box", "good"),
        ("walker_1", 4, 3, "discrete", "good"),
    ]
    first, second = environment.reset(torch_generator(0))
    assert first.shape == (3, 3) and first.dtype == torch.float32
    assert len(set(first[:, 0].tolist())) == 3  # every instance has a seed of its own
    assert second.tolist() == [[0, 0, 0, 1]] * 3
    environment.step(choose(environment))
    received = environment.instances[2].environment.received[-1]
    assert received["walker_0"].tolist() == [-1.0, 2.5] and received["walker_0"].dtype == np.float64
    assert received["walker_1"] == 2


def with_spaces(observation, action):
    class Other(Crossing):
        spaces: ClassVar = {"walker_0": (observation, action)}

    return Other


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (Dict({"eye": FLAT}), CHOICE, "walker_0 observes a Dict"),
        (Box(0, 255, (8, 8), np.uint8), CHOICE, "walker_0 observes a Box"),
        (FLAT, Dict({"hand": CHOICE}), "walker_0 acts in a Dict"),
        (FLAT, Box(-1, 1, (2, 2)), "walker_0 acts in a Box"),
        (FLAT, Box(0, 9, (2,), np.int64), "only a continuous Box"),
        (FLAT, Box(-np.inf, np.inf, (2,)), "without bounds"),
        (Discrete(1_000_000), CHOICE, "1,000,000 numbers"),
        (FLAT, Discrete(1_000_000), "1,000,000 numbers"),
    ],
)
def test_spaces_that_cannot_be_used(named, observation, action, message):
    with pytest.raises(UsageError, match=message):
        make(named(with_spaces(observation, action)))
