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
    from ppr.methods.lds.learning.explain import explain as explain_row
    from ppr.methods.lds.learning.model import LdsModel

    model = LdsModel.load(run)
    place = model.row(row)
    probabilities, pairs = explain_row(model, place)
    label = int(probabilities.argmax())
    known = [model.classes[value] if value >= 0 else None for value in model.labels]
    parts = model.split.names(len(model.ids))
    shown = [
        {
            "neighbour": model.ids[pair.row],
            "label": known[pair.row],
            "used for": parts[pair.row] or None,
            "prob": round(pair.prob, 4),
            "start": round(pair.start, 4),
            "status": pair.status,
            "change": round(pair.change, 4),
            "without it": model.classes[pair.becomes],
        }
        for pair in pairs[:most]
    ]
    if as_json:
        output.emit_json(
            {
                "row": row,
                "label": known[place],
                "predicted": model.classes[label],
                "probabilities": dict(zip(model.classes, map(float, probabilities), strict=True)),
                "pairs": len(pairs),
                "neighbours": shown,
            }
        )
        return
    output.note(
        f"row {row}: predicted {model.classes[label]} ({probabilities[label]:.3f}), label {known[place] or 'unknown'}; {len(pairs)} pairs"
    )
    output.table(shown, as_json=False)
