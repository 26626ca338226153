"""What a run writes down while it goes: every share, every event, and who its learners are."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...common.errors import PprError
from ...common.reading.files import atomic_open, atomic_path
from .engine import Member
from .processes import boot_id, started
from .work import HOST

log = logging.getLogger("ppr")


@dataclass(frozen=True)
class Row:
    """An answer, or the lack of one, in shares.csv.

    Args:
        iteration, learner: counted from 0.
        agent: of a single update that was sent as it is; -1 of a combined share.
        weight: updates it was to hold.
        updates: updates that were computed for it.
        delay: seconds that were injected (after each update if the model is exp or pareto).
        submitted, received: seconds since the iteration began, on the controller's clock.
        first: seconds from the learner's start to its first update, on its own clock.
        seconds: from its start to its end; None where not all updates were done.
        bytes: of the payload.
        outcome: used, late, duplicate, corrupt, abandoned, dropped, or lost with its learner.
    """

    iteration: int
    learner: int
    agent: int
    weight: int
    updates: int
    delay: float
    submitted: float
    received: float
    first: float | None
    seconds: float | None
    bytes: int
    host: str
    pid: int | None
    outcome: str


RECORDS = ("code.npz", "shares.csv", "shares.parquet", "events.jsonl", "learners.json", "report.html")
COLUMNS = tuple(field.name for field in dataclasses.fields(Row))


class Journal:
    """shares.csv, events.jsonl and learners.json of a run's folder; without a folder everything is only kept in memory.

    Args:
        start: the iteration a resumed run goes on with; what was written of it and of later ones is forgotten.
    """

    def __init__(self, folder: Path | None = None, start: int = 0) -> None:
        self.folder = folder
        self.rows: list[Row] = []
        self.events: list[dict[str, Any]] = []
        self.iteration = start
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
            _forget(folder / "shares.csv", lambda line: int(line.split(",", 1)[0]) < start, header=",".join(COLUMNS))
            _forget(folder / "events.jsonl", lambda line: json.loads(line)["iteration"] < start)

    def row(self, row: Row) -> None:
        """Note an answer; written by `flush`."""
        self.rows.append(row)

    def flush(self) -> list[Row]:
        """Write the rows noted since the last call, and return them."""
        rows, self.rows = self.rows, []
        if self.folder is not None and rows:
            text = io.StringIO()
            writer = csv.writer(text, lineterminator="\n")
            writer.writerows([_short(value) for value in dataclasses.astuple(row)] for row in rows)
            with (self.folder / "shares.csv").open("a", encoding="utf-8") as stream:
                stream.write(text.getvalue())
        return rows

    def event(self, kind: str, **what: Any) -> None:
        """Write an event of the current iteration."""
        record = {"iteration": self.iteration, "event": kind, **what}
        self.events.append(record)
        if self.folder is not None:
            with (self.folder / "events.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(record) + "\n")

    def members(self, members: Sequence[Member]) -> None:
        """Write who the learners are, for `ppr codedmarl chaos`: a process is known by its number and when it was started."""
        if self.folder is None:
            return
        learners = [
            {"learner": one.learner, "pid": one.pid, "host": one.host, "started": started(one.pid) if one.host == HOST else None}
            for one in members
            if one.pid not in (0, os.getpid())
        ]
        record = {"host": HOST, "boot": boot_id(), "controller": os.getpid(), "started": started(os.getpid()), "learners": learners}
        with atomic_open(self.folder / "learners.json") as stream:
            stream.write(json.dumps(record, indent=1).encode())

    def close(self) -> None:
        """Write what is left, shares.parquet where pyarrow is installed, and that no learner runs any more."""
        self.flush()
        if self.folder is None:
            return
        (self.folder / "learners.json").unlink(missing_ok=True)
        try:
            from pyarrow import csv as arrow_csv
            from pyarrow import parquet
        except ImportError:
            return
        with atomic_path(self.folder / "shares.parquet") as temporary:
            parquet.write_table(arrow_csv.read_csv(self.folder / "shares.csv"), temporary)


def read_members(folder: Path) -> dict[str, Any] | None:
    """What `Journal.members` wrote: host, boot, controller, started, learners; None where no training with learners goes on.

    Raises:
        PprError: something else stands there.
    """
    path = folder / "learners.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        for one in (record, *record["learners"]):
            numbers = [one["started"], one["controller"] if one is record else one["pid"]]
            if not all(value is None or (type(value) is int and value > 0) for value in numbers) or not isinstance(one["host"], str):
                raise ValueError("a process that is no process")
        str(record["boot"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise PprError(
            f"{path}: not a list of learners ({error})", hint="a running training writes it anew when a learner changes"
        ) from error
    return record


def running(folder: Path) -> int | None:
    """The process on this machine that trains in a run's folder, if one does."""
    record = read_members(folder)
    if record is None or record["host"] != HOST or record["boot"] != boot_id() or record["controller"] == os.getpid():
        return None
    alive = record["started"] is not None and started(record["controller"]) == record["started"]
    return record["controller"] if alive else None


def _short(value: Any) -> Any:
    """A csv cell: microseconds are enough."""
    return round(value, 6) if isinstance(value, float) else value


def _forget(path: Path, keep: Any, header: str | None = None) -> None:
    """Keep the lines of a file that are wanted; what a crash left half written is not. A file that isn't there begins with its header."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    kept = [] if header is None else [header]
    for line in lines:
        try:
            if line != header and keep(line):
                kept.append(line)
        except (ValueError, KeyError):
            continue
    with atomic_open(path) as stream:
        stream.write("".join(f"{line}\n" for line in kept).encode())
