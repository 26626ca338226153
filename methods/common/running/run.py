"""A run directory: configuration, metrics, curves, checkpoints and the state to resume from.

config.yaml  metrics.jsonl  curves.png  best.safetensors  last.safetensors  resume.pt
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..config import BaseConfig, dump_yaml, read_yaml, validate
from ..errors import PprError, UsageError
from ..reading.files import atomic_open, atomic_path
from ..reading.jsonl import read_log

if TYPE_CHECKING:
    import torch

C = TypeVar("C", bound=BaseConfig)


@dataclass(frozen=True)
class Progress:
    """Where a training stands, for whoever shows it."""

    epoch: int
    epochs: int
    step: int
    steps: int
    losses: dict[str, float] = field(default_factory=dict)


def ignore(_progress: Progress) -> None:
    """Show nothing."""


class Run:
    """A directory that belongs to one training.

    Args:
        path: the directory.
        report: called with the progress after every step, and
        announce: called with every record of metrics, so that the caller can show them.
    """

    def __init__(
        self, path: Path, *, report: Callable[[Progress], None] = ignore, announce: Callable[[dict[str, Any]], None] | None = None
    ) -> None:
        self.path = path
        self.report = report
        self.announce = announce or (lambda _record: None)

    best = property(lambda self: self.path / "best.safetensors")
    last = property(lambda self: self.path / "last.safetensors")
    resume = property(lambda self: self.path / "resume.pt")
    metrics = property(lambda self: self.path / "metrics.jsonl")

    def start(self, config: BaseConfig, *, overwrite: bool = False) -> None:
        """Make the directory and write the configuration. Of several processes only the first one does; the others join its run.

        Raises:
            UsageError: the directory holds something and `overwrite` is False.
        """
        if not is_first_process():
            return
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path}: is a file, not a folder for a run", hint="give another --out")
        if self.path.is_dir() and any(self.path.iterdir()):
            if not overwrite:
                raise UsageError(f"{self.path}: holds an earlier run", hint="go on with --resume, give --overwrite, or another --out")
            for name in ("config.yaml", "metrics.jsonl", "curves.png", "best.safetensors", "last.safetensors", "resume.pt"):
                (self.path / name).unlink(missing_ok=True)
        self.path.mkdir(parents=True, exist_ok=True)
        with atomic_open(self.path / "config.yaml") as stream:
            stream.write(dump_yaml(config).encode())

    def config(self, cls: type[C]) -> C:
        """The configuration the run was started with.

        Raises:
            UsageError: not a run directory, or its configuration is damaged.
        """
        path = self.path / "config.yaml"
        if not path.is_file():
            raise UsageError(f"{self.path}: not a run directory (no config.yaml)", hint="give the folder that `train --out` made")
        return validate(cls, read_yaml(path), where=str(path))

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl and hand it to `announce`."""
        with self.metrics.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps({**record, "time": round(time.time(), 1)}) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        self.announce(record)

    def history(self) -> list[dict[str, Any]]:
        """The records logged so far; a half-written last line (after a crash) is left out."""
        return read_log(self.metrics)

    def truncate_history(self, epoch: int) -> None:
        """Forget the records after `epoch`, which a resumed training will write again."""
        kept = [json.dumps(record) + "\n" for record in self.history() if record.get("epoch", 0) <= epoch]
        with atomic_open(self.metrics) as stream:
            stream.write("".join(kept).encode())

    def save_state(self, state: dict[str, Any]) -> None:
        """Write the resumable state, whole or not at all."""
        import torch

        with atomic_path(self.resume) as temporary:
            torch.save(state, temporary)

    def load_state(self) -> dict[str, Any]:
        """Read the resumable state; only tensors and plain values are accepted.

        Raises:
            PprError: absent or damaged.
        """
        import torch

        if not self.resume.is_file():
            raise UsageError(f"{self.path}: nothing to resume (no resume.pt)", hint="start it anew with --overwrite")
        try:
            return torch.load(self.resume, map_location="cpu", weights_only=True)
        except Exception as error:  # zip, unpickling and tensor errors all mean a damaged file
            raise PprError(
                f"{self.resume}: damaged ({str(error).splitlines()[0][:100]})", hint="start from last.safetensors with --init"
            ) from error

    def draw_curves(self) -> None:
        """Plot every numeric metric over epochs into curves.png, losses and metrics in panels of their own."""
        from ..drawing import figures

        records = [record for record in self.history() if "epoch" in record]
        names = sorted(
            {key for record in records for key, value in record.items() if isinstance(value, float) and key not in ("time", "seconds")}
        )
        if not names:
            return
        figure, panels = figures.panels(len(names))
        for axes, name in zip(panels, names, strict=True):
            points = [(record["epoch"], record[name]) for record in records if name in record]
            epochs, values = zip(*points, strict=True)
            figures.curves(axes, {name: (epochs, values)}, marker=".", linewidth=1)
            figures.title(axes, name)
        figures.save(figure, self.path / "curves.png", dpi=110)


def is_first_process() -> bool:
    """Whether this is the first of a training's processes, or the only one, by the environment that torchrun and Fabric set."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"


def rng_state() -> dict[str, torch.Tensor]:
    """The state of torch's generators; everything else draws from counter-based generators (seed, epoch, index)."""
    import torch

    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_rng(state: dict[str, torch.Tensor]) -> None:
    import torch

    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
