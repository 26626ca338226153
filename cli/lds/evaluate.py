"""`ppr lds evaluate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ppr.methods.common.errors import PprError, UsageError

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
    from ppr.methods.lds.report import rows, summarise

    folder = Path(run).expanduser()
    if folder.is_dir() or folder.suffix == ".safetensors" or not (baselines or folder.is_file()):
        if any(value is not None for value in given.values()):
            raise UsageError(f"{run}: a run has its own table and split", hint="leave the options that say so out, or give a TABLE")
        reports, name = model_reports(folder, baselines)
    elif baselines:
        reports, name = table_reports(run, given)
    else:
        raise UsageError(f"{run}: a table, not a run", hint="give --baselines to score those alone, or train on it first")
    summary = summarise(reports, name)
    if as_json:
        output.emit_json(summary)
        return
    output.table(rows(summary), as_json=False)
    if baselines:
        output.note(summary["verdict"])


def model_reports(run: Path, baselines: bool) -> tuple[list[dict[str, Any]], str]:
    """A report for each seed of a run, and the name of its table."""
    from ppr.methods.lds.learning.model import LdsModel
    from ppr.methods.lds.report import seed_report

    models = [LdsModel.load(path) for path in seed_folders(run) or [run]]
    if not len(models[0].split.test):
        raise PprError(f"{run}: its table had no test rows", hint="label all rows, or give --train, --val and --es when training")
    reports = [seed_report(model, model.table(), model.split, int(model.meta.config["seed"]), baselines=baselines) for model in models]
    return reports, models[0].name


def table_reports(table: str, given: dict[str, Any]) -> tuple[list[dict[str, Any]], str]:
    """A report of the baselines for each split of a table, and its name."""
    from dataclasses import replace

    from ppr.methods.lds.data import load_table, split_of, thinned
    from ppr.methods.lds.report import baseline_report

    config = inputs.configuration(table, given)
    read, reports = load_table(config), []
    for message in read.notes:
        output.note(message)
    for seed in range(config.seed, config.seed + config.seeds):
        split = split_of(read, config, seed)
        if not len(split.test):
            raise PprError(f"{table}: there are no test rows to score on", hint="label all rows, or give smaller --train, --val and --es")
        reports.append(baseline_report(replace(read, graph=thinned(read.graph, config.keep_edges, seed)), split, seed))
    return reports, read.name


def seed_folders(run: Path) -> list[Path]:
    """The folders of the seeds of a run, as far as they are finished; none where it has one seed alone, or is no run but a model."""
    from ppr.methods.common.running.run import Run
    from ppr.methods.lds.config import TrainConfig

    if not (run / "config.yaml").is_file():
        return []
    # Not whatever is there: an earlier run in the same folder may have had more seeds.
    config = Run(run).config(TrainConfig)
    folders = [run / f"seed-{seed}" for seed in range(config.seed, config.seed + config.seeds)] if config.seeds > 1 else []
    done = [folder for folder in folders if (folder / "best.safetensors").is_file()]
    if len(done) < len(folders):
        output.note(f"{len(done)} of {len(folders)} seeds are finished; `ppr lds train --resume {run}` goes on")
    return done
