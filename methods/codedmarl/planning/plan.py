"""Which code to take: every family's wait, work and upload beside each other, in order, and what they mean in words."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...common.errors import UsageError
from ..codes.code import Code
from ..codes.construction import build
from ..codes.decodability import decodable_fraction
from ..config import Family, FieldName
from .waits import Estimate, Situation, estimate

LOG = logging.getLogger("ppr")
PLAIN: tuple[Family, ...] = ("uncoded", "replication", "ldpc", "mds", "random-sparse")
TOLERANT: tuple[Family, ...] = ("balanced", "multi")
MOST_TOLERANCES = 8
SAME = 1e-9  # seconds; waits this close are equal


@dataclass(frozen=True)
class Option:
    """A code and what it does in a situation.

    Args:
        label: its name in tables.
        tolerance: losses survived for certain; None where that is not known.
        upload: bytes that all its shares of one iteration have together.
    """

    label: str
    code: Code
    estimate: Estimate
    upload: float

    @property
    def tolerance(self) -> int | None:
        return self.code.tolerance

    def cost(self) -> tuple[float, float, float]:
        """What is to be small: wait, upload, redundancy."""
        return round(self.estimate.mean / SAME) * SAME, self.upload, self.code.redundancy

    def dominates(self, other: Option) -> bool:
        """At most the other's wait, upload and redundancy, and less of one."""
        return self.cost() != other.cost() and all(mine <= theirs for mine, theirs in zip(self.cost(), other.cost(), strict=True))


@dataclass(frozen=True)
class Plan:
    """Options from the shortest wait to the longest; of equal ones, the least upload and then the least work comes first."""

    situation: Situation
    options: tuple[Option, ...]

    @property
    def best(self) -> Option:
        return self.options[0]

    @cached_property
    def front(self) -> frozenset[str]:
        """Labels of the options that no other one dominates."""
        return frozenset(one.label for one in self.options if not any(other.dominates(one) for other in self.options))

    def find(self, label: str) -> Option | None:
        return next((one for one in self.options if one.label == label), None)

    def best_of(self, family: str) -> Option | None:
        """The first option of a family."""
        return next((one for one in self.options if one.code.family == family), None)

    def shown(self) -> tuple[Option, ...]:
        """The options for a table: of families with several tolerances, the best one."""
        return tuple(one for one in self.options if one is self.best_of(one.code.family))


def candidates(learners: int, agents: int, *, field: FieldName = "real64", seed: int = 0) -> dict[str, Code]:
    """The codes of every family, `balanced` and `multi` for (up to eight) tolerances; what cannot be built is said in the log.

    Raises:
        UsageError: fewer learners than agents.
    """
    if learners < agents:
        raise UsageError(f"{learners} learners for {agents} agents: a code needs at least as many learners as agents")
    found: dict[str, Code] = {}
    for family in PLAIN:
        try:
            found[family] = build(family, learners, agents, field=field, seed=seed)
        except UsageError as error:
            LOG.warning("%s is left out: %s", family, error.message)
    most = {"balanced": learners - agents, "multi": min(max(learners - agents, 1), learners - 1)}
    for family in TOLERANT:
        for tolerance in _spread(most[family]):
            found[f"{family} s={tolerance}"] = build(family, learners, agents, tolerance=tolerance, field=field, seed=seed, search=False)
    return found


def _spread(most: int) -> list[int]:
    """All tolerances up to the largest if they are few, otherwise small ones closer together than large ones."""
    if most <= MOST_TOLERANCES:
        return list(range(1, most + 1))
    return np.unique(np.geomspace(1, most, MOST_TOLERANCES).round().astype(int)).tolist()


def make_plan(codes: Mapping[str, Code], situation: Situation, advance: Callable[[], object] = lambda: None) -> Plan:
    """Estimate every code.

    Args:
        advance: called after each.
    """
    options = []
    for label, code in codes.items():
        options.append(_option(label, code, situation))
        advance()
    return Plan(situation, _ranked(options))


