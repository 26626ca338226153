"""From the cells of the label column to classes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from ...errors import PprError
from .frames import MISSING

MAX_NUMERIC_CLASSES = 20
RARE = "(rare)"


def encode_labels(
    cells: Sequence[str | None], column: str, *, unlabelled: Collection[str] = ("",), merge_below: int = 0
) -> tuple[NDArray[np.int64], list[str], list[str]]:
    """Labels int64 [N] (-1: unlabelled), the sorted names of the classes that they index, and notes.

    Args:
        cells: the label column as text, None where there is no value.
        unlabelled: texts that mean that a row has no label.
        merge_below: make one class of those with fewer rows.

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
    rare = sorted(name for name, count in counts.items() if count < merge_below)
    if rare:
        known = [RARE if cell in rare else cell for cell in known]
        notes.append(f"{len(rare)} classes with fewer than {merge_below} rows are one class now, '{RARE}': {', '.join(rare[:5])}")
    classes = sorted({cell for cell in known if cell is not None})
    if len(classes) == 1:
        raise PprError(f"column '{column}': all labelled rows are of the class '{classes[0]}'; two classes are needed")
    place = {name: number for number, name in enumerate(classes)}
    return np.array([-1 if cell is None else place[cell] for cell in known], np.int64), classes, notes


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
