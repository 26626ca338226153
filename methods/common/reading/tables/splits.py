"""Parts of a table: which rows are learned from, which are held out; by fractions of each class, or as a column says.

Parts are a dict by name (`train`, `val`, `test`, or whatever a method needs) of row numbers, int64, ascending, in one part each at most.
Messages call a part by the option of its name: the part `val` is what `--val` sizes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import PprError, UsageError

Rows: TypeAlias = NDArray[np.int64]
Parts: TypeAlias = dict[str, Rows]


def disjoint(parts: Mapping[str, ArrayLike]) -> Parts:
    """The parts with their rows as int64, ascending and without repetition.

    Raises:
        ValueError: a row that is negative, or in two parts.
    """
    found = {name: np.unique(np.asarray(rows, np.int64)) for name, rows in parts.items()}
    everything = np.concatenate([np.empty(0, np.int64), *found.values()])
    if len(np.unique(everything)) != len(everything):
        raise ValueError("a row is in two parts of the split")
    if everything.size and everything.min() < 0:
        raise ValueError("a negative row number in the split")
    return found


def rows_left(parts: Mapping[str, Rows], rows: int) -> Rows:
    """The rows of a table of `rows` rows that are in no part, ascending."""
    return np.setdiff1d(np.arange(rows), np.concatenate([np.empty(0, np.int64), *parts.values()]))


def part_of_rows(parts: Mapping[str, Rows], rows: int) -> list[str]:
    """The name of the part of each of `rows` rows, "" where it is in none."""
    found = [""] * rows
    for name, members in parts.items():
        for row in members.tolist():
            found[row] = name
    return found


def stratified(labels: NDArray[np.integer], sizes: Mapping[str, float], *, seed: int, ids: Sequence[str], rest: str = "test") -> Parts:
    """Parts that have each class in proportion, and at least a row of it; what is left of the labelled rows is the part `rest`.

    Within a class, rows are taken in the order of a hash of seed and id, so that the split moves with the rows when they are permuted.

    Args:
        labels: integers [N]; rows with a label below 0 are in no part.
        sizes: of each part but `rest`: a number of rows from 1 on, or a fraction of the labelled rows below 1.
        ids: unique names of the N rows.

    Raises:
        UsageError: parts that are larger than what there is, or too small for one row of each class.
        PprError: no row has a label, or a class has too few rows for the parts.
    """
    labels = np.asarray(labels)
    wanted = _sizes(labels, sizes)
    ranked = sorted(np.flatnonzero(labels >= 0).tolist(), key=lambda row: hashlib.sha256(f"{seed}:{ids[row]}".encode()).digest())
    classes, place = np.unique(labels[ranked], return_inverse=True)
    total = np.bincount(place)
    if total.min() < len(wanted):
        short = int(classes[total.argmin()])
        raise PprError(f"class number {short} has {total.min()} labelled rows; {listed(sizes)} need one each")
    members = [np.asarray(ranked, np.int64)[place == number] for number in range(len(classes))]
    taken = np.zeros(len(classes), np.int64)
    parts: Parts = {}
    for number, (name, size) in enumerate(wanted.items()):
        counts = _apportion(size, total, total - taken - (len(wanted) - 1 - number))
        parts[name] = np.concatenate([rows[a : a + n] for rows, a, n in zip(members, taken, counts, strict=True)])
        taken += counts
    parts[rest] = np.concatenate([rows[a:] for rows, a in zip(members, taken, strict=True)])
    return disjoint(parts)


def parts_of_column(cells: Sequence[str | None], column: str, names: Sequence[str], ids: Sequence[str]) -> Parts:
    """The parts that a column says, each of `names` in upper or lower case; rows with an empty cell are in none.

    Args:
        cells: text [N], None where missing.
        ids: names of the N rows, for the error.

    Raises:
        PprError: a cell is the name of no part.
    """
    words = [(cell or "").strip().lower() for cell in cells]
    unknown = sorted(set(words) - {*names, ""})
    if unknown:
        row = words.index(unknown[0])
        raise PprError(f"column '{column}', row {ids[row]}: '{unknown[0]}' is no part of a split", hint=f"{', '.join(names)}, or empty")
    place = np.array(words)
    return {name: np.flatnonzero(place == name) for name in names}


def listed(names: Sequence[str] | Mapping[str, object]) -> str:
    """Names as people list them: `train, val and es`."""
    *before, last = names
    return f"{', '.join(before)} and {last}" if before else last


def _sizes(labels: NDArray[np.integer], wanted: Mapping[str, float]) -> dict[str, int]:
    """Rows of each part."""
    known = int((labels >= 0).sum())
    if not known:
        raise PprError("not one row has a label")
    classes = len(np.unique(labels[labels >= 0]))
    sizes, asked = [], 0.0
    for name, size in wanted.items():
        if not 0 < size < float("inf") or (size >= 1 and size != int(size)):
            raise UsageError(f"--{name} {size}: neither a number of rows nor a share between 0 and 1")
        if size >= 1 and size < classes:
            raise UsageError(f"--{name} {size:.0f}: fewer rows than the {classes} classes", hint="every part needs a row of each class")
        asked += size if size < 1 else size / known
        sizes.append(int(size) if size >= 1 else max(round(size * known), classes))
    if asked > 1 + 1e-9:
        raise UsageError(f"{listed(wanted)} ask for {asked:.0%} of the {known} labelled rows")
    # Rounding, and parts raised to a row a class, may add up to more than there is.
    while sum(sizes) > known:
        sizes[int(np.argmax(sizes))] -= 1
    # Fractions that add up to all leave no row over for the rest, which would be one or two by rounding.
    while asked > 1 - 1e-9 and sum(sizes) < known:
        sizes[int(np.argmin(sizes))] += 1
    return dict(zip(wanted, sizes, strict=True))


def _apportion(size: int, weights: NDArray[np.int64], most: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide `size` among classes in proportion to `weights`, at least 1 and at most `most` each, by largest remainders."""
    quota = size * weights / weights.sum()
    counts = np.clip(np.floor(quota).astype(np.int64), 1, most)
    while counts.sum() < size and (counts < most).any():
        counts[np.argmax(np.where(counts < most, quota - counts, -np.inf))] += 1
    while counts.sum() > size and (counts > 1).any():
        counts[np.argmin(np.where(counts > 1, quota - counts, np.inf))] -= 1
    return counts