def refined(plan: Plan) -> Plan:
    """The plan with the very code that `design` and `train` make as its best balanced one: `candidates` leaves the long search out."""
    searched: set[str] = set()
    while (option := plan.best_of("balanced")) is not None and option.label not in searched:
        searched.add(option.label)
        code = option.code
        code = build("balanced", code.learners, code.agents, tolerance=code.tolerance, field=code.field, seed=code.seed)
        others = [one for one in plan.options if one is not option]
        plan = Plan(plan.situation, _ranked([*others, _option(option.label, code, plan.situation)]))
    return plan


def _option(label: str, code: Code, situation: Situation) -> Option:
    shares = int(code.weights.sum()) if code.separate else int(np.count_nonzero(code.weights))
    return Option(label, code, estimate(code, situation), shares * situation.payload)


def _ranked(options: Sequence[Option]) -> tuple[Option, ...]:
    return tuple(sorted(options, key=lambda one: (one.cost(), one.tolerance is None, -(one.tolerance or 0))))


def survival(code: Code, most: int) -> list[float]:
    """P(decodable | k learners lost) for k = 0 .. most."""
    return [decodable_fraction(code, lost).probability if lost <= code.learners else 0.0 for lost in range(most + 1)]


def explanation(plan: Plan) -> list[str]:
    """What the plan says, in sentences."""
    situation, best = plan.situation, plan.best
    kind, sentences = situation.stragglers, [_about(best, situation)]
    uncoded = plan.best_of("uncoded")
    if uncoded is not None and uncoded is not best:
        before, after = (one.estimate.mean + situation.overhead for one in (uncoded, best))
        if after > 0:
            sentences.append(f"Uncoded, an iteration takes {seconds(before)}: {before / after:.3g} times as long.")
    balanced = plan.best_of("balanced")
    if balanced is not None and balanced is not best:
        sentences.append(_about(balanced, situation))
    spare = max(one.code.learners for one in plan.options) - best.code.agents
    if kind.model == "fixed" and kind.stragglers > spare:
        sentences.append(
            f"{kind.stragglers} stragglers are more than the {spare} learners beyond one an agent: every code waits for some of them, "
            "and the least work is the best."
        )
    return sentences


def _about(option: Option, situation: Situation) -> str:
    code, wait = option.code, option.estimate
    least, most = int(code.weights.min()), code.max_weight
    updates = f"{most}" if least == most else f"{least}-{most}" if least else f"at most {most}"
    many = "agents" if most > 1 else "agent"
    survives = (
        "how many losses it survives is not known"
        if code.tolerance is None
        else "survives no loss for certain"
        if not code.tolerance
        else f"survives any {code.tolerance} losses"
        if code.tolerance > 1
        else "survives any single loss"
    )
    mean, p95 = (seconds(value + situation.overhead) for value in (wait.mean, wait.p95))
    return (
        f"{option.label}: each learner updates {updates} {many}; {survives}; an iteration takes {mean} on average, 19 of 20 at most {p95}."
    )


def update_bytes(agents: int, hidden: int = 64) -> int:
    """Size of the gradients of one agent's policy and critic in simple_spread with that many agents: four bytes a parameter.

    Every agent observes 6 numbers an agent and has 5 actions; the critic sees all of them.
    """
    observation, actions = 6 * agents, 5

    def network(inputs: int, outputs: int) -> int:
        return (inputs + 1) * hidden + (hidden + 1) * hidden + (hidden + 1) * outputs

    return 4 * (network(observation, actions) + network((observation + actions) * agents, 1))


def seconds(value: float) -> str:
    """A duration for a sentence."""
    for unit, size in (("h", 3600.0), ("min", 60.0), ("s", 1.0), ("ms", 1e-3)):
        if value >= size * (1 if unit != "min" else 2):
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} us" if value else "0 s"
