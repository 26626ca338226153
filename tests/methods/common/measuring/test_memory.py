"""The peak of a process's memory."""

from __future__ import annotations

import mmap
import sys

import pytest

from ppr.methods.common.measuring.memory import forget_peak, peak_memory

SIZE = 200 << 20


def touched() -> mmap.mmap:
    block = mmap.mmap(-1, SIZE)
    for page in range(0, SIZE, mmap.PAGESIZE):
        block[page] = 1
    return block


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux forgets")
def test_the_peak_outlives_the_memory_until_it_is_forgotten():
    forget_peak()
    before = peak_memory()
    touched().close()
    assert peak_memory() - before == pytest.approx(SIZE / 1e6, rel=0.1)
    forget_peak()
    assert peak_memory() - before < 0.2 * SIZE / 1e6
