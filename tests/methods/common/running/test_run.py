"""Run directories: never silently reused, readable after a crash."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from ppr.methods.common.config import BaseTrainConfig
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.random import restore_rng, rng_state
from ppr.methods.common.running.run import Run


@pytest.fixture
def run(tmp_path) -> Run:
    started = Run(tmp_path / "run")
    started.start(BaseTrainConfig(epochs=3, seed=9))
    return started


def test_the_configuration_comes_back(run):
    assert run.config(BaseTrainConfig) == BaseTrainConfig(epochs=3, seed=9)


def test_an_earlier_run_is_kept_unless_asked(run):
    run.log({"epoch": 1, "mae": 0.5})
    (run.path / "my notes.txt").write_text("keep me")
    with pytest.raises(UsageError, match="holds an earlier run"):
        run.start(BaseTrainConfig())
    assert len(run.history()) == 1
    run.start(BaseTrainConfig(), overwrite=True)
    assert run.history() == []
    assert (run.path / "my notes.txt").read_text() == "keep me"


def test_a_file_is_not_a_run(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="is a file"):
        Run(tmp_path / "file").start(BaseTrainConfig())
    with pytest.raises(UsageError, match="not a run directory"):
        Run(tmp_path / "nowhere").config(BaseTrainConfig)


def test_records_are_announced_and_kept(tmp_path):
    seen: list[dict[str, object]] = []
    run = Run(tmp_path, announce=seen.append)
    run.log({"epoch": 1, "mae": 0.5})
    assert seen == [{"epoch": 1, "mae": 0.5}]
    assert run.history()[0] | {"time": 0} == {"epoch": 1, "mae": 0.5, "time": 0}


def test_a_half_written_line_is_passed_over(run):
    run.log({"epoch": 1, "mae": 0.5})
    with run.metrics.open("a") as stream:
        stream.write('5\nnull\n{"epoch": 2, "ma')
    assert [record["epoch"] for record in run.history()] == [1]
    run.truncate_history(1)
    run.log({"epoch": 2, "mae": 0.4})
    assert [record["epoch"] for record in run.history()] == [1, 2]


def test_records_behind_the_saved_state_are_forgotten(run):
    for epoch in (1, 2, 3):
        run.log({"epoch": epoch, "mae": 0.5 / epoch})
    run.truncate_history(2)
    assert [record["epoch"] for record in run.history()] == [1, 2]


def test_the_state_comes_back(run):
    state = {"position": {"epoch": 2, "best": 0.25}, "network": {"w": torch.randn(3)}}
    run.save_state(state)
    loaded = run.load_state()
    assert loaded["position"] == state["position"]
    assert torch.equal(loaded["network"]["w"], state["network"]["w"])


def test_a_missing_or_damaged_state_is_named(run):
    with pytest.raises(UsageError, match="nothing to resume"):
        run.load_state()
    run.save_state({"a": torch.zeros(100)})
    run.resume.write_bytes(run.resume.read_bytes()[:-50])
    with pytest.raises(PprError, match=r"resume\.pt: damaged"):
        run.load_state()


def test_random_numbers_go_on_where_they_stopped():
    state = rng_state()
    expected = torch.rand(4)
    torch.rand(100)
    restore_rng(state)
    assert torch.equal(torch.rand(4), expected)


def test_curves_are_drawn_from_what_was_logged(run):
    run.draw_curves()
    assert not (run.path / "curves.png").exists()
    for epoch in (1, 2):
        run.log({"epoch": epoch, "mae": 0.5 / epoch, "loss": 1.0 / epoch})
    run.draw_curves()
    assert (run.path / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_an_empty_configuration_is_no_training_by_the_defaults(run):
    (run.path / "config.yaml").write_text("")
    with pytest.raises(UsageError, match=r"config\.yaml: empty"):
        run.config(BaseTrainConfig)


def test_a_folder_named_like_a_file_of_a_run_costs_nothing(run):
    run.log({"epoch": 1})
    (run.path / "best.safetensors").mkdir()
    with pytest.raises(UsageError, match=r"best\.safetensors: is a folder"):
        run.start(BaseTrainConfig(), overwrite=True)
    assert len(run.history()) == 1 and (run.path / "config.yaml").is_file()


SECOND = "import sys\nfrom pathlib import Path\nfrom ppr.methods.common.running.run import Run\nRun(Path(sys.argv[1])).hold()"


def second(run: Run) -> str:
    """What another process hears that wants to train in the run."""
    return subprocess.run([sys.executable, "-c", SECOND, run.path], capture_output=True, text=True, check=False, timeout=120).stderr


def test_a_run_is_trained_by_one_process(run):
    run.release()
    run.hold()
    run.hold()
    assert "UsageError" in (said := second(run)) and "is being trained by another process" in said
    run.release()
    assert second(run) == ""


def test_what_is_being_trained_is_not_overwritten(run):
    with pytest.raises(UsageError, match="is being trained by another process"):
        Run(run.path).start(BaseTrainConfig(epochs=1), overwrite=True)
    assert run.config(BaseTrainConfig).epochs == 3


def test_a_process_that_dies_holds_nothing(run):
    run.release()
    script = SECOND + "\nimport os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", script, run.path], capture_output=True, check=False, timeout=120)
    run.hold()


def test_a_discarded_run_leaves_its_folder_to_others(run):
    (run.path / "code.npz").touch()
    run.discard("code.npz")
    assert not run.path.exists()
    run.start(BaseTrainConfig())
    (run.path / "my notes.txt").touch()
    run.discard()
    assert [path.name for path in run.path.iterdir()] == ["my notes.txt"]
