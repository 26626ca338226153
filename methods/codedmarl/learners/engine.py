"""What an engine is: learners that take assignments and send shares, wherever they run."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from numpy.typing import NDArray

from ..config import FieldName

#: What a learner calls: (published arrays, iteration, agent) -> the agent's update, float32 [length of that agent].
Computation = Callable[[Mapping[str, NDArray[Any]], int, int], NDArray[Any]]

#: What became of an assignment at its learner: a share sent, given up because the iteration was over, or lost on the way on purpose.
Outcome = Literal["sent", "abandoned", "dropped"]


@dataclass(frozen=True)
class Fault:
    """What is done to a learner on purpose in one iteration.

    Args:
        delay: seconds it waits after its computation, before the share is combined, or with `each` after every update.
        kill: it kills its own process, without warning, when half of its updates are done.
        corrupt: bytes of the payload are flipped after its checksum was taken.
        drop: the share isn't sent.
        mode: the delay is slept, or a core is kept busy for it.
    """

    delay: float = 0.0
    each: bool = False
    kill: bool = False
    corrupt: bool = False
    drop: bool = False
    mode: Literal["sleep", "burn"] = "sleep"


NO_FAULT = Fault()


@dataclass(frozen=True)
class Assignment:
    """One task of one learner.

    Args:
        agents: the agents to update, in increasing order.
        coefficients: their entries of the encoding matrix, in the same order.
        length: floats of a share; shorter updates are padded with zeros.
        plain: the one update is sent as it is (float32, its own length), not combined.
    """

    iteration: int
    learner: int
    agents: tuple[int, ...]
    coefficients: tuple[float, ...]
    field: FieldName
    length: int
    plain: bool = False
    fault: Fault = NO_FAULT

    @property
    def key(self) -> tuple[int, tuple[int, ...], bool, FieldName]:
        """What tells the tasks of a learner apart."""
        return self.iteration, self.agents, self.plain, self.field


@dataclass
class Share:
    """What a learner answers to an assignment.

    Args:
        payload: the combined updates (uint8, float32 or float64, 1-D), or the plain update; None unless `outcome` is "sent".
        digests: agent -> BLAKE2b of its update, 8 bytes; only of updates that were finished.
        crc: CRC-32 of the payload's bytes.
        started, first_update, done: the learner's `time.perf_counter`, comparable only with each other.
        received: the engine's `now` when the answer arrived.
    """

    assignment: Assignment
    outcome: Outcome
    payload: NDArray[Any] | None
    digests: dict[int, bytes]
    crc: int
    started: float
    first_update: float
    done: float
    host: str
    pid: int
    received: float = 0.0

    @property
    def updates(self) -> int:
        """How many agents' updates were computed."""
        return len(self.digests)

    @property
    def bytes(self) -> int:
        return 0 if self.payload is None else self.payload.nbytes


@dataclass(frozen=True)
class Lost:
    """A learner is gone; whatever it was given has to be done by others."""

    learner: int
    reason: str


@dataclass(frozen=True)
class Failure:
    """A computation raised: its error would come again wherever it ran."""

    assignment: Assignment
    error: Exception
    where: str


Answer = Share | Lost | Failure


@dataclass(frozen=True)
class Member:
    """A learner's process, as `chaos` and the live table need it; `learner` is None for a spare."""

    learner: int | None
    pid: int
    host: str
    ready: bool


class Engine(ABC):
    """Learners 0 … N-1 and how to reach them. Not thread-safe: one controller uses it."""

    name: str

    @abstractmethod
    def start(self, computation: Computation, learners: int) -> None:
        """Start learners and wait until all are ready.

        Raises:
            PprError: they cannot be started; with what to do about it.
        """

    @abstractmethod
    def publish(self, iteration: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Make arrays readable for every learner; those of the iteration before are no longer valid."""

    @abstractmethod
    def submit(self, assignments: Sequence[Assignment]) -> None:
        """Give tasks to a learner each; a learner does its tasks in the order they came."""

    @abstractmethod
    def wait_any(self, timeout: float) -> list[Answer]:
        """The answers that have arrived, or the first one to arrive within `timeout` seconds; an empty list if none does."""

    @abstractmethod
    def abandon(self, iteration: int) -> None:
        """Tell every learner that answers to this iteration are no longer wanted; they stop before their next update."""

    @abstractmethod
    def respawn(self, learner: int) -> None:
        """Put another process in a learner's place: a spare if one is ready, else a new one. The old one is ended."""

    @abstractmethod
    def ready(self) -> set[int]:
        """The learners that can be given tasks."""

    @abstractmethod
    def members(self) -> list[Member]:
        """Every process, spares too."""

    @abstractmethod
    def close(self) -> None:
        """End every process of its own. Calling it again does nothing."""

    def now(self) -> float:
        """Seconds on the controller's clock."""
        return time.perf_counter()

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()
