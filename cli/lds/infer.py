"""`ppr lds infer`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ppr.methods.common.errors import UsageError

from .. import options, output


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
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.lds.infer import Predictor

    if out is not None:
        refuse_existing(out, overwrite=overwrite)
    predictor, seed = Predictor.load(run), seed or 0
    if rows is not None:
        found = predictor.read(rows, id_column, seed=seed, stdin=sys.stdin.buffer if rows == "-" else None)
    else:
        found = predictor.known(seed=seed).unlabelled() if unlabelled_only else predictor.known(seed=seed)
        if not len(found):
            output.note("all rows of the table have a label")
    for message in found.notes:
        output.note(message)
    if out is not None:
        click.echo(str(found.save(out, overwrite=overwrite, joined=neighbours)))
    else:
        output.table(found.records(joined=("pairs" if as_json else "names") if neighbours else None), as_json=as_json)
