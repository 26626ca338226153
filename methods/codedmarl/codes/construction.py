"""Codes by the names of their families (Wang et al. 2021, section III), checked and with the tolerance that is proven of them."""

from __future__ import annotations

from typing import get_args

import numpy as np

from ...common.errors import UsageError, nearest
from ..config import Family, FieldName
from . import balanced, families, ldpc, reed_solomon
from .code import GF256_LEARNERS, MAX_LEARNERS, Code
from .decodability import with_proven_tolerance


def build(
    family: Family,
    learners: int,
    agents: int,
    *,
    tolerance: int | None = None,
    field: FieldName = "real64",
    seed: int = 0,
    search: bool = True,
) -> Code:
    """A code by the name of its family.

    Args:
        learners: N; uncoded takes the first M of them.
        tolerance: of balanced and multi; None: what two updates a learner buy.
        search: of balanced: look for about a second for well-conditioned coefficients. Its work and tolerance are the same without.

    Raises:
        UsageError: sizes, tolerance or field that the family cannot have.
    """
    _check_sizes(learners, agents, field)
    if tolerance is not None and family not in ("balanced", "multi"):
        raise UsageError(f"--tolerance: {family} has none to choose", hint="balanced and multi have")
    dtype = np.uint8 if field == "gf256" else np.float64
    match family:
        case "uncoded" | "replication":
            rows = agents if family == "uncoded" else learners
            return Code(family, families.repeated(rows, agents, dtype), field, rows // agents - 1, seed)
        case "mds":
            return Code(family, families.mds(learners, agents, field, seed), field, learners - agents, seed)
        case "random-sparse":
            entries = families.random_sparse(learners, agents, field, seed)
            if field == "gf256":
                return Code(family, entries, field, reed_solomon.tolerance_of(entries.toarray() != 0), seed)
            return with_proven_tolerance(Code(family, entries, field, None, seed, generic=True))
        case "ldpc":
            return with_proven_tolerance(Code(family, ldpc.encoding(learners, agents).astype(dtype), field, None, seed))
        case "balanced":
            most = learners - agents
            survived = _chosen_tolerance(family, tolerance, learners, agents, most)
            draw = balanced.galois if field == "gf256" else balanced.real
            entries = draw(learners, agents, survived, seed, search=search)
            return Code(family, entries, field, survived, seed, generic=field != "gf256")
        case "multi":
            survived = _chosen_tolerance(family, tolerance, learners, agents, learners - 1)
            entries = balanced.support_of(learners, agents, survived, seed).astype(dtype)
            return Code(family, entries, field, survived, seed, separate=True)
    raise UsageError(f"--code: there is no '{family}'", hint=nearest(family, get_args(Family)))


def _check_sizes(learners: int, agents: int, field: FieldName) -> None:
    if agents < 1 or learners < agents:
        raise UsageError(
            f"{learners} learners for {agents} agents: a code needs at least one agent and as many learners as agents",
            hint=f"--learners {max(agents, 1)} or more",
        )
    if learners > MAX_LEARNERS:
        raise UsageError(f"{learners:,} learners: at most {MAX_LEARNERS:,}")
    if field not in get_args(FieldName):
        raise UsageError(f"--field: there is no '{field}'", hint=nearest(field, get_args(FieldName)))
    if field == "gf256" and learners > GF256_LEARNERS:
        raise UsageError(f"gf256 has codes of at most {GF256_LEARNERS} learners, not {learners}", hint="--field real64")


def _chosen_tolerance(family: str, tolerance: int | None, learners: int, agents: int, most: int) -> int:
    if tolerance is None:
        return balanced.affordable(learners, agents)
    if not 0 <= tolerance <= most:
        raise UsageError(
            f"--tolerance {tolerance}: {family} of {learners} learners for {agents} agents survives at most {most}",
            hint=f"--tolerance {most}, or more learners",
        )
    return tolerance
