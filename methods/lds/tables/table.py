"""A table, or a matrix with a graph, made ready for the GCN."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError, UsageError, nearest
from ...common.reading.graphs import read_graph
from ...common.reading.pairs import PairGraph
from ...common.reading.tables.encoder import Matrix, TableEncoder, texts
from ...common.reading.tables.fitting import fit_encoder, leaks
from ...common.reading.tables.frames import read_frame
from ...common.reading.tables.labels import check_classes, encode_labels
from ...common.reading.tables.splits import PARTS, Split
from .matrices import MatrixFile, column_names, read_matrix

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Table:
    """One table ready for the GCN.

    Args:
        name: of a data set, or the file's name.
        ids: N unique names of the rows.
        features: float32 [N, n], dense or CSR.
        labels: int64 [N], indices of `classes`; -1 where unlabelled.
        classes: names; sorted, but for known data sets, whose classes keep their order.
        encoder: what turned cells into features, and does so with new rows.
        graph: one that came with the data, or was given beside it.
        split: one that came with the data. Its es part is empty where the data know only train, val and test: `splits.default_split` then
            divides val, by the seed.
        notes: what was done to the cells and what looks wrong, a sentence each.
    """

    name: str
    ids: list[str]
    features: Matrix
    labels: NDArray[np.int64]
    classes: list[str]
    encoder: TableEncoder
    graph: PairGraph | None = None
    split: Split | None = None
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class TableOptions:
    """What a person says about a table.

    Args:
        label: the column to predict.
        id: the column with the rows' names; without it they are numbered.
        drop: columns to leave out.
        unlabelled: cells of the label column that mean that a row has no label.
        merge_rare: make one class of those with fewer than 3 labelled rows.
        split_col: the column that says train, val, es or test of each row.
        graph: a file of edges between the rows.
    """

    label: str | None = None
    id: str | None = None
    drop: Sequence[str] = ()
    unlabelled: Collection[str] = ("",)
    merge_rare: bool = False
    split_col: str | None = None
    graph: Path | None = None


def read_table(source: str, options: TableOptions, *, stdin: BinaryIO | None = None) -> Table:
    """Read a table from a .csv, .tsv, .parquet or .npz file, or as csv from standard input (`-`).

    Raises:
        UsageError: an unknown column (with the nearest one), another suffix, or an option that an .npz has no use for.
        PprError: a file that cannot be read, ids that are not unique, labels that cannot be learned, or a graph that does not fit.
    """
    if source != "-" and Path(source).suffix.lower() == ".npz":
        refuse_column_options(source, options)
        return matrix_table(read_matrix(Path(source).expanduser()), Path(source).name, options.graph)
    verbatim = {name for name in (options.label, options.id, options.split_col) if name is not None}
    frame = read_frame(source, verbatim=verbatim, stdin=stdin)
    return frame_table(frame, "standard input" if source == "-" else Path(source).name, options)


def frame_table(frame: pd.DataFrame, name: str, options: TableOptions) -> Table:
    """A table of a data frame with unique column names; see `read_table`."""
    _check_columns(frame, options)
    ids = row_ids(frame, options.id)
    assert options.label is not None
    labels, classes, notes = encode_labels(
        texts(frame[options.label]), options.label, unlabelled=options.unlabelled, merge_rare=options.merge_rare
    )
    split = None
    if options.split_col is not None:
        split, found = _split(texts(frame[options.split_col]), options.split_col, labels, ids)
        notes += found
    check_classes(labels, classes, split, merge_rare=options.merge_rare)
    cells = frame.drop(columns=list({options.label, options.id, options.split_col, *options.drop} - {None}))
    encoder, found = fit_encoder(cells)
    notes += [*found, *leaks(cells, encoder, labels)]
    features = encoder.transform(cells)
    notes += _copies(features)
    graph = None
    if options.graph is not None:
        graph, found = read_graph(options.graph, ids)
        notes += found
    return Table(name, ids, features, labels, classes, encoder, graph, split, notes)


def matrix_table(matrix: MatrixFile, name: str, graph: Path | None = None) -> Table:
    """A table of the arrays of an .npz; a sparse matrix is divided by its row sums, the columns of a dense one are standardised."""
    import pandas as pd
    import scipy.sparse

    notes: list[str] = []
    if scipy.sparse.issparse(matrix.features):
        encoder = TableEncoder((), matrix.features.shape[1], "rows")
        features = encoder.transform(matrix.features)
    else:
        frame = pd.DataFrame(matrix.features, columns=column_names(matrix.features.shape[1]))
        encoder, notes = fit_encoder(frame)
        features = encoder.transform(frame)
        notes += _copies(features)
    check_classes(matrix.labels, matrix.classes, matrix.split)
    pairs = matrix.graph
    if graph is not None:
        pairs, found = read_graph(graph, matrix.ids)
        notes += found
    return Table(name, matrix.ids, features, matrix.labels, matrix.classes, encoder, pairs, matrix.split, notes)


def row_ids(frame: pd.DataFrame, column: str | None) -> list[str]:
    """The names of the rows: the cells of a column, or else "0", "1" and so on.

    Raises:
        UsageError: no such column.
        PprError: a cell is missing, or two are equal.
    """
    if column is None:
        return [str(row) for row in range(len(frame))]
    _require(column, frame, "--id")
    cells = texts(frame[column])
    ids = [(cell or "").strip() for cell in cells]
    if "" in ids:
        raise PprError(
            f"column '{column}': row {ids.index('')} has no id", hint="every row needs one; or leave --id out, to number the rows"
        )
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise PprError(f"column '{column}': {len(twice)} ids come more than once: {', '.join(twice[:5])}", hint="ids must be unique")
    return ids


def refuse_column_options(source: str, options: TableOptions) -> None:
    """Refuse options that name columns, for data that have no named columns to choose from.

    Raises:
        UsageError: with the first of them.
    """
    given = {"--label": options.label, "--id": options.id, "--split-col": options.split_col, "--drop": ",".join(options.drop)}
    for option, value in given.items():
        if value:
            raise UsageError(
                f"{option} {value}: {source} has its labels and rows fixed", hint=f"leave {option} out; it is for csv and parquet"
            )


def _check_columns(frame: pd.DataFrame, options: TableOptions) -> None:
    if options.label is None:
        shown = ", ".join(str(name) for name in frame.columns[:10])
        raise UsageError("--label is missing: which column is to be predicted?", hint=f"the columns are: {shown}")
    for option, name in (("--label", options.label), ("--id", options.id), ("--split-col", options.split_col)):
        if name is not None:
            _require(name, frame, option)
    for name in options.drop:
        _require(name, frame, "--drop")
    roles = [name for name in (options.label, options.id, options.split_col) if name is not None]
    if len(set(roles)) < len(roles):
        raise UsageError("--label, --id and --split-col name the same column")
    if options.label in options.drop:
        raise UsageError(f"--drop {options.label}: that is the label column")


def _require(column: str, frame: pd.DataFrame, option: str) -> None:
    names = [str(name) for name in frame.columns]
    if column not in names:
        raise UsageError(f"{option} {column}: the table has no such column", hint=nearest(column, names))


def _split(cells: Sequence[str | None], column: str, labels: NDArray[np.int64], ids: Sequence[str]) -> tuple[Split, list[str]]:
    """The split that a column says; rows without a label are left out of it."""
    words = [(cell or "").strip().lower() for cell in cells]
    unknown = sorted(set(words) - {*PARTS, ""})
    if unknown:
        row = words.index(unknown[0])
        raise PprError(f"column '{column}', row {ids[row]}: '{unknown[0]}' is no part of a split", hint="train, val, es, test, or empty")
    place = np.array(words)
    rows = {part: np.flatnonzero((place == part) & (labels >= 0)) for part in PARTS}
    empty = [part for part in ("train", "val") if not len(rows[part])]
    if empty or len(rows["val"]) + len(rows["es"]) < 2:
        raise PprError(
            f"column '{column}': no labelled row in {' and '.join(empty) or 'es, and only one in val'}",
            hint="val is divided where es is empty",
        )
    without = int(((place != "") & (labels < 0)).sum())
    notes = [f"{without} rows of the split have no label and are left out of it"] if without else []
    return Split(**rows), notes


def _copies(features: NDArray[np.float32]) -> list[str]:
    """A note where rows are equal in all features; they are kept."""
    rows = np.ascontiguousarray(features + np.float32(0))  # -0 and 0 are one number
    distinct = len(np.unique(rows.view([("", np.void, rows.itemsize * rows.shape[1])])))
    return [f"{len(rows) - distinct} rows are copies of others in all columns; they are kept"] if distinct < len(rows) else []
