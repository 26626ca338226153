"""Feature matrices with labels, a graph and a split in one .npz, as the citation data sets come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ...common.errors import PprError
from ...common.reading.arrays import read_arrays
from ...common.reading.pairs import PairGraph
from ...common.reading.tables.encoder import Matrix, check_finite, check_size
from .splits import PARTS, Split

ARRAYS = ("x", "x_data", "x_indices", "x_indptr", "x_shape", "y", "edges", "train_idx", "val_idx", "es_idx", "test_idx", "ids", "classes")
MAX_ROWS = 1 << 23
MAX_FEATURES = 1 << 22
LAYOUT = (
    "x [N, n], or x_data, x_indices, x_indptr and x_shape of a CSR matrix; y [N], -1 where unknown; edges [2, E], train_idx, … if there are"
)


@dataclass(frozen=True)
class MatrixFile:
    """What an .npz holds, checked: features float32 [N, n] as stored, dense or CSR; labels int64 [N], -1 where unknown."""

    features: Matrix
    labels: NDArray[np.int64]
    classes: list[str]
    ids: list[str]
    graph: PairGraph | None
    split: Split | None


def read_matrix(path: Path) -> MatrixFile:
    """Read features, labels and, where the file has them, `edges` [2, E], a split (`train_idx`, `val_idx`, `test_idx`, and `es_idx`), the
    names of the rows (`ids`, strings [N]) and of the classes (`classes`, strings).

    Indices of the split that have no label are left out of it.

    Raises:
        PprError: a file that cannot be read, an array is missing or has another shape or type, or an index is outside its range.
    """
    arrays = read_arrays(path, ARRAYS)
    try:
        features = _features(arrays)
        labels, classes = _labels(arrays, features.shape[0])
        ids = _names(arrays, "ids", features.shape[0]) or [str(row) for row in range(features.shape[0])]
        if len(set(ids)) < len(ids):
            raise ValueError("'ids' has a name twice")
        graph = None
        if "edges" in arrays:
            edges = _integers(arrays, "edges")
            if edges.ndim != 2 or len(edges) != 2:
                raise ValueError(f"'edges' is {list(edges.shape)}, not [2, E]")
            graph = PairGraph.build(features.shape[0], edges[0], edges[1])
        return MatrixFile(features, labels, classes, ids, graph, _split(arrays, labels))
    except ValueError as error:
        raise PprError(f"{path}: {error}", hint=LAYOUT) from error
    except PprError as error:
        raise PprError(f"{path}: {error.message}", hint=error.hint or LAYOUT) from error


def read_rows(path: Path) -> tuple[Matrix, list[str]]:
    """Features and names of the rows alone, of new rows that have no labels; otherwise as `read_matrix`.

    Raises:
        PprError: a file that cannot be read, or an array is missing or has another shape or type.
    """
    arrays = read_arrays(path, ARRAYS)
    try:
        features = _features(arrays)
        return features, _names(arrays, "ids", features.shape[0]) or [str(row) for row in range(features.shape[0])]
    except ValueError as error:
        raise PprError(f"{path}: {error}", hint=LAYOUT) from error
    except PprError as error:
        raise PprError(f"{path}: {error.message}", hint=error.hint or LAYOUT) from error


def column_names(width: int) -> list[str]:
    """What the columns of a dense matrix are called, which brings no names."""
    return [str(column) for column in range(width)]


def _features(arrays: dict[str, NDArray[Any]]) -> Matrix:
    if "x" in arrays:
        dense = arrays["x"]
        if dense.ndim != 2 or not dense.size or dense.dtype.kind not in "fiub":
            raise ValueError(f"'x' is {dense.dtype} {list(dense.shape)}, not numbers [N, n]")
        check_size(*dense.shape)
        return np.asarray(dense, np.float32)
    lacking = [name for name in ("x_data", "x_indices", "x_indptr", "x_shape") if name not in arrays]
    if lacking:
        raise ValueError(f"no array '{lacking[0]}'")
    shape = _integers(arrays, "x_shape").tolist()
    data, indices, indptr = arrays["x_data"], _integers(arrays, "x_indices"), _integers(arrays, "x_indptr")
    if len(shape) != 2 or not (1 <= shape[0] <= MAX_ROWS and 1 <= shape[1] <= MAX_FEATURES):
        raise ValueError(f"a matrix of shape {shape}")
    if data.dtype.kind not in "fiub" or data.ndim != 1 or data.shape != indices.shape:
        raise ValueError(f"'x_data' is {data.dtype} {list(data.shape)}, 'x_indices' {list(indices.shape)}")
    if indptr.shape != (shape[0] + 1,) or indptr[0] != 0 or indptr[-1] != len(data) or (np.diff(indptr) < 0).any():
        raise ValueError("'x_indptr' does not count the entries of each row")
    if indices.size and not 0 <= indices.min() <= indices.max() < shape[1]:
        raise ValueError(f"'x_indices' has a column outside [0, {shape[1]})")
    matrix = scipy.sparse.csr_matrix((data.astype(np.float32), indices.astype(np.int32), indptr), shape=tuple(shape))
    matrix.sum_duplicates()
    check_finite(matrix)
    return matrix


def _labels(arrays: dict[str, NDArray[Any]], rows: int) -> tuple[NDArray[np.int64], list[str]]:
    if "y" not in arrays:
        raise ValueError("no array 'y'")
    labels = _integers(arrays, "y")
    if labels.shape != (rows,):
        raise ValueError(f"'y' is {list(labels.shape)}, not [{rows}]")
    labels = np.maximum(labels, -1)
    present = np.unique(labels[labels >= 0])
    if len(present) < 2:
        raise ValueError(f"{len(present)} classes in 'y'; two are needed")
    names = _names(arrays, "classes", None)
    if not names:
        if present[-1] > rows:
            raise ValueError(f"'y' has class number {present[-1]} in {rows} rows")
        # Class numbers stay as they are, and two digits sort after one.
        digits = len(str(present[-1]))
        return labels, [f"{number:0{digits}d}" for number in range(int(present[-1]) + 1)]
    if present[-1] >= len(names) or len(set(names)) < len(names):
        raise ValueError(f"'classes' has {len(set(names))} names, 'y' class number {present[-1]}")
    order = np.argsort(names)
    rank = np.empty(len(names) + 1, np.int64)
    rank[order] = np.arange(len(names))
    rank[-1] = -1
    return rank[labels], [names[number] for number in order]


def _split(arrays: dict[str, NDArray[Any]], labels: NDArray[np.int64]) -> Split | None:
    if "train_idx" not in arrays:
        return None
    parts = {}
    for part in PARTS:
        rows = _integers(arrays, f"{part}_idx") if f"{part}_idx" in arrays else np.empty(0, np.int64)
        if rows.ndim != 1 or (rows.size and not 0 <= rows.min() <= rows.max() < len(labels)):
            raise ValueError(f"'{part}_idx' has a row outside [0, {len(labels)})")
        parts[part] = rows[labels[rows] >= 0]
    if not parts["train"].size or len(parts["val"]) + len(parts["es"]) < 2 or not parts["val"].size:
        raise ValueError("'train_idx' and 'val_idx' have too few labelled rows")
    return Split(**parts)


def _integers(arrays: dict[str, NDArray[Any]], name: str) -> NDArray[np.int64]:
    if arrays[name].dtype.kind not in "iu":
        raise ValueError(f"'{name}' is {arrays[name].dtype}, not integers")
    return arrays[name].astype(np.int64)


def _names(arrays: dict[str, NDArray[Any]], name: str, rows: int | None) -> list[str]:
    """Strings, or an empty list where the file has none of that name."""
    if name not in arrays:
        return []
    found = arrays[name]
    if found.dtype.kind != "U" or found.ndim != 1 or (rows is not None and len(found) != rows):
        raise ValueError(f"'{name}' is {found.dtype} {list(found.shape)}, not strings" + (f" [{rows}]" if rows is not None else ""))
    return found.tolist()
