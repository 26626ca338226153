"""The peak of a process's memory."""

from __future__ import annotations

import mmap
import sys

import pytest

from ppr.methods.common.measuring import memory
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


def test_without_proc_the_system_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "absent")
    resource = pytest.importorskip("resource")
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for platform, unit in (("linux", 1024), ("darwin", 1)):
        monkeypatch.setattr(memory.sys, "platform", platform)
        assert peak_memory() == pytest.approx(used * unit / 1e6, rel=0.05)


def test_on_windows_its_own_call_is_asked(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "STATUS", tmp_path / "absent")
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.setattr(memory.windows, "peak_working_set", lambda: 77_000_000)
    assert peak_memory() == 77.0
    monkeypatch.setattr(memory.windows, "peak_working_set", lambda: None)
    assert peak_memory() is None
