"""`ppr saliency train` end to end: train, kill, resume, infer, export; and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from ppr.methods.common.running.checkpoint import load_checkpoint, read_meta
from ppr.methods.saliency.pairs.procedural import scene

from ...waiting import ctrl_c_after, until

TRAIN = [sys.executable, "-m", "ppr.cli.main", "saliency", "train"]
FAST = ["--arch", "ras-mobile-s", "--size", "64", "--batch", "4", "--device", "cpu"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("data")
    for kind in ("imgs", "gt"):
        (root / kind).mkdir()
    for index in range(24):
        image, mask = scene(64, 64, seed=2, index=index)
        Image.fromarray(image).save(root / "imgs" / f"{index}.jpg")
        Image.fromarray(mask).save(root / "gt" / f"{index}.png")
    return root


@pytest.mark.slow
def test_from_nothing_to_an_exported_network(ppr, pairs, tmp_path):
    run = tmp_path / "run"
    answer = ppr("saliency", "train", "--data", pairs, *FAST, "--epochs", "2", "--out", run, "--json")
    assert answer.code == 0, answer.err
    lines = answer.out.splitlines()
    assert answer.records[-1] == {"checkpoint": str(run / "best.safetensors")}
    assert '"epoch": 2' in lines[1]
    assert {path.name for path in run.iterdir() if not path.name.startswith(".")} == {
        "best.safetensors",
        "last.safetensors",
        "config.yaml",
        "curves.png",
        "metrics.jsonl",
        "resume.pt",
    }

    photo = tmp_path / "x.png"
    Image.fromarray(scene(90, 70, seed=1)[0]).save(photo)
    assert ppr("saliency", "infer", photo, "--checkpoint", run / "best.safetensors", "--size", "64").code == 0
    exported = ppr("saliency", "export", "--checkpoint", run / "best.safetensors", "--size", "64", "-o", tmp_path / "x.onnx", "--json")
    assert exported.code == 0, exported.err
    (report,) = exported.records
    assert report["max_difference"] < 1e-4
    assert ppr("saliency", "infer", photo, "--checkpoint", tmp_path / "x.onnx", "--overwrite").code == 0
    slim = ppr(
        "saliency",
        "export",
        "--checkpoint",
        run / "best.safetensors",
        "--format",
        "safetensors",
        "--precision",
        "fp16",
        "-o",
        tmp_path / "s.safetensors",
    )
    assert slim.code == 0
    assert (tmp_path / "s.safetensors").stat().st_size < 0.6 * (run / "best.safetensors").stat().st_size
    assert ppr("saliency", "export", "-o", tmp_path / "x.onnx").code == 2, "never over an existing file"


@pytest.mark.slow
@pytest.mark.usefixtures("undrawn")
def test_killed_and_resumed_equals_uninterrupted(ppr, pairs, tmp_path):
    """SIGKILL in the middle of an epoch: the last checkpoint loads, and --resume ends with the weights of a run that was left alone."""
    options = [*FAST, "--epochs", "3", "--set", "save_minutes=0.0001", "--set", "ema=0.9"]
    assert ppr("saliency", "train", "--data", pairs, *options, "--out", tmp_path / "whole").code == 0
    broken = tmp_path / "broken"
    process = subprocess.Popen(
        [*TRAIN, "--data", str(pairs), *options, "--out", str(broken)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    until((broken / "last.safetensors").exists, alive=lambda: process.poll() is None)
    process.kill()
    process.wait()
    assert read_meta(broken / "last.safetensors").epoch >= 1
    answer = ppr("saliency", "train", "--resume", broken)
    assert answer.code == 0, answer.err
    for name in ("last.safetensors", "best.safetensors"):
        ours, theirs = load_checkpoint(broken / name).state, load_checkpoint(tmp_path / "whole" / name).state
        assert all((ours[key] == theirs[key]).all() for key in theirs)


@pytest.mark.usefixtures("undrawn")
def test_ctrl_c_saves_and_exits_130(ppr, pairs, tmp_path):
    run = tmp_path / "run"
    with ctrl_c_after((run / "metrics.jsonl").exists):
        answer = ppr("saliency", "train", "--data", pairs, *FAST, "--epochs", "5000", "--out", run)
    assert answer.code == 130
    assert "Traceback" not in answer.err
    assert (run / "resume.pt").exists()


@pytest.mark.slow
def test_two_processes_train_one_network(pairs, tmp_path):
    run = tmp_path / "run"
    command = [*TRAIN, "--data", str(pairs), *FAST, "--epochs", "1", "--devices", "2", "--out", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    assert read_meta(run / "best.safetensors").epoch == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--data", "{pairs}"], 2, "give --out"),
        (["--out", "{run}"], 2, "no training data"),
        (["--data", "absent", "--out", "{run}"], 2, "absent"),
        (["--data", "{empty}", "--out", "{run}"], 2, "no image/mask pairs"),
        (["--resume", "{empty}"], 2, "not a run directory"),
        (["--resume", "{empty}", "--epochs", "3"], 2, "run's own configuration"),
        (["--data", "{pairs}", "--out", "{full}"], 2, "holds an earlier run"),
        (["--data", "{pairs}", "--out", "{run}", "--set", "epoch=3"], 2, "did you mean 'epochs'"),
        (["--data", "{pairs}", "--out", "{run}", "--config", "absent.yaml"], 2, "absent.yaml"),
        (["--data", "{pairs}", "--out", "{run}", "--backbone-weights", "absent.pth"], 1, "no such file"),
        (["--data", "{pairs}", "--out", "{run}", "--device", "cuda:9"], 2, "--device cuda:9"),
    ],
)
def test_refusals(ppr, pairs, tmp_path, arguments, code, message):
    (tmp_path / "empty").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "config.yaml").write_text("epochs: 3\n")
    places = {"pairs": pairs, "run": tmp_path / "run", "empty": tmp_path / "empty", "full": tmp_path / "full"}
    answer = ppr("saliency", "train", *[argument.format(**places) for argument in arguments])
    assert (answer.code, message in answer.err) == (code, True), answer.err
    assert "Traceback" not in answer.err


def test_config_prints_yaml_that_train_takes(ppr, pairs, tmp_path):
    answer = ppr("saliency", "config", "--recipe", "eccv")
    assert "arch: ras-vgg16" in answer.out
    path = tmp_path / "c.yaml"
    path.write_text(ppr("saliency", "config").out)
    assert ppr("saliency", "train", "--config", path, "--data", pairs, *FAST, "--epochs", "1", "--out", tmp_path / "run").code == 0
