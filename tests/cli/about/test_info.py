"""`ppr info`: what files say about themselves, and clear words for files that say nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.torch import save_file

from ppr.methods.common.config import BaseTrainConfig
from ppr.methods.common.running.checkpoint import Meta, save_checkpoint
from ppr.methods.common.running.run import Run


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    state = {"conv.weight": torch.zeros(4, 3, 3, 3).half(), "conv.bias": torch.zeros(4), "norm.running_mean": torch.zeros(4)}
    meta = Meta(
        "saliency", "ras-mobile", config={"epochs": 3, "lr": 1e-8}, metrics={"val_mae": 0.0417}, data={"pairs": 12}, seed=7, epoch=3
    )
    return save_checkpoint(tmp_path / "net.safetensors", state, meta)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """y = x * w, with a dynamic batch, a metadata card and a plain metadata line."""
    inputs = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, 256, None])
    outputs = helper.make_tensor_value_info("saliency", TensorProto.FLOAT, ["batch", 3, 256, None])
    weight = helper.make_tensor("w", TensorProto.FLOAT, [3, 1, 1], [1.0, 2.0, 3.0])
    graph = helper.make_graph([helper.make_node("Mul", ["image", "w"], ["saliency"])], "g", [inputs], [outputs], [weight])
    built = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], producer_name="test")
    helper.set_model_props(built, {"ppr": json.dumps({"arch": "ras-mobile"}), "licence": "Apache-2.0"})
    path = tmp_path / "net.onnx"
    onnx.save(built, path)
    return path


def test_a_checkpoint_with_everything_it_was_saved_with(ppr, checkpoint):
    (said,) = ppr("info", checkpoint, "--json").records
    assert said["kind"] == "ppr checkpoint"
    assert (said["method"], said["arch"], said["seed"], said["epoch"]) == ("saliency", "ras-mobile", 7, 3)
    assert said["parameters"] == 4 * 3 * 3 * 3 + 4  # without batch norm's statistics
    assert (said["tensors"], said["dtypes"], said["bytes"]) == (3, ["F16", "F32"], checkpoint.stat().st_size)
    assert (said["metrics"], said["data"]) == ({"val_mae": 0.0417}, {"pairs": 12})
    text = ppr("info", checkpoint)
    assert "  val_mae: 0.0417\n" in text.out
    assert "  lr: 1e-08\n" in text.out


def test_weights_of_another_program_are_listed_as_such(ppr, tmp_path):
    path = tmp_path / "trunk.safetensors"
    save_file({f"layer{i}.weight": torch.zeros(2, 5) for i in range(20)}, path, metadata={"licence": "MIT"})
    (said,) = ppr("info", path, "--json").records
    assert said["kind"] == "safetensors of another program"
    assert (said["parameters"], said["metadata"], said["shapes"]["layer3.weight"]) == (200, {"licence": "MIT"}, [2, 5])
    assert "… and 12 more" in ppr("info", path).out


def test_an_onnx_model_with_its_interface_and_metadata(ppr, model):
    (said,) = ppr("info", model, "--json").records
    assert said["kind"] == "ONNX model"
    assert said["opset"] == {"ai.onnx": 18}
    assert said["inputs"] == [{"name": "image", "dtype": "float", "shape": ["batch", 3, 256, "?"]}]
    assert [output["name"] for output in said["outputs"]] == ["saliency"]
    assert said["parameters"] == 3
    assert said["metadata"] == {"ppr": {"arch": "ras-mobile"}, "licence": "Apache-2.0"}
    assert "  image: float (batch, 3, 256, ?)" in ppr("info", model).out


def test_a_run_directory(ppr, tmp_path):
    run = Run(tmp_path / "run")
    run.start(BaseTrainConfig(epochs=5))
    run.log({"epoch": 1, "val_mae": 0.2, "best": True})
    run.log({"epoch": 2, "val_mae": 0.3, "best": False})
    (said,) = ppr("info", run.path, "--json").records
    assert (said["kind"], said["epochs_done"], said["can_resume"]) == ("run directory", 2, False)
    assert (said["best"]["epoch"], said["last"]["val_mae"], said["config"]["epochs"]) == (1, 0.3, 5)
    assert set(said["files"]) == {"config.yaml", "metrics.jsonl"}


@pytest.mark.parametrize(
    ("name", "content", "part"),
    [
        ("a.safetensors", b"", "not a safetensors file"),
        ("a.safetensors", b"\xff" * 100, "not a safetensors file"),
        ("a.safetensors", (20).to_bytes(8, "little") + b"{not json at all, no!", "not a safetensors file"),
        ("a.onnx", b"", "not an ONNX model"),
        ("a.onnx", b"this is a text file, not a model\n", "not an ONNX model"),
        ("a.pth", b"PK", "not a kind of file that is known here"),
    ],
)
def test_bad_files_get_a_clear_error(ppr, tmp_path, name, content, part):
    path = tmp_path / name
    path.write_bytes(content)
    answer = ppr("info", path)
    assert (answer.code, answer.out) == (1, "")
    assert f"{path}: " in answer.err and part in answer.err
    assert len(answer.err.splitlines()) <= 3


def test_truncated_files_are_told_from_whole_ones(ppr, checkpoint, model):
    for path in (checkpoint, model):
        path.write_bytes(path.read_bytes()[:-5])
        answer = ppr("info", path)
        assert answer.code == 1
        assert "truncated" in answer.err


def test_damaged_metadata(ppr, tmp_path):
    path = tmp_path / "a.safetensors"
    save_file({"w": torch.zeros(1)}, path, metadata={"ppr": "{"})
    assert "metadata is damaged" in ppr("info", path).err
    save_file({"w": torch.zeros(1)}, path, metadata={"ppr": json.dumps({"format": 99, "version": "9.0"})})
    assert "written by ppr 9.0, a newer format" in ppr("info", path).err


def test_one_bad_file_does_not_hide_the_others(ppr, checkpoint, tmp_path):
    answer = ppr("info", tmp_path / "absent.onnx", checkpoint, "--json")
    assert answer.code == 1
    assert [record["file"] for record in answer.records] == [str(checkpoint)]


def test_info_does_not_import_torch(checkpoint, model):
    """With an import of torch made to fail, both kinds of file are still described."""
    script = "import sys; sys.modules['torch'] = None\nfrom ppr.cli.main import main\nmain()"
    command = [sys.executable, "-c", script, "info", str(checkpoint), str(model)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "ppr checkpoint" in done.stdout and "ONNX model" in done.stdout
