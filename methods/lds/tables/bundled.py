"""Data sets by name: those that scikit-learn brings along, and the citation graphs where they are on this machine."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ...common.errors import UsageError, nearest
from ...common.reading.datasets import find, require
from ...common.reading.graphs import read_graph
from ...common.reading.tables.columns import encoder_for
from ...common.reading.tables.encoder import Column, TableEncoder
from .matrices import MatrixFile, read_matrix
from .planetoid import read_planetoid
from .table import Table, TableOptions, matrix_table, read_table

WITH_SCIKIT_LEARN = ("wine", "cancer", "digits")
CITATIONS = ("cora", "citeseer", "pubmed")
NAMES = (*WITH_SCIKIT_LEARN, *CITATIONS)


def load_data(source: str, options: TableOptions, *, stdin: BinaryIO | None = None) -> Table:
    """A table by what a person typed: a file that exists, the name of a data set, or `-`.

    Raises:
        UsageError: neither; the hint has the nearest name. Or an option that the data have no use for.
        PprError: the data cannot be read.
    """
    if source != "-" and not Path(source).expanduser().exists() and not Path(source).suffix:
        options.roles.refuse(source)
        table = load_named(source)
        if options.graph is None:
            return table
        graph, notes = read_graph(options.graph, table.ids)
        return replace(table, graph=graph, notes=table.notes + notes)
    return read_table(source, options, stdin=stdin)


def load_named(name: str) -> Table:
    """A data set by name: wine and cancer standardised, digits from 0 to 1, bags of words of citation sets divided by their sums.

    Raises:
        UsageError: no such name.
        PprError: a citation set that is not on this machine.
    """
    known = name.lower()
    if known in WITH_SCIKIT_LEARN:
        return _with_scikit_learn(known)
    if known in CITATIONS:
        return matrix_table(_citation(known), known)
    raise UsageError(f"{name}: no such file or data set", hint=nearest(known, NAMES))


def _with_scikit_learn(name: str) -> Table:
    from sklearn import datasets

    load = {"wine": datasets.load_wine, "cancer": datasets.load_breast_cancer, "digits": datasets.load_digits}[name]
    bunch = load(as_frame=True)
    if name == "digits":
        # The official code takes the pixels as they are, 0 to 16, and lowers the inner rate as it learns. At a fixed rate of 0.02 the first
        # steps would switch all hidden units off. Distances compare as before.
        columns = tuple(Column(pixel, "number", std=16.0) for pixel in bunch.data.columns)
        encoder = TableEncoder(columns, len(columns))
    else:
        encoder, _notes = encoder_for(bunch.data)
    # The classes stay in the order of scikit-learn, because it decides which rows a seed draws.
    classes = [str(target) for target in bunch.target_names]
    ids = [str(row) for row in range(len(bunch.data))]
    return Table(name, ids, encoder.transform(bunch.data), np.array(bunch.target, np.int64), classes, encoder)


def _citation(name: str) -> MatrixFile:
    place = require(find(name))
    if place.is_dir() and not (place / f"{name}.npz").exists():
        return read_planetoid(place, name)
    return read_matrix(place / f"{name}.npz" if place.is_dir() else place)
