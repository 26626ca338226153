"""Arithmetic of GF(256) modulo x^8 + x^4 + x^3 + x^2 + 1 (0x11d), of which x is a primitive element; vectors are uint8 arrays.

Addition is XOR. Products come from a table of 64 kB.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

POLYNOMIAL = 0x11D
Bytes = NDArray[np.uint8]


def _powers() -> tuple[Bytes, NDArray[np.int64]]:
    """EXP[k] = x^k for k = 0..509, and LOG of the non-zero elements (LOG[0] is never used)."""
    powers, logs, element = np.zeros(510, np.uint8), np.zeros(256, np.int64), 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = element
        logs[element] = exponent
        element <<= 1
        if element & 0x100:
            element ^= POLYNOMIAL
    return powers, logs


EXP, LOG = _powers()


def _products() -> Bytes:
    table = EXP[LOG[:, None] + LOG]
    table[0] = table[:, 0] = 0
    return table


PRODUCT = _products()
INVERSE = EXP[255 - LOG]  # of 0: meaningless


def add_multiple(total: Bytes, coefficient: int, symbols: Bytes) -> None:
    """total += coefficient * symbols, in place."""
    if coefficient == 1:
        np.bitwise_xor(total, symbols, out=total)
    elif coefficient:
        np.bitwise_xor(total, PRODUCT[coefficient].take(symbols), out=total)


def matmul(left: Bytes, right: Bytes) -> Bytes:
    """The product [a, b] x [b, c] -> [a, c]."""
    product = np.zeros((len(left), right.shape[1]), np.uint8)
    for row, coefficients in zip(product, left, strict=True):
        for coefficient, symbols in zip(coefficients, right, strict=True):
            add_multiple(row, int(coefficient), symbols)
    return product


def reduce(matrix: Bytes) -> tuple[Bytes, list[int], list[int]]:
    """Gauss-Jordan elimination.

    Returns:
        the reduced row echelon form without its zero rows, [r, columns]; its pivot columns; and the r rows of `matrix` that were the first
        to be independent of those before them.
    """
    span = Span(matrix.shape[1])
    kept = [index for index, row in enumerate(matrix) if span.add(row)]
    order = np.argsort(span.pivots)
    return span.basis[order], [span.pivots[index] for index in order], kept


def rank(matrix: Bytes) -> int:
    return len(reduce(matrix)[1])


def inverse(matrix: Bytes) -> Bytes:
    """The inverse of a square matrix.

    Raises:
        ValueError: it is singular.
    """
    size = len(matrix)
    reduced, pivots, _kept = reduce(np.hstack([matrix, np.eye(size, dtype=np.uint8)]))
    if pivots != list(range(size)):
        raise ValueError("singular over GF(256)")
    return reduced[:, size:]


class Span:
    """The space that rows span, kept in reduced form so that a further row costs one pass over the basis."""

    def __init__(self, columns: int) -> None:
        self.basis: Bytes = np.zeros((0, columns), np.uint8)
        self.pivots: list[int] = []

    def __len__(self) -> int:
        return len(self.pivots)

    def add(self, row: Bytes) -> bool:
        """Whether the row was outside; it is inside from then on."""
        rest = row ^ np.bitwise_xor.reduce(PRODUCT[row[self.pivots][:, None], self.basis], axis=0)
        pivot = int(np.argmax(rest != 0))
        if not rest[pivot]:
            return False
        rest = PRODUCT[INVERSE[rest[pivot]], rest]
        reduced = self.basis ^ PRODUCT[self.basis[:, pivot][:, None], rest]
        self.basis = np.vstack([reduced, rest])
        self.pivots.append(pivot)
        return True

    def determined(self) -> NDArray[np.bool_]:
        """Whether each unit vector is inside, [columns]."""
        found = np.zeros(self.basis.shape[1], bool)
        found[np.array(self.pivots, int)[np.count_nonzero(self.basis, axis=1) == 1]] = True
        return found


def full_rank(matrices: Bytes) -> NDArray[np.bool_]:
    """Whether each of a batch of matrices [B, rows, columns] has independent columns, [B]."""
    rest, batch = matrices.copy(), np.arange(len(matrices))
    full = np.ones(len(matrices), bool)
    for column in range(matrices.shape[2]):
        pivot = np.argmax(rest[:, :, column] != 0, axis=1)
        row = rest[batch, pivot]
        full &= row[:, column] != 0
        row = PRODUCT[INVERSE[row[:, column]][:, None], row]
        # The pivot row eliminates itself too: it is used up.
        rest ^= PRODUCT[rest[:, :, column, None], row[:, None]]
    return full
