"""`ppr codedmarl bench`: a coded iteration does not wait for a straggler, and the planner knows how long it takes."""

from __future__ import annotations

import csv

import pytest

SMALL = ["--agents", "3", "--learners", "6", "--set", "batch=32", "--set", "hidden=8", "--set", "warmup=100", "--set", "rollout=10"]


def test_one_straggler_of_ten_seconds(ppr, tmp_path):
    """On a virtual clock: tolerance 1 saves more than 8 s an iteration, and the plan from the measured times is right within 15 %."""
    out, plot = tmp_path / "bench.csv", tmp_path / "bench.png"
    options = ["--codes", "uncoded,balanced,mds", "--stragglers", "0,1", "--delay", "10", "--iterations", "7", "--tolerance", "1"]
    done = ppr("codedmarl", "bench", *SMALL, *options, "--engine", "sim", "--out", out, "--plot", plot, "--json")
    assert done.code == 0, done.err
    found = {(record["code"], record["stragglers"]): record for record in done.records}
    assert len(found) == 6
    slow = found["uncoded", 1]
    assert slow["median"] > 10
    for code in ("balanced", "mds"):
        assert found[code, 1]["median"] < slow["median"] - 8
    assert slow["median"] == pytest.approx(slow["planned"], rel=0.15)
    assert plot.read_bytes().startswith(b"\x89PNG")
    with out.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["code"], int(row["stragglers"])) for row in rows] == list(found)
    assert float(rows[-1]["median"]) == pytest.approx(found["mds", 1]["median"], abs=1e-5)
    again = ppr("codedmarl", "bench", *SMALL, "--out", out)
    assert (again.code, "exists already" in again.err) == (2, True)


def test_processes_of_this_machine_wait_for_a_straggler(ppr):
    """However busy the machine is, an uncoded iteration takes at least the delay."""
    options = ["--codes", "uncoded", "--stragglers", "1", "--delay", "0.2", "--iterations", "2"]
    done = ppr("codedmarl", "bench", *SMALL, *options, "--engine", "local", "--json")
    assert done.code == 0, done.err
    (record,) = done.records
    assert record["median"] > 0.2


def test_on_the_virtual_clock_every_code_is_as_planned(ppr):
    """Waits follow from the work and the delays alone, whatever else this machine does: delays of 25 s leave no room for noise."""
    done = ppr("codedmarl", "bench", *SMALL, "--engine", "sim", "--stragglers", "2", "--delay", "25", "--iterations", "8", "--json")
    assert done.code == 0, done.err
    assert len(done.records) == 7
    for record in done.records:
        assert record["mean"] == pytest.approx(record["planned, these draws"], rel=0.02, abs=0.3)
    waits = {record["code"]: record["median"] for record in done.records}
    assert waits["uncoded"] > 25
    assert all(waits[code] < 1 for code in ("mds", "balanced", "multi"))


def test_profile_feeds_the_planner(ppr):
    (record,) = ppr("codedmarl", "bench", *SMALL, "--profile", "--iterations", "3", "--json").records
    assert 0 < record["update_time"] < 1
    assert 0 < record["overhead"] < 1
    done = ppr("codedmarl", "bench", *SMALL, "--profile", "--iterations", "3")
    command = done.out.splitlines()[-1].split()[1:]
    assert ppr(*command, "--stragglers", "1").code == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--codes", "uncoded,nothing"], "'nothing' is none of uncoded"),
        (["--codes", ","], "is none of"),
        (["--stragglers", "0,x"], "not a list of numbers"),
        (["--stragglers", "6"], "6 stragglers of 6 learners"),
        (["--codes", "ldpc", "--learners", "3"], "no code that can be made"),
        (["--agents", "9"], "no code that can be made"),
    ],
)
def test_wrong_commands(ppr, options, message):
    done = ppr("codedmarl", "bench", *SMALL, *options)
    assert (done.code, message in done.err) == (2, True), done.err
