"""Files of encoding matrices: what `Code.save` writes, and matrices of somebody's own in .npz or .npy."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from ...common.errors import PprError
from ...common.reading.arrays import read_array, read_arrays
from ...common.reading.files import atomic_open

DENSE_ENTRIES = 1 << 22  # up to which a file holds the whole matrix
MAX_BYTES = 1 << 30
CSR_PARTS = ("data", "indices", "indptr")
Matrix: TypeAlias = NDArray[Any] | csr_array


def write(path: Path, entries: csr_array, header: dict[str, Any], *, overwrite: bool) -> None:
    """`matrix` [N, M] (a large one as the parts of a CSR matrix), and `header`, JSON with a digest of the entries.

    Raises:
        UsageError: the file exists and `overwrite` is False.
        PprError: it cannot be written.
    """
    if entries.shape[0] * entries.shape[1] <= DENSE_ENTRIES:
        arrays = {"matrix": entries.toarray()}
    else:
        arrays = {part: getattr(entries, part) for part in CSR_PARTS} | {"shape": np.array(entries.shape)}
    arrays["header"] = np.array(json.dumps(header | {"digest": digest(entries)}))
    with atomic_open(path, overwrite=overwrite) as stream:
        np.savez_compressed(stream, allow_pickle=False, **arrays)


def read(path: Path) -> tuple[Matrix, dict[str, Any] | None]:
    """The matrix as it is stored, and the header with the digest of the entries it is for, if there is one.

    Raises:
        PprError: neither an .npy nor an .npz with one array, one called `matrix`, or the parts of a CSR matrix.
    """
    if path.suffix == ".npy":
        return read_array(path, max_bytes=MAX_BYTES), None
    arrays = read_arrays(path, max_bytes=MAX_BYTES)
    header = _header(arrays.pop("header", None), path)
    if set(arrays) == {*CSR_PARTS, "shape"}:
        return _csr(arrays, path), header
    if len(arrays) != 1 and "matrix" not in arrays:
        raise PprError(f"{path}: none of its arrays is called 'matrix'", hint=f"it has: {', '.join(sorted(arrays)[:8]) or 'none'}")
    return arrays["matrix"] if "matrix" in arrays else next(iter(arrays.values())), header


def _csr(arrays: dict[str, NDArray[Any]], path: Path) -> csr_array:
    try:
        matrix = csr_array(tuple(arrays[part] for part in CSR_PARTS), shape=tuple(arrays["shape"].tolist()))
        matrix.check_format(full_check=True)
    except (ValueError, TypeError, IndexError) as error:
        raise PprError(f"{path}: not the parts of a CSR matrix ({error})") from error
    return matrix


def _header(stored: NDArray[Any] | None, path: Path) -> dict[str, Any] | None:
    if stored is None:
        return None
    try:
        header = json.loads(str(stored[()]))
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise PprError(f"{path}: its header is damaged")
    return header


def digest(entries: csr_array) -> str:
    """SHA-256 of the shape and the entries."""
    found = hashlib.sha256(repr(entries.shape).encode())
    for part, kind in (
        (entries.indptr, np.dtype("<i8")),
        (entries.indices, np.dtype("<i8")),
        (entries.data, entries.dtype.newbyteorder("<")),
    ):
        found.update(np.ascontiguousarray(part, kind).tobytes())
    return found.hexdigest()
