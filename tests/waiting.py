"""Waiting for what has to happen instead of for a while, and Ctrl-C at the moment when it has."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Seconds after which something will not happen any more, however busy the machine is.
LIMIT = 300.0


def until(happened: Callable[[], object], *, alive: Callable[[], object] = lambda: True) -> None:
    """Return once something has happened.

    Raises:
        AssertionError: it did not, though there was time enough; or what should have brought it about is no longer alive.
    """
    end = time.monotonic() + LIMIT
    while not happened():
        assert alive(), "it has ended too early"
        assert time.monotonic() < end, f"did not happen within {LIMIT:.0f} s"
        time.sleep(0.01)


@contextmanager
def ctrl_c_after(*steps: Callable[[], object]) -> Iterator[None]:
    """Ctrl-C in this process, which works meanwhile, once each step has given something true, one after the other."""
    left = threading.Event()
    failed: list[AssertionError] = []

    def press() -> None:
        try:
            for step in steps:
                until(step, alive=lambda: not left.is_set())
        except AssertionError as error:
            failed.append(error)
        if not left.is_set():
            os.kill(os.getpid(), signal.SIGINT)

    presser = threading.Thread(target=press, daemon=True)
    presser.start()
    try:
        yield
    finally:
        left.set()
        presser.join()
    if failed:
        raise failed[0]
