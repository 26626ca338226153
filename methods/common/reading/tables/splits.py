"""Which labelled rows train the GCN, which train the graph (val), which stop the training (es) and which are only tested on."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...errors import PprError, UsageError

Rows = NDArray[np.int64]
PARTS = ("train", "val", "es", "test")
#: Labelled rows a part in the protocol of the paper (section 5.2): 3m rows are not tested on.
PROTOCOL = {"wine": 10, "cancer": 10, "digits": 50}
#: Shares of a user's labelled rows for train, val and es: the rest is tested on, where every row has a label; else there is no test part.
SHARES_WITH_TEST = (0.4, 0.2, 0.2)
SHARES_WITHOUT_TEST = (0.5, 0.25, 0.25)


@dataclass(frozen=True)
class Split:
    """Disjoint sets of rows, each int64, ascending and without repetition; test may be empty. Rows without a label are in none of them.

    Raises:
        ValueError: a row that is negative, or in two parts.
    """

    train: Rows
    val: Rows
    es: Rows
    test: Rows

    def __post_init__(self) -> None:
        for part in PARTS:
            object.__setattr__(self, part, np.unique(np.asarray(getattr(self, part), np.int64)))
        everything = np.concatenate([self.train, self.val, self.es, self.test])
        if len(np.unique(everything)) != len(everything):
            raise ValueError("a row is in two parts of the split")
        if everything.size and everything.min() < 0:
            raise ValueError("a negative row number in the split")

    def rest(self, nodes: int) -> Rows:
        """The rows of a table of `nodes` rows that are in no part: those to be predicted."""
        return np.setdiff1d(np.arange(nodes), np.concatenate([self.train, self.val, self.es, self.test]))

    def names(self, nodes: int) -> list[str]:
        """The part of each row, "" where it is in none."""
        found = [""] * nodes
        for part in PARTS:
            for row in getattr(self, part).tolist():
                found[row] = part
        return found


def table_split(labels: NDArray[np.integer], m: int, seed: int) -> Split:
    """The paper's split of a table: stratified, 3m rows against the rest (test), then 2m against m (es), then m (train) against m (val).

    Args:
        labels: integers [N]; rows with a label below 0 are in no part.

    Raises:
        UsageError: too few labelled rows, or m is smaller than the number of classes.
    """
    from sklearn.model_selection import train_test_split

    known = np.flatnonzero(labels >= 0)
    try:
        chosen, test = train_test_split(known, train_size=3 * m, stratify=labels[known], random_state=seed)
        learn, es = train_test_split(chosen, test_size=m, stratify=labels[chosen], random_state=seed)
        train, val = train_test_split(learn, test_size=m, stratify=labels[learn], random_state=seed)
    except ValueError as error:
        raise UsageError(f"{len(known)} labelled rows cannot be split into 3 parts of {m} and a test part ({error})") from error
    return Split(train, val, es, test)


def planetoid_split(train: ArrayLike, val: ArrayLike, test: ArrayLike, seed: int) -> Split:
    """A split without an early-stopping part: `val` is divided at random into halves val and es (section 5.1); val gets the odd row."""
    shuffled = np.random.default_rng(seed).permutation(np.unique(np.asarray(val, np.int64)))
    half = (len(shuffled) + 1) // 2
    return Split(np.asarray(train, np.int64), shuffled[:half], shuffled[half:], np.asarray(test, np.int64))


def share_split(
    labels: NDArray[np.integer],
    train: float | None = None,
    val: float | None = None,
    es: float | None = None,
    *,
    seed: int,
    ids: Sequence[str],
) -> Split:
    """A stratified split of a user's table; what is left of the labelled rows is the test part.

    Within a class, rows are taken in the order of a hash of seed and id, so that the split moves with the rows when they are permuted.

    Args:
        labels: integers [N]; rows with a label below 0 are in no part.
        train: number of rows from 1 on, or a share of the labelled rows below 1; likewise val and es. All three None: `SHARES_WITH_TEST` or
            `SHARES_WITHOUT_TEST`.
        ids: unique names of the N rows.

    Raises:
        UsageError: parts that are larger than what there is, or too small for one row of each class; or only some of them are given.
        PprError: a class has too few rows for the three parts.
    """
    labels = np.asarray(labels)
    wanted = _sizes(labels, (train, val, es))
    ranked = sorted(np.flatnonzero(labels >= 0).tolist(), key=lambda row: hashlib.sha256(f"{seed}:{ids[row]}".encode()).digest())
    classes, place = np.unique(labels[ranked], return_inverse=True)
    total = np.bincount(place)
    if total.min() < len(wanted):
        short = int(classes[total.argmin()])
        raise PprError(f"class number {short} has {total.min()} labelled rows; train, val and es need one each")
    members = [np.asarray(ranked, np.int64)[place == number] for number in range(len(classes))]
    taken = np.zeros(len(classes), np.int64)
    parts: list[Rows] = []
    for number, size in enumerate(wanted):
        counts = _apportion(size, total, total - taken - (len(wanted) - 1 - number))
        parts.append(np.concatenate([rows[a : a + n] for rows, a, n in zip(members, taken, counts, strict=True)]))
        taken += counts
    test = np.concatenate([rows[a:] for rows, a in zip(members, taken, strict=True)])
    return Split(parts[0], parts[1], parts[2], test)


def default_split(name: str, labels: NDArray[np.integer], ids: Sequence[str], given: Split | None, seed: int) -> Split:
    """The split of a data set where nobody asks for another: the one it came with, the paper's protocol, or the default shares.

    Args:
        name: of the table; those in `PROTOCOL` are split as in the paper.
        given: the split that came with the data. One without an es part gets the half of its val part, at random.
    """
    if given is not None:
        return given if given.es.size else planetoid_split(given.train, given.val, given.test, seed)
    if name in PROTOCOL:
        return table_split(labels, PROTOCOL[name], seed)
    return share_split(labels, seed=seed, ids=ids)


def _sizes(labels: NDArray[np.integer], parts: tuple[float | None, float | None, float | None]) -> list[int]:
    """Rows of train, val and es."""
    known = int((labels >= 0).sum())
    if not known:
        raise PprError("not one row has a label")
    if all(part is None for part in parts):
        parts = SHARES_WITH_TEST if known == len(labels) else SHARES_WITHOUT_TEST
    classes = len(np.unique(labels[labels >= 0]))
    sizes, shared = [], 0.0
    for name, part in zip(PARTS, parts, strict=False):
        if part is None:
            raise UsageError(
                f"--{name} is missing: train, val and es are given together", hint="for example --train 0.5 --val 0.25 --es 0.25"
            )
        if not 0 < part < float("inf") or (part >= 1 and part != int(part)):
            raise UsageError(f"--{name} {part}: neither a number of rows nor a share between 0 and 1")
        if part >= 1 and part < classes:
            raise UsageError(f"--{name} {part:.0f}: fewer rows than the {classes} classes", hint="every part needs a row of each class")
        shared += part if part < 1 else part / known
        sizes.append(int(part) if part >= 1 else max(round(part * known), classes))
    if shared > 1 + 1e-9:
        raise UsageError(f"train, val and es ask for {shared:.0%} of the {known} labelled rows")
    # Rounding, and parts raised to a row a class, may add up to more than there is.
    while sum(sizes) > known:
        sizes[int(np.argmax(sizes))] -= 1
    # Shares that add up to all leave no row over to be tested on, which would be one or two by rounding.
    while shared > 1 - 1e-9 and sum(sizes) < known:
        sizes[int(np.argmin(sizes))] += 1
    return sizes


def _apportion(size: int, weights: NDArray[np.int64], most: NDArray[np.int64]) -> NDArray[np.int64]:
    """Divide `size` among classes in proportion to `weights`, at least 1 and at most `most` each, by largest remainders."""
    quota = size * weights / weights.sum()
    counts = np.clip(np.floor(quota).astype(np.int64), 1, most)
    while counts.sum() < size and (counts < most).any():
        counts[np.argmax(np.where(counts < most, quota - counts, -np.inf))] += 1
    while counts.sum() > size and (counts > 1).any():
        counts[np.argmin(np.where(counts > 1, quota - counts, np.inf))] -= 1
    return counts
