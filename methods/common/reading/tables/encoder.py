"""From the cells of a table to features, and the same for new rows: what was learned of each column, as JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ...errors import PprError, nearest

if TYPE_CHECKING:
    import pandas as pd

Matrix: TypeAlias = NDArray[np.float32] | scipy.sparse.csr_matrix
BUCKETS = 64  # features of a hashed column
MAX_FEATURE_BYTES = 8 << 30
LARGEST = 1e100  # whose square is still finite; beyond, a number counts as infinite


@dataclass(frozen=True)
class Column:
    """What became of a column.

    Args:
        kind: `number` becomes (cell - mean) / std; `category` a feature a level, 1 where the cell has it; `hashed` the words of a cell in
            `BUCKETS` features, of length 1; `dropped` nothing.
        median: what a missing number is replaced by.
        levels: of a category, sorted.
        missing: whether a last feature is 1 where the cell is missing.
    """

    name: str
    kind: Literal["number", "category", "hashed", "dropped"]
    median: float = 0.0
    mean: float = 0.0
    std: float = 1.0
    levels: tuple[str, ...] = ()
    missing: bool = False

    @property
    def features(self) -> list[str]:
        """The names of the features made of the column."""
        if self.kind == "dropped":
            return []
        own = {
            "number": [self.name],
            "category": [f"{self.name}={level}" for level in self.levels],
            "hashed": [f"{self.name}#{bucket}" for bucket in range(BUCKETS)],
        }[self.kind]
        return own + [f"{self.name} is missing"] * self.missing

    def encode(self, cells: pd.Series) -> NDArray[np.float64]:
        """Cells [N] -> features [N, len(self.features)]; an unknown level is 0 everywhere.

        Raises:
            PprError: text in a column of numbers.
        """
        if self.kind == "number":
            values = numbers(cells)
            absent = np.isnan(values)
            block = (np.where(absent, self.median, values)[:, None] - self.mean) / self.std
        else:
            text = texts(cells)
            absent = np.array([cell is None for cell in text], bool)
            block = one_hot(text, self.levels) if self.kind == "category" else hashed(text)
        return np.concatenate([block, absent[:, None]], 1) if self.missing else block


@dataclass(frozen=True)
class TableEncoder:
    """Turns the cells of a table, the one it was made for or new rows, into features.

    Args:
        columns: of a table; empty where the data are a matrix without column names.
        width: n, the number of features.
        scaling: `standard`: columns of numbers have mean 0 and variance 1 over the table, while features that are 0 or 1 stay so, because a
            rare level of variance 1 would outweigh every number; `rows`: each row is divided by its sum (bags of words); `none`.
    """

    columns: tuple[Column, ...]
    width: int
    scaling: Literal["standard", "rows", "none"] = "standard"

    @property
    def feature_names(self) -> list[str]:
        """A name for each of the n features."""
        if not self.columns:
            return [str(index) for index in range(self.width)]
        return [name for column in self.columns for name in column.features]

    @property
    def text_columns(self) -> list[str]:
        """Columns whose cells are to be read as text, even where all of them look like numbers."""
        return [column.name for column in self.columns if column.kind in ("category", "hashed")]

    def transform(self, cells: pd.DataFrame | Matrix) -> Matrix:
        """Features float32 [N, n] of a table with (at least) the columns of the first one, or of a matrix [N, n].

        A missing cell of a column that had none becomes the median, or no level.

        Raises:
            PprError: a column is missing, has text instead of numbers, or a matrix has another width.
        """
        if not self.columns:
            return self._scaled(cells)
        if isinstance(cells, np.ndarray) or scipy.sparse.issparse(cells):
            raise PprError("a matrix cannot be encoded, a table with named columns is needed")
        used = [column for column in self.columns if column.kind != "dropped"]
        absent = [column.name for column in used if column.name not in cells.columns]
        if absent:
            shown = ", ".join(map(repr, absent[:5])) + (" …" if len(absent) > 5 else "")
            raise PprError(f"the table lacks the columns {shown}", hint=nearest(absent[0], [str(name) for name in cells.columns]))
        check_size(len(cells), self.width)
        features = np.empty((len(cells), self.width), np.float32)
        start = 0
        for column in used:
            block = column.encode(cells[column.name])
            features[:, start : start + block.shape[1]] = block
            start += block.shape[1]
        return features

    def unknown_levels(self, cells: pd.DataFrame) -> dict[str, list[str]]:
        """Levels in new rows that the first table had not, by column."""
        found = {}
        for column in self.columns:
            if column.kind == "category" and column.name in cells.columns:
                new = sorted({cell for cell in texts(cells[column.name]) if cell is not None} - set(column.levels))
                if new:
                    found[column.name] = new
        return found

    def to_json(self) -> str:
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> TableEncoder:
        """The encoder that `to_json` wrote.

        Raises:
            PprError: another text.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            encoder = TypeAdapter(cls).validate_json(text)
        except ValidationError as error:
            raise PprError(f"not a description of a table's columns ({error.errors()[0]['msg']})") from error
        finite = np.isfinite([(column.median, column.mean, column.std) for column in encoder.columns]).all()
        if encoder.width < 1 or len(encoder.feature_names) != encoder.width or not finite:
            raise PprError(f"not a description of a table's columns ({encoder.width} features)")
        return encoder

    def _scaled(self, cells: Any) -> Matrix:
        """The features of a matrix, or of a table whose columns are the features in order."""
        if hasattr(cells, "columns"):
            cells = np.stack([numbers(cells[name]) for name in cells.columns], 1)
        if cells.ndim != 2 or cells.shape[1] != self.width:
            raise PprError(f"a matrix of shape {list(cells.shape)} where rows of {self.width} features are needed")
        check_finite(cells)
        if self.scaling != "rows" and isinstance(cells, np.ndarray):
            return np.asarray(cells, np.float32)
        matrix = scipy.sparse.csr_matrix(cells, dtype=np.float32, copy=True)
        # Equal rows are then equal arrays, which is how copies are found.
        matrix.sum_duplicates()
        if self.scaling == "rows":
            total = np.repeat(np.asarray(matrix.sum(1), np.float64).ravel(), np.diff(matrix.indptr))
            matrix.data = np.divide(matrix.data, total, out=np.zeros_like(total), where=total != 0).astype(np.float32)
        return matrix


