"""Signals that stop a training between two steps, when it can save. Light: importing it imports nothing else."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Sequence

log = logging.getLogger("ppr")
STOPPING = (signal.SIGINT, signal.SIGTERM)


class Terminated(KeyboardInterrupt):
    """SIGTERM stopped the work; the command exits with 143, as a shell reports that signal."""


class StopRequest(threading.Event):
    """Set by the first of the signals; `signal` is its number, 0 before."""

    signal = 0

    def error(self) -> KeyboardInterrupt:
        """What ends the work that was asked to stop."""
        return interruption(self.signal)


def interruption(number: int) -> KeyboardInterrupt:
    """The exception that stands for a signal."""
    return Terminated() if number == signal.SIGTERM else KeyboardInterrupt()


@contextlib.contextmanager
def interruptible(request: StopRequest | None = None, signals: Sequence[signal.Signals] = STOPPING) -> Iterator[StopRequest]:
    """Turn the first Ctrl-C or SIGTERM into a flag that is looked at between steps; the second one acts at once.

    Outside the main thread, which alone gets signals, the flag is never set.
    """
    request = StopRequest() if request is None else request
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def note(number: int, _frame: object) -> None:
        restore()
        log.warning("stopping after this step; %s stops at once", "another Ctrl-C" if number == signal.SIGINT else "a second signal")
        request.signal = number
        request.set()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)

    previous = {number: signal.getsignal(number) for number in signals}
    for number in signals:
        signal.signal(number, note)
    try:
        yield request
    finally:
        restore()
