"""What can be said of an encoding matrix: work, tolerance, conditioning, and what is odd about it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.random import numpy_generator
from . import erasures, gf256
from .code import Code
from .decodability import Fraction, Tolerance, decodable_fraction, decodable_sets, has_exact_fraction, tolerance_bounds
from .span import SMALL

STREAM = 204
SAMPLES = 400
SAMPLE_WORK = 1e8  # samples x rows x columns^2
BAD_CONDITION = {"real64": 1e8, "real32": 1e4}  # from which training waits for another share
LISTED = 8
MAX_ERASED = 63  # of the listed P(dec | k)


@dataclass(frozen=True)
class Inspection:
    """A code, and what was found.

    Attributes:
        tolerance: between what bounds the tolerance is.
        looked_at: erasures of as many learners as the tolerance that were tested, of `erasures` there are; how many were decodable.
        worst, median: condition number of the received rows after them; None over GF(256), where decoding is exact.
        fractions: P(dec | k) for k = 0, 1 … N - M as far as it can be had exactly.
        remarks: a line each.
    """

    code: Code
    tolerance: Tolerance
    erasures: int
    looked_at: int
    decodable: int
    worst: float | None
    median: float | None
    fractions: list[Fraction]
    remarks: list[str]

    @property
    def least_weight(self) -> int:
        """The largest row weight that any code of this size and tolerance has at least."""
        return math.ceil(self.code.agents * (self.tolerance.proven + 1) / self.code.learners)

    def record(self) -> dict[str, Any]:
        """For JSON."""
        code = self.code
        return {
            "family": code.family,
            "field": code.field,
            "learners": code.learners,
            "agents": code.agents,
            "seed": code.seed,
            "separate": code.separate,
            "rows": [list(code.row(learner)[0]) for learner in range(code.learners)],
            "weights": code.weights.tolist(),
            "max_weight": code.max_weight,
            "least_max_weight": self.least_weight,
            "redundancy": code.redundancy,
            "tolerance": self.tolerance.proven,
            "tolerance_at_most": self.tolerance.at_most,
            "erasures": self.erasures,
            "verified_erasures": self.looked_at,
            "decodable_erasures": self.decodable,
            "worst_condition": self.worst,
            "median_condition": self.median,
            "p_decodable": [one.probability for one in self.fractions],
            "remarks": self.remarks,
        }


def inspect(code: Code) -> Inspection:
    """Examine a code by its entries; its own word for its tolerance is only compared."""
    unproven = replace(code, tolerance=None)
    bounds = tolerance_bounds(unproven)
    received = _erasures(unproven, bounds.proven)
    decodable = decodable_sets(unproven, received)
    conditions = None
    if code.field != "gf256" and not code.separate:
        conditions = erasures.conditions(code.matrix, received)
    worst = None if conditions is None else float(conditions.max())
    known = replace(code, tolerance=bounds.proven)
    return Inspection(
        code=code,
        tolerance=bounds,
        erasures=math.comb(code.learners, bounds.proven),
        looked_at=len(received),
        decodable=int(decodable.sum()),
        worst=worst,
        median=None if conditions is None else float(np.median(conditions)),
        fractions=[
            decodable_fraction(known, k) for k in range(min(code.learners - code.agents, MAX_ERASED) + 1) if has_exact_fraction(known, k)
        ],
        remarks=_remarks(code, bounds, worst),
    )


def _erasures(code: Code, erased: int) -> NDArray[np.bool_]:
    """All of them, or as many random ones as take some seconds."""
    if erasures.enumerable(code.learners, code.agents, erased):
        return erasures.all_received(code.learners, erased)
    sets = min(SAMPLES, max(4, int(SAMPLE_WORK / (code.learners * code.agents**2))))
    return erasures.drawn_received(code.learners, erased, sets, numpy_generator(code.seed, code.learners, erased, STREAM))


def _remarks(code: Code, bounds: Tolerance, worst: float | None) -> list[str]:
    said = []
    idle = np.flatnonzero(code.weights == 0)
    if len(idle):
        said.append(f"{_listed(idle)} without agents: never of use")
    if code.family == "file" and not code.separate and code.agents <= SMALL:
        said += [f"learner {other} repeats learner {first}, up to a factor" for first, other in _repeated(code)][:LISTED]
    if bounds.proven < bounds.at_most:
        said.append(f"there are too many erasures to look at: the tolerance is {bounds.proven} to {bounds.at_most}")
    if code.tolerance is not None and code.tolerance != bounds.proven and bounds.proven == bounds.at_most:
        said.append(f"the file says that its tolerance is {code.tolerance}")
    limit = BAD_CONDITION.get(code.field, math.inf)
    if worst is not None and worst > limit:
        said.append(f"a condition of {worst:.1e} loses {math.log10(worst):.0f} digits of the shares; gf256 codes lose none")
    return said


def _repeated(code: Code) -> list[tuple[int, int]]:
    """Pairs of a row that is a multiple of an earlier one, and that one."""
    first: dict[bytes, int] = {}
    found = []
    for learner in np.flatnonzero(code.weights):
        agents, coefficients = code.row(int(learner))
        if code.field == "gf256":
            ratios = gf256.PRODUCT[gf256.INVERSE[coefficients[0]], coefficients]
        else:
            ratios = (coefficients / coefficients[0]).round(12)
        key = np.array(agents).tobytes() + ratios.tobytes()
        if key in first:
            found.append((first[key], int(learner)))
        first.setdefault(key, int(learner))
    return found


def _listed(learners: NDArray[np.int64]) -> str:
    names = ", ".join(map(str, learners[:LISTED].tolist())) + (" …" if len(learners) > LISTED else "")
    return f"learner{'s' if len(learners) > 1 else ''} {names}"
