"""What is learned from, as a command line says it, and rows to predict."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .. import output, types
from ..fields import As

if TYPE_CHECKING:
    from ppr.methods.common.reading.tables.encoder import Matrix
    from ppr.methods.lds.config import TrainConfig
    from ppr.methods.lds.learning.model import LdsModel


#: Fields of the configuration that say what is learned from, on which graph, and how.
TABLE = "label id drop unlabelled merge_rare split_col train val es"
GRAPH = "graph ignore_graph keep_edges"
METHOD = "k metric tau outer_lr candidates samples seeds budget_minutes"
#: How they are typed.
TYPED = {
    "label": As(metavar="COLUMN"),
    "id": As(metavar="COLUMN"),
    "drop": As(type=types.Words(name="COLUMN")),
    "unlabelled": As(metavar="TEXT", help="Label that means none; repeatable. [default: empty]"),
    "split_col": As(metavar="COLUMN"),
    "train": As(metavar="N"),
    "val": As(metavar="N"),
    "es": As(metavar="N"),
    "graph": As(metavar="FILE"),
    "seeds": As(metavar="N"),
    "budget_minutes": As("--budget", type=types.MINUTES, help="Of a seed: begin nothing new after 90s, 10m, 1.5h …"),
}


def configuration(table: str | None, given: Mapping[str, Any]) -> TrainConfig:
    """Of a table, and of options that were given.

    Raises:
        UsageError: a value that is not valid.
    """
    from ppr.methods.common.config import load_config
    from ppr.methods.lds.config import TrainConfig

    return load_config(TrainConfig, data=table, **given)


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
