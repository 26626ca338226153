"""Parallel environments of PettingZoo: real ones, and one whose agents leave early."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

pytest.importorskip("pettingzoo")

from PIL import Image

from ppr.methods.codedmarl.environments import make
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.random import torch_generator

from .crossing import Crossing, choose


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


def changing(*episodes):
    class Other(Crossing):
        episode = 0

        def reset(self, seed=None, options=None):
            started = super().reset(seed)
            self.agents = episodes[min(self.episode, len(episodes) - 1)]
            self.episode += 1
            return started

    return Other


def test_agents_that_differ_between_episodes(named):
    environment = make(named(changing(["walker_0", "walker_1"], ["walker_0", "walker_2"])))
    environment.reset(torch_generator(0))
    with pytest.raises(UsageError, match="the agents walker_0, walker_2, not walker_0, walker_1"):
        environment.reset(torch_generator(1))


def test_another_number_of_agents(named):
    with pytest.raises(UsageError, match="has 2 agents, not 3") as caught:
        make(named(Crossing), agents=3)
    assert caught.value.hint == "give --agents 2"
    with pytest.raises(UsageError, match="2 agents, of which 3"):
        make(named(Crossing), adversaries=3)


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
