"""Tables as files hold them: csv, tsv and parquet, or csv from standard input. Nothing is learned from the cells here."""

from __future__ import annotations

import csv
import io
import os
import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ...errors import PprError, UsageError, missing_extra
from ..sources import opened

if TYPE_CHECKING:
    import pandas as pd

SEPARATORS = {".csv": ",", ".tsv": "\t"}
SUFFIXES = (*SEPARATORS, ".parquet")
MAX_TABLE_BYTES = 2 << 30
MAX_ROWS = 1 << 23
#: Cells that are missing values; in columns of text as well, where a missing cell is a level of its own.
MISSING = ("", "NA", "N/A", "n/a", "NaN", "nan", "-nan", "NULL", "null", "None", "<NA>", "?")


@dataclass(frozen=True)
class _Cells:
    """How cells are read: columns that stay as written, columns of text, and what counts as missing."""

    verbatim: Collection[str]
    text: Collection[str]
    missing: Collection[str]


def read_frame(
    source: str,
    *,
    verbatim: Collection[str] = (),
    text: Collection[str] = (),
    missing: Collection[str] = MISSING,
    stdin: BinaryIO | None = None,
    also: Collection[str] = (),
) -> pd.DataFrame:
    """A table as a data frame with unique column names; cells that look like numbers are numbers.

    Args:
        source: a .csv, .tsv (also .csv.gz, .tsv.gz) or .parquet file, or `-` for csv from standard input.
        verbatim: columns of labels and ids, whose cells stay text as they are written; NA may be a label there.
        text: columns whose cells are text or missing, even where all of them look like numbers: those that were text in an earlier table.
        missing: cells that are missing values, in all columns that are not `verbatim`.
        also: suffixes that the caller reads itself, for the hint.
        stdin: what `-` reads, instead of this process's standard input.

    Raises:
        UsageError: another suffix.
        PprError: absent, empty, larger than 2 GiB, not UTF-8, no header, two columns of one name, or a row with more or fewer
            cells than the header.
    """
    cells = _Cells(verbatim, text, missing)
    if source == "-":
        return _parse(_bounded(stdin or sys.stdin.buffer, "standard input"), ",", cells, "standard input")
    path = Path(source).expanduser()
    suffix = (path.with_suffix("") if path.suffix.lower() == ".gz" else path).suffix.lower()
    if suffix not in SUFFIXES or path.name.lower().endswith(".parquet.gz"):
        raise UsageError(
            f"{source}: not a table of a known kind", hint=f"a file of one of: {', '.join((*SUFFIXES, *also))}; or '-' for csv"
        )
    if suffix == ".parquet":
        return _parquet(path)
    with opened(path) as stream:
        content = _bounded(stream, source)
    return _parse(content, SEPARATORS[suffix], cells, source)


def _bounded(stream: BinaryIO, where: str) -> bytes:
    content = stream.read(MAX_TABLE_BYTES + 1)
    if len(content) > MAX_TABLE_BYTES:
        raise PprError(
            f"{where}: more than {MAX_TABLE_BYTES >> 30} GiB of text", hint="write the table as parquet, or take a sample of its rows"
        )
    return content


def _parse(content: bytes, separator: str, cells: _Cells, where: str) -> pd.DataFrame:
    import pandas as pd

    names = _check(content, separator, where)
    missing = {name: [] if name in cells.verbatim else list(cells.missing) for name in names}
    try:
        return pd.read_csv(
            io.BytesIO(content),
            sep=separator,
            encoding="utf-8-sig",
            names=names,
            header=0,
            index_col=False,
            dtype=dict.fromkeys({*cells.verbatim, *cells.text} & set(names), str),
            keep_default_na=False,
            na_values=missing,
            skipinitialspace=True,
            low_memory=False,
        )
    except (ValueError, OverflowError) as error:  # pandas' own errors are ValueErrors
        raise PprError(f"{where}: not a table that can be read ({str(error).strip()})") from error


def _check(content: bytes, separator: str, where: str) -> list[str]:
    """The column names; pandas would fill short rows up and take the first cells of long ones for an index, so lengths are checked here."""
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(content), "utf-8-sig", newline=""), delimiter=separator, skipinitialspace=True)
    names: list[str] = []
    rows = 0
    try:
        for cells in lines:
            if not cells:
                continue
            if not names:
                names = _header(cells, separator, where)
                continue
            rows += 1
            if len(cells) != len(names):
                raise PprError(
                    f"{where}: line {lines.line_num} has {len(cells)} cells, the header has {len(names)}",
                    hint="a cell that has the separator in it needs quotes; or the file was cut off",
                )
            if rows > MAX_ROWS:
                raise PprError(f"{where}: more than {MAX_ROWS:,} rows", hint="take a sample of them")
    except UnicodeDecodeError as error:
        raise PprError(f"{where}: not text in UTF-8 (near line {lines.line_num + 1})", hint="save it as UTF-8 csv") from error
    except csv.Error as error:
        raise PprError(f"{where}: line {lines.line_num}: {error}") from error
    if not rows:
        raise PprError(f"{where}: " + ("a header without rows" if names else "an empty file"))
    return names


def _header(cells: list[str], separator: str, where: str) -> list[str]:
    names = [cell.strip() or f"column {number}" for number, cell in enumerate(cells, 1)]
    if all(_is_number(name) for name in names):
        raise PprError(
            f"{where}: the first line has only numbers, not names of columns", hint="put a line with a name for each column first"
        )
    if len(names) == 1:
        other = next((character for character in ",;\t|" if character != separator and character in names[0]), None)
        if other:
            raise PprError(
                f"{where}: separated by {other!r}, not by {separator!r}", hint="save it as .csv with commas, or as .tsv with tabs"
            )
    _unique(names, where)
    return names


def _unique(names: list[str], where: str) -> None:
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise PprError(f"{where}: more than one column is called '{twice[0]}'", hint="rename one of them")


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _parquet(path: Path) -> pd.DataFrame:
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise missing_extra("pyarrow", "tables") from error
    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            about = file.metadata
            size = sum(about.row_group(group).total_byte_size for group in range(about.num_row_groups))
            if size > MAX_TABLE_BYTES or about.num_rows > MAX_ROWS:
                raise PprError(
                    f"{path}: {about.num_rows:,} rows, {size / (1 << 30):.1f} GiB", hint="take a sample of the rows, or fewer columns"
                )
            _unique([str(name) for name in file.schema_arrow.names], str(path))
            frame = file.read().to_pandas(ignore_metadata=True)
    except (OSError, pyarrow.ArrowException, ValueError) as error:
        if isinstance(error, OSError) and error.errno:
            raise PprError(f"{path}: cannot be read ({os.strerror(error.errno)})") from error
        raise PprError(f"{path}: not a parquet file that can be read ({str(error).splitlines()[0]})") from error
    if frame.empty:
        raise PprError(f"{path}: a table without rows")
    frame.columns = [str(name) for name in frame.columns]
    return frame
