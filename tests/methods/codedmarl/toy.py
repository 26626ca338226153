"""A computation that is quick and known: what the engines are tested with. Learners' processes import it from here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppr.methods.common.errors import PprError

from ...waiting import until


@dataclass(frozen=True)
class Toy:
    """update(agent) = x (agent + 1) + iteration, the first 40 + agent numbers of it.

    Args:
        seconds: an update takes at least.
        fails: the agent whose update cannot be computed.
        odd: a file whose name the first process to see it takes away; from then on that process computes differently in the last bit.
        gate: a file that an update waits for, having made `gate.begun`.
    """

    seconds: float = 0.0
    fails: int | None = None
    odd: Path | None = None
    gate: Path | None = None

    def __call__(self, arrays: Mapping[str, NDArray[Any]], iteration: int, agent: int) -> NDArray[np.float32]:
        time.sleep(self.seconds)
        if self.gate is not None:
            self.gate.with_suffix(".begun").touch()
            until(self.gate.exists)
        if agent == self.fails:
            raise PprError(f"agent {agent}: not finite", hint="lower the rate")
        update = expected(arrays["x"], iteration, agent)
        return np.nextafter(update, np.float32(np.inf)) if self._is_odd() else update

    def _is_odd(self) -> bool:
        if self.odd is None:
            return False
        global ODD
        try:
            self.odd.unlink()
            ODD = True
        except FileNotFoundError:
            pass
        return ODD


ODD = False


def lengths(agents: int) -> list[int]:
    return [40 + agent for agent in range(agents)]


def arrays(seed: int = 0) -> dict[str, NDArray[Any]]:
    generator = np.random.Generator(np.random.PCG64(seed))
    return {"x": generator.standard_normal(64).astype(np.float32), "n": np.arange(3)}


def expected(x: NDArray[np.float32], iteration: int, agent: int) -> NDArray[np.float32]:
    return (x * (agent + 1) + iteration)[: 40 + agent].astype(np.float32)
