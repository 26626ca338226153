"""The errors a user can cause or mend. Everything else is a bug and keeps its traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class PprError(Exception):
    """Work that failed: what happened and where, and what to do about it.

    Args:
        message: one line, beginning with the file, line or option concerned.
        hint: one line that says what to do.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(PprError):
    """A command or configuration that cannot be carried out as given."""

    exit_code = 2


def nearest(name: str, valid: Iterable[str]) -> str | None:
    """A hint that names the valid word closest to `name`, or all of them when there are few."""
    words = sorted(valid)
    close = difflib.get_close_matches(name, words, n=1, cutoff=0.5)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"one of: {', '.join(words)}" if len(words) <= 20 else None


def missing_extra(package: str, extra: str) -> PprError:
    """The error for an optional dependency that is not installed."""
    return PprError(f"this needs the package '{package}', which is not installed", hint=f"pip install 'ppr[{extra}]'")


def reason(error: BaseException) -> str:
    """What an exception of foreign code says, in one short line; its type where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:160] if lines else type(error).__name__
