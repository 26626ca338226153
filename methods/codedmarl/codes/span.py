"""The space spanned by rows that arrive one by one or in bulk: its rank, and which unit vectors it holds."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import scipy.linalg
from numpy.typing import NDArray
from scipy.sparse import csr_array, vstack

from . import gf256, support
from .erasures import EPS

SMALL = 64  # columns up to which the singular values of all rows are cheaper than keeping a basis
UNIT = 1e-9  # part of a unit vector that may be missing from the space


class Span(Protocol):
    """Rows over some field; `rank` of them; `determined` unit vectors, bool [columns]."""

    def extend(self, rows: csr_array) -> None: ...

    @property
    def rank(self) -> int: ...

    def determined(self) -> NDArray[np.bool_]: ...


class SmallSpan:
    """Real rows of a few columns, by the singular values of all of them, as `erasures.full_rank` does it.

    Args:
        columns: of the rows.
        learners: rows of the whole encoding matrix, by which rounding is judged.
    """

    def __init__(self, columns: int, learners: int) -> None:
        self.rows = np.zeros((0, columns))
        self.threshold = max(columns, learners) * EPS

    def extend(self, rows: csr_array) -> None:
        self.rows = np.vstack([self.rows, rows.toarray()])
        _left, values, self._right = np.linalg.svd(self.rows)
        self._rank = int((values > self.threshold * values.max(initial=0)).sum())

    @property
    def rank(self) -> int:
        return self._rank

    def determined(self) -> NDArray[np.bool_]:
        return np.square(self._right[: self._rank]).sum(axis=0) > 1 - UNIT


class LargeSpan:
    """Real rows of many columns: an orthonormal basis of the vectors that are orthogonal to all of them, from one factorisation.

    A further row then costs its products with those vectors; if they are not all 0 they lose one dimension. Args: as for `SmallSpan`.
    """

    def __init__(self, columns: int, learners: int) -> None:
        self.unseen = np.eye(columns)  # [columns, columns - rank]
        self.threshold = max(columns, learners) * EPS

    def extend(self, rows: csr_array) -> None:
        dense = rows.toarray()
        if self.rank == 0:
            orthogonal, triangle, _order = scipy.linalg.qr(dense.T, pivoting=True)
            diagonal = np.abs(np.diag(triangle))
            self.unseen = orthogonal[:, int((diagonal > self.threshold * diagonal.max(initial=0)).sum()) :]
            return
        for row in dense:
            part = row @ self.unseen
            length = float(np.linalg.norm(part))
            if length > self.threshold:
                self.unseen = _turned(self.unseen, part / length)[:, 1:]

    @property
    def rank(self) -> int:
        return self.unseen.shape[0] - self.unseen.shape[1]

    def determined(self) -> NDArray[np.bool_]:
        return np.square(self.unseen).sum(axis=1) < UNIT


def _turned(basis: NDArray[np.float64], direction: NDArray[np.float64]) -> NDArray[np.float64]:
    """The basis turned by a reflection (Householder) that makes `direction`, a unit vector in its coordinates, its first column."""
    mirror = direction.copy()
    mirror[0] += 1.0 if direction[0] >= 0 else -1.0
    return basis - np.outer(basis @ mirror, mirror * (2 / (mirror @ mirror)))


class GenericSpan:
    """Rows with coefficients in general position, known by their support alone."""

    def __init__(self, columns: int) -> None:
        self.rows = csr_array((0, columns))

    def extend(self, rows: csr_array) -> None:
        self.rows = vstack([self.rows, rows], format="csr")
        self._rank = support.term_rank(self.rows) if self.rows.nnz else 0

    @property
    def rank(self) -> int:
        return self._rank

    def determined(self) -> NDArray[np.bool_]:
        """Those without which the other columns have a lower rank by one."""
        columns = np.arange(self.rows.shape[1])
        return np.array([support.term_rank(self.rows[:, columns != column]) == self._rank - 1 for column in columns], bool)


class GaloisSpan:
    """Rows over GF(256)."""

    def __init__(self, columns: int) -> None:
        self.span = gf256.Span(columns)

    def extend(self, rows: csr_array) -> None:
        for row in rows.toarray():
            self.span.add(row)

    @property
    def rank(self) -> int:
        return len(self.span)

    def determined(self) -> NDArray[np.bool_]:
        return self.span.determined()


def make_span(columns: int, learners: int, dtype: np.dtype[Any], *, generic: bool) -> Span:
    """The span that suits rows of that many columns and that type (uint8: GF(256))."""
    if dtype == np.uint8:
        return GaloisSpan(columns)
    if columns <= SMALL:
        return SmallSpan(columns, learners)
    return GenericSpan(columns) if generic else LargeSpan(columns, learners)
