"""The replay: a ring of transitions that grows with what is put into it, and the files that a run keeps of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ...common.errors import PprError
from ...common.reading.files import atomic_path

START = 4096  # rows of the first allocation


@dataclass(frozen=True)
class Transitions:
    """What happened in B joint steps.

    Args:
        joint: float32 [B, width], observations of all agents, then their actions.
        next_observations: float32 [B, sum of observations].
        rewards: float32 [B, M].
        terminated: bool [B, M].
    """

    joint: Tensor
    next_observations: Tensor
    rewards: Tensor
    terminated: Tensor

    def __len__(self) -> int:
        return len(self.joint)

    def __getitem__(self, rows: slice | Tensor) -> Transitions:
        return Transitions(*(part[rows] for part in vars(self).values()))


class Replay:
    """The last `capacity` transitions.

    Memory is taken as it is needed, doubling up to the capacity. Transitions are numbered from 0 in the order in which they came;
    number n lies in row n % capacity.

    Args:
        width: columns of a joint row.
        observations: how many of them are observations.
    """

    def __init__(self, capacity: int, width: int, observations: int, agents: int) -> None:
        self.capacity, self.added = capacity, 0
        self.rows = Transitions(
            torch.empty(0, width), torch.empty(0, observations), torch.empty(0, agents), torch.empty(0, agents, dtype=torch.bool)
        )
        self._saved: list[tuple[int, int]] = []

    def __len__(self) -> int:
        return min(self.added, self.capacity)

    @property
    def first(self) -> int:
        """Number of the oldest transition that is kept."""
        return self.added - len(self)

    def add(self, new: Transitions) -> None:
        """Put transitions behind the others, over the oldest where the ring is full."""
        kept = new[slice(max(len(new) - self.capacity, 0), None)]
        self.added += len(new)
        self._grow(min(self.added, self.capacity))
        rows = torch.arange(self.added - len(kept), self.added) % self.capacity
        for part, values in zip(vars(self.rows).values(), vars(kept).values(), strict=True):
            part[rows] = values

    def _grow(self, needed: int) -> None:
        allocated = len(self.rows)
        if needed <= allocated:
            return
        size = min(max(needed, 2 * allocated, START), self.capacity)
        grown = [part.new_empty(size, *part.shape[1:]) for part in vars(self.rows).values()]
        for part, old in zip(grown, vars(self.rows).values(), strict=True):
            part[:allocated] = old
        self.rows = Transitions(*grown)

    def sample(self, count: int, generator: torch.Generator) -> Transitions:
        """Transitions drawn uniformly, with replacement.

        Raises:
            ValueError: there are none.
        """
        if not len(self):
            raise ValueError("an empty replay")
        return self.rows[torch.randint(len(self), (count,), generator=generator)]

    def numbered(self, start: int, stop: int) -> Transitions:
        """The kept transitions of numbers start … stop - 1."""
        return self.rows[torch.arange(start, stop) % self.capacity]

    def state(self) -> dict[str, Tensor | int]:
        """Everything, for `load`."""
        return {"added": self.added, **vars(self.numbered(self.first, self.added))}

    def load(self, state: Mapping[str, Tensor | int]) -> None:
        """Go back to a state.

        Raises:
            PprError: it is that of another replay.
        """
        parts = [state[name] for name in vars(self.rows)]
        assert isinstance(state["added"], int)
        self._restore([Transitions(*parts)], state["added"])  # type: ignore[arg-type]

    def _restore(self, pieces: list[Transitions], added: int) -> None:
        shapes = [[part.shape[1:] for part in vars(piece).values()] for piece in (*pieces, self.rows)]
        if any(shape != shapes[-1] for shape in shapes) or sum(map(len, pieces)) != min(added, self.capacity):
            raise PprError("a saved replay that does not belong to this training", hint="files of another run, or incomplete ones")
        self.added = added - sum(map(len, pieces))
        for piece in pieces:
            self.add(piece)

    def save(self, folder: Path) -> int:
        """Write what came since the last call as another file of the folder; returns the number of transitions added so far.

        Files that neither this position nor the one saved before still needs are removed, so that a crash between this call and the
        writing of the training's state leaves the earlier state complete.
        """
        from safetensors.torch import save_file

        if not self._saved:
            for path in folder.glob("*.safetensors"):  # of an earlier run that is overwritten
                path.unlink()
        before = self._saved[-1][1] if self._saved else 0
        start = max(before, self.first)
        if start < self.added:
            with atomic_path(folder / _name(start, self.added)) as temporary:
                save_file(vars(self.numbered(start, self.added)), temporary)
            self._saved.append((start, self.added))
        needed = max(before - self.capacity, 0)
        for piece in [piece for piece in self._saved if piece[1] <= needed]:
            (folder / _name(*piece)).unlink(missing_ok=True)
            self._saved.remove(piece)
        return self.added

    def restore(self, folder: Path, added: int) -> None:
        """Go back to the position `added` that `save` returned; files of later positions, left by a crash, are removed.

        Raises:
            PprError: files are missing or damaged.
        """
        from safetensors.torch import load_file

        found = sorted(_piece(path) for path in folder.glob("*.safetensors"))
        for piece in [piece for piece in found if piece[1] > added]:
            (folder / _name(*piece)).unlink()
        self._saved = [piece for piece in found if piece[1] <= added]
        first = max(added - self.capacity, 0)
        read: list[Transitions] = []
        for start, stop in self._saved:
            try:
                rows = Transitions(**load_file(folder / _name(start, stop)))
            except Exception as error:  # safetensors raises its own type from Rust; other keys are a TypeError
                raise PprError(f"{folder / _name(start, stop)}: damaged ({error})", hint="start the training anew") from error
            read.append(rows[slice(max(first - start, 0), None)])
        self._restore(read, added)


def _name(start: int, stop: int) -> str:
    return f"{start:012d}-{stop:012d}.safetensors"


def _piece(path: Path) -> tuple[int, int]:
    """The numbers in a file's name.

    Raises:
        PprError: another file.
    """
    start, _, stop = path.stem.partition("-")
    if not (start.isdecimal() and stop.isdecimal()):
        raise PprError(f"{path}: not a piece of a replay", hint="remove it")
    return int(start), int(stop)
