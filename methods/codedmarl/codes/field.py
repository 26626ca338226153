"""Shares: linear combinations of updates over GF(256), float64 or float32."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..config import FieldName
from . import gf256


def combine(field: FieldName, coefficients: ArrayLike, updates: Sequence[NDArray[np.float32]], length: int) -> NDArray[Any]:
    """One share, sum_i c_i theta_i, with updates shorter than `length` padded by zeros.

    Args:
        coefficients: one an update; elements of GF(256) where the field is gf256.
        updates: float32 vectors of at most `length` numbers.

    Returns:
        float64 or float32 [length]; gf256: the little-endian bytes of the floats as field elements, uint8 [4 * length].

    Raises:
        ValueError: an update that is longer, or not as many coefficients as updates.
    """
    coefficients = np.asarray(coefficients)
    if len(coefficients) != len(updates) or any(len(update) > length for update in updates):
        raise ValueError(f"{len(coefficients)} coefficients for updates of {[len(update) for update in updates]} numbers (length {length})")
    if field == "gf256":
        symbols = np.zeros(4 * length, np.uint8)
        for coefficient, update in zip(coefficients, updates, strict=True):
            gf256.add_multiple(symbols[: 4 * len(update)], int(coefficient), to_bytes(update))
        return symbols
    total = np.zeros(length)
    for coefficient, update in zip(coefficients, updates, strict=True):
        total[: len(update)] += float(coefficient) * np.asarray(update, np.float64)
    return total if field == "real64" else total.astype(np.float32)


def to_bytes(update: NDArray[np.float32]) -> NDArray[np.uint8]:
    """The little-endian bytes of float32 numbers, [4 * length]."""
    return np.ascontiguousarray(update, "<f4").view(np.uint8)


def from_bytes(symbols: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The float32 numbers of the last axis."""
    return np.ascontiguousarray(symbols).view("<f4").astype(np.float32, copy=False)
