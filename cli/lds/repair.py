"""`ppr lds repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ppr.methods.common.errors import UsageError

from .. import output, verbs
from ..fields import As
from ._inputs import METHOD, TABLE, TYPED
from ._session import Training, baselines_option

if TYPE_CHECKING:
    from ppr.methods.lds.train import Trained

LIKELY = 0.5  # probability from which an edge counts as there


class Repair(Training):
    """A training from a given graph, after which is said what became of its edges."""

    def table(self) -> str | None:
        table, features = self.given.get("table"), self.given.get("features")
        if table and features:
            raise UsageError("the table is given twice, as the argument and with --features")
        return table or features

    def each(self, one: Trained) -> None:
        from ppr.methods.lds.learning.changes import changes, write_changes

        found = changes(one.model, LIKELY)
        write_changes(found, one.model, one.run.path / "changes.csv")
        output.table([{"seed": one.seed, **found.counts()}], as_json=self.as_json)


repair = verbs.train(
    "lds",
    f"{TABLE} graph keep_edges {METHOD}",
    typed=TYPED
    | {
        "graph": As(metavar="FILE", help="The graph to repair. [default: the one the data bring]"),
        "keep_edges": As(help="First drop all but this share of the edges."),
    },
    own=(
        click.argument("table", required=False),
        click.option("--features", metavar="TABLE", help="The same as the argument."),
        baselines_option,
    ),
    training=Repair,
    doc="""Repair a graph: learn which of its edges to believe and which to add, with the labels of some nodes.

    Says how many edges were kept, added and removed, and the homophily before and after; RUN/changes.csv lists them.

    \b
    ppr lds repair papers.csv --label topic --id paper --graph cites.csv --out runs/papers
    """,
)
