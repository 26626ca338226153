"""How much memory this process has used."""

from __future__ import annotations

import sys
from pathlib import Path

from . import windows

STATUS = Path("/proc/self/status")


def peak_memory() -> float | None:
    """Largest resident memory of this process so far, in MB (10^6 bytes); None where the system does not tell."""
    if STATUS.exists():
        # Unlike what getrusage says, this begins anew in a process that a larger one has started.
        lines = STATUS.read_text(encoding="ascii").splitlines()
        return next(float(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith("VmHWM"))
    try:
        import resource
    except ImportError:  # Windows
        used = windows.peak_working_set()
        return None if used is None else used / 1e6
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return used / 1e6 if sys.platform == "darwin" else used * 1024 / 1e6


def forget_peak() -> None:
    """Let `peak_memory` begin anew at what is resident now; where the system cannot (other than Linux), it goes on as before."""
    switch = Path("/proc/self/clear_refs")
    if switch.exists():
        switch.write_text("5", encoding="ascii")
