"""A run directory: configuration, metrics, curves, checkpoints and the state to resume from.

config.yaml  metrics.jsonl  curves.png  best.safetensors  last.safetensors  resume.pt
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..config import BaseConfig, dump_yaml, read_yaml, validate
from ..errors import PprError, UsageError
from ..reading.files import atomic_open, atomic_path
from ..reading.jsonl import read_log

if TYPE_CHECKING:
    from filelock import BaseFileLock

C = TypeVar("C", bound=BaseConfig)
#: What a run consists of; whatever else lies in its folder belongs to somebody else.
FILES = ("config.yaml", "metrics.jsonl", "curves.png", "best.safetensors", "last.safetensors", "resume.pt")
LOCK = ".lock"


@dataclass(frozen=True)
class Progress:
    """Where a training stands, for whoever shows it: step `step` of `steps` in an epoch, or where there are none (0) of the training.

    `steps` is 0 where nobody knows how many there will be.
    """

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
        self._held: BaseFileLock | None = None

    best = property(lambda self: self.path / "best.safetensors")
    last = property(lambda self: self.path / "last.safetensors")
    resume = property(lambda self: self.path / "resume.pt")
    metrics = property(lambda self: self.path / "metrics.jsonl")

    def start(self, config: BaseConfig, *, overwrite: bool = False) -> None:
        """Make the directory, take hold of it and write the configuration. Of several processes only the first does; the others join.

        Raises:
            UsageError: the directory holds something and `overwrite` is False, or another process trains in it.
            PprError: it cannot be written.
        """
        if not is_first_process():
            return
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"{self.path}: is a file, not a folder for a run", hint="give another --out")
        earlier = self.path.is_dir() and any(entry.name != LOCK for entry in self.path.iterdir())
        if earlier and not overwrite:
            raise UsageError(f"{self.path}: holds an earlier run", hint="go on with --resume, give --overwrite, or another --out")
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PprError(f"{self.path}: cannot be made ({error.strerror})", hint="choose another --out") from error
        self.hold()
        folders = [name for name in FILES if (self.path / name).is_dir()]
        if folders:
            raise UsageError(f"{self.path / folders[0]}: is a folder, not a file of a run", hint="give another --out")
        for name in FILES:
            (self.path / name).unlink(missing_ok=True)
        with atomic_open(self.path / "config.yaml") as stream:
            stream.write(dump_yaml(config).encode())

    def hold(self) -> None:
        """Keep other processes out until `release`, or until this one ends, however it does. Holding twice is holding once.

        Raises:
            UsageError: another process trains in the directory.
            PprError: it cannot be written.
        """
        if self._held is not None or not is_first_process():
            return
        from filelock import FileLock, Timeout

        lock = FileLock(self.path / LOCK, thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout as error:
            message = f"{self.path}: is being trained by another process"
            raise UsageError(message, hint="wait for it, end it, or give another folder") from error
        except OSError as error:
            raise PprError(f"{self.path}: cannot be written ({error.strerror})", hint="check the folder's permissions") from error
        self._held = lock

    def release(self) -> None:
        """Let other processes in."""
        if self._held is not None:
            self._held.release()
            self._held = None

    def discard(self, *more: str) -> None:
        """Remove the run, and of the method's own files `more`, so that its folder can be used for another attempt."""
        self.release()
        for name in (*FILES, *more, LOCK):
            (self.path / name).unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # somebody else's files are in it
            self.path.rmdir()

    def config(self, cls: type[C]) -> C:
        """The configuration the run was started with.

        Raises:
            UsageError: not a run directory, or its configuration is damaged.
        """
        path = self.path / "config.yaml"
        if not path.is_file():
            raise UsageError(f"{self.path}: not a run directory (no config.yaml)", hint="give the folder that `train --out` made")
        values = read_yaml(path)
        if not values:  # every field is written: with none of them, the defaults would be another training
            raise UsageError(f"{path}: empty, not a run's configuration", hint="start the training anew, in another folder")
        return validate(cls, values, where=str(path))

    def log(self, record: dict[str, Any]) -> None:
        """Append one line to metrics.jsonl and hand it to `announce`.

        Raises:
            PprError: it cannot be written.
        """
        try:
            with self.metrics.open("a", encoding="utf-8") as stream:
                stream.write(json.dumps({**record, "time": round(time.time(), 1)}) + "\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise PprError(f"{self.metrics}: writing failed ({error.strerror})", hint="the training can go on with --resume") from error
        self.announce(record)

    def history(self) -> list[dict[str, Any]]:
        """The records logged so far; a half-written last line (after a crash) is left out."""
        return read_log(self.metrics)

    def truncate_history(self, count: int) -> None:
        """Forget all records but the first `count`; a resumed training will write them again."""
        self._rewrite(self.history()[:count])

    def _rewrite(self, records: Sequence[dict[str, Any]]) -> None:
        with atomic_open(self.metrics) as stream:
            stream.write("".join(json.dumps(record) + "\n" for record in records).encode())

    def save_state(self, state: dict[str, Any]) -> None:
        """Write the resumable state, whole or not at all.

        Raises:
            PprError: it cannot be written; the state before stays.
        """
        import torch

        with atomic_path(self.resume) as temporary:
            try:
                torch.save(state, temporary)
            except RuntimeError as error:  # how torch reports a full disk
                raise PprError(f"{self.resume}: writing failed ({str(error).splitlines()[0][:100]})", hint="is the disk full?") from error

    def load_state(self) -> dict[str, Any]:
        """Read the resumable state; only tensors and plain values are accepted.

        Raises:
            UsageError: absent.
            PprError: damaged.
        """
        import torch

        if not self.resume.is_file():
            raise UsageError(f"{self.path}: nothing to resume (no resume.pt)", hint=f"start it anew: --out {self.path} --overwrite")
        try:
            return torch.load(self.resume, map_location="cpu", weights_only=True)
        except Exception as error:  # zip, unpickling and tensor errors all mean a damaged file
            what = (str(error).splitlines() or [type(error).__name__])[0][:100]
            raise PprError(f"{self.resume}: damaged ({what})", hint="start from last.safetensors with --init") from error

    def draw_curves(self) -> None:
        """Plot every numeric metric over epochs (or steps) into curves.png, losses and metrics in panels of their own."""
        from ..drawing import figures

        records = [(record.get("epoch", record.get("step")), record) for record in self.history()]
        records = [(position, record) for position, record in records if isinstance(position, int)]
        names = sorted(
            {key for _, record in records for key, value in record.items() if isinstance(value, float) and key not in ("time", "seconds")}
        )
        if not names:
            return
        figure, panels = figures.panels(len(names))
        for axes, name in zip(panels, names, strict=True):
            points = [(position, record[name]) for position, record in records if name in record]
            positions, values = zip(*points, strict=True)
            figures.curves(axes, {name: (positions, values)}, marker=".", linewidth=1)
            figures.title(axes, name)
        figures.save(figure, self.path / "curves.png", dpi=110)


def is_first_process() -> bool:
    """Whether this is the first of a training's processes, or the only one, by the environment that torchrun and Fabric set."""
    return os.environ.get("RANK", os.environ.get("LOCAL_RANK", "0")) == "0"
