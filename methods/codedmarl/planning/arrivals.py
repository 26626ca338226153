"""When shares arrive in one iteration, and when enough of them are there: T_j = w_j t_u + D_j + B/R.

Times of a code are in the order of its shares: a learner each, or for separate codes (`multi`) an entry of the encoding matrix each,
learner by learner. Leading axes are iterations.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ..codes.code import Code
from ..codes.decodability import decodable_sets

Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Pace:
    """How fast learners and links are.

    Args:
        update: t_u, seconds of an agent update.
        transfer: B/R, seconds that a share is on its way.
    """

    update: float
    transfer: float = 0.0


def ready_times(code: Code, delays: Floats, pace: Pace, *, per_update: bool) -> Floats:
    """Seconds from the start of an iteration until each share can leave its learner.

    A learner of a separate code has sent its earlier updates when a delay after the computation begins: only the last one waits.

    Args:
        delays: float64 [..., N].
        per_update: whether a delay follows each update.

    Returns:
        float64 [..., N], or [..., entries] for separate codes.
    """
    done = code.weights if not code.separate else positions(code)
    who = np.arange(code.learners) if not code.separate else holders(code)
    delays = delays[..., who]
    if per_update:
        return done * (pace.update + delays)
    return done * pace.update + np.where(done == code.weights[who], delays, 0.0)


def arrival_times(code: Code, delays: Floats, lost: Mask, pace: Pace, *, per_update: bool) -> Floats:
    """Seconds until each share is at the controller; infinite for those of `lost` learners. Shapes as in `ready_times`.

    Shares of one learner go through its link one after the other; how they meet at the controller is not looked at (see `simulate`).
    """
    times = ready_times(code, delays, pace, per_update=per_update)
    if not code.separate:
        return np.where(lost, np.inf, times + pace.transfer)
    place = positions(code)
    for position in range(1, code.max_weight + 1):
        (now,) = np.nonzero(place == position)
        before = times[..., now - 1] if position > 1 else 0.0
        times[..., now] = np.maximum(times[..., now], before) + pace.transfer
    return np.where(lost[..., holders(code)], np.inf, times)


def holders(code: Code) -> NDArray[np.int64]:
    """The learner of every entry."""
    return np.repeat(np.arange(code.learners), code.weights)


def positions(code: Code) -> NDArray[np.int64]:
    """Whether an entry is the first, second, ... of its learner (from 1)."""
    return np.arange(len(code.entries.indices)) - np.repeat(code.entries.indptr[:-1], code.weights) + 1


@dataclass(frozen=True, eq=False)
class KnownSets:
    """Which sets of learners are decodable, every set being looked at once."""

    code: Code
    _known: dict[bytes, bool] = field(default_factory=dict)

    def __call__(self, received: Mask) -> Mask:
        """Whether the shares of the received learners determine every agent, [B, N] -> [B]."""
        code = self.code
        if code.separate or code.max_weight == 1:
            return (received.astype(np.float32) @ code.entries.astype(bool).astype(np.float32) > 0).all(axis=1)
        found = received.sum(axis=1) >= code.learners - (code.tolerance or 0)
        open_ = np.flatnonzero(~found)
        keys = [row.tobytes() for row in np.packbits(received[open_], axis=1)]
        new = {key: row for key, row in zip(keys, open_.tolist(), strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, decodable_sets(code, received[list(new.values())]).tolist(), strict=True))
        found[open_] = [self._known[key] for key in keys]
        return found


def first_decodable(known: KnownSets, times: Floats) -> Floats:
    """The time at which the shares that have arrived are decodable, [B]; infinite where they never are.

    Args:
        times: float64 [B, shares] of `arrival_times`.
    """
    code = known.code
    if code.separate or code.max_weight == 1:
        return _covered(code, times if code.separate else times[:, holders(code)])
    arrived = np.sort(times, axis=1)
    if code.tolerance == code.learners - code.agents:
        return arrived[:, code.agents - 1]
    return _search(known, times, arrived)


def _covered(code: Code, times: Floats) -> Floats:
    """When every agent is in a share, [B]; times are of entries."""
    by_agent = np.argsort(code.entries.indices, kind="stable")
    starts = np.searchsorted(code.entries.indices[by_agent], np.arange(code.agents))
    return np.minimum.reduceat(times[:, by_agent], starts, axis=1).max(axis=1)


def _search(known: KnownSets, times: Floats, arrived: Floats) -> Floats:
    """Bisection over the arrivals: not before every agent is covered, and not after as many as the proven tolerance asks for."""
    code = known.code
    covered = _covered(code, times[:, holders(code)])
    low = np.maximum((arrived < covered[:, None]).sum(axis=1), code.agents - 1)  # index of the first arrival that may do
    high = np.full(len(times), code.learners)  # index of an arrival that does; N: none
    if code.tolerance is not None:
        enough = code.learners - 1 - code.tolerance
        high[np.isfinite(arrived[:, enough])] = enough
    low = np.minimum(low, high)
    ends = np.append(arrived, np.full((len(times), 1), np.inf), axis=1)
    while len(open_ := np.flatnonzero(low < high)):
        middle = (low[open_] + high[open_]) // 2
        until = ends[open_, middle]
        does = np.isfinite(until)
        does[does] = known(times[open_[does]] <= until[does, None])
        high[open_] = np.where(does, middle, high[open_])
        low[open_] = np.where(does, low[open_], middle + 1)
    return ends[np.arange(len(times)), high]
