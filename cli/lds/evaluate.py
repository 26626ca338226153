"""`ppr lds evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output, verbs
from ..fields import As
from . import _inputs as inputs


@click.command()
@options.model_argument("FILE|RUN|TABLE")
@click.option("--baselines", is_flag=True, help="Also train the baselines, on the same split; of a TABLE, them alone.")
@verbs.settings(
    "lds",
    f"{inputs.TABLE} {inputs.GRAPH} seeds seed",
    inputs.TYPED | {"seeds": As(metavar="N", help="Of a TABLE: splits, with --seed and those after it.")},
)
@options.json_lines
@options.quiet
def evaluate(run: str, baselines: bool, as_json: bool, **given: Any) -> None:
    """Score the model of RUN on its test rows; the folder of several seeds gives mean and standard deviation over them.

    Of a TABLE, with --baselines, what the usual methods make of it: whether a graph is worth learning.

    \b
    ppr lds evaluate runs/wine --baselines
    ppr lds evaluate patients.csv --label diagnosis --baselines
    """
    from ppr.methods.lds import evaluate as scores
    from ppr.methods.lds.data import load_table
    from ppr.methods.lds.report import rows, summarise

    folder = Path(run).expanduser()
    if folder.is_dir() or folder.suffix == ".safetensors" or not (baselines or folder.is_file()):
        if any(value is not None for value in given.values()):
            raise UsageError(f"{run}: a run has its own table and split", hint="leave the options that say so out, or give a TABLE")
        predictors = list(scores.predictors_of(folder))
        name = predictors[0].model.name
        reports = [scores.evaluate(one, one.model.data(), baselines=baselines) for one in predictors]
    elif baselines:
        config = inputs.configuration(run, given)
        table = load_table(config)
        for message in table.notes:
            output.note(message)
        name, reports = table.name, [scores.evaluate_baselines(data) for data in scores.splits_of(table, config)]
    else:
        raise UsageError(f"{run}: a table, not a run", hint="give --baselines to score those alone, or train on it first")
    summary = summarise(reports, name)
    if as_json:
        output.emit_json(summary)
        return
    output.table(rows(summary), as_json=False)
    if baselines:
        output.note(summary["verdict"])
