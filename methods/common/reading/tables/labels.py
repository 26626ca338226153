"""From the cells of the label column to classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import PprError
from .frames import MISSING
from .splits import Split

LEAST = 3  # labelled rows of a class: train, val and es need one each
MAX_NUMERIC_CLASSES = 20
RARE = "(rare)"


def encode_labels(
    cells: Sequence[str | None], column: str, *, unlabelled: Collection[str] = ("",), merge_rare: bool = False
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Labels int64 [N] (-1: unlabelled), the sorted names of the classes that they index, and notes.

    Args:
        cells: the label column as text, None where there is no value.
        unlabelled: texts that mean that a row has no label.
        merge_rare: make one class of those with fewer than 3 rows.

    Raises:
        PprError: a numeric target, no label at all, or only one class.
    """
    known = [None if cell is None or cell.strip() in unlabelled else cell.strip() for cell in cells]
    counts = Counter(cell for cell in known if cell is not None)
    if not counts:
        raise PprError(
            f"column '{column}': not one row has a label", hint="--label names the column to predict, of which some cells are filled"
        )
    _refuse_numbers(counts, column)
    notes = [
        f"'{name}' is taken as a class of '{column}'; --unlabelled {name} makes its {counts[name]} rows unlabelled"
        for name in sorted(set(MISSING) & set(counts))
    ]
    if merge_rare:
        rare = sorted(name for name, count in counts.items() if count < LEAST)
        known = [RARE if cell in rare else cell for cell in known]
        if rare:
            notes.append(f"{len(rare)} classes with fewer than {LEAST} rows are one class now, '{RARE}': {', '.join(rare[:5])}")
    classes = sorted({cell for cell in known if cell is not None})
    if len(classes) == 1:
        raise PprError(f"column '{column}': all labelled rows are of the class '{classes[0]}'; two classes are needed")
    place = {name: number for number, name in enumerate(classes)}
    return np.array([-1 if cell is None else place[cell] for cell in known], np.int64), classes, notes


def check_classes(labels: NDArray[np.int64], classes: Sequence[str], split: Split | None, *, merge_rare: bool = False) -> None:
    """Refuse classes that cannot be learned: fewer than 3 labelled rows or, with a split that came with the data, none in train.

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
    if not merge_rare:
        hint = f"--merge-rare makes one class of all such classes; {hint}"
    raise PprError(f"class '{name}'{more} has {counts[short[0]]} labelled rows; train, val and es need one each", hint=hint)


def _refuse_numbers(counts: Counter[str], column: str) -> None:
    """A measurement is not a class: whole numbers may be, when they are few."""
    values = [_number(name) for name in counts if name not in MISSING]
    if not values or any(value is None for value in values):
        return
    rows = counts.total()
    whole = all(value == round(value) for value in values if value is not None)
    if whole and (len(values) <= MAX_NUMERIC_CLASSES or len(values) <= rows / 10):
        return
    what = f"{len(values)} different numbers in {rows} rows" if whole else "numbers with decimals"
    raise PprError(
        f"column '{column}' has {what}: a measurement, not a class",
        hint=f"put it into bins first, for example pandas.qcut(table['{column}'], 4, labels=['low', 'medium', 'high', 'top'])",
    )


def _number(name: str) -> float | None:
    try:
        value = float(name)
    except ValueError:
        return None
    return value if np.isfinite(value) else None
