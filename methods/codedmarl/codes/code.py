"""Encoding matrices: which learner updates which agents, and how it combines what it computed (Wang et al. 2021, section III).

Learner j of N sends y_j = sum_i C[j, i] theta_i; C has rank M, the number of agents.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.sparse import csr_array

from ...common.errors import PprError, UsageError, nearest
from ..config import Family, FieldName
from . import balanced, families, ldpc, matrix_files, reed_solomon
from .decodability import Tracker, decodable_sets, tolerance_bounds

LOG = logging.getLogger("ppr")
MAX_LEARNERS = 10_000
GF256_LEARNERS = 255  # each needs a non-zero element of its own
MAGNITUDES = 1e-30, 1e30  # of coefficients: beyond, float32 shares vanish or overflow


@dataclass(frozen=True, eq=False)
class Code:
    """An encoding matrix over a field. Made by `build`, `from_matrix`, `load_matrix` or `load`.

    Attributes:
        family: one of `Family`, or `file`.
        entries: the non-zero entries [N, M], float64, or uint8 elements of GF(256) where the field is gf256; indices sorted.
        field: what shares are computed in.
        tolerance: number of lost learners that is proven to leave every agent decodable, whichever they are; None: not known.
        seed: what the entries were drawn with.
        separate: a learner sends each update by itself as soon as it is ready, instead of their combination.
        generic: the coefficients are independent draws of continuous distributions (up to the scale of rows), so that the rank of any rows
            is that of their support.
    """

    family: str
    entries: csr_array
    field: FieldName
    tolerance: int | None
    seed: int = 0
    separate: bool = False
    generic: bool = False

    @property
    def learners(self) -> int:
        """N."""
        return int(self.entries.shape[0])

    @property
    def agents(self) -> int:
        """M."""
        return int(self.entries.shape[1])

    @cached_property
    def matrix(self) -> NDArray[Any]:
        """The dense encoding matrix [N, M]."""
        return self.entries.toarray()

    @cached_property
    def weights(self) -> NDArray[np.int64]:
        """Agents that each learner updates, [N]."""
        return np.diff(self.entries.indptr).astype(np.int64)

    @property
    def max_weight(self) -> int:
        return int(self.weights.max())

    @property
    def redundancy(self) -> float:
        """Updates that are computed for each one that is needed."""
        return float(self.weights.sum() / self.agents)

    def row(self, learner: int) -> tuple[tuple[int, ...], NDArray[Any]]:
        """The agents of a learner in increasing order, and their coefficients."""
        part = slice(self.entries.indptr[learner], self.entries.indptr[learner + 1])
        return tuple(self.entries.indices[part].tolist()), self.entries.data[part]

    def save(self, path: Path, *, overwrite: bool = True) -> Path:
        """Write an .npz that `load` and NumPy read.

        Raises:
            UsageError: the file exists and `overwrite` is False.
            PprError: it cannot be written.
        """
        header = {name: getattr(self, name) for name in HEADER}
        matrix_files.write(path, self.entries, header, overwrite=overwrite)
        return path

    @classmethod
    def load(cls, path: Path) -> Code:
        """Read what `save` wrote, checked as `load_matrix` does."""
        return load_matrix(path)


HEADER = {"family": str, "field": str, "tolerance": int | None, "seed": int, "separate": bool, "generic": bool}


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
            return _bounded(Code(family, entries, field, None, seed, generic=True))
        case "ldpc":
            return _bounded(Code(family, ldpc.encoding(learners, agents).astype(dtype), field, None, seed))
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


def _bounded(code: Code) -> Code:
    """With the tolerance that can be proven in a few seconds; None where that says nothing."""
    bounds = tolerance_bounds(code)
    return replace(code, tolerance=bounds.proven if bounds.proven or bounds.at_most <= 0 else None)


def from_matrix(
    matrix: ArrayLike | csr_array, field: FieldName = "real64", *, separate: bool = False, where: str = "encoding matrix"
) -> Code:
    """A code of somebody's own; its tolerance is computed where that takes seconds.

    Args:
        matrix: [N, M], numbers; for gf256 integers of 0..255, which stand for elements of the field.
        separate: learners send each update by itself; only which entries are 0 counts.
        where: what messages begin with.

    Raises:
        PprError: not a matrix of finite numbers with at least as many rows as columns and the rank of its columns.
    """
    code = Code("file", _checked_entries(matrix, field, where), field, None, separate=separate)
    _check_rank(code, where)
    return _bounded(code)


def _checked_entries(matrix: ArrayLike | csr_array, field: FieldName, where: str) -> csr_array:
    given = matrix if isinstance(matrix, csr_array) else np.asarray(matrix)
    if given.ndim != 2:
        raise PprError(f"{where}: has {given.ndim} dimensions, not learners x agents")
    learners, agents = given.shape
    if given.dtype.kind not in "biuf":
        raise PprError(f"{where}: its entries are {given.dtype}, not real numbers")
    if learners < agents or agents < 1:
        raise PprError(
            f"{where}: {learners} x {agents}, but it needs at least as many rows (learners) as columns (agents), and one of each",
            hint="transpose it?" if 0 < learners < agents else None,
        )
    limit = GF256_LEARNERS if field == "gf256" else MAX_LEARNERS
    if learners > limit:
        raise PprError(f"{where}: {learners:,} learners, but {field} has codes of at most {limit:,}")
    if isinstance(given, np.ndarray) and np.count_nonzero(given) > families.MAX_DENSE:
        raise PprError(f"{where}: more than {families.MAX_DENSE:,} entries that are not 0")
    entries = csr_array(given, dtype=np.float64)
    entries.sum_duplicates()
    entries.eliminate_zeros()
    size = np.abs(entries.data)
    wrong = ~((size >= MAGNITUDES[0]) & (size <= MAGNITUDES[1]))
    if field == "gf256":
        wrong |= (entries.data < 0) | (size > 255) | (entries.data % 1 != 0)
    if wrong.any():
        first = int(np.argmax(wrong))
        row = int(np.searchsorted(entries.indptr, first, side="right")) - 1
        place = f"{where}: row {row}, column {entries.indices[first]} is {entries.data[first]:g}"
        if field == "gf256":
            raise PprError(f"{place}, not an element 0..255 of GF(256)", hint="--field real64 for real numbers")
        raise PprError(f"{place}; entries are 0, or of a magnitude from {MAGNITUDES[0]:g} to {MAGNITUDES[1]:g}")
    return entries.astype(np.uint8) if field == "gf256" else entries


def _check_rank(code: Code, where: str) -> None:
    empty = np.flatnonzero(np.bincount(code.entries.indices, minlength=code.agents) == 0)
    if len(empty):
        raise PprError(f"{where}: no learner has agent {empty[0]}, its column is all zeros")
    if not decodable_sets(code, np.ones((1, code.learners), bool))[0]:
        everything = Tracker(code)
        for learner in range(code.learners):
            everything.add(learner)
        lost = ", ".join(map(str, sorted(everything.missing)[:8]))
        raise PprError(
            f"{where}: its rank is {everything.rank}, not {code.agents}", hint=f"all shares together do not determine agents {lost}"
        )


def load_matrix(path: Path, field: FieldName | None = None) -> Code:
    """A code from a file: an .npy, an .npz with one array or one called `matrix`, or what `Code.save` wrote.

    What its header says is only believed while the entries are those it was written with.

    Args:
        field: what shares shall be computed in; None: what the file says, otherwise real64.

    Raises:
        PprError: not such a file, for another field, or as `from_matrix`.
    """
    matrix, header = matrix_files.read(path)
    if header is None:
        return from_matrix(matrix, field or "real64", where=str(path))
    said, digest = _described(header, path)
    if field is not None and field != said.field == "gf256":
        raise PprError(f"{path}: its entries are elements of GF(256)", hint="--field gf256")
    field = field or said.field
    entries = _checked_entries(matrix, field, str(path))
    if digest != matrix_files.digest(entries):
        LOG.info("%s: its entries are not those that its header was written for, or are read in another field; judged by themselves", path)
        return from_matrix(entries, field, separate=said.separate, where=str(path))
    return replace(said, entries=entries, field=field)


def _described(header: dict[str, Any], path: Path) -> tuple[Code, str]:
    """A code without its entries, and their digest."""
    values: dict[str, Any] = {name: header.get(name) for name in HEADER}
    right = all(isinstance(values[name], kind) for name, kind in HEADER.items())
    if not right or values["field"] not in get_args(FieldName) or values["family"] not in (*get_args(Family), "file"):
        raise PprError(f"{path}: its header is damaged")
    return Code(entries=csr_array((1, 1)), **values), str(header.get("digest"))
