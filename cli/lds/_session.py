"""A training from the command line: table, seeds, baselines, and the files a run leaves behind."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import output, verbs

if TYPE_CHECKING:
    from ppr.methods.common.running.run import Run
    from ppr.methods.lds.config import TrainConfig
    from ppr.methods.lds.tables.table import Table
    from ppr.methods.lds.train import Trained

baselines_option = click.option(
    "--baselines/--no-baselines", default=True, show_default=True, help="Train the baselines on the same split."
)


@dataclass
class Training(verbs.Training):
    """Of one or several seeds on a table: writes everything into the run, and prints the table of results.

    Args:
        read: the table, once it was.
        trained: the seeds that are done.
    """

    read: Table | None = None
    trained: list[Trained] = field(default_factory=list)

    beside = frozenset({"baselines"})

    def table(self) -> str | None:
        """The one that was named."""
        table: str | None = self.given.get("table")
        return table

    def values(self) -> dict[str, Any]:
        table = self.table()
        if table is None and self.config_path is None and not any(item.startswith("data=") for item in self.overrides):
            raise UsageError(
                "no table", hint="a .csv, .tsv, .parquet or .npz file, a known name such as wine, or '-' for csv on standard input"
            )
        return super().values() | ({} if table is None else {"data": table})

    def check(self, config: TrainConfig) -> None:
        from ppr.methods.lds.data import check

        self.read = check(config)

    def train(self, config: TrainConfig, run: Run) -> None:
        from ppr.methods.lds.train import train

        assert self.read is not None
        for message in self.read.notes:
            output.note(message)
        self.trained.extend(train(config, run, resume=self.resume is not None, table=self.read))

    def finish(self, run: Run) -> None:
        """Write the run's files, score every seed, and print the summary."""
        from ppr.exports.lds_files import write_results
        from ppr.methods.common.measuring.memory import peak_memory
        from ppr.methods.common.reading.files import atomic_open
        from ppr.methods.lds.evaluate import evaluate
        from ppr.methods.lds.infer import Predictor
        from ppr.methods.lds.report import rows, summarise
        from ppr.methods.lds.tables.table import SplitTable

        reports = []
        for one in self.trained:
            predictor, data = Predictor(one.model), SplitTable(one.table, one.split, one.seed)
            # First, because a baseline that fails should not cost the predictions.
            write_results(predictor, one.run.path)
            scored = self.given.get("baselines", True) and len(one.split.test) > 0
            reports.append(evaluate(predictor, data, baselines=scored))
        summary = {**summarise(reports, self.trained[0].table.name), "peak_mb": peak_memory()}
        with atomic_open(run.path / "report.json") as stream:
            stream.write((json.dumps(output.finite(summary), indent=1) + "\n").encode())
        best = max(self.trained, key=lambda one: (one.model.meta.metrics["es_accuracy"], -one.model.meta.metrics["es_loss"]))
        if best.run is not run:
            best.model.save(run.best)
            write_results(Predictor(best.model), run.path)
        if self.as_json:
            output.emit_json(summary)
        elif len(self.trained[0].split.test):
            output.table(rows(summary), as_json=False)
        output.note(summary["verdict"])
        if summary["peak_mb"]:
            output.note(f"peak memory {output.file_size(round(summary['peak_mb'] * 1e6))}")
        for one in self.trained:
            self.each(one)

    def each(self, one: Trained) -> None:
        """What else is said of a seed."""
