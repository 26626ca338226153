"""A training from the command line: table, seeds, baselines, and the files a run leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import output, training
from . import _inputs as inputs

if TYPE_CHECKING:
    from ppr.methods.common.running.run import Run
    from ppr.methods.lds.config import TrainConfig
    from ppr.methods.lds.fit import Fitted
    from ppr.methods.lds.tables.table import Table


def run_session(table: str | None, given: dict[str, Any], each: Callable[[Fitted], object] = lambda _one: None) -> None:
    """Train as a command line says, write everything into the run, and print the table of results; `each` is called for every seed."""
    names = ("out", "resume", "config_path", "overrides", "overwrite", "as_json", "baselines")
    out, resume, config_path, overrides, overwrite, as_json, baselines = (given.pop(name) for name in names)
    fitted: list[Fitted] = []
    read: list[Table] = []
    configured = bool(table or config_path or overrides or any(value not in (None, ()) for value in given.values()))

    def config_class() -> type[TrainConfig]:
        from ppr.methods.lds.config import TrainConfig

        return TrainConfig

    def check(config: TrainConfig) -> None:
        """Read the table and make the first split before there is a run directory."""
        from ppr.methods.common.running.devices import resolve_device
        from ppr.methods.lds.data import load_table, split_of
        from ppr.methods.lds.learning.start import check_start

        if config.device != "auto":
            resolve_device(config.device)
        read.append(load_table(config))
        split_of(read[0], config, config.seed)
        check_start(read[0].features, read[0].graph, config)

    def work(config: TrainConfig, run: Run, resumed: bool) -> None:
        from ppr.methods.lds.fit import fit

        for message in read[0].notes:
            output.note(message)
        for one in fit(config, run, resume=resumed, table=read[0]):
            fitted.append(one)

    training.run_training(
        config_class,
        lambda: inputs.configuration(table, config_path, overrides, given),
        work,
        out=out,
        resume=resume,
        configured=configured,
        overwrite=overwrite,
        as_json=as_json,
        check=check,
        finish=lambda run: finish(run, fitted, each, baselines=baselines, as_json=as_json),
    )


def finish(run: Run, fitted: list[Fitted], each: Callable[[Fitted], object], *, baselines: bool, as_json: bool) -> None:
    """Write the run's files, score every seed, and print the summary."""
    from ppr.methods.common.measuring.memory import peak_memory
    from ppr.methods.lds.report import rows, seed_report, summarise

    from ._results import write_report, write_results

    reports = []
    for one in fitted:
        # First, because a baseline that fails should not cost the predictions.
        write_results(one.model, one.run.path)
        scored = baselines and len(one.split.test) > 0
        reports.append(seed_report(one.model, one.table, one.split, one.seed, baselines=scored))
    summary = {**summarise(reports, fitted[0].table.name), "peak_mb": peak_memory()}
    write_report(summary, run.path)
    best = max(fitted, key=lambda one: (one.model.meta.metrics["es_accuracy"], -one.model.meta.metrics["es_loss"]))
    if best.run is not run:
        best.model.save(run.best)
        write_results(best.model, run.path)
    if as_json:
        output.emit_json(summary)
    elif len(fitted[0].split.test):
        output.table(rows(summary), as_json=False)
    output.note(summary["verdict"])
    if summary["peak_mb"]:
        output.note(f"peak memory {output.file_size(round(summary['peak_mb'] * 1e6))}")
    for one in fitted:
        each(one)
