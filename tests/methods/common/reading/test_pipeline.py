"""The reader-worker-writer pipeline: order, errors, bounded look-ahead."""

from __future__ import annotations

import threading
import time

import pytest

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.pipeline import staged


def test_records_come_in_order_and_errors_stay_with_their_item():
    def load(item: int) -> int:
        time.sleep(0.002 * (item % 3))
        if item == 4:
            raise PprError("four cannot be read")
        return item

    def finish(item: int, loaded: int, result: int) -> str:
        if item == 7:
            raise PprError("seven cannot be written")
        return f"{item}:{result}"

    found = list(staged(range(10), load, lambda loaded: loaded * loaded, finish))
    assert [item for item, _ in found] == list(range(10))
    assert isinstance(found[4][1], PprError)
    assert isinstance(found[7][1], PprError)
    assert [record for _, record in found if isinstance(record, str)] == [f"{i}:{i * i}" for i in range(10) if i not in (4, 7)]


def test_it_reads_only_a_little_ahead():
    loaded = []
    stages = staged(range(1000), lambda item: loaded.append(item), lambda _: None, lambda item, *_: item, ahead=3)
    next(stages)
    time.sleep(0.05)
    assert len(loaded) <= 10
    stages.close()
    assert len(loaded) <= 10


def test_the_work_stays_in_the_callers_thread():
    threads = set()
    list(staged(range(5), lambda item: item, lambda _: threads.add(threading.current_thread()), lambda *_: None))
    assert threads == {threading.current_thread()}


def test_a_bug_is_not_swallowed():
    with pytest.raises(ZeroDivisionError):
        list(staged([1, 0], lambda item: item, lambda item: 1 // item, lambda *_: None))
