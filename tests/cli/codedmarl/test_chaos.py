"""`ppr codedmarl chaos` kills learners of a running training and nothing else; the training doesn't mind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ppr.methods.codedmarl.learners.journal import Journal
from ppr.methods.codedmarl.learners.processes import boot_id, started
from ppr.methods.codedmarl.learners.work import HOST

from ...waiting import until
from .test_train import QUICK


def events(run: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (run / "events.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_killed_learners_are_replaced(ppr, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "ppr.cli.main", "codedmarl", "train", *QUICK, "--iterations", "100000", "-q", "--out", str(run)]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            until((run / "metrics.jsonl").is_file, alive=lambda: process.poll() is None)
            busy = ppr("codedmarl", "train", "--resume", run)
            assert (busy.code, "is being trained by another process" in busy.err) == (2, True)
            learners = {one["pid"]: one["learner"] for one in json.loads((run / "learners.json").read_text())["learners"]}
            done = ppr("codedmarl", "chaos", run, "--kill", "2", "--seed", "1", "--json")
            assert done.code == 0, done.err
            killed = {record["pid"]: record["learner"] for record in done.records}
            assert len(killed) == 2
            assert killed.items() <= learners.items()
            until(lambda: events(run).count("back") == 2, alive=lambda: process.poll() is None)
            assert events(run).count("lost") == 2
            assert all(started(pid) is None for pid in killed)
            assert process.poll() is None
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait() == 143
    assert (run / "resume.pt").is_file()
    done = ppr("codedmarl", "chaos", run)
    assert (done.code, "no training with learners goes on there" in done.err) == (2, True)


def test_a_process_that_is_no_longer_that_learner_is_left_alone(ppr, tmp_path):
    """The numbers of two learners were given to other processes since: one of them lives, and stays alive."""
    Journal(tmp_path)
    with subprocess.Popen(["sleep", "60"]) as bystander:
        start = started(bystander.pid)
        assert start is not None
        learners = [
            {"learner": 0, "pid": bystander.pid, "host": HOST, "started": start - 1},
            {"learner": 1, "pid": 2**22 + 1, "host": HOST, "started": 5},
            {"learner": 2, "pid": bystander.pid, "host": "elsewhere", "started": start},
            {"learner": None, "pid": bystander.pid, "host": HOST, "started": start},
        ]
        # The test's own parent stands for the controller, which has to live.
        controller = {"controller": os.getppid(), "started": started(os.getppid())}
        (tmp_path / "learners.json").write_text(json.dumps({"host": HOST, "boot": boot_id(), **controller, "learners": learners}))
        done = ppr("codedmarl", "chaos", tmp_path, "--kill", "2")
        assert (done.code, "0 of 2 learners were killed" in done.err) == (1, True)
        assert bystander.poll() is None
        bystander.kill()


def test_lists_that_are_none(ppr, tmp_path):
    for text in ("[]", "{", '{"learners": [{"pid": "1"}]}', '{"host": 3}'):
        (tmp_path / "learners.json").write_text(text)
        done = ppr("codedmarl", "chaos", tmp_path)
        assert (done.code, "not a list of learners" in done.err) == (1, True)
    elsewhere = {"host": "elsewhere", "boot": "x", "controller": 5, "started": 7, "learners": []}
    (tmp_path / "learners.json").write_text(json.dumps(elsewhere))
    done = ppr("codedmarl", "chaos", tmp_path)
    assert (done.code, "it was started on elsewhere" in done.err) == (2, True)
