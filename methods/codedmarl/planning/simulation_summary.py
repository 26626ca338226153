"""What a simulation says in all: how long iterations took, what was wasted, what was lost."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace

import numpy as np

from ...common.measuring.seeds import standard_error
from ..codes.code import Code
from .machines import Setting
from .simulate import Iteration

LEAST_TIMEOUT = 30.0  # seconds, as in a training
PATIENCE = 10  # times the work of a learner
COLUMNS = ("code", *(field.name for field in fields(Iteration)))


@dataclass(frozen=True)
class Summary:
    """Of all iterations of a code; times in seconds.

    Args:
        mean: of an iteration, overhead included; error: its standard error.
        p50, p95, p99: percentiles.
        rescued: iterations that were only decodable after missing work had been given out again.
        given_up: iterations that never were.
        computed: updates finished for each agent in an iteration.
        wasted: part of the finished updates that was in no share that decoding used.
        link: part of the time that the controller's link was busy.
        down: learners that were down when an iteration began, on average.
        late: learners that were still busy then, on average.
        hours: virtual time in all.
    """

    iterations: int
    mean: float
    error: float
    p50: float
    p95: float
    p99: float
    rescued: int
    given_up: int
    reissued: int
    computed: float
    wasted: float
    link: float
    down: float
    late: float
    hours: float


def summarise(iterations: Sequence[Iteration], agents: int) -> Summary:
    """Sum up the iterations of one code."""
    times = np.array([one.seconds for one in iterations])
    computed, used = sum(one.computed for one in iterations), sum(one.used for one in iterations)
    p50, p95, p99 = np.percentile(times, [50, 95, 99]).tolist()
    return Summary(
        iterations=len(times),
        mean=float(times.mean()),
        error=standard_error(times),
        p50=p50,
        p95=p95,
        p99=p99,
        rescued=sum(one.decoded and one.reissued > 0 for one in iterations),
        given_up=sum(not one.decoded for one in iterations),
        reissued=sum(one.reissued for one in iterations),
        computed=computed / (agents * len(times)),
        wasted=1 - used / computed if computed else 0.0,
        link=sum(one.link for one in iterations) / times.sum() if times.sum() else 0.0,
        down=float(np.mean([one.down for one in iterations])),
        late=float(np.mean([one.late for one in iterations])),
        hours=float(times.sum()) / 3600,
    )


def patient(code: Code, setting: Setting) -> Setting:
    """The setting with a timeout that nobody reaches who is only slow: ten times what a learner and the link need, at least 30 s.

    Delays of a trace do not count: one very long row would make every loss as long.
    """
    kind = setting.stragglers
    update = setting.update_time + (kind.delay if kind.per_update else 0.0)
    delay = kind.delay if kind.model in ("fixed", "bernoulli") else 0.0
    shares = int(code.weights.sum()) if code.separate else code.learners
    return replace(setting, timeout=max(LEAST_TIMEOUT, PATIENCE * (code.max_weight * update + delay + shares * setting.transfer)))


def csv_rows(found: Mapping[str, Sequence[Iteration]]) -> Iterable[tuple[object, ...]]:
    """A row for every iteration of every code, in the order of `COLUMNS`."""
    for label, iterations in found.items():
        for one in iterations:
            yield (label, *astuple(one))
