"""What is learned from, as a command line says it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from .. import types
from ..fields import As

if TYPE_CHECKING:
    from ppr.methods.lds.config import TrainConfig


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