def check_finite(matrix: Any) -> None:
    """Refuse NaN and infinity in a dense or sparse matrix.

    Raises:
        PprError: with the first row that has one.
    """
    if scipy.sparse.issparse(matrix):
        bad = np.flatnonzero(~np.isfinite(matrix.data))
        row = int(np.searchsorted(matrix.indptr, bad[0], side="right")) - 1 if len(bad) else -1
    else:
        bad = np.flatnonzero(~np.isfinite(matrix).all(1))
        row = int(bad[0]) if len(bad) else -1
    if row >= 0:
        raise PprError(f"row {row} of the features has a NaN or an infinity")


def check_size(rows: int, width: int) -> None:
    """Refuse features that would not fit, before they are allocated.

    Raises:
        PprError: more than 8 GiB.
    """
    if rows * width * 4 > MAX_FEATURE_BYTES:
        raise PprError(
            f"{rows:,} rows of {width:,} features are {rows * width * 4 / (1 << 30):,.0f} GiB, more than {MAX_FEATURE_BYTES >> 30}",
            hint="leave columns out with --drop, or take a sample of the rows",
        )


def numbers(cells: pd.Series) -> NDArray[np.float64]:
    """Cells as float64 [N], NaN where missing or infinite.

    Raises:
        PprError: a cell is not a number.
    """
    import pandas as pd

    try:
        values = pd.to_numeric(cells, errors="raise").to_numpy(np.float64, na_value=np.nan, copy=True)
    except (ValueError, TypeError) as error:
        bad = cells[pd.to_numeric(cells, errors="coerce").isna() & cells.notna()]
        cell = f"row {bad.index[0]}: {str(bad.iloc[0])[:40]!r}" if len(bad) else str(error)
        raise PprError(f"column '{cells.name}', {cell} is not a number", hint="every cell of it is to be a number, or missing") from error
    values[~(np.abs(values) <= LARGEST)] = np.nan
    return values


def texts(cells: pd.Series) -> list[str | None]:
    """Cells as text, None where missing; whole numbers have no decimal point, whether or not other cells are missing."""
    import pandas as pd

    if pd.api.types.is_float_dtype(cells.dtype):
        return [None if cell != cell else f"{cell:.0f}" if cell == round(cell) else repr(cell) for cell in numbers(cells).tolist()]
    return [None if missing else str(cell) for cell, missing in zip(cells.tolist(), cells.isna().tolist(), strict=True)]


def one_hot(text: Sequence[str | None], levels: Sequence[str]) -> NDArray[np.float64]:
    """float64 [N, levels]."""
    place = {level: index for index, level in enumerate(levels)}
    block = np.zeros((len(text), len(levels)))
    for row, cell in enumerate(text):
        if cell is not None and cell in place:
            block[row, place[cell]] = 1
    return block


def hashed(text: Sequence[str | None]) -> NDArray[np.float64]:
    """float64 [N, BUCKETS]: counts of the words that fall into each bucket, scaled to length 1 (0 where there is no word)."""
    from sklearn.feature_extraction.text import HashingVectorizer

    vectorizer = HashingVectorizer(n_features=BUCKETS, alternate_sign=False, norm="l2", token_pattern=r"(?u)\w+")
    return np.asarray(vectorizer.transform([cell or "" for cell in text]).todense())
