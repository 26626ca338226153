"""What the columns of a table are for: labels, the rows' names, the split; some are left out, and the rest is what is learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ...errors import PprError, UsageError, nearest
from .encoder import texts

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Roles:
    """Columns by name.

    Args:
        label: what is to be predicted.
        id: the rows' names; without it they are numbered.
        split: says which part a row is in.
        drop: to be left out.
    """

    label: str | None = None
    id: str | None = None
    split: str | None = None
    drop: Sequence[str] = ()

    @property
    def verbatim(self) -> set[str]:
        """Columns whose cells are to be read as they are written."""
        return {name for name in (self.label, self.id, self.split) if name is not None}

    def check(self, frame: pd.DataFrame) -> None:
        """Refuse roles that a table cannot fill.

        Raises:
            UsageError: no label column, a column that is not there, or one with two roles.
        """
        if self.label is None:
            shown = ", ".join(str(name) for name in frame.columns[:10])
            raise UsageError("--label is missing: which column is to be predicted?", hint=f"the columns are: {shown}")
        roles = [(option, name) for option, name in self._options() if name is not None]
        for option, name in (*roles, *(("--drop", name) for name in self.drop)):
            require(name, frame, option)
        if len({name for _option, name in roles}) < len(roles):
            raise UsageError("--label, --id and --split-col name the same column")
        if self.label in self.drop:
            raise UsageError(f"--drop {self.label}: that is the label column")

    def refuse(self, source: str) -> None:
        """Refuse any role, for data that have no named columns to choose from.

        Raises:
            UsageError: with the first of them.
        """
        for option, value in (*self._options(), ("--drop", ",".join(self.drop))):
            if value:
                raise UsageError(
                    f"{option} {value}: {source} has its labels and rows fixed", hint=f"leave {option} out; it is for csv and parquet"
                )

    def describing(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The columns without a role, which are what is learned from."""
        return frame.drop(columns=list(self.verbatim | set(self.drop)))

    def _options(self) -> tuple[tuple[str, str | None], ...]:
        return ("--label", self.label), ("--id", self.id), ("--split-col", self.split)


def row_ids(frame: pd.DataFrame, column: str | None) -> list[str]:
    """The names of the rows: the cells of a column, or else "0", "1" and so on.

    Raises:
        UsageError: no such column.
        PprError: a cell is missing, or two are equal.
    """
    if column is None:
        return [str(row) for row in range(len(frame))]
    require(column, frame, "--id")
    ids = [(cell or "").strip() for cell in texts(frame[column])]
    if "" in ids:
        raise PprError(
            f"column '{column}': row {ids.index('')} has no id", hint="every row needs one; or leave --id out, to number the rows"
        )
    twice = [name for name, count in Counter(ids).items() if count > 1]
    if twice:
        raise PprError(f"column '{column}': {len(twice)} ids come more than once: {', '.join(twice[:5])}", hint="ids must be unique")
    return ids


def require(column: str, frame: pd.DataFrame, option: str) -> None:
    """Refuse a column that is not there.

    Raises:
        UsageError: the hint has the nearest name.
    """
    names = [str(name) for name in frame.columns]
    if column not in names:
        raise UsageError(f"{option} {column}: the table has no such column", hint=nearest(column, names))
