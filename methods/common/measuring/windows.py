"""What Windows tells of this process, where POSIX systems have calls of their own in Python."""

from __future__ import annotations

import ctypes
from ctypes import wintypes
from typing import Any


class _MemoryCounters(ctypes.Structure):
    """PROCESS_MEMORY_COUNTERS of psapi.h, sizes in bytes."""

    _fields_ = (
        ("cb", ctypes.c_uint32),
        ("PageFaultCount", ctypes.c_uint32),
        ("PeakWorkingSetSize", ctypes.c_size_t),
        ("WorkingSetSize", ctypes.c_size_t),
        ("QuotaPeakPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPagedPoolUsage", ctypes.c_size_t),
        ("QuotaPeakNonPagedPoolUsage", ctypes.c_size_t),
        ("QuotaNonPagedPoolUsage", ctypes.c_size_t),
        ("PagefileUsage", ctypes.c_size_t),
        ("PeakPagefileUsage", ctypes.c_size_t),
    )


def peak_working_set() -> int | None:
    """Largest resident memory so far in bytes; None where the call fails."""
    kernel, counters = _kernel32(), _MemoryCounters()
    counters.cb = ctypes.sizeof(counters)
    if not kernel.K32GetProcessMemoryInfo(_this_process(kernel), ctypes.byref(counters), counters.cb):
        return None
    return int(counters.PeakWorkingSetSize)


def allowed_cores() -> int | None:
    """Cores of the affinity mask, which `start /affinity` sets; None where the call fails or the process spans several groups of cores."""
    kernel, allowed, present = _kernel32(), ctypes.c_size_t(), ctypes.c_size_t()
    if not kernel.GetProcessAffinityMask(_this_process(kernel), ctypes.byref(allowed), ctypes.byref(present)):
        return None
    return allowed.value.bit_count() or None


def _this_process(kernel: Any) -> wintypes.HANDLE:
    kernel.GetCurrentProcess.restype = wintypes.HANDLE  # else the pseudo handle -1 would be cut to 32 bits
    return wintypes.HANDLE(kernel.GetCurrentProcess())


def _kernel32() -> Any:
    return ctypes.CDLL("kernel32")
