"""Parallel environments of PettingZoo: real ones, and one whose agents leave early."""

from __future__ import annotations

import logging
import sys
import types
from typing import ClassVar

import numpy as np
import pytest
import torch

pytest.importorskip("pettingzoo")

from gymnasium.spaces import Box, Dict, Discrete
from pettingzoo import ParallelEnv
from PIL import Image

from ppr.methods.codedmarl.environments import make
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.random import torch_generator


class Crossing(ParallelEnv):
    """Walkers of different spaces; walker_1 arrives (terminated) in step 2, all are cut off in step 4, or `length`."""

    metadata: ClassVar = {"name": "crossing", "render_modes": ["rgb_array"]}
    spaces: ClassVar = {
        "walker_0": (Box(-1, 1, (3,), np.float64), Box(np.array([-2.0, 0.0]), np.array([2.0, 10.0]), dtype=np.float64)),
        "walker_1": (Discrete(4), Discrete(3, start=1)),
    }
    length = 4

    def __init__(self, render_mode=None):
        self.possible_agents, self.agents, self.render_mode, self.received = list(self.spaces), [], render_mode, []

    def observation_space(self, agent):
        return self.spaces[agent][0]

    def action_space(self, agent):
        return self.spaces[agent][1]

    def reset(self, seed=None, options=None):
        self.random, self.t, self.agents = np.random.default_rng(seed), 0, list(self.possible_agents)
        return self.seen(), {agent: {} for agent in self.agents}

    def seen(self):
        return {"walker_0": self.random.uniform(-1, 1, 3), "walker_1": 3}

    def step(self, actions):
        self.received.append(actions)
        self.t += 1
        present = list(self.agents)
        over = self.t >= self.length
        terminations = {agent: self.t == 2 and agent == "walker_1" for agent in present}
        self.agents = [agent for agent in present if not over and not terminations[agent]]
        return self.seen(), dict.fromkeys(present, 1.0), terminations, dict.fromkeys(present, over), {agent: {} for agent in present}

    def render(self):
        return np.full((40, 60, 3), 10 * self.t, np.uint8) if self.render_mode == "rgb_array" else None


@pytest.fixture
def named(monkeypatch):
    """Makes a function importable: named(function) -> "crossing:function"."""

    def name(function):
        module = types.ModuleType("crossing")
        module.function = function
        monkeypatch.setitem(sys.modules, "crossing", module)
        return "crossing:function"

    return name


def choose(environment, value=0.25):
    """Everyone's action: the middle choice, or a part of each range."""
    return [
        torch.full((environment.envs, spec.actions), value)
        if spec.kind == "box"
        else torch.eye(spec.actions)[1].repeat(environment.envs, 1)
        for spec in environment.specs
    ]


def test_spaces_become_vectors(named):
    environment = make(named(Crossing), agents=2, envs=3)
    assert [(spec.name, spec.observation, spec.actions, spec.kind, spec.team) for spec in environment.specs] == [
        ("walker_0", 3, 2, "box", "good"),
        ("walker_1", 4, 3, "discrete", "good"),
    ]
    first, second = environment.reset(torch_generator(0))
    assert first.shape == (3, 3) and first.dtype == torch.float32
    assert len(set(first[:, 0].tolist())) == 3  # every instance has a seed of its own
    assert second.tolist() == [[0, 0, 0, 1]] * 3
    environment.step(choose(environment))
    received = environment.instances[2].environment.received[-1]
    assert received["walker_0"].tolist() == [-1.0, 2.5] and received["walker_0"].dtype == np.float64
    assert received["walker_1"] == 2


def test_an_agent_that_has_left_gets_zeros_and_is_terminated(named):
    environment = make(named(Crossing))
    environment.reset(torch_generator(0))
    steps = [environment.step(choose(environment)) for _ in range(4)]
    assert [step.rewards.tolist() for step in steps] == [[[1, 1]], [[1, 1]], [[1, 0]], [[1, 0]]]
    assert [step.terminated.tolist() for step in steps] == [[[False, False]], [[False, True]], [[False, True]], [[False, True]]]
    assert [step.done.tolist() for step in steps] == [[False], [False], [False], [True]]  # cut off: done, not terminated
    assert [bool(step.observations[1].any()) for step in steps] == [True, True, False, False]
    assert set(environment.instances[0].environment.received[-1]) == {"walker_0"}
    with pytest.raises(RuntimeError, match="reset"):
        environment.step(choose(environment))


