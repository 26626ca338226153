"""What each column of a table is: numbers, levels or text; which columns say nothing, and which say too much."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import PprError
from .encoder import LARGEST, Column, TableEncoder, check_size, numbers, texts

if TYPE_CHECKING:
    import pandas as pd

MAX_LEVELS = 50
MAX_COLUMNS = 1 << 16
SHOWN = 5  # names in a note
LEAK = 0.999  # fraction of the labelled rows
LEAK_ROWS = 30  # labelled rows below which a column may well predict the label by chance
ID_ROWS = 20  # rows below which columns of distinct cells are common


@dataclass
class _Findings:
    """Columns by what a note is to say of them; of some with a number of cells."""

    missing: Counter[str] = field(default_factory=Counter)
    infinite: Counter[str] = field(default_factory=Counter)
    empty: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    hashed: Counter[str] = field(default_factory=Counter)
    like_ids: list[str] = field(default_factory=list)
    nearly_numbers: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        found = []
        if self.missing:
            found.append(
                f"{self.missing.total()} missing cells ({_counts(self.missing)}): a number is replaced by the column's median and marked "
                "in a further feature, in other columns it is a level of its own"
            )
        if self.infinite:
            found.append(f"infinite numbers count as missing cells ({_counts(self.infinite)})")
        for what, names in (
            ("without a single value", self.empty),
            ("constant", self.constant),
            ("equal to an earlier column", self.copies),
        ):
            if names:
                found.append(f"left out, {what}: {_names(names)}")
        if self.hashed:
            found.append(f"more than {MAX_LEVELS} texts, whose words are hashed, which blurs them: {_counts(self.hashed, 'texts')}")
        if self.like_ids:
            found.append(
                f"all cells differ, as in a column of names or numbers of the rows: {_names(self.like_ids)}; "
                f"--drop {','.join(self.like_ids[:SHOWN])}?"
            )
        return found + self.nearly_numbers


def encoder_for(frame: pd.DataFrame, scaling: Literal["standard", "none"] = "standard") -> tuple[TableEncoder, list[str]]:
    """Decide what each column becomes, over all rows of the table.

    Args:
        frame: feature columns only, with unique names.

    Returns:
        the encoder, and notes: a sentence on every kind of thing that was done to cells or columns.

    Raises:
        PprError: no column is left, or the features would be too large.
    """
    if frame.shape[1] > MAX_COLUMNS:
        raise PprError(f"{frame.shape[1]:,} columns, more than {MAX_COLUMNS:,}", hint="wide sparse data go into an .npz")
    findings, seen = _Findings(), set[bytes]()
    columns = tuple(_described(frame[name], scaling, findings, seen) for name in frame.columns)
    width = sum(len(column.features) for column in columns)
    if not width:
        raise PprError(
            "no column is left to learn from", hint="; ".join(findings.notes()) or "the table has no columns besides label and id"
        )
    check_size(len(frame), width)
    return TableEncoder(columns, width, scaling), findings.notes()


def leaks(frame: pd.DataFrame, encoder: TableEncoder, labels: NDArray[np.int64]) -> list[str]:
    """A warning for each column that alone predicts the label of more than 99.9 % of the labelled rows.

    A text predicts the commonest label of the other rows that have it; a number does by as many intervals as there are classes.

    Args:
        labels: int64 [N], below 0 where unknown.
    """
    known = np.flatnonzero(labels >= 0)
    if len(known) < LEAK_ROWS:
        return []
    found = []
    for column in encoder.columns:
        if column.kind == "dropped":
            continue
        cells = frame[column.name].iloc[known]
        right = _by_intervals(numbers(cells), labels[known]) if column.kind == "number" else _by_others(texts(cells), labels[known])
        if right > LEAK:
            found.append(
                f"column '{column.name}' alone predicts the label of {right:.1%} of the labelled rows: if it is a copy of the label, "
                f"--drop {column.name}"
            )
    return found


def _described(cells: pd.Series, scaling: str, findings: _Findings, seen: set[bytes]) -> Column:
    import pandas as pd

    name = str(cells.name)
    if pd.api.types.is_numeric_dtype(cells.dtype) and not pd.api.types.is_bool_dtype(cells.dtype):
        values = numbers(cells)
        absent = np.isnan(values)
        infinite = int(absent.sum() - cells.isna().sum())
        if infinite:
            findings.infinite[name] = infinite
        distinct = len(np.unique(values[~absent]))
        kind: Literal["number", "category", "hashed"] = "number" if distinct > 1 or not absent.any() else "category"
        text = texts(cells) if kind == "category" else []
        key = values.tobytes()
        names_rows = _counts_up(values)
    else:
        text = texts(cells)
        absent = np.array([cell is None for cell in text], bool)
        distinct = len(set(text) - {None})
        kind = "category" if distinct <= MAX_LEVELS else "hashed"
        names_rows = True
        key = "\0".join("\1" if cell is None else cell for cell in text).encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(key).digest()
    reason = findings.empty if not distinct else findings.constant if distinct == 1 and not absent.any() else None
    if reason is None and digest in seen:
        reason = findings.copies
    if reason is not None:
        reason.append(name)
        return Column(name, "dropped")
    seen.add(digest)
    if absent.any():
        findings.missing[name] = int(absent.sum())
    if names_rows and distinct == len(cells) >= ID_ROWS:
        findings.like_ids.append(name)
    if kind == "number":
        return _number(name, values, scaling)
    if kind == "hashed":
        findings.hashed[name] = distinct
        _nearly_numbers(name, text, findings)
        return Column(name, "hashed", missing=bool(absent.any()))
    return Column(name, "category", levels=tuple(sorted(cell for cell in set(text) if cell is not None)), missing=bool(absent.any()))


def _number(name: str, values: NDArray[np.float64], scaling: str) -> Column:
    absent = np.isnan(values)
    median = float(np.median(values[~absent]))
    filled = np.where(absent, median, values)
    mean, std = (float(filled.mean()), float(filled.std())) if scaling == "standard" else (0.0, 1.0)
    return Column(name, "number", median, mean, std or 1.0, missing=bool(absent.any()))


def _nearly_numbers(name: str, text: list[str | None], findings: _Findings) -> None:
    """A column of text in which nearly all cells are numbers is a mistake that a person wants to hear of."""
    present = [cell for cell in text if cell is not None]
    other = [cell for cell in present if not _is_number(cell)]
    if len(other) < 0.1 * len(present):
        findings.nearly_numbers.append(f"column '{name}' is text, because {len(other)} of its cells are no numbers, as '{other[0][:40]}'")


def _is_number(cell: str) -> bool:
    try:
        return abs(float(cell)) <= LARGEST
    except ValueError:
        return False


def _counts_up(values: NDArray[np.float64]) -> bool:
    """Whether distinct numbers are a range of integers, in any order."""
    return bool((values == np.round(values)).all() and values.max() - values.min() == len(values) - 1)


def _by_others(text: list[str | None], labels: NDArray[np.int64]) -> float:
    """The fraction of rows whose label is the only commonest one among the other rows with the same text."""
    groups: dict[str | None, Counter[int]] = {}
    for cell, label in zip(text, labels.tolist(), strict=True):
        groups.setdefault(cell, Counter())[label] += 1
    right = 0
    for counts in groups.values():
        for label, count in counts.items():
            rivals = max((number for other, number in counts.items() if other != label), default=0)
            right += count if count - 1 > rivals else 0
    return right / len(labels)


def _by_intervals(values: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    from sklearn.tree import DecisionTreeClassifier

    filled = np.where(np.isnan(values), np.finfo(np.float32).min, np.clip(values, -1e30, 1e30))[:, None]
    tree = DecisionTreeClassifier(max_leaf_nodes=max(2, len(np.unique(labels))), random_state=0).fit(filled, labels)
    return float(tree.score(filled, labels))


def _names(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")


def _counts(counts: Counter[str], unit: str = "") -> str:
    shown = ", ".join(f"{name} {count} {unit}".strip() for name, count in list(counts.items())[:SHOWN])
    return shown + (f", and {len(counts) - SHOWN} more columns" if len(counts) > SHOWN else "")
