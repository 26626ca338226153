"""`ppr codedmarl train` and `report` from the command line: a run from beginning to end, and what a wrong command is answered."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ppr.methods.codedmarl.learners.processes import started
from ppr.methods.common.config import read_yaml
from ppr.methods.common.running.run import Run

from ...waiting import until

QUICK = [
    *("--agents", "3", "--learners", "5", "--iterations", "6", "--envs", "4"),
    *("--set", "batch=32", "--set", "hidden=8", "--set", "warmup=100", "--set", "rollout=10", "--set", "replay=500"),
    *("--set", "evaluate_episodes=4", "--set", "evaluate_every=3"),
]
SIM = [*QUICK, "--engine", "sim"]


@pytest.fixture(autouse=True)
def quick_curves(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Drawing takes longer than most of these trainings."""
    if request.function is not test_train_and_report:
        monkeypatch.setattr(Run, "draw_curves", lambda _self: None)


def digests(run: Path) -> list[np.ndarray]:
    from safetensors.numpy import load_file

    return [value for _key, value in sorted(load_file(run / "last.safetensors").items())]


def test_train_and_report(ppr, tmp_path):
    run = tmp_path / "run"
    done = ppr("codedmarl", "train", *QUICK, "--stragglers", "1", "--delay", "20ms", "--kill-rate", "0.05", "--out", run)
    assert done.code == 0, done.err
    assert done.out.strip() == str(run / "best.safetensors")
    assert "iteration 6/6  return" in done.err
    config = read_yaml(run / "config.yaml")
    assert (config["straggler_model"], config["delay"], config["engine"]) == ("fixed", 0.02, "local")

    told = ppr("codedmarl", "report", run)
    assert told.code == 0, told.err
    assert told.out.splitlines()[-1] == str(run / "report.html")
    assert "6 iterations" in told.err
    page = (run / "report.html").read_text()
    assert page.count("data:image/png;base64,") == 3
    assert "http" not in page
    (record,) = ppr("codedmarl", "report", run, "--json").records
    assert record["iterations"] == 6
    assert len(record["learners"]) == 5

    again = ppr("codedmarl", "report", run, "--out", run / "report.html")
    assert (again.code, "exists already" in again.err) == (2, True)


def test_json_is_a_record_an_iteration(ppr, tmp_path):
    done = ppr("codedmarl", "train", *SIM, "--json", "--out", tmp_path / "run")
    assert done.code == 0, done.err
    assert [record["epoch"] for record in done.records[:-1]] == [1, 2, 3, 4, 5, 6]
    assert done.records[-1] == {"checkpoint": str(tmp_path / "run/best.safetensors")}


