"""Encoding matrices: which learner updates which agents, and how it combines what it computed (Wang et al. 2021, section III).

Learner j of N sends y_j = sum_i C[j, i] theta_i; C has rank M, the number of agents.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ..config import FieldName
from . import matrix_files

MAX_LEARNERS = 10_000
GF256_LEARNERS = 255  # each needs a non-zero element of its own
#: What a file says of a code besides its entries, and of which type each is.
HEADER = {"family": str, "field": str, "tolerance": int | None, "seed": int, "separate": bool, "generic": bool}


@dataclass(frozen=True, eq=False)
class Code:
    """An encoding matrix over a field. Made by `construction.build`, `matrices.from_matrix` and `matrices.load_matrix`.

    Attributes:
        family: one of `Family`, or `file`.
        entries: the non-zero entries [N, M], float64, or uint8 elements of GF(256) where the field is gf256; indices sorted.
        field: what shares are computed in.
        tolerance: number of lost learners that is proven to leave every agent decodable, whichever they are; None: not known.
        seed: what the entries were drawn with.
        separate: a learner sends each update by itself as soon as it is ready, instead of their combination.
        generic: the coefficients are independent draws of continuous distributions (up to the scale of rows), so that the rank of any rows
            is that of their support.
    """

    family: str
    entries: csr_array
    field: FieldName
    tolerance: int | None
    seed: int = 0
    separate: bool = False
    generic: bool = False

    @property
    def learners(self) -> int:
        """N."""
        return int(self.entries.shape[0])

    @property
    def agents(self) -> int:
        """M."""
        return int(self.entries.shape[1])

    @cached_property
    def matrix(self) -> NDArray[Any]:
        """The dense encoding matrix [N, M]."""
        return self.entries.toarray()

    @cached_property
    def weights(self) -> NDArray[np.int64]:
        """Agents that each learner updates, [N]."""
        return np.diff(self.entries.indptr).astype(np.int64)

    @property
    def max_weight(self) -> int:
        return int(self.weights.max())

    @property
    def redundancy(self) -> float:
        """Updates that are computed for each one that is needed."""
        return float(self.weights.sum() / self.agents)

    def row(self, learner: int) -> tuple[tuple[int, ...], NDArray[Any]]:
        """The agents of a learner in increasing order, and their coefficients."""
        part = slice(self.entries.indptr[learner], self.entries.indptr[learner + 1])
        return tuple(self.entries.indices[part].tolist()), self.entries.data[part]

    def save(self, path: Path, *, overwrite: bool = True) -> Path:
        """Write an .npz that `matrices.load_matrix` and NumPy read.

        Raises:
            UsageError: the file exists and `overwrite` is False.
            PprError: it cannot be written.
        """
        header = {name: getattr(self, name) for name in HEADER}
        matrix_files.write(path, self.entries, header, overwrite=overwrite)
        return path
