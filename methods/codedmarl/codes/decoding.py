"""From the shares that arrived back to the updates of all agents (Wang et al. 2021, section III)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from ...common.errors import PprError
from . import gf256
from .code import Code
from .erasures import EPS
from .field import from_bytes

GROWTH = 1e3  # of relative errors, up to which peeling is as good as solving for all agents at once


def decode(code: Code, payloads: Mapping[int, NDArray[Any]]) -> NDArray[np.float32]:
    """The updates of all agents.

    Args:
        payloads: the share of each received learner, all of one length, as `field.combine` makes them. Of a separate code: the update of
            each agent, combined with coefficient 1.

    Returns:
        float32 [M, length]; over GF(256) bit for bit what the learners combined.

    Raises:
        PprError: the shares do not determine every agent.
        ValueError: shares of different lengths or types.
    """
    if code.field == "gf256":
        return from_bytes(decode_bytes(code, payloads))
    return decode_real(code, payloads).astype(np.float32)


def decode_real(code: Code, payloads: Mapping[int, NDArray[Any]]) -> NDArray[np.float64]:
    """The same before it is rounded to float32: float64 [M, length]."""
    learners, shares = _stacked(payloads, np.float64)
    if code.separate:
        return shares[_of_each_agent(code, learners)]
    rows = code.matrix[learners]
    updates = np.zeros((code.agents, shares.shape[1]))
    known = _peel(rows, shares, updates)
    if not known.all():
        used = rows[:, ~known].any(axis=1)
        rows, rest = rows[used], shares[used]
        if known.any():
            rest = rest - rows[:, known] @ updates[known]
        updates[~known] = _least_squares(rows[:, ~known], rest, 1 / np.linalg.norm(rows, axis=1))
    return updates


def decode_bytes(code: Code, payloads: Mapping[int, NDArray[Any]]) -> gf256.Bytes:
    """The bytes of the updates of a code over GF(256): uint8 [M, 4 * length]."""
    learners, shares = _stacked(payloads, np.uint8)
    if code.separate:
        return shares[_of_each_agent(code, learners)]
    rows = code.matrix[learners]
    # Learners of a single agent first: their shares need no elimination.
    order = np.argsort(np.count_nonzero(rows, axis=1), kind="stable")
    _reduced, pivots, kept = gf256.reduce(rows[order])
    if len(pivots) < code.agents:
        raise _undecodable(len(pivots), code.agents)
    chosen = order[kept]
    return gf256.matmul(gf256.inverse(rows[chosen]), shares[chosen])


def _stacked(payloads: Mapping[int, NDArray[Any]], dtype: type) -> tuple[list[int], NDArray[Any]]:
    learners = list(payloads)
    if not learners:
        raise PprError("no share was received", hint="wait for some")
    kinds = {(payload.shape, payload.dtype == np.uint8) for payload in payloads.values()}
    if len(kinds) > 1 or any(payload.ndim != 1 or (payload.dtype == np.uint8) != (dtype is np.uint8) for payload in payloads.values()):
        raise ValueError(f"shares of shapes and types {[(payload.shape, payload.dtype) for payload in payloads.values()]}")
    return learners, np.array([payloads[learner] for learner in learners], dtype)


def _of_each_agent(code: Code, agents: list[int]) -> list[int]:
    """Where each agent's update is among those that came."""
    place = {agent: index for index, agent in enumerate(agents)}
    if len(place) < code.agents:
        raise _undecodable(len(place), code.agents)
    return [place[agent] for agent in range(code.agents)]


def _undecodable(rank: int, agents: int) -> PprError:
    return PprError(f"the received shares have rank {rank}, which does not determine {agents} agents", hint="wait for more of them")


def _peel(rows: NDArray[np.float64], shares: NDArray[np.float64], updates: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Solve rows in which a single agent is unknown, best-conditioned first, as long as errors stay small; fills `updates`.

    A relative error of the shares reaches an agent multiplied by at most (|c| of the whole row + |c| of the known agents times theirs) over
    the |c| of the agent.

    Returns:
        which agents are known now, bool [M].
    """
    magnitudes = np.abs(rows)
    growth = np.full(rows.shape[1], np.inf)
    while True:
        known = np.isfinite(growth)
        left = magnitudes[:, ~known]
        single = np.flatnonzero(np.count_nonzero(left, axis=1) == 1)
        agents = np.flatnonzero(~known)[left[single].argmax(axis=1)] if len(single) else single
        error = magnitudes[single].sum(axis=1) + magnitudes[single][:, known] @ growth[known]
        ratio = error / magnitudes[single, agents]
        for place in np.argsort(ratio, kind="stable"):
            row, agent = single[place], agents[place]
            if ratio[place] <= GROWTH and not np.isfinite(growth[agent]):
                others = np.flatnonzero(rows[row] * known)
                rest = shares[row] - rows[row, others] @ updates[others] if len(others) else shares[row]
                updates[agent] = rest / rows[row, agent]
                growth[agent] = ratio[place]
        if (np.isfinite(growth) == known).all():
            return known


def _least_squares(core: NDArray[np.float64], rest: NDArray[np.float64], scales: NDArray[np.float64]) -> NDArray[np.float64]:
    """The unknowns [U, length] from rows [n, U], all of which are used, each times its scale."""
    left, values, right = scipy.linalg.svd(core * scales[:, None], full_matrices=False)
    rank = int((values > max(core.shape) * EPS * values.max(initial=0)).sum())
    if rank < core.shape[1]:
        raise _undecodable(rank, core.shape[1])
    return ((right.T / values) @ (left.T * scales)) @ rest
