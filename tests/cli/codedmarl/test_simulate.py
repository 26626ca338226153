"""`ppr codedmarl simulate`: closed forms through the command line, its outputs, and what wrong options get."""

from __future__ import annotations

import csv

import numpy as np
import pytest

EXPONENTIAL = ("--model", "exp", "--update-time", "1s", "--delay", "1s")


def refused(answer, code, *parts):
    assert answer.code == code, answer.out + answer.err
    assert not answer.out
    assert "Traceback" not in answer.err
    for part in parts:
        assert part in answer.err


def test_closed_forms(ppr):
    answer = ppr("codedmarl", "simulate", "--code", "mds", "--code", "uncoded", *EXPONENTIAL, "-n", "3000", "--seed", "2", "--json")
    mds, uncoded = answer.records
    assert mds["mean"] == pytest.approx(13.803, rel=0.01)
    assert uncoded["mean"] == pytest.approx(3.718, rel=0.01)
    assert mds["code"] == "mds" and mds["iterations"] == 3000 and mds["given_up"] == 0


def test_table_csv_and_picture(ppr, tmp_path):
    from PIL import Image

    table, picture = tmp_path / "sim.csv", tmp_path / "sim.png"
    options = ("--code", "balanced:2", "--code", "multi", "--tolerance", "1", "-k", "3", "--delay", "0.5", "-n", "40")
    rates = (
        "--mean-time-to-crash",
        "20s",
        "--mean-time-to-restart",
        "2s",
        "--bandwidth",
        "1Gbit",
        "--abandon",
        "update",
        "--timeout",
        "3s",
    )
    answer = ppr("codedmarl", "simulate", *options, *rates, "--overhead", "0.1", "--out", table, "--plot", picture)
    assert answer.code == 0, answer.err
    assert "balanced s=2" in answer.out and "multi s=1" in answer.out
    with table.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["code"] for row in rows] == ["balanced s=2"] * 40 + ["multi s=1"] * 40
    assert all(float(row["seconds"]) >= 0.12 for row in rows)
    with Image.open(picture) as image:
        assert image.size[0] > 1000
    refused(ppr("codedmarl", "simulate", "--out", table), 2, "exists already")
    again = ppr("codedmarl", "simulate", *options, *rates, "--overhead", "0.1", "--out", table, "--overwrite", "--json")
    with table.open(newline="") as stream:
        assert list(csv.DictReader(stream)) == rows
    assert again.records[0]["mean"] == pytest.approx(np.mean([float(row["seconds"]) for row in rows[:40]]))


def test_a_schedule_of_faults_hangs_nothing(ppr, tmp_path):
    lines = [f"0,{learner},,drop" for learner in range(6)] + ["1,2,0.25,delay", "2,0,,kill", "2,1,,corrupt", "3,0,,kill"]
    (tmp_path / "f.csv").write_text("\n".join(["iteration,learner,delay,kind", *lines]) + "\n")
    options = ("--learners", "6", "--agents", "3", "--code", "uncoded", "--code", "balanced:2", "-n", "8", "--timeout", "1s")
    answer = ppr("codedmarl", "simulate", *options, "--trace", tmp_path / "f.csv", "--mean-time-to-restart", "0.05s", "--json")
    uncoded, balanced = answer.records
    assert uncoded["given_up"] == balanced["given_up"] == 2  # the schedule of four iterations runs twice
    assert uncoded["rescued"] == 4 and balanced["rescued"] == 0


def test_a_matrix_of_ones_own(ppr, tmp_path):
    np.savez(tmp_path / "mine.npz", np.vstack([np.eye(3), np.ones((2, 3))]))
    (row,) = ppr("codedmarl", "simulate", "--matrix", tmp_path / "mine.npz", "-n", "20", "-k", "1", "--json").records
    assert row["code"] == "mine.npz" and row["iterations"] == 20
    refused(ppr("codedmarl", "simulate", "--matrix", tmp_path / "mine.npz", "--agents", "2"), 2, "5 learners x 3 agents, not of 5 x 2")


REFUSED = [
    (("--learners", "7"), 0, ()),
    (("--learners", "7", "--agents", "8"), 2, ("fewer than the 8 agents",)),
    (("--code", "balancd"), 2, ("--code balancd", "did you mean 'balanced'?")),
    (("--code", "balanced:8"), 2, ("--tolerance 8", "at most 7")),
    (("--code", "balanced:x"), 2, ("'x' is not a number of losses",)),
    (("--code", "mds:2"), 2, ("mds has no tolerance to choose",)),
    (("--code", "ldpc", "--learners", "4", "--agents", "4"), 2, ("4",)),
    (("--stragglers", "15"), 2, ("at most 14",)),
    (("--iterations", "0"), 2, ("0",)),
    (("--mean-time-to-crash", "0"), 2, ("is not above 0",)),
    (("--mean-time-to-crash", "3 fortnights"), 2, ("unknown unit 'fortnights'",)),
    (("--kill-rate", "1"), 2, ("a chance below 1",)),
    (("--kill-rate", "-0.1"), 2, ("a chance below 1",)),
    (("--learners", "10001"), 2, ("10001",)),
]


@pytest.mark.parametrize(("options", "code", "parts"), REFUSED, ids=[" ".join(options) for options, *_rest in REFUSED])
def test_wrong_options(ppr, options, code, parts):
    answer = ppr("codedmarl", "simulate", "-n", "2", *options)
    if code:
        refused(answer, code, *parts)
    else:  # seven learners take the seven agents that they can
        assert answer.code == 0, answer.err
