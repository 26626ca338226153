"""The report counts what the run's files say, and believes nothing that no run writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.config import TrainConfig
from ppr.methods.codedmarl.learners.journal import COLUMNS, Journal, Row
from ppr.methods.codedmarl.report import learner_rows, make_report, phase_rows, read, sentences
from ppr.methods.codedmarl.report_page import write_page
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.run import Run

EVIL = "<script>alert('x')</script>"


def row(iteration: int, learner: int, seconds: float | None, outcome: str = "used", **changes: Any) -> Row:
    values = {"agent": -1, "weight": 2, "updates": 2 if seconds else 1, "delay": 0.0, "submitted": 0.001, "received": 0.5, "first": 0.01}
    values |= {"bytes": 100, "host": EVIL, "pid": 7} | changes
    return Row(iteration=iteration, learner=learner, seconds=seconds, outcome=outcome, **values)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Ten iterations of four learners that hold two agents each; learner 3 takes twice the time of the others."""
    run = Run(tmp_path / "run")
    run.start(TrainConfig(learners=4, agents=4, code="balanced", env="none:<b>none"))
    build("balanced", 4, 4, tolerance=0, field="gf256").save(run.path / "code.npz")
    journal = Journal(run.path)
    for iteration in range(10):
        times = {"rollout": 0.1, "broadcast": 0.02, "wait": 0.3, "decode": 0.01 + (0.09 if iteration == 9 else 0), "apply": 0.02}
        run.log({"epoch": iteration + 1, **times, "seconds": sum(times.values()), "used": [0, 1, 2], "reissued": 0})
        journal.iteration = iteration
        for learner in range(3):
            journal.row(row(iteration, learner, 0.2))
        if iteration < 8:
            journal.row(row(iteration, 3, 0.4, "late", delay=0.2))
        else:
            journal.row(row(iteration, 3, None, "abandoned" if iteration == 8 else "lost", updates=0))
        journal.flush()
    journal.event("lost", learner=3, reason=EVIL)
    journal.event("back", learner=3)
    journal.event("disagreement", agent=EVIL, learners=[1, 2], field="real64")
    return run.path


def test_who_was_slow_and_what_was_in_vain(run):
    report = make_report(read(run))
    assert report.iterations == 10
    assert report.slow == [3]
    assert [one.slowdown for one in report.learners] == pytest.approx([1, 1, 1, 2])
    assert report.learners[3].outcomes == {"late": 8, "abandoned": 1, "lost": 1}
    assert report.learners[3].delayed == 8
    assert report.computed == 3 * 10 * 2 + 8 * 2
    assert report.wasted == pytest.approx(16 / 76)
    assert report.redundancy == pytest.approx(76 / 40)
    assert report.events == {"lost": 1, "back": 1, "disagreement": 1}
    json.dumps(report.record(), allow_nan=False)


def test_where_the_time_went(run):
    report = make_report(read(run))
    phases = {one.name: one for one in report.phases}
    assert phases["wait"].p50 == pytest.approx(0.3)
    assert phases["decode"].p50 == pytest.approx(0.01)
    assert 0.01 < phases["decode"].p99 < 0.1
    assert report.decode_share == pytest.approx((9 * 0.01 + 0.1) / (10 * 0.45 + 0.09))
    assert sum(entry["share"] for entry in phase_rows(report)[:-1]) == pytest.approx(1)
    assert [entry["learner"] for entry in learner_rows(report)] == [0, 1, 2, 3]
    text = "\n".join(sentences(report))
    assert "slower than 1.5 times the usual at equal work: learners 3" in text
    assert "1 learners were lost and 1 came back" in text


def test_the_page_needs_nothing_else_and_runs_nothing(run, tmp_path):
    recorded = read(run)
    write_page(recorded, make_report(recorded), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert "none:&lt;b&gt;none" in page
    assert "://" not in page
    with pytest.raises(UsageError, match="exists already"):
        write_page(recorded, make_report(recorded), tmp_path / "page.html")


def test_a_run_that_has_just_begun_or_had_no_learners(run, tmp_path):
    (run / "metrics.jsonl").write_text("")
    with pytest.raises(UsageError, match="no iteration was finished"):
        read(run)
    (run / "shares.csv").unlink()
    with pytest.raises(UsageError, match="there were no learners"):
        read(run)
    with pytest.raises(UsageError, match="not a run directory"):
        read(tmp_path)


def test_a_run_whose_shares_are_not_written_yet(run):
    (run / "shares.csv").write_text(",".join(COLUMNS) + "\n")
    recorded = read(run)
    report = make_report(recorded)
    assert (report.computed, report.wasted, report.slow) == (0, 0.0, [])
    write_page(recorded, report, run / "page.html")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "other columns than a run writes"),
        (",".join(COLUMNS) + "\nx" + ",1" * (len(COLUMNS) - 1) + "\n", "not the shares of a run"),
        (",".join(COLUMNS) + "\n0,-1,-1,2,2,0,0,1,1,1,8,h,1,used\n", "rows that no run writes"),
        (",".join(COLUMNS) + "\n0,1,-1,2,2,0,0,1,1,1,8,h,1,stolen\n", "rows that no run writes"),
        (",".join(COLUMNS) + "\n0,99,-1,2,2,0,0,1,1,1,8,h,1,used\n", "names a learner 99, and the run's code has 4"),
        (",".join(COLUMNS) + "\n0,1,-1,2,2,0,0,1,1,1,8,h,1,used,more,cells\n", "not the shares of a run"),
        ("\x00\xff", "not the shares of a run|other columns"),
    ],
)
def test_files_that_no_run_writes(run, text, message):
    (run / "shares.csv").write_text(text, encoding="latin-1")
    with pytest.raises(PprError, match=message):
        read(run)


def test_times_that_are_no_numbers(run):
    with (run / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 11, "rollout": "soon"}\n')
    with pytest.raises(PprError, match="times that are no numbers"):
        read(run)
