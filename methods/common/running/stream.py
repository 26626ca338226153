"""The batches of a training, asked for from where it stands, so that nothing is drawn twice when it goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Place:
    """A step of a training: in which epoch, as which step of it, from 0; and whether it is the last there."""

    epoch: int
    step: int
    ends: bool


class Stream(Generic[Batch]):
    """Batches, step by step.

    Args:
        batches: (epoch, first) -> the batches of an epoch from number `first` on; may depend on nothing else.
        per_step: batches a step; an epoch's last step may have fewer.
        place: where the training stands.
    """

    def __init__(self, batches: Callable[[int, int], Iterable[Batch]], per_step: int, place: Callable[[], Place]) -> None:
        self.batches, self.per_step, self.place = batches, per_step, place
        self._open: tuple[int, int, Iterator[Batch]] | None = None

    def take(self) -> list[Batch]:
        """The batches of the current step.

        Raises:
            RuntimeError: there are none.
        """
        here = self.place()
        if self._open is None or self._open[:2] != (here.epoch, here.step):
            self._open = here.epoch, here.step, iter(self.batches(here.epoch, here.step * self.per_step))
        iterator = self._open[2]
        found = list(islice(iterator, self.per_step))
        if not found:
            raise RuntimeError(f"no batch for step {here.step + 1} of epoch {here.epoch + 1}")
        # Closed with its epoch: it may hold a thread that reads ahead.
        self._open = None if here.ends else (here.epoch, here.step + 1, iterator)
        return found
