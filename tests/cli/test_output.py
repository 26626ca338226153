"""Batches: what one item's error does to the others, to the exit code and to the summary."""

from __future__ import annotations

import pytest

from ppr.cli import output
from ppr.methods.common.errors import PprError, UsageError


def test_an_items_error_is_said_and_the_batch_goes_on(capsys):
    batch = output.Batch()
    for number in range(3):
        with batch.item(), output.named(f"item {number}"):
            if number == 1:
                raise PprError("broken", hint="mend it")
    assert (batch.done, batch.failed) == (2, 1)
    assert batch.finish() == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["Error: item 1: broken", "  hint: mend it"]
    assert lines[2].startswith("2 done, ")
    assert lines[2].endswith("/s; 1 failed")


def test_a_single_item_needs_no_summary(capsys):
    batch = output.Batch()
    with batch.item():
        pass
    assert batch.finish() == 0
    assert capsys.readouterr().err == ""


def test_errors_that_concern_the_whole_command_end_it():
    batch = output.Batch()
    with pytest.raises(UsageError, match=r"^wrong$"), batch.item(stop_at=(UsageError,)), output.named("item", but=(UsageError,)):
        raise UsageError("wrong")
    with pytest.raises(PprError, match=r"^first: broken$"):
        hasty = output.Batch(fail_fast=True)
        with hasty.item(), output.named("first"):
            raise PprError("broken")
    assert (batch.done, batch.failed) == (0, 0)


def test_what_is_no_error_of_a_user_keeps_its_traceback():
    batch = output.Batch()
    with pytest.raises(ZeroDivisionError), batch.item():
        _ = 1 / 0


def test_each_item_moves_the_bar_on_whether_it_went_well_or_not(monkeypatch):
    import contextlib

    moved = []

    @contextlib.contextmanager
    def bar(description, total):
        yield lambda: moved.append((description, total))

    monkeypatch.setattr(output, "progress", bar)
    batch = output.Batch()
    with batch.progress("work", 2):
        for number in range(2):
            with batch.item():
                if number:
                    raise PprError("broken")
    with batch.item():  # after the bar
        pass
    assert moved == [("work", 2)] * 2
