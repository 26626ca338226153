"""Cores on the three systems, and torch's threads."""

from __future__ import annotations

import os

import pytest
import torch

from ppr.methods.common.measuring import cores, windows


def test_linux_counts_what_this_process_may_use(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _process: {0, 3, 5}, raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert cores.usable_cores() == 3


def test_macos_counts_all(monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores.sys, "platform", "darwin")
    monkeypatch.setattr(os, "cpu_count", lambda: 10)
    assert cores.usable_cores() == 10
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert cores.usable_cores() == 1


class Kernel:
    """Windows's calls, with what they would fill in."""

    def __init__(self, *, mask=0, peak=0, fails=False):
        self.mask, self.peak, self.fails = mask, peak, fails
        self.GetCurrentProcess = lambda: -1

    def GetProcessAffinityMask(self, _process, allowed, present):
        allowed._obj.value, present._obj.value = self.mask, 0xFFFF
        return 0 if self.fails else 1

    def K32GetProcessMemoryInfo(self, _process, counters, size):
        assert size == counters._obj.cb == 8 + 8 * 8, "two DWORDs and eight sizes"
        counters._obj.PeakWorkingSetSize = self.peak
        return 0 if self.fails else 1


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [(Kernel(mask=0b1011), 3), (Kernel(mask=0), 16), (Kernel(mask=1, fails=True), 16)],
    ids=["mask", "groups", "fails"],
)
def test_windows_counts_the_affinity_mask(monkeypatch, kernel, expected):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(cores.sys, "platform", "win32")
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(windows, "_kernel32", lambda: kernel)
    assert cores.usable_cores() == expected


def test_windows_tells_its_peak(monkeypatch):
    monkeypatch.setattr(windows, "_kernel32", lambda: Kernel(peak=123_000_000))
    assert windows.peak_working_set() == 123_000_000
    monkeypatch.setattr(windows, "_kernel32", lambda: Kernel(peak=5, fails=True))
    assert windows.peak_working_set() is None


def test_torch_has_its_threads_back_also_after_an_error():
    before = torch.get_num_threads()
    with pytest.raises(KeyError), cores.torch_threads(before + 1):
        assert torch.get_num_threads() == before + 1
        raise KeyError
    assert torch.get_num_threads() == before
