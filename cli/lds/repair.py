"""`ppr lds repair`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from . import _inputs as inputs
from ._session import run_session

if TYPE_CHECKING:
    from ppr.methods.lds.fit import Fitted

LIKELY = 0.5  # probability from which an edge counts as there


@click.command()
@click.argument("table", required=False)
@click.option("--features", metavar="TABLE", default=None, help="The same as the argument.")
@inputs.table_options
@click.option("--graph", type=options.PATH, default=None, metavar="FILE", help="The graph to repair. [default: the one the data bring]")
@click.option("--keep-edges", type=click.FloatRange(0, 1, min_open=True), default=None, help="First drop all but this share of the edges.")
@inputs.method_options
def repair(table: str | None, features: str | None, **given: Any) -> None:
    """Repair a graph: learn which of its edges to believe and which to add, with the labels of some nodes.

    Says how many edges were kept, added and removed, and the homophily before and after; RUN/changes.csv lists them.

    \b
    ppr lds repair papers.csv --label topic --id paper --graph cites.csv --out runs/papers
    """
    if table and features:
        raise UsageError("the table is given twice, as the argument and with --features")
    as_json = given["as_json"]

    def report(one: Fitted) -> None:
        from ppr.methods.lds.learning.changes import changes, write_changes

        found = changes(one.model, LIKELY)
        write_changes(found, one.model, one.run.path / "changes.csv")
        output.table([{"seed": one.seed, **found.counts()}], as_json=as_json)

    run_session(table or features, given, report)
