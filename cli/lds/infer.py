"""`ppr lds infer`."""

from __future__ import annotations

from pathlib import Path

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from . import _inputs as inputs


@click.command()
@options.model_argument("FILE|RUN")
@click.argument("rows", required=False)
@click.option("--id", "id_column", metavar="COLUMN", default=None, help="Column with the new rows' names. [default: their numbers]")
@click.option("--unlabelled-only", is_flag=True, help="Without ROWS: only the rows that had no label.")
@click.option("--neighbours", is_flag=True, help="With ROWS: also the known rows that each was joined to, with probabilities.")
@options.seed
@options.out("csv file to write. [default: a table, or with --jsonl lines, on standard output]")
@click.option("--jsonl", "--json", "as_json", is_flag=True, help="A JSON object a row.")
@options.overwrite
@options.quiet
def infer(
    run: str,
    rows: str | None,
    id_column: str | None,
    unlabelled_only: bool,
    neighbours: bool,
    seed: int | None,
    out: Path | None,
    as_json: bool,
    overwrite: bool,
) -> None:
    """Predict ROWS (a table with the training table's columns, or '-') with the model of RUN; without ROWS, those it was trained on.

    A new row is joined to its nearest known rows; nothing is trained again, and new rows do not influence each other.

    \b
    ppr lds infer runs/patients new.csv --id patient -o predicted.csv
    cat new.csv | ppr lds infer runs/patients - --jsonl | jq -c '[.id, .predicted]'
    """
    misplaced = {"--unlabelled-only": unlabelled_only} if rows is not None else {"--id": id_column, "--neighbours": neighbours}
    for option, value in misplaced.items():
        if value:
            raise UsageError(f"{option}: is for predictions {'without' if rows is not None else 'with'} ROWS", hint=f"leave {option} out")
    from ppr.methods.common.reading.files import atomic_open, refuse_existing
    from ppr.methods.lds.learning.induction import predict_new
    from ppr.methods.lds.learning.model import LdsModel
    from ppr.methods.lds.learning.predictions import as_csv, prediction, prediction_rows

    if out is not None:
        refuse_existing(out, overwrite=overwrite)
    model, seed = LdsModel.load(run), seed or 0
    if rows is None:
        records = list(prediction_rows(model, model.probabilities(seed=seed)))
        columns = list(records[0])
        if unlabelled_only:
            records = [record for record in records if record["label"] is None]
            if not records:
                output.note("all rows of the table have a label")
    else:
        ids, features = inputs.new_rows(model, rows, id_column)
        probabilities, edges = predict_new(model, features, seed=seed)
        records = [prediction(name, model.classes, row) for name, row in zip(ids, probabilities, strict=True)]
        if neighbours:
            for record, joined, prob in zip(records, edges.neighbours.tolist(), edges.prob.tolist(), strict=True):
                pairs = [{"id": model.ids[other], "prob": round(value, 4)} for other, value in zip(joined, prob, strict=True)]
                record["neighbours"] = pairs if as_json else " ".join(str(pair["id"]) for pair in pairs)
        columns = list(records[0])
    if out is not None:
        with atomic_open(out, overwrite=overwrite) as stream:
            stream.write(as_csv(records, columns).encode())
        click.echo(str(out))
    else:
        output.table(records, as_json=as_json)
