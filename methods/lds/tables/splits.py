"""Which labelled rows train the GCN, which train the graph (val), which stop the training (es) and which are only tested on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...common.errors import PprError, UsageError
from ...common.reading.tables import splits
from ...common.reading.tables.splits import Parts, Rows, listed

PARTS = ("train", "val", "es", "test")
LEARNED_FROM = PARTS[:3]
LEAST = len(LEARNED_FROM)  # labelled rows of a class: each of these parts needs one
#: Labelled rows a part in the protocol of the paper (section 5.2): 3m rows are not tested on.
PROTOCOL = {"wine": 10, "cancer": 10, "digits": 50}
#: Of a user's labelled rows for train, val and es: the rest is tested on, where every row has a label; else there is no test part.
FRACTIONS_WITH_TEST = (0.4, 0.2, 0.2)
FRACTIONS_WITHOUT_TEST = (0.5, 0.25, 0.25)


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
        for part, rows in splits.disjoint(self.parts).items():
            object.__setattr__(self, part, rows)

    @property
    def parts(self) -> Parts:
        """The rows of each part, by name."""
        return {part: getattr(self, part) for part in PARTS}

    def sizes(self) -> dict[str, int]:
        """Rows of each part."""
        return {part: len(rows) for part, rows in self.parts.items()}

    def rest(self, nodes: int) -> Rows:
        """The rows of a table of `nodes` rows that are in no part: those to be predicted."""
        return splits.rows_left(self.parts, nodes)

    def names(self, nodes: int) -> list[str]:
        """The part of each row, "" where it is in none."""
        return splits.part_of_rows(self.parts, nodes)


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


def stratified_split(
    labels: NDArray[np.integer],
    train: float | None = None,
    val: float | None = None,
    es: float | None = None,
    *,
    seed: int,
    ids: Sequence[str],
) -> Split:
    """A stratified split of a user's table; see `splits.stratified`.

    Args:
        labels: integers [N]; rows with a label below 0 are in no part.
        train: number of rows from 1 on, or a fraction of the labelled rows below 1; likewise val and es. All three None:
            `FRACTIONS_WITH_TEST` or `FRACTIONS_WITHOUT_TEST`.
        ids: unique names of the N rows.

    Raises:
        UsageError: parts that are larger than what there is, or too small for one row of each class; or only some of them are given.
        PprError: a class has too few rows for the three parts.
    """
    given = dict(zip(LEARNED_FROM, (train, val, es), strict=True))
    if all(size is None for size in given.values()):
        defaults = FRACTIONS_WITH_TEST if (labels >= 0).all() else FRACTIONS_WITHOUT_TEST
        given = dict(zip(LEARNED_FROM, defaults, strict=True))
    sizes = {part: size for part, size in given.items() if size is not None}
    absent = [part for part in given if part not in sizes]
    if absent:
        raise UsageError(
            f"--{absent[0]} is missing: {listed(LEARNED_FROM)} are given together", hint="for example --train 0.5 --val 0.25 --es 0.25"
        )
    return Split(**splits.stratified(labels, sizes, seed=seed, ids=ids))


def default_split(name: str, labels: NDArray[np.integer], ids: Sequence[str], given: Split | None, seed: int) -> Split:
    """The split of a data set where nobody asks for another: the one it came with, the paper's protocol, or the default fractions.

    Args:
        name: of the table; those in `PROTOCOL` are split as in the paper.
        given: the split that came with the data. One without an es part gets the half of its val part, at random.
    """
    if given is not None:
        return given if given.es.size else planetoid_split(given.train, given.val, given.test, seed)
    if name in PROTOCOL:
        return table_split(labels, PROTOCOL[name], seed)
    return stratified_split(labels, seed=seed, ids=ids)


def column_split(parts: Parts, column: str) -> Split:
    """The split that a column says.

    Raises:
        PprError: a part that is needed has no row.
    """
    empty = [part for part in ("train", "val") if not len(parts[part])]
    if empty or len(parts["val"]) + len(parts["es"]) < 2:
        raise PprError(
            f"column '{column}': no labelled row in {' and '.join(empty) or 'es, and only one in val'}",
            hint="val is divided where es is empty",
        )
    return Split(**parts)


def check_classes(labels: NDArray[np.int64], classes: Sequence[str], split: Split | None, *, merged: bool = False) -> None:
    """Refuse classes that cannot be learned: fewer than 3 labelled rows or, with a split that came with the data, none in train.

    Args:
        merged: whether rare classes have been made one already.

    Raises:
        PprError: with the name of the class.
    """
    if split is not None:
        absent = np.flatnonzero(np.bincount(labels[split.train], minlength=len(classes)) == 0)
        if len(absent):
            raise PprError(f"class '{classes[absent[0]]}' has no row in the train part of the split")
        return
    counts = np.bincount(labels[labels >= 0], minlength=len(classes))
    short = np.flatnonzero(counts < LEAST)
    if not len(short):
        return
    name = classes[short[0]]
    more = f" (and {len(short) - 1} more classes)" if len(short) > 1 else ""
    hint = f"--unlabelled '{name}' leaves these rows to be predicted"
    if not merged:
        hint = f"--merge-rare makes one class of all such classes; {hint}"
    raise PprError(f"class '{name}'{more} has {counts[short[0]]} labelled rows; {listed(LEARNED_FROM)} need one each", hint=hint)
