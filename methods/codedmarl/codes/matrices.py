"""Codes from encoding matrices: somebody's own, which are checked and judged by their entries, and those that `Code.save` wrote."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from ...common.errors import PprError
from ..config import Family, FieldName
from . import families, matrix_files
from .code import GF256_LEARNERS, HEADER, MAX_LEARNERS, Code
from .decodability import decodable_sets, with_proven_tolerance
from .tracker import Tracker

LOG = logging.getLogger("ppr")
MAGNITUDES = 1e-30, 1e30  # of coefficients: beyond, float32 shares vanish or overflow


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
    return with_proven_tolerance(code)


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
