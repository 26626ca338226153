"""A table, or a matrix with a graph, made ready for the GCN."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...common.reading.graphs import read_graph
from ...common.reading.pairs import PairGraph
from ...common.reading.tables.columns import encoder_for
from ...common.reading.tables.encoder import Matrix, TableEncoder
from ...common.reading.tables.frames import read_frame
from ...common.reading.tables.roles import Roles
from ...common.reading.tables.table import Rules, copies, encode_table
from .matrices import MatrixFile, column_names, read_matrix
from .splits import LEAST, PARTS, Split, check_classes, column_split

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
class SplitTable:
    """A table, which of its rows are used for what, and the seed that fixes the split and whatever is trained on it."""

    table: Table
    split: Split
    seed: int


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

    @property
    def roles(self) -> Roles:
        """What the columns are for."""
        return Roles(self.label, self.id, self.split_col, self.drop)

    @property
    def rules(self) -> Rules:
        """How the cells are read."""
        return Rules(PARTS, self.unlabelled, LEAST if self.merge_rare else 0)


def read_table(source: str, options: TableOptions, *, stdin: BinaryIO | None = None) -> Table:
    """Read a table from a .csv, .tsv, .parquet or .npz file, or as csv from standard input (`-`).

    Raises:
        UsageError: an unknown column (with the nearest one), another suffix, or an option that an .npz has no use for.
        PprError: a file that cannot be read, ids that are not unique, labels that cannot be learned, or a graph that does not fit.
    """
    if source != "-" and Path(source).suffix.lower() == ".npz":
        options.roles.refuse(source)
        return matrix_table(read_matrix(Path(source).expanduser()), Path(source).name, options.graph)
    frame = read_frame(source, verbatim=options.roles.verbatim, stdin=stdin, also=(".npz",))
    return frame_table(frame, "standard input" if source == "-" else Path(source).name, options)


def frame_table(frame: pd.DataFrame, name: str, options: TableOptions) -> Table:
    """A table of a data frame with unique column names; see `read_table`."""
    table = encode_table(frame, options.roles, options.rules)
    split = None if table.parts is None else column_split(table.parts, str(options.split_col))
    check_classes(table.labels, table.classes, split, merged=options.merge_rare)
    graph, notes = None, table.notes
    if options.graph is not None:
        graph, found = read_graph(options.graph, table.ids)
        notes = notes + found
    return Table(name, table.ids, table.features, table.labels, table.classes, table.encoder, graph, split, notes)


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
        encoder, notes = encoder_for(frame)
        features = encoder.transform(frame)
        notes += copies(features)
    check_classes(matrix.labels, matrix.classes, matrix.split)
    pairs = matrix.graph
    if graph is not None:
        pairs, found = read_graph(graph, matrix.ids)
        notes += found
    return Table(name, matrix.ids, features, matrix.labels, matrix.classes, encoder, pairs, matrix.split, notes)
