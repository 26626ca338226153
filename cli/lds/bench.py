"""`ppr lds bench`."""

from __future__ import annotations

import click

from ppr.methods.common.errors import PprError

from .. import options, output

ENGINES = {"candidates": "factors, candidates", "all": "factors, all pairs", "dense": "dense back-propagation"}


@click.command()
@click.argument("table", required=False)
@click.option("--tau", type=click.IntRange(1), default=5, show_default=True, help="Inner steps of a segment.")
@click.option("--candidates", type=click.IntRange(1), default=30, show_default=True, help="Candidate neighbours a row.")
@click.option("--rows", type=click.IntRange(8), default=2708, show_default=True, help="Without TABLE: rows of the random one.")
@click.option("--columns", type=click.IntRange(1), default=1433, show_default=True, help="Without TABLE: its columns.")
@click.option("--repeats", type=click.IntRange(1), default=5, show_default=True, help="Segments whose median is taken.")
@options.threads
@options.json_lines
@options.quiet
def bench(table: str | None, tau: int, candidates: int, rows: int, columns: int, repeats: int, threads: int | None, as_json: bool) -> None:
    """Seconds and memory of one segment: on candidates and on all pairs by low-rank factors, and by dense back-propagation.

    TABLE needs a graph (cora, citeseer, or an .npz with edges); without it a random table of Cora's size is made.

    \b
    ppr lds bench --tau 5
    """
    from ppr.methods.common.measuring.cores import usable_cores
    from ppr.methods.lds.bench import KINDS, Case, compare, synthetic

    if table is None:
        features, labels, classes, graph = synthetic(rows, columns)
    else:
        from ppr.methods.lds.tables.bundled import load_data
        from ppr.methods.lds.tables.table import TableOptions

        found = load_data(table, TableOptions())
        if found.graph is None:
            raise PprError(f"{table}: has no graph to time", hint="cora, citeseer, or an .npz with edges; or no TABLE")
        features, labels, classes, graph = found.features, found.labels.clip(0), len(found.classes), found.graph
    case = Case(features, labels, classes, graph, tau, candidates, threads or usable_cores())
    with output.progress("bench", len(KINDS)) as advance:
        compared = compare(case, repeats, advance)
    output.table(
        [
            {
                "engine": ENGINES[one.kind],
                "pairs": one.cost.pairs,
                "seconds": one.cost.seconds,
                "x": one.seconds_ratio,
                "MB": one.cost.megabytes,
                "x MB": one.megabytes_ratio,
            }
            for one in compared
        ],
        as_json=as_json,
    )
