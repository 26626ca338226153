"""The citation graphs as their owners publish them: the files `ind.<name>.x`, `.tx`, `.allx`, `.y` … of the Planetoid repository.

They are pickles of Python 2. Only the handful of types that these files are made of is ever built from them, so that reading runs no code.
"""

from __future__ import annotations

import collections
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ...common.errors import PprError
from ...common.reading.pairs import PairGraph
from .matrices import MatrixFile
from .splits import Split

PARTS = ("x", "tx", "allx", "y", "ty", "ally", "graph", "test.index")
VALIDATION = 500  # rows after the training rows that the public split validates on
MAX_FILE_BYTES = 256 << 20
MAX_SHIFT = 10_000  # rows that exist only as gaps between test indices (Citeseer has 15)


class _Sparse:
    """Stands for scipy's csr_matrix while a file is read: takes its attributes and has no behaviour."""

    data: NDArray[Any]
    indices: NDArray[np.integer]
    indptr: NDArray[np.integer]
    _shape: tuple[int, int]

    def matrix(self) -> scipy.sparse.csr_matrix:
        found = scipy.sparse.csr_matrix((self.data, self.indices, self.indptr), shape=self._shape, dtype=np.float32)
        found.check_format()
        return found


_ALLOWED = {
    ("scipy.sparse.csr", "csr_matrix"): _Sparse,
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
    ("__builtin__", "list"): list,
    ("collections", "defaultdict"): collections.defaultdict,
}


class _Reader(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"{module}.{name} does not belong into it")
        return _ALLOWED[module, name]


def read_planetoid(folder: Path, name: str) -> MatrixFile:
    """The files `ind.<name>.*` of a folder, with the public split: all training rows, the 500 rows after them, and the test rows.

    Raises:
        PprError: a file is missing, is another thing, or the files do not belong together.
    """
    try:
        found = {part: _read(folder / f"ind.{name}.{part}") for part in PARTS}
        return _assembled(found)
    except (ValueError, TypeError, AttributeError, IndexError, KeyError) as error:
        raise PprError(f"{folder}: the files ind.{name}.* are damaged or do not belong together ({error})") from error


def _assembled(found: dict[str, Any]) -> MatrixFile:
    test = np.array([int(line) for line in found["test.index"].split()], np.int64)
    learn, held_out = found["allx"].matrix(), found["tx"].matrix()
    start, end = learn.shape[0], int(test.max()) + 1
    if test.min() != start or end > start + len(test) + MAX_SHIFT or len(np.unique(test)) != len(test) or held_out.shape[0] != len(test):
        raise ValueError("test.index does not continue the other rows")
    # The test rows come in the order of test.index; numbers that it lacks are rows without features and label.
    stacked = scipy.sparse.vstack([learn, held_out]).tocoo()
    rows = np.concatenate([np.arange(start), test])
    features = scipy.sparse.csr_matrix((stacked.data, (rows[stacked.row], stacked.col)), shape=(end, learn.shape[1]), dtype=np.float32)
    one_hot = np.concatenate([found["ally"], found["ty"]])
    labels = np.full(end, -1, np.int64)
    labels[rows] = np.where(one_hot.any(1), one_hot.argmax(1), -1)
    ends = [(int(one), int(other)) for one, others in found["graph"].items() for other in others]
    graph = PairGraph.build(end, *np.array(ends, np.int64).T)
    train = np.arange(len(found["y"]))
    split = Split(train, np.arange(len(train), len(train) + VALIDATION), np.empty(0, np.int64), test[labels[test] >= 0])
    classes = [str(number) for number in range(one_hot.shape[1])]
    return MatrixFile(features, labels, classes, [str(row) for row in range(end)], graph, split)


def _read(path: Path) -> Any:
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise PprError(f"{path}: more than {MAX_FILE_BYTES >> 20} MiB")
        if path.suffix == ".index":
            return path.read_text("ascii")
        with path.open("rb") as stream:
            return _Reader(stream, encoding="latin1").load()
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})") from error
    except (pickle.UnpicklingError, EOFError, ImportError, MemoryError, OverflowError) as error:
        raise PprError(f"{path}: not a file of the Planetoid repository ({error})") from error
