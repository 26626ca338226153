"""`ppr lds evaluate`."""

from __future__ import annotations

from pathlib import Path

import click

from ppr.methods.common.errors import PprError

from .. import options, output


@click.command()
@click.argument("run", type=options.PATH)
@click.option("--baselines", is_flag=True, help="Also train the baselines, on the same split.")
@options.json_lines
@options.quiet
def evaluate(run: Path, baselines: bool, as_json: bool) -> None:
    """Score the model of RUN on its test rows; the folder of several seeds gives mean and standard deviation over them.

    \b
    ppr lds evaluate runs/wine --baselines
    """
    from ppr.methods.lds.model import LdsModel
    from ppr.methods.lds.report import rows, seed_report, summarise

    models = [LdsModel.load(path) for path in seed_folders(run) or [run]]
    if not len(models[0].split.test):
        raise PprError(f"{run}: its table had no test rows", hint="label all rows, or give --train, --val and --es when training")
    reports = [seed_report(model, model.table(), model.split, int(model.meta.config["seed"]), baselines=baselines) for model in models]
    summary = summarise(reports, models[0].name)
    if as_json:
        output.emit_json(summary)
        return
    output.table(rows(summary), as_json=False)
    if baselines:
        output.note(summary["verdict"])


def seed_folders(run: Path) -> list[Path]:
    """The folders of the seeds of a run, as far as they are finished; none where it has one seed alone, or is no run but a model."""
    from ppr.methods.common.runs import Run
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
