"""How many cores this process may use, and how many of them torch does."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

from . import windows


def usable_cores() -> int:
    """Cores this process may run on: fewer than the machine's in a container, under `taskset` or `start /affinity`."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    allowed = windows.allowed_cores() if sys.platform == "win32" else None
    return allowed or os.cpu_count() or 1


@contextlib.contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Inside the block torch works with that many threads; sums in another order have other last bits."""
    import torch

    before = torch.get_num_threads()
    if before == threads:  # setting it costs more than a small network's step
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