def test_the_engine_does_not_change_what_is_learned(ppr, tmp_path):
    for name, options in {"alone": ["--engine", "inproc"], "mds": ["--engine", "sim", "--code", "mds", "-k", "2"]}.items():
        done = ppr("codedmarl", "train", *QUICK, *options, "--out", tmp_path / name)
        assert done.code == 0, done.err
    for one, other in zip(digests(tmp_path / "alone"), digests(tmp_path / "mds"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_training_that_is_too_short_of_learners_ends_with_3_and_goes_on_elsewhere(ppr, tmp_path):
    """No learner answers within a tenth of a millisecond."""
    run = tmp_path / "run"
    done = ppr("codedmarl", "train", *QUICK, "--set", "timeout=0.0001", "--set", "retries=1", "--out", run)
    assert done.code == 3, done.err
    assert "more rounds brought no update of agent_0" in done.err
    assert "--resume" in done.err
    done = ppr("codedmarl", "train", "--resume", run, "--engine", "sim", "--set", "timeout=30")
    assert done.code == 0, done.err
    assert ppr("codedmarl", "train", *QUICK, "--engine", "inproc", "--out", tmp_path / "alone").code == 0
    for one, other in zip(digests(run), digests(tmp_path / "alone"), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_matrix_brings_its_numbers(ppr, tmp_path):
    np.save(tmp_path / "mine.npy", np.vstack([np.eye(3), np.ones((1, 3))]))
    done = ppr(
        "codedmarl", "train", *QUICK[:2], *QUICK[4:], "--engine", "sim", "--matrix", tmp_path / "mine.npy", "--out", tmp_path / "run"
    )
    assert done.code == 0, done.err
    config = read_yaml(tmp_path / "run/config.yaml")
    assert (config["learners"], config["field"]) == (4, "real64")


def test_a_preset_gives_way_to_another_code(ppr, tmp_path):
    done = ppr("codedmarl", "train", "--preset", "demo", *SIM, "--code", "replication", "--out", tmp_path / "run")
    assert done.code == 0, done.err


def test_a_cluster_that_is_not_there_leaves_no_folder(ppr, tmp_path):
    pytest.importorskip("ray")
    done = ppr("codedmarl", "train", "--engine", "ray", "--address", "127.0.0.1:1", "--out", tmp_path / "run")
    assert (done.code, "nothing answers there" in done.err) == (1, True)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        ([], 2, "give --out for a new run"),
        (["--out", "x", "--learners", "2"], 2, "2 learners for 3 agents"),
        (["--out", "x", "--code", "mds", "--tolerance", "1"], 2, "--tolerance: mds has none to choose"),
        (["--out", "x", "--tolerance", "9"], 2, "survives at most 3"),
        (["--out", "x", "--stragglers", "6"], 2, "6 stragglers of 6 learners"),
        (["--out", "x", "--delay", "soon"], 2, "'soon' is not a number with a unit"),
        (["--out", "x", "--preset", "dmeo"], 2, "is not one of 'demo', 'paper'"),
        (["--out", "x", "--set", "lerners=3"], 2, "did you mean 'learners'?"),
        (["--out", "x", "--env", "simple_spraed"], 2, "simple_spraed"),
        (["--out", "x", "--matrix", "none.npz"], 1, "none.npz"),
        (["--out", "x", "--trace", "none.csv"], 2, "none.csv: no such trace"),
        (["--out", "x", "--env", "simple_push", "--agents", "1"], 2, "simple_push"),
        (["--resume", "none"], 2, "none: not a run directory"),
        (["--out", "x", "--engine", "ray", "--address", "here"], 2, "--address here: not local, auto or HOST:PORT"),
    ],
)
def test_wrong_commands(ppr, tmp_path, monkeypatch, options, code, message):
    if "ray" in options:
        pytest.importorskip("ray")
    monkeypatch.chdir(tmp_path)
    done = ppr("codedmarl", "train", *options)
    assert (done.code, message in done.err) == (code, True), done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) <= 6


def test_what_is_settled_cannot_be_changed_by_resuming(ppr, tmp_path):
    run = tmp_path / "run"
    assert ppr("codedmarl", "train", *SIM, "--out", run).code == 0
    done = ppr("codedmarl", "train", "--resume", run, "--agents", "4")
    assert (done.code, "--resume goes on with the run's own agents (3)" in done.err) == (2, True)
    done = ppr("codedmarl", "train", "--resume", run, "--preset", "demo")
    assert done.code == 2
    done = ppr("codedmarl", "train", *SIM, "--out", run)
    assert (done.code, "holds an earlier run" in done.err) == (2, True)
    done = ppr("codedmarl", "train", *SIM, "--out", run, "--overwrite")
    assert done.code == 0


def test_without_ray_it_says_what_brings_it(ppr, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "ppr.methods.codedmarl.learners.on_ray", raising=False)
    done = ppr("codedmarl", "train", "--engine", "ray", "--out", tmp_path / "run")
    assert done.code == 1
    assert "pip install 'ppr[marl]'" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_ctrl_c_saves_and_leaves_no_process(tmp_path):
    """To the whole process group, as a terminal does; the learners must not mind."""
    run = tmp_path / "run"
    command = [sys.executable, "-m", "ppr.cli.main", "codedmarl", "train", *QUICK, "--iterations", "100000", "--out", str(run)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        metrics = run / "metrics.jsonl"
        until(lambda: metrics.is_file() and len(metrics.read_text().splitlines()) >= 3, alive=lambda: process.poll() is None)
        learners = [one["pid"] for one in json.loads((run / "learners.json").read_text())["learners"]]
        os.killpg(process.pid, signal.SIGINT)
        _out, said = process.communicate()
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert (run / "resume.pt").is_file()
    assert len(learners) == 6
    until(lambda: all(started(pid) is None for pid in learners))


def test_sigterm_saves_and_exits_143(ppr, tmp_path, monkeypatch):
    command = ("codedmarl", "train", *QUICK, "--engine", "inproc", "--iterations", "4", "--out", tmp_path / "run")
    log = Run.log

    def terminated(self: Run, record: dict[str, object]) -> None:
        log(self, record)
        signal.raise_signal(signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "log", terminated)
        stopped = ppr(*command)
    assert stopped.code == 143 and stopped.err.endswith("stopped\n")
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 1
    assert ppr("codedmarl", "train", "--resume", tmp_path / "run").code == 0
    assert len((tmp_path / "run/metrics.jsonl").read_text().splitlines()) == 4
