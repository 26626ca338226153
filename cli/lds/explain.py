"""`ppr lds explain`."""

from __future__ import annotations

import click

from .. import options, output


@click.command()
@options.model_argument("FILE|RUN")
@click.option("--row", required=True, metavar="ID", help="The row, by its id (or number, where the table had no ids).")
@click.option("--most", type=click.IntRange(1), default=20, show_default=True, metavar="N", help="Pairs to show.")
@options.json_lines
@options.quiet
def explain(run: str, row: str, most: int, as_json: bool) -> None:
    """Why a row got its class: its learned neighbours, which are new or gone against the start graph, and the prediction without each.

    `change` is what happens to the predicted class's probability without the pair: negative means that the pair speaks for the class.

    \b
    ppr lds explain runs/patients --row 17
    """
    from ppr.methods.lds.infer import Predictor

    found = Predictor.load(run).explain(row)
    shown, pairs = found.records(most), len(found.neighbours)
    if as_json:
        output.emit_json(
            {
                "row": row,
                "label": found.label,
                "predicted": found.predicted,
                "probabilities": dict(zip(found.model.classes, map(float, found.probabilities), strict=True)),
                "pairs": pairs,
                "neighbours": shown,
            }
        )
        return
    output.note(
        f"row {row}: predicted {found.predicted} ({found.probabilities.max():.3f}), label {found.label or 'unknown'}; {pairs} pairs"
    )
    output.table(shown, as_json=False)
