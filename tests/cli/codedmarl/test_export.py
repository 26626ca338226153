"""Exported actors in another runtime."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from ppr.methods.codedmarl.agents.model import TrainedAgents


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_exported_actors_do_the_same_in_another_runtime(ppr, tag, tmp_path, format):
    answer = ppr("codedmarl", "export", tag, "--out", tmp_path / "out", "--format", format, "--note", "licence=CC0-1.0")
    assert answer.code == 0, answer.err
    described = json.loads((tmp_path / "out/actors.json").read_text())
    assert described["licence"] == "CC0-1.0" and described["env"] == "simple_tag"
    assert described.get("opset") == (18 if format == "onnx" else None)
    files = [*(agent["file"] for agent in described["agents"]), "actors.json"]
    assert answer.out.splitlines() == [str(tmp_path / "out" / file) for file in files]
    rng = np.random.default_rng(1)
    for actor, agent in zip(TrainedAgents.load(tag).actors, described["agents"], strict=True):
        assert (agent["name"], agent["team"], agent["observation"]) == (actor.spec.name, actor.spec.team, actor.spec.observation)
        seen = rng.normal(size=(7, actor.spec.observation)).astype(np.float32)
        expected = actor(torch.from_numpy(seen)).numpy()
        path = str(tmp_path / "out" / agent["file"])
        if format == "onnx":
            assert onnx.load(path).opset_import[0].version == 18
            assert {prop.key: prop.value for prop in onnx.load(path).metadata_props}["name"] == actor.spec.name
            action, choice = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"observation": seen})
        else:
            action, choice = (part.numpy() for part in torch.jit.load(path)(torch.from_numpy(seen)))
        assert np.abs(action - expected).max() < 1e-5 and (choice == expected.argmax(1)).all()
    again = ppr("codedmarl", "export", tag, "--out", tmp_path / "out", "--format", format)
    assert again.code == 2 and "exists already" in again.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("export", "{spread}"), 2, "--out"),
        (("export", "{spread}", "--out", "o", "--opset", "9"), 2, "--opset"),
        (("export", "{spread}", "--out", "o", "--note", "x"), 2, "--note x: not of the form key=text"),
    ],
)
def test_what_cannot_be_done_is_said(ppr, places, arguments, code, message):
    answer = ppr("codedmarl", *(argument.format(**places) for argument in arguments))
    assert answer.code == code, answer.err
    assert message in answer.err and answer.out == "" and "Traceback" not in answer.err
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["empty", "text.safetensors"]
