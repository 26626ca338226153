"""Traces of delays and faults: a csv that somebody wrote or measured, or the shares that a run recorded."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError, UsageError, nearest

KINDS = ("delay", "kill", "corrupt", "drop")
MAX_BYTES = 256 << 20
MAX_ROWS = 5_000_000
MAX_ITERATION = 10**9
MAX_LEARNERS = 10_000
MAX_DELAY = 1e6  # seconds
SHARES = "shares.csv"  # of a run
OUTCOMES = {"lost": "kill", "corrupt": "corrupt", "dropped": "drop"}  # in it, and what they are here

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Trace:
    """Rows of a trace in the order of their iterations; what has no row is on time.

    Args:
        path: where it came from, for messages.
        iteration: int64 [R], ascending.
        learner: int64 [R].
        delay: float64 [R], seconds.
        kind: int64 [R], index of `KINDS`.
        update_time: seconds an agent update took, where that was measured.
    """

    path: Path
    iteration: NDArray[np.int64]
    learner: NDArray[np.int64]
    delay: Floats
    kind: NDArray[np.int64]
    update_time: float | None = None

    @property
    def period(self) -> int:
        """Iterations from 0 to the last one with a row; then it begins anew."""
        return int(self.iteration[-1]) + 1

    @property
    def learners(self) -> int:
        """Learners it takes at least."""
        return int(self.learner.max()) + 1

    def check(self, learners: int) -> None:
        """Refuse a trace of more learners than there are.

        Raises:
            UsageError: with the row's learner and what is possible.
        """
        if self.learners > learners:
            raise UsageError(
                f"{self.path}: names learner {self.learners - 1}, and {learners} learners have the numbers 0 to {learners - 1}",
                hint=f"--learners {self.learners}, or another trace",
            )

    def at(self, iteration: int, learners: int) -> tuple[Floats, Mask, Mask, Mask]:
        """Delays [learners] and who is killed, corrupted and dropped; rows of learners beyond these are left out."""
        within = iteration % self.period
        rows = slice(*np.searchsorted(self.iteration, [within, within + 1]))
        there = self.learner[rows] < learners
        who, kind = self.learner[rows][there], self.kind[rows][there]
        delays = np.zeros(learners)
        np.add.at(delays, who, self.delay[rows][there])
        hit = np.zeros((len(KINDS), learners), bool)
        hit[kind, who] = True
        return delays, hit[1], hit[2], hit[3]


def load_trace(path: Path) -> Trace:
    """Read a trace: csv with the columns iteration, learner, delay and perhaps kind, or a run's folder.

    Iterations and learners count from 0, delays are seconds, a kind is one of `KINDS` (nothing is a delay). Rows may come in any order.
    Of a run, an update's time is the median over its shares, and a share's delay what it took beyond that.

    Raises:
        UsageError: no such file.
        PprError: columns that are missing, or a row that cannot be meant; the message names the line.
    """
    if not path.exists():
        raise UsageError(f"{path}: no such trace", hint="a .csv with the columns iteration, learner, delay, or a run's folder")
    if path.is_dir():
        return _measured(path / SHARES)
    lines = list(_rows(path, ("iteration", "learner", "delay")))
    seen: dict[tuple[int, int, int], int] = {}
    numbers, delays = [], []
    for line, row in lines:
        where = f"{path}, line {line}"
        kind = _kind(row.get("kind"), where)
        key = _whole(row["iteration"], MAX_ITERATION, "iteration", where), _whole(row["learner"], MAX_LEARNERS - 1, "learner", where), kind
        if key in seen:
            raise PprError(f"{where}: the same learner in the same iteration as in line {seen[key]}", hint="keep one of the rows")
        seen[key] = line
        numbers.append(key)
        delays.append(0.0 if kind and not row["delay"].strip() else _seconds(row["delay"], "delay", where))
    return _ordered(path, np.array(numbers, np.int64), np.array(delays))


def _measured(path: Path) -> Trace:
    """The delays of a run's learners: seconds beyond the median of an update times their updates, and who was lost.

    A learner that was told to stop before it was done was at least as slow as the time until then, and as what had been injected into it.
    """
    if not path.is_file():
        raise PprError(f"{path}: not there, so no delays were measured", hint="a run of `ppr codedmarl train` leaves it, or give a .csv")
    took: dict[tuple[int, int], list[float]] = {}
    lost: dict[tuple[int, int, int], float] = {}
    paces = []
    for line, row in _rows(path, ("iteration", "learner", "weight", "delay", "submitted", "received", "seconds", "outcome")):
        where = f"{path}, line {line}"
        key = _whole(row["iteration"], MAX_ITERATION, "iteration", where), _whole(row["learner"], MAX_LEARNERS - 1, "learner", where)
        weight, injected = _whole(row["weight"], 10**6, "weight", where), _seconds(row["delay"], "delay", where)
        seconds = _seconds(row["seconds"], "seconds", where) if row["seconds"].strip() else 0.0
        outcome = row["outcome"].strip()
        if outcome in OUTCOMES:
            lost[*key, KINDS.index(OUTCOMES[outcome])] = 0.0
        elif outcome == "abandoned":
            waited = _seconds(row["received"], "received", where) - _seconds(row["submitted"], "submitted", where)
            seconds = max(seconds, waited, injected)
        elif weight and seconds:
            paces.append(max(seconds - injected, 0.0) / weight)
        total = took.setdefault(key, [0.0, 0.0])
        total[0] += seconds
        total[1] += weight
    if not paces:
        raise PprError(f"{path}: not one share with its time", hint="a run of the engines ray or local measures them")
    update_time = float(np.median(paces))
    rows = {(*key, 0): max(seconds - weight * update_time, 0.0) for key, (seconds, weight) in took.items()} | lost
    return _ordered(path, np.array(list(rows), np.int64), np.array(list(rows.values())), update_time)


def _ordered(path: Path, numbers: NDArray[np.int64], delays: Floats, update_time: float | None = None) -> Trace:
    order = np.argsort(numbers[:, 0], kind="stable")
    iteration, learner, kind = numbers[order].T
    return Trace(path, iteration, learner, delays[order], kind, update_time)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and rows of a csv that has these columns.

    Raises:
        PprError: not a csv text, too large, without rows, or a row that is too short or too long.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PprError(f"{path}: larger than {MAX_BYTES >> 20} MiB", hint="keep fewer iterations")
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            names = [name.strip().lower() for name in next(reader, [])]
            for column in columns:
                if column not in names:
                    raise PprError(
                        f"{path}: no column '{column}' (there are: {', '.join(names)[:80] or 'none'})", hint=nearest(column, names)
                    )
            count = 0
            for cells in reader:
                if not any(cell.strip() for cell in cells):
                    continue
                if len(cells) != len(names):
                    raise PprError(f"{path}, line {reader.line_num}: {len(cells)} cells, the header has {len(names)}")
                count += 1
                if count > MAX_ROWS:
                    raise PprError(f"{path}: more than {MAX_ROWS:,} rows", hint="keep fewer iterations")
                yield reader.line_num, dict(zip(names, cells, strict=True))
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise PprError(f"{path}: not a csv text ({error})") from error
    if not count:
        raise PprError(f"{path}: a header without rows")


def _kind(text: str | None, where: str) -> int:
    word = (text or "").strip().lower() or "delay"
    if word not in KINDS:
        raise PprError(f"{where}: unknown kind '{word[:40]}'", hint=nearest(word, KINDS))
    return KINDS.index(word)


def _whole(text: str, most: int, column: str, where: str) -> int:
    word = text.strip()
    # isdecimal alone would accept digits of other scripts, and int() numbers of any length
    if not (word.isascii() and word.isdecimal() and len(word) <= 18) or int(word) > most:
        raise PprError(f"{where}: {column} '{word[:40]}' is not a whole number from 0 to {most:,}")
    return int(word)


def _seconds(text: str, column: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= MAX_DELAY:
        raise PprError(f"{where}: {column} '{text.strip()[:40]}' is not a number of seconds from 0 to {MAX_DELAY:,.0f}")
    return value
