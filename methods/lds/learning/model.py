"""A trained LDS model: the GCN's weights, the learned graph, and the rows it was learned on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray

from ...common.errors import PprError, UsageError, nearest
from ...common.reading.pairs import PairGraph
from ...common.reading.tables.encoder import Matrix, TableEncoder
from ...common.running.checkpoint import Meta, load_checkpoint, save_checkpoint
from ...common.running.embedded import Embedded
from ..network import Features, Weights, mean_probabilities
from ..tables.splits import PARTS, Split
from ..tables.table import SplitTable, Table
from .start import on_device
from .theta import CandidatePairs

METHOD = "lds"
ARCH = "gcn"


@dataclass(frozen=True)
class LdsModel:
    """What `train` leaves behind.

    Args:
        ids: names of the N rows.
        classes: names of the C classes.
        features: float32 [N, n].
        labels: int64 [N], -1 where unlabelled.
        split: which rows were used for what.
        graph: the learned probabilities.
        start: the graph they started from.
        encoder: turns new rows into features.
        meta: configuration, chosen combination (notes), metrics.
    """

    ids: list[str]
    classes: list[str]
    features: Matrix
    labels: NDArray[np.int64]
    split: Split
    weights: Weights
    graph: PairGraph
    start: PairGraph
    encoder: TableEncoder
    meta: Meta

    @property
    def samples(self) -> int:
        """Sampled graphs that predictions are averaged over."""
        return int(self.meta.config["samples"])

    @property
    def name(self) -> str:
        """Of the table."""
        return self.meta.notes["table"]

    @property
    def choice(self) -> dict[str, Any]:
        """The combination of the grid that won; without k and metric where the graph was given."""
        chosen: dict[str, Any] = json.loads(self.meta.notes["choice"])
        return chosen

    @property
    def seed(self) -> int:
        """What fixed its split and training."""
        return int(self.meta.config["seed"])

    def table(self) -> Table:
        """The rows it was learned on as a table; with the start graph where that was given, not made of neighbours."""
        given = self.start if self.choice.get("k") is None else None
        return Table(self.name, self.ids, self.features, self.labels, self.classes, self.encoder, given, self.split)

    def data(self) -> SplitTable:
        """The same with its split and seed."""
        return SplitTable(self.table(), self.split, self.seed)

    def row(self, name: str) -> int:
        """The position of a row by its id.

        Raises:
            UsageError: there is no such row.
        """
        if name not in self.ids:
            raise UsageError(f"{name}: no row of that id", hint=nearest(name, self.ids) or f"ids are {self.ids[0]} to {self.ids[-1]}")
        return self.ids.index(name)

    def probabilities(self, *, seed: int = 0) -> NDArray[np.float32]:
        """Class probabilities of every row, float32 [N, C], averaged over sampled graphs; the same seed gives the same."""
        features = Features(on_device(self.features, "cpu"))
        generator = torch.Generator().manual_seed(seed)
        return mean_probabilities(self.weights, features, CandidatePairs(self.graph), self.samples, generator).numpy()

    def save(self, path: Path) -> Path:
        """Write it as one checkpoint, whole or not at all."""
        state: dict[str, torch.Tensor] = {"first_layer": self.weights.first, "second_layer": self.weights.second}
        for name, graph in (("graph", self.graph), ("start", self.start)):
            state |= {f"{name}.{part}": torch.from_numpy(getattr(graph, part)) for part in ("first", "second", "prob")}
        if isinstance(self.features, np.ndarray):
            state["features"] = torch.from_numpy(self.features)
        else:
            state |= {f"features.{part}": torch.from_numpy(getattr(self.features, part)) for part in ("data", "indices", "indptr")}
        state["labels"] = torch.from_numpy(self.labels)
        state["ids"] = torch.frombuffer(bytearray(json.dumps(self.ids).encode()), dtype=torch.uint8)
        state |= {f"split.{part}": torch.from_numpy(rows) for part, rows in self.split.parts.items()}
        return save_checkpoint(path, state, self.meta)

    @classmethod
    def load(cls, given: str | Path) -> LdsModel:
        """From a checkpoint, or a run directory that has one.

        Raises:
            UsageError: neither.
            PprError: not a checkpoint of this method, or a damaged one.
        """
        path = Embedded().find(given)
        checkpoint = load_checkpoint(path, method=METHOD)
        try:
            return cls._of(checkpoint.state, checkpoint.meta)
        except (PprError, KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
            raise PprError(f"{path}: damaged checkpoint ({error})", hint="train it again") from error

    @classmethod
    def _of(cls, state: dict[str, torch.Tensor], meta: Meta) -> LdsModel:
        arrays = {name: value.numpy() for name, value in state.items()}
        ids = json.loads(arrays["ids"].tobytes())
        classes, encoder = json.loads(meta.notes["classes"]), TableEncoder.from_json(meta.notes["encoder"])
        count, width, weights = len(ids), encoder.width, Weights(state["first_layer"], state["second_layer"])
        features: Matrix
        if "features" in arrays:
            features = arrays["features"]
        else:
            parts = tuple(arrays[f"features.{part}"] for part in ("data", "indices", "indptr"))
            features = scipy.sparse.csr_matrix(parts, shape=(count, width))
            features.check_format(full_check=True)
        shapes = features.shape, arrays["labels"].shape, tuple(weights.first.shape), tuple(weights.second.shape)
        hidden = weights.first.shape[1]
        if shapes != ((count, width), (count,), (width, hidden), (hidden, len(classes))) or arrays["labels"].max() >= len(classes):
            raise ValueError(f"features, labels and weights of shapes {shapes} do not belong together")
        if not isinstance(json.loads(meta.notes["choice"]), dict) or int(meta.config["samples"]) < 1:
            raise ValueError("no combination of the grid, or no number of samples")
        graph, start = (
            PairGraph.build(count, *(arrays[f"{name}.{part}"] for part in ("first", "second", "prob"))) for name in ("graph", "start")
        )
        split = Split(*(arrays[f"split.{part}"] for part in PARTS))
        if any(len(rows) and rows.max() >= count for rows in split.parts.values()):
            raise ValueError("a row of the split that does not exist")
        return cls(ids, classes, features, arrays["labels"], split, weights, graph, start, encoder, meta)