def test_an_instance_that_is_over_waits_for_the_others(named):
    class Uneven(Crossing):
        def reset(self, seed=None, options=None):
            started = super().reset(seed)
            self.length = 1 if self.random.random() < 0.5 else 3
            return started

    environment = make(named(Uneven), envs=8, episode_length=25)
    environment.reset(torch_generator(0))
    lengths = torch.tensor([instance.environment.length for instance in environment.instances])
    assert set(lengths.tolist()) == {1, 3}
    for t in range(1, 4):
        step = environment.step(choose(environment))
        assert torch.equal(step.done, lengths <= t)
        assert torch.equal(step.valid, lengths >= t)
        assert not step.rewards[~step.valid].any() and step.terminated[~step.valid].all()
        assert not step.observations[0][~step.valid].any()
    assert step.done.all()


def test_a_long_episode_is_cut_off(named):
    environment = make(named(Crossing), episode_length=3)
    environment.reset(torch_generator(0))
    assert [bool(environment.step(choose(environment)).done) for _ in range(3)] == [False, False, True]


def test_a_state_goes_on_bit_for_bit(named):
    environment, other = (make(named(Crossing), envs=2) for _ in range(2))
    assert other.load(make("crossing:function", envs=2).state())[0].any().item() is False  # before the first episode
    environment.reset(torch_generator(5))
    for _ in range(2):
        environment.step(choose(environment))
    there = other.load(environment.state())
    assert torch.equal(there[0], environment.load(environment.state())[0])
    for _ in range(2):
        mine, theirs = environment.step(choose(environment)), other.step(choose(environment))
        assert torch.equal(torch.cat(mine.observations, 1), torch.cat(theirs.observations, 1))
        assert torch.equal(mine.done, theirs.done) and torch.equal(mine.terminated, theirs.terminated)


def test_an_environment_that_does_not_repeat_itself_is_told(named, caplog):
    class Moody(Crossing):
        def reset(self, seed=None, options=None):
            return super().reset(seed=None)

    environment = make(named(Moody))
    environment.reset(torch_generator(5))
    with caplog.at_level(logging.WARNING, "ppr"):
        environment.load(environment.state())
    assert "does not go on exactly" in caplog.text


def test_states_of_others_are_refused(named):
    environment = make(named(Crossing), envs=2)
    environment.reset(torch_generator(5))
    with pytest.raises(PprError, match="2 instances"):
        environment.load(make("crossing:function", envs=3).state())
    with pytest.raises(PprError, match="saved state"):
        environment.load(make("simple_spread").state())


def test_a_picture_shows_the_instance_where_it_is(named):
    environment = make(named(Crossing))
    environment.reset(torch_generator(0))
    for _ in range(3):
        environment.step(choose(environment))
    picture = environment.frame(size=240)
    assert isinstance(picture, Image.Image) and picture.size == (240, 160) and picture.getpixel((5, 5)) == (30, 30, 30)
    environment.step(choose(environment))
    assert environment.frame().getpixel((5, 5)) == (40, 40, 40)
    blind = make(named(lambda: Crossing()))
    blind.reset(torch_generator(0))
    with pytest.raises(PprError, match="no picture"):
        blind.frame()


def test_adversaries_by_name_or_by_number(named):
    pytest.importorskip("mpe2")
    tag = make("mpe2.simple_tag_v3:parallel_env")
    assert [spec.team for spec in tag.specs] == ["adversary"] * 3 + ["good"]
    assert {spec.kind for spec in tag.specs} == {"discrete"}
    assert [spec.team for spec in make(named(Crossing), adversaries=1).specs] == ["adversary", "good"]


@pytest.mark.parametrize("name", ["mpe2.simple_speaker_listener_v4:parallel_env", "pettingzoo.classic.rps_v2:parallel_env"])
def test_environments_of_others(name):
    pytest.importorskip("mpe2")
    environment = make(name, envs=2)
    environment.reset(torch_generator(0))
    done = False
    for _ in range(25):
        step = environment.step(choose(environment))
        done = bool(step.done.all())
        if done:
            break
    assert done
    assert [tuple(seen.shape) for seen in step.observations] == [(2, spec.observation) for spec in environment.specs]


def with_spaces(observation, action):
    class Other(Crossing):
        spaces: ClassVar = {"walker_0": (observation, action)}

    return Other


def changing(*episodes):
    class Other(Crossing):
        episode = 0

        def reset(self, seed=None, options=None):
            started = super().reset(seed)
            self.agents = episodes[min(self.episode, len(episodes) - 1)]
            self.episode += 1
            return started

    return Other


FLAT, CHOICE = Box(-1, 1, (3,)), Discrete(3)


