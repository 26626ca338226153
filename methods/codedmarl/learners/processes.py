"""Processes of this machine that are known by more than a number: numbers are given again, a number with its start time is not."""

from __future__ import annotations

import os
import signal
from pathlib import Path


def started(pid: int) -> int | None:
    """When a process was started, in clock ticks since the machine was; None where that cannot be read or it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets, which can hold anything.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else int(fields[19])


def boot_id() -> str:
    """What tells this start of the machine from others; empty where the system has no such thing."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


def kill(pid: int, start: int) -> bool:
    """End a process at once (SIGKILL) if it is still the one that was started then; returns whether it was.

    Raises:
        PermissionError: it belongs to somebody else.
    """
    if pid <= 1:
        return False
    try:
        # What is behind the descriptor cannot become another process between the look and the signal.
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    try:
        if started(pid) != start:
            return False
        signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)
