"""Options that say what is learned from, and the configuration they make."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output, training

if TYPE_CHECKING:
    from ppr.methods.common.reading.tables.encoder import Matrix
    from ppr.methods.lds.config import TrainConfig
    from ppr.methods.lds.learning.model import LdsModel


class ListParameter(click.ParamType):
    """Values separated by commas."""

    def __init__(self, name: str, convert: Any) -> None:
        self.name, self._convert = f"{name},…", convert

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> Any:
        if isinstance(value, list):
            return value
        try:
            return [self._convert(part.strip()) for part in value.split(",")]
        except ValueError:
            return self.fail(f"'{value}' is not a list of {self.name.removesuffix(',…')} separated by commas")


class Duration(click.ParamType):
    """Minutes: 90s, 10m, 1.5h or a number of minutes."""

    name = "TIME"

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        unit = {"s": 1 / 60, "m": 1.0, "h": 60.0}.get(value[-1:])
        try:
            minutes = float(value[:-1]) * unit if unit else float(value)
        except ValueError:
            minutes = -1.0
        return minutes if 0 < minutes < float("inf") else self.fail(f"'{value}' is not a time such as 90s, 10m or 1.5h")


class Candidates(click.ParamType):
    """all, auto, or a number of neighbours."""

    name = "all|auto|N"

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> Any:
        if value in ("all", "auto"):
            return value
        return int(value) if str(value).isdecimal() and int(value) > 0 else self.fail(f"'{value}' is neither all, auto nor a number")


def names(name: str) -> ListParameter:
    """Words separated by commas."""
    return ListParameter(name, str)


table_options = options.together(
    click.option("--label", metavar="COLUMN", default=None, help="Column to predict; rows in which it is empty are predicted."),
    click.option("--id", metavar="COLUMN", default=None, help="Column with the rows' names. [default: their numbers]"),
    click.option("--drop", type=names("COLUMN"), default=None, help="Columns to leave out."),
    click.option("--unlabelled", multiple=True, default=None, metavar="TEXT", help="Label that means none; repeatable. [default: empty]"),
    click.option("--merge-rare", is_flag=True, default=None, help="Make one class of those with fewer than 3 labelled rows."),
    click.option("--split-col", metavar="COLUMN", default=None, help="Column that says train, val, es or test."),
    click.option("--train", "train_rows", type=float, default=None, metavar="N", help="Training rows: a number, or a share below 1."),
    click.option("--val", type=float, default=None, metavar="N", help="Rows that the graph is learned with."),
    click.option("--es", type=float, default=None, metavar="N", help="Rows for early stopping and for choosing from the grid."),
)
#: The graph to start from, and how much of it.
graph_options = options.together(
    click.option("--graph", type=options.PATH, default=None, metavar="FILE", help="Start from this graph: .csv, .npz or .graphml."),
    click.option("--ignore-graph", is_flag=True, default=None, help="Nearest neighbours even where the data bring a graph (cora …)."),
    click.option("--keep-edges", type=click.FloatRange(0, 1, min_open=True), default=None, help="Share of the graph's edges to keep."),
)
method_options = options.together(
    click.option("--k", type=ListParameter("numbers", int), default=None, help="Neighbours of the start graph; a grid. [default: 10,20]"),
    click.option("--metric", type=names("metrics"), default=None, help="cosine, euclidean; a grid. [default: both]"),
    click.option(
        "--tau", type=ListParameter("numbers", int), default=None, help="Inner steps a hypergradient goes back; a grid. [default: 5]"
    ),
    click.option("--outer-lr", type=ListParameter("numbers", float), default=None, help="Rate of the graph; a grid. [default: 1,0.1]"),
    click.option("--candidates", type=Candidates(), default=None, help="Pairs that are learned: all, or neighbours a row. [default: auto]"),
    click.option("--samples", type=click.IntRange(1), default=None, help="Graphs that predictions are averaged over. [default: 16]"),
    click.option("--seeds", type=click.IntRange(1), default=None, metavar="N", help="Runs with a split each. [default: 1]"),
    click.option("--budget", "budget_minutes", type=Duration(), default=None, help="Of a seed: begin nothing new after 90s, 10m, 1.5h …"),
    click.option("--device", default=None, metavar="DEVICE", help="auto, cpu, cuda or cuda:N. [default: auto]"),
    click.option("--baselines/--no-baselines", default=True, show_default=True, help="Train the baselines on the same split."),
    training.folder_options,
)


def configuration(table: str | None, config_path: Path | None, overrides: tuple[str, ...], given: dict[str, Any]) -> TrainConfig:
    """The configuration that a command line makes: file, then options, then --set.

    Raises:
        UsageError: no table, or a value that is not valid.
    """
    from ppr.methods.common.config import load_config
    from ppr.methods.lds.config import TrainConfig

    values = {key: value for key, value in given.items() if value not in (None, ())}
    if "unlabelled" in values:
        values["unlabelled"] = list(values["unlabelled"])
    if "train_rows" in values:
        values["train"] = values.pop("train_rows")
    if "graph" in values:
        values["graph"] = str(values["graph"])
    if table is None and config_path is None and not any(item.startswith("data=") for item in overrides):
        raise UsageError(
            "no table", hint="a .csv, .tsv, .parquet or .npz file, a known name such as wine, or '-' for csv on standard input"
        )
    return load_config(TrainConfig, config_path, overrides, data=table, **values)


def new_rows(model: LdsModel, rows: str, id_column: str | None) -> tuple[list[str], Matrix]:
    """Names and features of rows that a model was not trained on.

    Raises:
        UsageError, PprError: a table that cannot be read, or that lacks columns of the training table.
    """
    import sys

    from ppr.methods.common.reading.tables.table import read_rows
    from ppr.methods.lds.tables import matrices

    if rows != "-" and Path(rows).suffix.lower() == ".npz":
        import pandas as pd
        import scipy.sparse

        features, ids = matrices.read_rows(Path(rows).expanduser())
        if not model.encoder.columns or scipy.sparse.issparse(features):
            return ids, model.encoder.transform(features)
        return ids, model.encoder.transform(pd.DataFrame(features, columns=matrices.column_names(features.shape[1])))
    found = read_rows(rows, model.encoder, id_column, stdin=sys.stdin.buffer if rows == "-" else None)
    for message in found.notes:
        output.note(message)
    return found.ids, found.features
