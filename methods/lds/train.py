"""From a configuration to trained models in a run directory, one a seed."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ..common.reading.pairs import PairGraph
from ..common.running.checkpoint import Meta
from ..common.running.devices import resolve_device
from ..common.running.run import Run
from .config import TrainConfig
from .data import load_table, split_of, thinned
from .learning.hypergradient import Labelled
from .learning.model import ARCH, METHOD, LdsModel
from .learning.outcome import Learned, described
from .learning.start import on_device, start_graph
from .network import Features, Weights
from .scores import classification_scores
from .search import Nodes, learn
from .tables.splits import Split
from .tables.table import Table


@dataclass(frozen=True)
class Trained:
    """One seed's model, with the table and split it was trained on."""

    seed: int
    run: Run
    table: Table
    split: Split
    model: LdsModel


def train(config: TrainConfig, run: Run, *, resume: bool = False, table: Table | None = None) -> list[Trained]:
    """Train every seed of a configuration; of several, each in a folder of its own below the run's.

    Seeds that were finished before are not trained again on `resume`.

    Args:
        table: where it was read already.

    Raises:
        UsageError, PprError: data, splits or start graphs that cannot be used; a hypergradient that is not finite.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the state has been saved.
    """
    table = table or load_table(config)
    return [train_seed(config, seed, run, table, resume=resume) for seed in range(config.seed, config.seed + config.seeds)]


def train_seed(config: TrainConfig, seed: int, run: Run, table: Table, *, resume: bool) -> Trained:
    """One of the seeds of a configuration; what was finished before is loaded."""
    own = config.model_copy(update={"seed": seed, "seeds": 1})
    place = run if config.seeds == 1 else Run(run.path / f"seed-{seed}", report=run.report, announce=run.announce)
    split = split_of(table, own, seed)
    seen = replace(table, graph=thinned(table.graph, own.keep_edges, seed))
    if resume and place.best.is_file():
        return Trained(seed, place, seen, split, LdsModel.load(place.best))
    begun = resume and place.resume.is_file()
    if place is not run and not begun:
        place.start(own, overwrite=True)
    return Trained(seed, place, seen, split, train_on(seen, split, own, place, resume=begun))


def train_on(table: Table, split: Split, config: TrainConfig, run: Run, *, resume: bool = False) -> LdsModel:
    """Learn a graph and a GCN from a table, and write the model to `run.best`.

    Raises:
        UsageError, PprError: as `learn`.
    """
    kind, index = resolve_device(config.device)
    device = torch.device(kind, index[0]) if index else torch.device(kind)
    features = Features(on_device(table.features, device))

    def labelled(rows: NDArray[np.int64]) -> Labelled:
        return Labelled(torch.from_numpy(rows).to(device), torch.from_numpy(table.labels[rows]).to(device))

    nodes = Nodes(features, len(table.classes), labelled(split.train), labelled(split.val), labelled(split.es))
    learned = learn(nodes, table.features, table.graph, config, run, resume=resume)
    model = as_model(table, split, config, learned)
    metrics = {"es_accuracy": learned.score.accuracy, "es_loss": learned.score.loss}
    scores = classification_scores(model.probabilities(seed=config.seed).argmax(1), table.labels, split.test)
    metrics |= {f"test_{name}": value for name, value in scores.items() if len(split.test)}
    model.meta.metrics.update(metrics)
    model.save(run.best)
    run.draw_curves()
    return model


def as_model(table: Table, split: Split, config: TrainConfig, learned: Learned) -> LdsModel:
    """What was learned, together with the table it belongs to."""
    start, _notes = start_graph(table.features, table.graph, learned.choice.k, learned.choice.metric, config.seed)
    graph = PairGraph(len(table.ids), *(learned.theta[part].cpu().numpy() for part in ("first", "second", "prob"))).above(0.0)
    notes = {
        "table": table.name,
        "choice": json.dumps(described(learned.choice)),
        "classes": json.dumps(table.classes),
        "encoder": table.encoder.to_json(),
    }
    meta = Meta(METHOD, ARCH, config.model_dump(mode="json"), {}, fingerprint(table, split), notes, config.seed, learned.iteration)
    weights = Weights(*(part.detach().cpu() for part in learned.weights))
    return LdsModel(table.ids, table.classes, table.features, table.labels, split, weights, graph, start, table.encoder, meta)


def fingerprint(table: Table, split: Split) -> dict[str, Any]:
    """What a checkpoint says about its data: table, numbers of rows, SHA-256 of ids and labels in order."""
    digest = hashlib.sha256("\n".join(table.ids).encode())
    digest.update(table.labels.astype("<i8").tobytes())
    return {"table": table.name, "rows": len(table.ids), "features": table.encoder.width, **split.sizes(), "sha256": digest.hexdigest()}
