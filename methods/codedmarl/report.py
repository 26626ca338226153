"""What a run says about its learners: who was slow, lost or computed in vain, and where the time of an iteration went."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..common.errors import PprError, UsageError
from ..common.reading.jsonl import read_log
from ..common.running.run import Run
from .codes.code import Code
from .codes.matrices import load_matrix
from .config import TrainConfig
from .learners.journal import COLUMNS

PHASES = ("rollout", "broadcast", "wait", "decode", "apply", "seconds")
SLOW = 1.5  # times the usual time at equal weight, from which a learner is called slow
MAX_BYTES = 1 << 30
OUTCOMES = ("used", "late", "duplicate", "corrupt", "abandoned", "dropped", "lost")


@dataclass(frozen=True)
class Phase:
    """Seconds of a part of the iterations; `seconds` is the whole."""

    name: str
    p50: float
    p95: float
    p99: float
    total: float


@dataclass(frozen=True)
class LearnerReport:
    """How a learner did.

    Args:
        weight: updates it is given in an iteration.
        answers: of these, `used` shares and so on by outcome.
        median: seconds of a complete share; None where it finished none.
        slowdown: median of its seconds over the median of all shares of as many updates.
        worst: the same, 95th percentile.
        delayed: answers that a delay was injected into.
    """

    learner: int
    weight: int
    answers: int
    outcomes: dict[str, int]
    median: float | None
    slowdown: float | None
    worst: float | None
    delayed: int

    @property
    def slow(self) -> bool:
        return self.slowdown is not None and self.slowdown > SLOW


@dataclass(frozen=True)
class RunReport:
    """A run's iterations, learners and losses.

    Args:
        computed: updates that learners computed; those of learners that died in mid-iteration are not known.
        needed: updates that an iteration needs, over all iterations.
        wasted: part of the computed updates that no used share held.
        redundancy: updates computed for each one needed.
        decode_share: part of the time that decoding took.
        events: how often each kind of event occurred.
        notes: messages for disagreements and fallbacks.
    """

    run: str
    config: dict[str, Any]
    iterations: int
    phases: list[Phase]
    learners: list[LearnerReport]
    computed: int
    needed: int
    wasted: float
    redundancy: float
    decode_share: float
    events: dict[str, int]
    notes: list[str]

    @property
    def slow(self) -> list[int]:
        return [one.learner for one in self.learners if one.slow]

    def record(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        return asdict(self) | {"slow": self.slow}


@dataclass(frozen=True)
class Recorded:
    """What a run wrote: its iterations' metrics, its learners' answers, its events."""

    path: Path
    config: TrainConfig
    code: Code
    metrics: pd.DataFrame
    shares: pd.DataFrame
    events: list[dict[str, Any]]


def read(path: Path) -> Recorded:
    """The records of a run.

    Raises:
        UsageError: not the folder of a training, or of one that had no learners.
        PprError: files that are damaged.
    """
    run = Run(path)
    config = run.config(TrainConfig)
    if not (path / "shares.csv").is_file():
        raise UsageError(f"{path}: no shares.csv, so there were no learners", hint="the engines local, ray and sim write it")
    metrics = pd.DataFrame([record for record in run.history() if isinstance(record, dict)])
    if metrics.empty or not {"epoch", *PHASES} <= set(metrics.columns):
        raise UsageError(f"{path}: no iteration was finished", hint="ask again when the training is further")
    try:
        metrics[list(PHASES)] = metrics[list(PHASES)].astype(np.float64)
    except (TypeError, ValueError) as error:
        raise PprError(f"{path / 'metrics.jsonl'}: times that are no numbers ({error})") from error
    code = load_matrix(path / "code.npz")
    shares = _shares(path / "shares.csv")
    if not shares.empty and shares.learner.max() >= code.learners:
        raise PprError(f"{path / 'shares.csv'}: names a learner {shares.learner.max()}, and the run's code has {code.learners}")
    return Recorded(path, config, code, metrics, shares, _events(path / "events.jsonl"))


def _shares(path: Path) -> pd.DataFrame:
    if path.stat().st_size > MAX_BYTES:
        raise PprError(f"{path}: larger than {MAX_BYTES >> 30} GiB")
    types: dict[str, Any] = dict.fromkeys(("iteration", "learner", "agent", "weight", "updates", "bytes"), np.int64)
    types |= dict.fromkeys(("delay", "submitted", "received", "first", "seconds", "pid"), np.float64) | {"host": str, "outcome": str}
    try:
        shares = pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])
    except (ValueError, OSError) as error:
        raise PprError(f"{path}: not the shares of a run ({str(error).splitlines()[0][:120]})") from error
    if tuple(shares.columns) != COLUMNS:
        raise PprError(f"{path}: other columns than a run writes", hint=f"expected {','.join(COLUMNS)}")
    counts = shares[["iteration", "learner", "weight", "updates"]]
    if not shares.empty and (counts.min().min() < 0 or not set(shares.outcome) <= set(OUTCOMES)):
        raise PprError(f"{path}: rows that no run writes")
    return shares


def _events(path: Path) -> list[dict[str, Any]]:
    return [event for event in read_log(path) if isinstance(event.get("event"), str)]


def make_report(recorded: Recorded) -> RunReport:
    """The numbers of a run."""
    metrics, shares = recorded.metrics, recorded.shares
    computed, used = int(shares.updates.sum()), int(shares.updates[shares.outcome == "used"].sum())
    needed = len(metrics) * recorded.code.agents
    kinds = [event["event"] for event in recorded.events]
    return RunReport(
        run=str(recorded.path),
        config=recorded.config.model_dump(mode="json"),
        iterations=len(metrics),
        phases=[_phase(name, metrics[name].to_numpy()) for name in PHASES],
        learners=_learners(shares, recorded.code),
        computed=computed,
        needed=needed,
        wasted=1 - used / computed if computed else 0.0,
        redundancy=computed / needed if needed else 0.0,
        decode_share=float(metrics.decode.sum() / max(metrics.seconds.sum(), 1e-12)),
        events={kind: kinds.count(kind) for kind in dict.fromkeys(kinds)},
        notes=[_disagreement(event) for event in recorded.events if event["event"] == "disagreement"],
    )


def _phase(name: str, seconds: NDArray[np.float64]) -> Phase:
    p50, p95, p99 = np.percentile(seconds, (50, 95, 99)).tolist()
    return Phase(name, p50, p95, p99, float(seconds.sum()))


def _learners(shares: pd.DataFrame, code: Code) -> list[LearnerReport]:
    usual = shares.groupby("weight").seconds.transform("median")
    shares = shares.assign(ratio=shares.seconds / usual)
    found = []
    for learner, weight in enumerate(code.weights):
        own = shares[shares.learner == learner]
        complete = own[own.seconds.notna()]
        counts = own.outcome.value_counts()
        found.append(
            LearnerReport(
                learner,
                int(weight),
                len(own),
                {outcome: int(counts[outcome]) for outcome in OUTCOMES if outcome in counts},
                float(complete.seconds.median()) if len(complete) else None,
                float(complete.ratio.median()) if len(complete) else None,
                float(complete.ratio.quantile(0.95)) if len(complete) else None,
                int((own.delay > 0).sum()),
            )
        )
    return found


def _disagreement(event: dict[str, Any]) -> str:
    learners = " and ".join(str(learner) for learner in event.get("learners", []))
    return f"iteration {event.get('iteration')}: learners {learners} computed different updates of agent {event.get('agent')}"


def learner_rows(report: RunReport) -> list[dict[str, Any]]:
    """One row a learner, for a table."""
    return [
        {
            "learner": one.learner,
            "agents": one.weight,
            "answers": one.answers,
            **{outcome: one.outcomes.get(outcome, 0) for outcome in ("used", "late", "abandoned", "lost")},
            "median s": one.median,
            "slowdown": one.slowdown,
            "p95": one.worst,
            "": "slow" if one.slow else "",
        }
        for one in report.learners
    ]


def phase_rows(report: RunReport) -> list[dict[str, Any]]:
    """One row a part of the iteration, for a table."""
    whole = report.phases[-1].total or 1.0
    return [
        {
            "part": one.name if one.name != "seconds" else "iteration",
            "p50": one.p50,
            "p95": one.p95,
            "p99": one.p99,
            "share": one.total / whole,
        }
        for one in report.phases
    ]


def sentences(report: RunReport) -> list[str]:
    """What the numbers mean, one line each."""
    lost, back = report.events.get("lost", 0), report.events.get("back", 0)
    said = [
        f"{report.iterations} iterations; {report.redundancy:.2f} updates were computed for each one needed, "
        f"{report.wasted:.0%} of them in vain",
        f"decoding took {report.decode_share:.1%} of the time",
        f"{lost} learners were lost and {back} came back" if lost else "no learner was lost",
    ]
    reissued, corrupt = report.events.get("reissue", 0), report.events.get("corrupt", 0)
    said += [f"{reissued} times missing updates were given to other learners"] if reissued else []
    said += [f"{corrupt} shares were damaged on the way"] if corrupt else []
    said += [f"slower than {SLOW:g} times the usual at equal work: learners {', '.join(map(str, report.slow))}"] if report.slow else []
    return said + report.notes
