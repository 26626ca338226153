"""Configurations by name, as values that replace defaults."""

from __future__ import annotations

from typing import Any

from ..common.errors import UsageError, nearest

PRESETS: dict[str, dict[str, Any]] = {
    "demo": {
        "env": "simple_spread",
        "agents": 3,
        "learners": 6,
        "code": "balanced",
        "tolerance": 2,
        "iterations": 1500,
        "warmup": 2048,
        "replay": 100_000,
        "lr_final": 0.1,
        "evaluate_every": 150,
        "checkpoint_every": 150,
    },
    "paper": {"env": "simple_spread", "agents": 8, "learners": 15, "code": "mds", "envs": 1, "rollout": 100, "payload": "params"},
}


def preset(name: str) -> dict[str, Any]:
    """The values of a preset.

    Raises:
        UsageError: there is none of that name.
    """
    if name not in PRESETS:
        raise UsageError(f"--preset {name}: no such preset", hint=nearest(name, PRESETS))
    return PRESETS[name]
