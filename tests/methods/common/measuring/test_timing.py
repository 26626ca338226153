"""Timing by clocks that are made up, and processes of their own."""

from __future__ import annotations

import os
import signal
import sys
import time
from multiprocessing.context import SpawnProcess

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import floats, lists

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.measuring.timing import Timing, in_fresh_process, in_turns, repeat


class Machine:
    """A clock that only work moves on."""

    def __init__(self):
        self.now, self.log = 0.0, []

    def __call__(self):
        return self.now

    def work(self, name, *seconds):
        taken = iter(seconds)

        def do():
            self.log.append(name)
            self.now += next(taken)

        return do


def test_warming_up_does_not_count():
    machine = Machine()
    timing = repeat(machine.work("a", 60, 1, 2, 6), 3, warm=1, clock=machine)
    assert timing.seconds == (1, 2, 6)
    assert (timing.median, timing.least, timing.most, timing.mean) == (2, 1, 6, 3)


def test_works_take_turns_and_are_compared_by_medians():
    machine = Machine()
    found = in_turns({"ours": machine.work("ours", 9, 2, 2, 8), "peer": machine.work("peer", 9, 5, 6, 7)}, 3, clock=machine)
    assert machine.log == ["ours", "peer"] * 4
    assert found["ours"].seconds == (2, 2, 8)
    assert found["peer"].ratio(found["ours"]) == 3


@given(values=lists(floats(1e-6, 1e3), min_size=1, max_size=30), percent=floats(0, 100))
def test_percentiles_are_numpys(values, percent):
    assert Timing(tuple(values)).percentile(percent) == pytest.approx(np.percentile(values, percent))


def where(size, *, bad=False):
    if bad:
        raise UsageError(f"{size}: too much", hint="less")
    block = np.ones(size, np.uint8)
    return os.getpid(), int(block.sum()), signal.getsignal(signal.SIGINT)


def die(code):
    os._exit(code)


def test_a_process_of_its_own_tells_what_it_took():
    small, large = in_fresh_process(where, 1), in_fresh_process(where, 300_000_000)
    assert len({os.getpid(), small.result[0], large.result[0]}) == 3
    assert large.result[1:] == (300_000_000, signal.SIG_IGN), "Ctrl-C is the parent's to handle"
    assert large.seconds > 0
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if sys.platform == "linux":
        assert large.peak_mb - small.peak_mb == pytest.approx(300, abs=30)


def test_its_errors_arrive():
    with pytest.raises(UsageError, match="5: too much") as caught:
        in_fresh_process(where, 5, bad=True)
    assert caught.value.hint == "less"
    assert "in where" in caught.value.__notes__[0]
    with pytest.raises(PprError, match=r"died \(exit code 7"):
        in_fresh_process(die, 7)


def test_an_interrupt_leaves_no_process(monkeypatch):
    """The wait for the result is interrupted: the process, which ignores the signal, is ended."""
    started = []
    start = SpawnProcess.start

    def noted(process):
        start(process)
        started.append(process)
        signal.raise_signal(signal.SIGTERM)

    def stop(_number, _frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(SpawnProcess, "start", noted)
    before = signal.signal(signal.SIGTERM, stop)
    try:
        with pytest.raises(KeyboardInterrupt):
            in_fresh_process(time.sleep, 60)
    finally:
        signal.signal(signal.SIGTERM, before)
    (process,) = started
    assert process.exitcode != 0, "ended, not waited for"
    assert not process.is_alive()
