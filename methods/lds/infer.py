"""Classes for rows, and why: of the rows a graph was learned on, and of new ones, in memory or from a file. Load once, ask often."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from ..common.reading.tables.encoder import Matrix
from ..common.reading.tables.table import NewRows, read_rows
from .learning.explain import Explanation, explain
from .learning.induction import Induction
from .learning.model import LdsModel
from .learning.predictions import Predictions, of_known_rows
from .tables import matrices

if TYPE_CHECKING:
    import pandas as pd


class Predictor:
    """A learned graph and the GCN on it.

    Nothing is trained again, and new rows do not influence each other: the same rows and seed give the same predictions, alone or together.
    """

    def __init__(self, model: LdsModel) -> None:
        self.model = model
        self._induction = Induction(model)

    @classmethod
    def load(cls, given: str | Path) -> Predictor:
        """From a checkpoint, or the folder of a run.

        Raises:
            UsageError, PprError: as `LdsModel.load`.
        """
        return cls(LdsModel.load(given))

    def __call__(self, rows: pd.DataFrame | Matrix, ids: Sequence[str] | None = None, *, seed: int = 0) -> Predictions:
        """Of new rows: each is joined to its nearest known rows.

        Args:
            rows: a data frame with the columns of the table, or a matrix [M, n] where the model was trained on one.
            ids: names of the rows; without them they are numbered.
            seed: fixes the sampled graphs that are averaged over.

        Raises:
            PprError: columns are missing, or a matrix has another width.
        """
        features = self.model.encoder.transform(rows)
        return self._predict(NewRows(list(ids) if ids is not None else [str(row) for row in range(features.shape[0])], features, []), seed)

    def read(self, source: str, id_column: str | None = None, *, seed: int = 0, stdin: BinaryIO | None = None) -> Predictions:
        """Of the rows of a .csv, .tsv, .parquet or .npz file, or of csv from standard input (`-`).

        Args:
            id_column: has the rows' names; without it they are numbered (an .npz may bring its own).
            stdin: what `-` reads, instead of this process's standard input.

        Raises:
            UsageError, PprError: a file that cannot be read, or that lacks columns of the training table.
        """
        if source != "-" and Path(source).suffix.lower() == ".npz":
            return self._predict(self._matrix_rows(Path(source).expanduser()), seed)
        return self._predict(read_rows(source, self.model.encoder, id_column, stdin=stdin), seed)

    def known(self, *, seed: int = 0) -> Predictions:
        """Of the rows that the graph was learned on, labelled or not."""
        return of_known_rows(self.model, self.model.probabilities(seed=seed))

    def explain(self, name: str) -> Explanation:
        """Why a known row got its class: its learned neighbours, and the prediction without each of them.

        Raises:
            UsageError: no row of that id.
        """
        return explain(self.model, self.model.row(name))

    def _predict(self, new: NewRows, seed: int) -> Predictions:
        probabilities, edges = self._induction(new.features, seed=seed)
        names = [
            [(self.model.ids[other], prob) for other, prob in zip(*pair, strict=True)]
            for pair in zip(edges.neighbours.tolist(), edges.prob.tolist(), strict=True)
        ]
        return Predictions(new.ids, self.model.classes, probabilities, neighbours=names, notes=new.notes)

    def _matrix_rows(self, path: Path) -> NewRows:
        import pandas as pd

        features, ids = matrices.read_rows(path)
        encoder = self.model.encoder
        if encoder.columns and isinstance(features, np.ndarray):
            frame = pd.DataFrame(features, columns=matrices.column_names(features.shape[1]))
            return NewRows(ids, encoder.transform(frame), [])
        return NewRows(ids, encoder.transform(features), [])
