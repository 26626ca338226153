"""A table in one call: features, labels, names of rows and parts as arrays; and new rows by what was learned of the first ones."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...errors import PprError
from .columns import encoder_for, leaks
from .encoder import Matrix, TableEncoder, texts
from .frames import MISSING, read_frame
from .labels import encode_labels
from .roles import Roles, row_ids
from .splits import Parts, parts_of_column

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Rules:
    """How a table is read.

    Args:
        parts: names that the split column may have.
        unlabelled: cells of the label column that mean that a row has no label.
        merge_below: classes with fewer labelled rows become one; 0 merges none.
        missing: cells that are missing values, in all columns without a role.
    """

    parts: Sequence[str] = ("train", "val", "test")
    unlabelled: Collection[str] = ("",)
    merge_below: int = 0
    missing: Collection[str] = MISSING


RULES = Rules()


@dataclass(frozen=True)
class EncodedTable:
    """A table in arrays.

    Args:
        ids: N unique names of the rows.
        features: float32 [N, n].
        labels: int64 [N], indices of `classes`; -1 where unlabelled.
        classes: names, sorted.
        encoder: what turned cells into features, and does so with new rows.
        parts: labelled rows of each part, where a column said so; else None.
        notes: what was done to the cells and what looks wrong, a sentence each.
    """

    ids: list[str]
    features: NDArray[np.float32]
    labels: NDArray[np.int64]
    classes: list[str]
    encoder: TableEncoder
    parts: Parts | None
    notes: list[str]


def read_table(source: str, roles: Roles, rules: Rules = RULES, *, stdin: BinaryIO | None = None) -> EncodedTable:
    """A .csv, .tsv or .parquet file, or csv from standard input (`-`), in arrays.

    Raises:
        UsageError: an unknown column (with the nearest one), or another suffix.
        PprError: a file that cannot be read, ids that are not unique, labels that are no classes, or no column to learn from.
    """
    return encode_table(read_frame(source, verbatim=roles.verbatim, missing=rules.missing, stdin=stdin), roles, rules)


def encode_table(frame: pd.DataFrame, roles: Roles, rules: Rules = RULES) -> EncodedTable:
    """A data frame with unique column names in arrays; as `read_table`.

    A missing number is replaced by its column's median and marked in a feature of its own; elsewhere a missing cell is a level of its own.
    """
    roles.check(frame)
    assert roles.label is not None
    ids = row_ids(frame, roles.id)
    labels, classes, notes = encode_labels(
        texts(frame[roles.label]), roles.label, unlabelled=rules.unlabelled, merge_below=rules.merge_below
    )
    parts = None
    if roles.split is not None:
        said = parts_of_column(texts(frame[roles.split]), roles.split, rules.parts, ids)
        parts = {name: rows[labels[rows] >= 0] for name, rows in said.items()}
        without = sum(len(said[name]) - len(parts[name]) for name in said)
        if without:
            notes.append(f"{without} rows of the split have no label and are left out of it")
    cells = roles.describing(frame)
    encoder, found = encoder_for(cells)
    notes += [*found, *leaks(cells, encoder, labels)]
    features = np.asarray(encoder.transform(cells))
    return EncodedTable(ids, features, labels, classes, encoder, parts, [*notes, *copies(features)])


@dataclass(frozen=True)
class NewRows:
    """Rows that were not in the table that an encoder was made for: names, features float32 [M, n], and notes, a sentence each."""

    ids: list[str]
    features: Matrix
    notes: list[str]


def read_rows(source: str, encoder: TableEncoder, id_column: str | None = None, *, stdin: BinaryIO | None = None) -> NewRows:
    """New rows of a .csv, .tsv or .parquet file, or csv from standard input (`-`); columns that the encoder does not know are not used.

    Raises:
        UsageError: another suffix, or no such column of ids.
        PprError: a file that cannot be read or has no rows, or that lacks columns of the first table.
    """
    frame = read_frame(source, verbatim={id_column} if id_column else set(), text=encoder.text_columns, stdin=stdin)
    if not len(frame):
        raise PprError(f"{source}: has no rows")
    notes = [
        f"column '{column}' has values that the training table had not: {', '.join(levels[:5])}"
        for column, levels in encoder.unknown_levels(frame).items()
    ]
    return NewRows(row_ids(frame, id_column), encoder.transform(frame), notes)


def copies(features: NDArray[np.float32]) -> list[str]:
    """A note where rows are equal in all features; they are kept."""
    rows = np.ascontiguousarray(features + np.float32(0))  # -0 and 0 are one number
    distinct = len(np.unique(rows.view([("", np.void, rows.itemsize * rows.shape[1])])))
    return [f"{len(rows) - distinct} rows are copies of others in all columns; they are kept"] if distinct < len(rows) else []
