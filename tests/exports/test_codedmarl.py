"""Actors of every kind as files, and that a file which differs from its actor is not written."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from ppr.exports import codedmarl as actors
from ppr.methods.codedmarl.agents.model import TrainedAgents
from ppr.methods.codedmarl.agents.problem import Problem
from ppr.methods.codedmarl.agents.state import initial_states
from ppr.methods.codedmarl.config import TrainConfig
from ppr.methods.codedmarl.environments import AgentSpec
from ppr.methods.common.errors import PprError

SPECS = (
    AgentSpec("../one", 3, 4, "good", "discrete"),
    AgentSpec("___one", 3, 4, "good", "discrete"),
    AgentSpec("arm", 5, 2, "good", "box"),
)


@pytest.fixture
def model():
    problem = Problem(SPECS, TrainConfig(hidden=6, env="some.module:arms"))
    return TrainedAgents.of(problem, initial_states(problem.specs, problem.config), iteration=0)


def export(model, folder, **changes):
    return actors.export_actors(model, folder, **{"format": "onnx", "opset": 18, "notes": {}, "overwrite": False} | changes)


@pytest.mark.parametrize("opset", [18, 21])
def test_every_kind_of_action_and_of_name(tmp_path, model, opset):
    report = export(model, tmp_path / "out", opset=opset)
    assert report == json.loads((tmp_path / "out/actors.json").read_text()) and report["opset"] == opset
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["___one-2.onnx", "___one.onnx", "actors.json", "arm.onnx"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    for actor, agent in zip(model.actors, report["agents"], strict=True):
        session = onnxruntime.InferenceSession(str(tmp_path / "out" / agent["file"]), providers=["CPUExecutionProvider"])
        assert [value.name for value in session.get_outputs()] == (["action"] if agent["kind"] == "box" else ["action", "choice"])
        for rows in (0, 1, 5):
            seen = np.random.default_rng(rows).normal(size=(rows, agent["observation"])).astype(np.float32)
            found = session.run(None, {"observation": seen})
            expected = actor(torch.from_numpy(seen)).numpy()
            assert found[0].shape == expected.shape and np.abs(found[0] - expected).max(initial=0) < 1e-5


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_a_file_that_differs_from_its_actor_is_not_written(tmp_path, model, monkeypatch, format):
    genuine_module, genuine_graph = actors.ActorModule, actors.actor_graph

    def moved(actor):
        return replace(actor, parameters=actor.parameters + 1e-3)

    monkeypatch.setattr(actors, "ActorModule", lambda actor: genuine_module(moved(actor)))
    monkeypatch.setattr(actors, "actor_graph", lambda actor, opset: genuine_graph(moved(actor), opset))
    with pytest.raises(PprError, match=r"differs from torch by [\d.e-]+, more than 1e-05; not written"):
        export(model, tmp_path / "out", format=format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_parameters_that_are_not_finite_are_not_written(tmp_path, model, format):
    model.policies[1][-1] = -float("inf")  # of a bias; the action would be finite
    with pytest.raises(PprError, match=r"___one-2\.\w+: the weight 'layers\.4\.bias' is not finite; not written"):
        export(model, tmp_path / "out", format=format)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_an_actor_that_computes_no_numbers_leaves_no_file_of_any_agent(tmp_path, model, format):
    model.policies[2][:] = 3e38 * model.policies[2].sign()
    with pytest.raises(PprError, match=r"arm\.\w+: torch computes NaN or infinity in 'action'; not written"):
        export(model, tmp_path / "out", format=format)
    assert not list(tmp_path.iterdir())


def test_nothing_is_written_where_a_file_is_in_the_way(tmp_path, model):
    (tmp_path / "arm.onnx").touch()
    with pytest.raises(PprError, match=r"arm\.onnx: exists already"):
        export(model, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["arm.onnx"]
