"""Waits under shifted exponential learners, T_j = w_j (t_u + Exp), for the codes that have a formula.

- Equal row weights w and any M of N shares enough (MDS): the M-th of N order statistics, E = w (t_u + m (H_N - H_{N-M})).
- One agent a learner (uncoded, replication), agent i on r_i learners: the last agent's first copy,
  P(X <= t_u + t) = prod_i (1 - exp(-r_i t / m)).
  Uncoded: E = t_u + m H_M; N = r M: E = t_u + m H_M / r.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..codes.code import Code

_PANELS = 64
_NODES = 24


@dataclass(frozen=True)
class Wait:
    """Expectation and 95th percentile, seconds."""

    mean: float
    p95: float


def shifted_exponential(code: Code, update_time: float, mean: float) -> Wait | None:
    """The wait until a code is decodable, or None for codes without a formula.

    Args:
        update_time: t_u, seconds.
        mean: expected extra time of an update (1 / mu), seconds.
    """
    weights, least = code.weights, int(code.weights.min())
    if code.separate and code.max_weight > 1:
        return None
    if code.max_weight == 1:
        copies = np.bincount(code.entries.indices, minlength=code.agents)
        last = Wait(mean * _expected_last(copies), mean * _quantile_last(copies, 0.95))
        return Wait(update_time + last.mean, update_time + last.p95)
    if least == code.max_weight and code.tolerance == code.learners - code.agents:
        extra = harmonic(code.learners) - harmonic(code.learners - code.agents)
        return Wait(*(float(weights[0]) * (update_time + mean * value) for value in (extra, _quantile_order(code, 0.95))))
    return None


def harmonic(count: int) -> float:
    """H_n = 1 + 1/2 + ... + 1/n."""
    return float((1 / np.arange(1, count + 1)).sum())


def _quantile_order(code: Code, probability: float) -> float:
    """Quantile of the M-th of N standard exponentials: its distribution function is a Beta(M, N - M + 1)."""
    from scipy.stats import beta

    return float(-np.log1p(-beta.ppf(probability, code.agents, code.learners - code.agents + 1)))


def _distribution_last(copies: NDArray[np.int64], time: NDArray[np.float64]) -> NDArray[np.float64]:
    """P(every agent has come by `time`), of agents on `copies` standard exponential learners."""
    rates, count = np.unique(copies, return_counts=True)
    log_missing = np.log(-np.expm1(-np.multiply.outer(time, rates)))
    return np.exp(log_missing @ count)


def _quantile_last(copies: NDArray[np.int64], probability: float) -> float:
    from scipy.optimize import brentq

    latest = (np.log(len(copies)) + 50) / copies.min()
    return float(brentq(lambda time: _distribution_last(copies, np.array([time]))[0] - probability, 1e-12, latest))


def _expected_last(copies: NDArray[np.int64]) -> float:
    """The integral of P(not all have come by t), by Gauss-Legendre on panels up to where it is below 1e-20."""
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    edges = np.linspace(0, (np.log(len(copies)) + 50) / copies.min(), _PANELS + 1)
    half = np.diff(edges) / 2
    time = (edges[:-1] + half)[:, None] + half[:, None] * nodes
    missing = 1 - _distribution_last(copies, time.ravel()).reshape(time.shape)
    return float((missing * weights * half[:, None]).sum())
