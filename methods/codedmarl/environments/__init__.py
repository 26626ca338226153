"""Environments of `ppr codedmarl`: four particle scenarios, many at once, the same by mpe2, and any parallel environment of PettingZoo."""

from .base import AgentSpec, Environment, Metric, Step
from .catalogue import make

__all__ = ["AgentSpec", "Environment", "Metric", "Step", "make"]
