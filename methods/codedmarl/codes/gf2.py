"""Elimination over GF(2), 64 columns a machine word."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def reduce(matrix: NDArray[np.bool_]) -> tuple[NDArray[np.bool_], list[int]]:
    """Gauss-Jordan elimination, leftmost pivots first.

    Args:
        matrix: bool [rows, columns].

    Returns:
        the reduced row echelon form without its zero rows, bool [r, columns], and its r pivot columns.
    """
    rows, columns = matrix.shape
    padded = np.zeros((rows, -(-columns // 64) * 64), bool)
    padded[:, :columns] = matrix
    words = np.packbits(padded, axis=1, bitorder="little").view("<u8")
    pivots: list[int] = []
    for column in range(columns):
        if len(pivots) == rows:
            break
        top = len(pivots)
        has = (words[:, column // 64] >> np.uint64(column % 64) & np.uint64(1)).astype(bool)
        below = np.flatnonzero(has[top:])
        if not len(below):
            continue
        chosen = top + below[0]
        words[[top, chosen]] = words[[chosen, top]]
        has[chosen] = has[top]
        has[top] = False
        words[has] ^= words[top]
        pivots.append(column)
    reduced = np.unpackbits(words[: len(pivots)].view(np.uint8), axis=1, count=columns, bitorder="little")
    return reduced.astype(bool), pivots


def rank(matrix: NDArray[np.bool_]) -> int:
    return len(reduce(matrix)[1])
