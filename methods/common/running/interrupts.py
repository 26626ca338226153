"""Signals that stop a training between two steps, when it can save. Light: importing it imports nothing else."""

from __future__ import annotations

import contextlib
import logging
import signal
import threading
from collections.abc import Iterator, Sequence

log = logging.getLogger("ppr")


@contextlib.contextmanager
def interruptible(signals: Sequence[signal.Signals] = (signal.SIGINT,)) -> Iterator[threading.Event]:
    """Turn the first Ctrl-C, or another of the signals, into a flag that is looked at between steps; the second one acts at once."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag
        return

    def note(_signal: int, _frame: object) -> None:
        restore()
        log.warning("stopping after this step; press Ctrl-C again to stop at once")
        flag.set()

    def restore() -> None:
        for number, handler in previous.items():
            signal.signal(number, handler or signal.SIG_DFL)

    previous = {number: signal.getsignal(number) for number in signals}
    for number in signals:
        signal.signal(number, note)
    try:
        yield flag
    finally:
        restore()
