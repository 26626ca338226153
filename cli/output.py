"""What a command says: results on stdout, everything else on stderr; tables, progress and the summary of a batch."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import PprError

if TYPE_CHECKING:
    from rich.console import Console

    from ppr.methods.common.running.run import Progress

_quiet = False


class _ToStderr(logging.Handler):
    """Log records as `note: …` and `warning: …` lines, above a progress bar if there is one."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "note" if record.levelno < logging.WARNING else record.levelname.lower()
        click.echo(f"{prefix}: {record.getMessage()}", err=True)


def configure(*, quiet: bool) -> None:
    """Route ppr's log to stderr; called by every command through the option --quiet."""
    global _quiet
    _quiet = quiet
    logger = logging.getLogger("ppr")
    logger.setLevel(logging.ERROR if quiet else logging.INFO)
    if not any(isinstance(handler, _ToStderr) for handler in logger.handlers):
        logger.addHandler(_ToStderr())
        logger.propagate = False


def console() -> Console:
    """A rich console on stderr."""
    from rich.console import Console

    return Console(stderr=True, quiet=_quiet)


def note(message: str) -> None:
    """One line for a person, on stderr."""
    if not _quiet:
        click.echo(message, err=True)


def finite(value: Any) -> Any:
    """`value` with every NaN and infinity replaced by None, which JSON can hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(item) for item in value]
    return value


def emit_json(record: Mapping[str, Any]) -> None:
    """One JSON object on one line of stdout."""
    click.echo(json.dumps(finite(record), ensure_ascii=False, allow_nan=False))


def table(rows: Sequence[Mapping[str, Any]], *, as_json: bool, title: str | None = None) -> None:
    """Rows as a table on stdout, or as JSON lines. Columns are the keys of the first row."""
    if as_json:
        for row in rows:
            emit_json(row)
        return
    if not rows:
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table

    drawn = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for key in rows[0]:
        drawn.add_column(
            key, justify="right" if all(isinstance(row.get(key), (int, float, type(None))) for row in rows) else "left", overflow="fold"
        )
    for row in rows:
        drawn.add_row(*[text(row.get(key)) for key in rows[0]])
    # A pipe has no width of its own; a wide one keeps every row on one line.
    Console(width=None if sys.stdout.isatty() else 200, markup=False, highlight=False).print(drawn)


def text(value: Any) -> str:
    """A table cell."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}" if abs(value) < 10 else f"{value:,.1f}"
    return str(value)


def file_size(size: int) -> str:
    """Bytes as people read them: 512 B, 13.4 MB (powers of 1000)."""
    for unit, power in (("GB", 3), ("MB", 2), ("kB", 1)):
        if size >= 1000**power:
            return f"{size / 1000**power:.1f} {unit}"
    return f"{size} B"


@contextlib.contextmanager
def progress(description: str, total: int | None, *, in_bytes: bool = False) -> Iterator[Any]:
    """A progress bar on a terminal, nothing elsewhere. Yields a function that advances it by 1 or by what rich's `update` takes."""
    if _quiet or not sys.stderr.isatty():
        yield lambda **_update: None
        return
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = [TextColumn("{task.description}"), BarColumn(), DownloadColumn() if in_bytes else MofNCompleteColumn(), TimeRemainingColumn()]
    with Progress(*columns, console=console(), transient=True) as bar:
        task = bar.add_task(description, total=total)
        yield lambda **update: bar.update(task, **(update or {"advance": 1}))


@contextlib.contextmanager
def training(*, as_json: bool) -> Iterator[tuple[Callable[[Progress], None], Callable[[dict[str, Any]], None]]]:
    """What a training shows: a bar over the steps of an epoch, and a line (or with --json an object on stdout) an epoch.

    Yields the two callbacks of a `Run`.
    """
    with progress("train", None) as advance:

        def report(now: Progress) -> None:
            loss = sum(now.losses.values())
            advance(completed=now.step, total=now.steps, description=f"epoch {now.epoch}/{now.epochs}  loss {loss:.3f}")

        def announce(record: dict[str, Any]) -> None:
            if as_json:
                emit_json(record)
            else:
                note("  ".join(f"{key} {text(value) if key != 'lr' else f'{value:.1e}'}" for key, value in record.items()))

        yield report, announce


@contextlib.contextmanager
def named(name: str, *, but: tuple[type[PprError], ...] = ()) -> Iterator[None]:
    """Put the name of an item before the message of a `PprError` in the block, where that would not say which item it is about.

    Args:
        but: errors that are left as they are.
    """
    try:
        yield
    except but:
        raise
    except PprError as error:
        raise PprError(f"{name}: {error.message}", hint=error.hint) from error


class Batch:
    """Work on one item after the other: counts what went well and what did not, and reports each failure when it happens."""

    def __init__(self, *, fail_fast: bool = False) -> None:
        self.done = 0
        self.skipped = 0
        self.failed = 0
        self.fail_fast = fail_fast
        self._started = time.monotonic()
        self._advance: Callable[[], object] = lambda: None

    @contextlib.contextmanager
    def progress(self, description: str, total: int) -> Iterator[Callable[[], object]]:
        """A progress bar, which each `item` in the block moves on, as does the function it yields. The clock of the rate starts here."""
        self._started = time.monotonic()
        with progress(description, total) as self._advance:
            yield self._advance
        self._advance = lambda: None

    @contextlib.contextmanager
    def item(self, *, stop_at: tuple[type[PprError], ...] = ()) -> Iterator[None]:
        """One item: a `PprError` in the block is this item's failure, and the batch goes on.

        Args:
            stop_at: errors that concern the whole command, and end it.
        """
        try:
            yield
        except stop_at:
            raise
        except PprError as error:
            self.failure(error)
        else:
            self.done += 1
        self._advance()

    def failure(self, error: PprError) -> None:
        """Report one item's error; with `fail_fast` it ends the batch.

        Raises:
            PprError: the error itself, if `fail_fast`.
        """
        self.failed += 1
        if self.fail_fast:
            raise error
        click.echo(f"Error: {error.message}", err=True)
        if error.hint:
            click.echo(f"  hint: {error.hint}", err=True)

    def exit_code(self) -> int:
        return 1 if self.failed else 0

    def finish(self) -> int:
        """One line on stderr for more than one item, with the rate; returns the exit code."""
        seconds = time.monotonic() - self._started
        if self.done + self.failed + self.skipped > 1:
            rate = f", {self.done / seconds:.1f}/s" if self.done and seconds > 0 else ""
            parts = [f"{self.done} done{rate}"] + [f"{n} {word}" for n, word in ((self.skipped, "skipped"), (self.failed, "failed")) if n]
            note("; ".join(parts))
        return self.exit_code()
