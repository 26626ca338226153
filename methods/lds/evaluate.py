"""Scores on test rows: of a model, and of the baselines, which get the same table, split, labels and seed."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from ..common.errors import PprError
from ..common.running.run import Run
from .baselines import run_baselines
from .config import TrainConfig
from .data import split_of, thinned
from .infer import Predictor
from .scores import classification_scores
from .tables.table import SplitTable, Table

log = logging.getLogger("ppr")


def evaluate(predictor: Predictor, data: SplitTable, *, baselines: bool = False) -> dict[str, Any]:
    """Scores on the test rows of the table that a model was trained on, its own and with `baselines` theirs; and what became of the graph.

    Scores are NaN where there are no test rows.
    """
    model = predictor.model
    predicted = predictor.known(seed=data.seed).probabilities.argmax(1)
    report: dict[str, Any] = evaluate_baselines(data) if baselines else {"seed": data.seed, "rows": data.split.sizes(), "scores": {}}
    scores = {"lds": classification_scores(predicted, data.table.labels, data.split.test), **report["scores"]}
    known = model.start.homophily(model.labels), model.graph.homophily(model.labels)
    return {
        **report,
        "choice": model.choice,
        "iteration": model.meta.epoch,
        "es_accuracy": model.meta.metrics["es_accuracy"],
        "es_loss": model.meta.metrics["es_loss"],
        "edges": {"start": float(model.start.prob.sum()), "learned": float(model.graph.prob.sum())},
        "homophily": {"start": known[0], "learned": known[1]},
        "scores": scores,
    }


def evaluate_baselines(data: SplitTable) -> dict[str, Any]:
    """Scores of the baselines alone on the test rows."""
    scores = {name: asdict(score) for name, score in run_baselines(data).items()}
    return {"seed": data.seed, "rows": data.split.sizes(), "scores": scores}


def predictors_of(given: str | Path) -> Iterator[Predictor]:
    """The model of a checkpoint or run; of a run of several seeds, those of the seeds that are finished.

    Raises:
        UsageError, PprError: no model, a damaged one, or one whose table had no test rows.
    """
    for path in _seed_folders(Path(given).expanduser()) or [Path(given)]:
        predictor = Predictor.load(path)
        if not len(predictor.model.split.test):
            raise PprError(f"{given}: its table had no test rows", hint="label all rows, or give --train, --val and --es when training")
        yield predictor


def splits_of(table: Table, config: TrainConfig) -> Iterator[SplitTable]:
    """A table with the split, and of its graph the edges, that each seed of a configuration has.

    Raises:
        UsageError, PprError: a split that cannot be made, or without test rows.
    """
    for seed in range(config.seed, config.seed + config.seeds):
        split = split_of(table, config, seed)
        if not len(split.test):
            raise PprError(
                f"{config.data}: there are no test rows to score on", hint="label all rows, or give smaller --train, --val and --es"
            )
        yield SplitTable(replace(table, graph=thinned(table.graph, config.keep_edges, seed)), split, seed)


def _seed_folders(run: Path) -> list[Path]:
    """The folders of the seeds of a run, as far as they are finished; none where it has one seed alone, or is no run but a model."""
    if not (run / "config.yaml").is_file():
        return []
    # Not whatever is there: an earlier run in the same folder may have had more seeds.
    config = Run(run).config(TrainConfig)
    folders = [run / f"seed-{seed}" for seed in range(config.seed, config.seed + config.seeds)] if config.seeds > 1 else []
    done = [folder for folder in folders if (folder / "best.safetensors").is_file()]
    if len(done) < len(folders):
        log.info("%d of %d seeds are finished; `ppr lds train --resume %s` goes on", len(done), len(folders), run)
    return done
