"""The table, graph and split that a configuration names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..common.errors import UsageError
from ..common.reading.pairs import PairGraph
from ..common.running.devices import resolve_device
from .config import DataConfig, TrainConfig
from .learning.start import check_start
from .tables.bundled import load_data
from .tables.splits import Split, default_split, stratified_split
from .tables.table import Table, TableOptions


def load_table(config: DataConfig) -> Table:
    """The table, with the given graph if there is one.

    Raises:
        UsageError, PprError: as `bundled.load_data`; or edges are to be kept of a graph that is not there.
    """
    options = TableOptions(
        label=config.label or None,
        id=config.id or None,
        drop=config.drop,
        unlabelled=config.unlabelled,
        merge_rare=config.merge_rare,
        split_col=config.split_col or None,
        graph=Path(config.graph) if config.graph else None,
    )
    table = load_data(config.data, options)
    if config.ignore_graph:
        table = replace(table, graph=None)
    if config.keep_edges < 1 and table.graph is None:
        raise UsageError(f"--keep-edges {config.keep_edges}: there is no graph to keep edges of", hint="give one with --graph")
    return table


def check(config: TrainConfig) -> Table:
    """Read the table, split it once and see whether it can be started from, before there is a run directory.

    Returns:
        the table, which need not be read again.

    Raises:
        UsageError, PprError: a device, table, split or start graph that cannot be used.
    """
    if config.device != "auto":
        resolve_device(config.device)
    table = load_table(config)
    split_of(table, config, config.seed)
    check_start(table.features, table.graph, config)
    return table


def split_of(table: Table, config: DataConfig, seed: int) -> Split:
    """The rows for each purpose: as the configuration says, else the split the data came with, the paper's, or default fractions."""
    sizes = [size or None for size in (config.train, config.val, config.es)]
    if any(sizes):
        return stratified_split(table.labels, *sizes, seed=seed, ids=table.ids)
    return default_split(table.name, table.labels, table.ids, table.split, seed)


def thinned(graph: PairGraph | None, fraction: float, seed: int) -> PairGraph | None:
    """A graph of which each pair was kept with a probability (the paper's incomplete graphs, section 5.1)."""
    if graph is None or fraction >= 1:
        return graph
    kept = np.random.RandomState(seed).rand(len(graph)) < fraction  # the generator that published runs of this protocol used
    return PairGraph(graph.nodes, graph.first[kept], graph.second[kept], graph.prob[kept])