@pytest.mark.parametrize(
    ("observation", "action", "message"),
    [
        (Dict({"eye": FLAT}), CHOICE, "walker_0 observes a Dict"),
        (Box(0, 255, (8, 8), np.uint8), CHOICE, "walker_0 observes a Box"),
        (FLAT, Dict({"hand": CHOICE}), "walker_0 acts in a Dict"),
        (FLAT, Box(-1, 1, (2, 2)), "walker_0 acts in a Box"),
        (FLAT, Box(0, 9, (2,), np.int64), "only a continuous Box"),
        (FLAT, Box(-np.inf, np.inf, (2,)), "without bounds"),
        (Discrete(1_000_000), CHOICE, "1,000,000 numbers"),
        (FLAT, Discrete(1_000_000), "1,000,000 numbers"),
    ],
)
def test_spaces_that_cannot_be_used(named, observation, action, message):
    with pytest.raises(UsageError, match=message):
        make(named(with_spaces(observation, action)))


def test_agents_that_differ_between_episodes(named):
    environment = make(named(changing(["walker_0", "walker_1"], ["walker_0", "walker_2"])))
    environment.reset(torch_generator(0))
    with pytest.raises(UsageError, match="the agents walker_0, walker_2, not walker_0, walker_1"):
        environment.reset(torch_generator(1))


def raising(error):
    def function():
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (5, "not a function that makes an environment, but of type int"),
        (dict, "makes a dict, not a parallel environment"),
        (raising(RuntimeError("no display\nat all")), r"making the environment failed \(RuntimeError: no display\)"),
    ],
)
def test_functions_that_make_no_environment(named, function, message):
    with pytest.raises(UsageError, match=message):
        make(named(function))


def test_agents_that_act_in_turn_are_told_from_parallel_ones():
    pytest.importorskip("mpe2")
    with pytest.raises(UsageError, match="act in turn") as caught:
        make("mpe2.simple_spread_v3:env")
    assert "aec_to_parallel" in caught.value.hint


def test_another_number_of_agents(named):
    with pytest.raises(UsageError, match="has 2 agents, not 3") as caught:
        make(named(Crossing), agents=3)
    assert caught.value.hint == "give --agents 2"
    with pytest.raises(UsageError, match="2 agents, of which 3"):
        make(named(Crossing), adversaries=3)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module_anywhere:env", "there is no module 'no_such_module_anywhere'"),
        ("json.no_such:env", "there is no module 'json.no_such'"),
        ("json:env", "has no 'env'"),
        (":env", "does not name a function"),
        ("json:", "does not name a function"),
        ("json:a b", "does not name a function"),
        ("pettingzoo.mpe:env", "importing 'pettingzoo.mpe' failed"),
    ],
)
def test_names_that_lead_nowhere(name, message):
    with pytest.raises(UsageError, match=message):
        make(name)


def test_a_module_that_needs_another_one(tmp_path, monkeypatch):
    (tmp_path / "needy_environment.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="needs the package 'no_such_module_anywhere'"):
        make("needy_environment:env")


@pytest.mark.parametrize(
    ("package", "name", "backend"),
    [
        ("pettingzoo", "crossing:function", "batched"),
        ("mpe2", "simple_spread", "mpe2"),
        ("mpe2", "mpe2.simple_spread_v3:parallel_env", "batched"),
    ],
)
def test_a_missing_package_names_the_extra(named, monkeypatch, package, name, backend):
    named(Crossing)
    for loaded in [module for module in sys.modules if module.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PprError, match=f"'{package}', which is not installed") as caught:
        make(name, backend=backend)
    assert caught.value.hint == "pip install 'ppr[marl]'"


@pytest.mark.parametrize(
    ("part", "broken", "message"),
    [
        ("step", lambda self, actions: 1 / 0, r"step failed \(ZeroDivisionError"),
        ("reset", lambda self, seed=None, options=None: None, r"reset failed \(TypeError"),
        ("seen", lambda self: {"walker_0": np.full(3, np.nan), "walker_1": 0}, "walker_0 got an observation that is not finite"),
        ("seen", lambda self: {"walker_0": np.zeros(5), "walker_1": 0}, r"walker_0 was given an observation of shape \(5,\)"),
    ],
)
def test_a_broken_environment_is_one_line(named, part, broken, message):
    environment = make(named(type("Broken", (Crossing,), {part: broken})))
    with pytest.raises(PprError, match=message):
        environment.reset(torch_generator(0))
        environment.step(choose(environment))


def test_a_reward_that_is_not_a_number(named):
    class Broken(Crossing):
        def step(self, actions):
            observations, _, *rest = super().step(actions)
            return observations, {"walker_0": float("nan")}, *rest

    environment = make(named(Broken))
    environment.reset(torch_generator(0))
    with pytest.raises(PprError, match="walker_0 got the reward nan"):
        environment.step(choose(environment))
