"""The file of trained agents: what it holds, what it needs, and what damaged or hostile ones get."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch import nn

from ppr.methods.codedmarl.agents.model import TrainedAgents
from ppr.methods.codedmarl.weights import DEFAULT
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import load_checkpoint, save_checkpoint

from ..problems import a_model


@pytest.fixture
def model():
    return a_model(env="simple_tag", agents=4, adversaries=1, good="ddpg")


def test_it_comes_back_as_it_was(tmp_path, model):
    again = TrainedAgents.load(model.save(tmp_path / "best.safetensors"))
    assert again.problem == model.problem and again.meta.metrics == {"return": -25.0}
    for mine, theirs in zip(model.policies + model.critics, again.policies + again.critics, strict=True):
        assert torch.equal(mine, theirs)
    assert torch.equal(TrainedAgents.load(tmp_path).policies[3], model.policies[3])  # the folder of a run


def test_layers_are_named_as_torchs_sequential(tmp_path, model):
    state = load_checkpoint(model.save(tmp_path / "m.safetensors")).state
    actor = nn.Sequential(nn.Linear(model.specs[0].observation, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 5))
    prefix = "adversary_0.actor."
    observations = torch.rand(3, actor[0].in_features)
    actor.load_state_dict({key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}, strict=True)
    torch.testing.assert_close(actor(observations).softmax(1).detach(), model.actors[0](observations))
    assert state["agent_0.critic.0.weight"].shape == (8, model.specs[1].observation + 5)  # ddpg: its own observation and action
    assert state["adversary_0.critic.0.weight"].shape == (8, model.problem.width)


@pytest.mark.slow
def test_the_agents_that_come_along_need_no_environment():
    code = (
        "import sys; sys.modules.update(dict.fromkeys(('mpe2', 'pettingzoo', 'gymnasium', 'ray')));"
        "from ppr.methods.codedmarl.agents.model import TrainedAgents;"
        f"print(len(TrainedAgents.load('{DEFAULT}').actors))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "3\n"


def test_what_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file or model") as raised:
        TrainedAgents.load("spred")
    assert raised.value.hint and "spread" in raised.value.hint
    with pytest.raises(UsageError, match="not a run directory"):
        TrainedAgents.load(tmp_path)


def described(agents, **changes):
    return json.dumps([{**agents[0], **changes}, *agents[1:]])


@pytest.mark.parametrize(
    "change",
    [
        lambda agents: "no json",
        lambda agents: "[]",
        lambda agents: "{}",
        lambda agents: json.dumps(agents[:3]),
        lambda agents: json.dumps(agents * 4000),
        lambda agents: described(agents, observation=17),
        lambda agents: described(agents, observation=10**9),
        lambda agents: described(agents, observation=-1),
        lambda agents: described(agents, actions=0),
        lambda agents: described(agents, actions="5"),
        lambda agents: described(agents, kind="dance"),
        lambda agents: described(agents, team="referee"),
        lambda agents: described(agents, name="agent_2"),
        lambda agents: described(agents, colour="red"),
    ],
)
def test_metadata_that_describe_no_agents_are_refused(tmp_path, model, change):
    path = model.save(tmp_path / "m.safetensors")
    checkpoint = load_checkpoint(path)
    notes = {"agents": change(json.loads(checkpoint.meta.notes["agents"]))}
    save_checkpoint(path, checkpoint.state, replace(checkpoint.meta, notes=notes))
    with pytest.raises(PprError, match=r"m\.safetensors: damaged checkpoint"):
        TrainedAgents.load(path)


@pytest.mark.parametrize("config", [{"hidden": 10**12}, {"hidden": "x"}, {"colour": 1}, {"hidden": 9}])
def test_a_configuration_that_is_not_that_of_the_weights_is_refused(tmp_path, model, config):
    path = model.save(tmp_path / "m.safetensors")
    checkpoint = load_checkpoint(path)
    save_checkpoint(path, checkpoint.state, replace(checkpoint.meta, config=checkpoint.meta.config | config))
    with pytest.raises(PprError, match=r"m\.safetensors: damaged checkpoint"):
        TrainedAgents.load(path)


def test_other_checkpoints_are_refused(tmp_path, model):
    path = model.save(tmp_path / "m.safetensors")
    checkpoint = load_checkpoint(path)
    save_checkpoint(path, checkpoint.state, replace(checkpoint.meta, method="lds"))
    with pytest.raises(PprError, match="a checkpoint of 'lds', not of 'codedmarl'"):
        TrainedAgents.load(path)
    del checkpoint.state["agent_1.critic.2.bias"]
    save_checkpoint(path, checkpoint.state, checkpoint.meta)
    with pytest.raises(PprError, match=r"damaged checkpoint .*agent_1\.critic\.2\.bias"):
        TrainedAgents.load(path)
