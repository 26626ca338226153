"""Processes that are ended only while they still are what they were."""

from __future__ import annotations

import signal
import subprocess

from ppr.methods.codedmarl.learners.processes import kill, started


def test_a_process_is_killed_only_if_it_is_still_that_process():
    with subprocess.Popen(["sleep", "60"]) as process:
        start = started(process.pid)
        assert start is not None
        assert not kill(process.pid, start + 1)
        assert process.poll() is None
        assert kill(process.pid, start)
        assert process.wait() == -signal.SIGKILL
    assert not kill(process.pid, start)
    assert started(process.pid) is None
