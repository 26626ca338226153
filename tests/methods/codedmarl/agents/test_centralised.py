"""The controller's part of a training: what it collects, what it goes on from, and that it learns."""

from __future__ import annotations

import io

import pytest
import torch

from ppr.methods.codedmarl.agents.centralised import Trainer
from ppr.methods.codedmarl.agents.episodes import Episodes, play
from ppr.methods.codedmarl.agents.maddpg import Computation
from ppr.methods.codedmarl.agents.problem import Purpose
from ppr.methods.codedmarl.environments import make
from ppr.methods.common.errors import PprError

from ..problems import Countdown, a_config


def trained(config, iterations, trainer=None, start=0):
    trainer = trainer or Trainer(config)
    for iteration in range(start, iterations):
        trainer.iterate(iteration)
    return trainer


def through_a_file(state):
    """The state as it comes back from a file that was read without unpickling anything but tensors."""
    stream = io.BytesIO()
    torch.save(state, stream)
    stream.seek(0)
    return torch.load(stream, weights_only=True)


@pytest.mark.parametrize("payload", ["grad", "params"])
@pytest.mark.parametrize("env", ["simple_spread", "simple_tag"])
@pytest.mark.parametrize("in_files", [True, False])
def test_a_training_that_was_interrupted_ends_as_if_it_was_not(tmp_path, payload, env, in_files):
    """In the middle of an episode, with a replay that is full, twice."""
    config, folder = a_config(payload=payload, env=env, agents=4, lr_final=0.5), tmp_path / "replay" if in_files else None
    whole = trained(config, 8)
    first = trained(config, 3)
    first.state(folder)
    trained(config, 4, first, 3)
    saved = through_a_file(first.state(folder))
    trained(config, 6, first, 4)  # what a crash loses
    first.state(folder)
    second = Trainer(config)
    second.load(saved, folder)
    assert second.digest() != whole.digest()
    trained(config, 8, second, 4)
    assert second.digest() == whole.digest()
    assert torch.equal(second.rollout.returns, whole.rollout.returns)
    assert torch.equal(torch.stack(second.rollout.ended.returns), torch.stack(whole.rollout.ended.returns))


def test_the_digest_sees_every_bit():
    one, other = Trainer(a_config()), Trainer(a_config())
    assert one.digest() == other.digest() and len(one.digest()) == 64
    other.states[2].vector[-1] += 1e-45
    assert one.digest() != other.digest()
    assert Trainer(a_config(seed=4)).digest() != one.digest()


def test_both_payloads_learn_the_same():
    assert trained(a_config(payload="grad"), 4).digest() == trained(a_config(payload="params"), 4).digest()


def test_what_is_collected_is_what_happened():
    """Every transition is followed by the next of its environment, actions are those of the policies, and rewards add up to the returns."""
    trainer = Trainer(a_config(replay=1000))
    trainer.collect(0)
    assert trainer.replay.added == 40  # 10 + 30, in rounds of 4
    found = trainer.replay.numbered(0, 40)
    joint, ahead = found.joint.view(10, 4, -1), found.next_observations.view(10, 4, -1)
    width = ahead.shape[2]
    assert torch.equal(joint[1:5, :, :width], ahead[:4]) and torch.equal(joint[6:, :, :width], ahead[5:-1])
    assert not torch.equal(joint[5, :, :width], ahead[4])  # a new episode
    returns = found.rewards.view(2, 5, 4, 3).sum(1).view(8, 3)
    torch.testing.assert_close(torch.stack(trainer.rollout.ended.returns), returns)
    assert trainer.rollout.ended.mean_return() == pytest.approx(float(returns.mean()))
    assert not found.terminated.any()  # an end by length is no end
    again = make("simple_spread", agents=3, envs=4, episode_length=5)
    observations = again.reset(trainer.problem.generator(0, 0, Purpose.RESET))
    assert torch.equal(torch.cat(observations, 1), joint[0, :, :width])
    drawn = trainer.actors[1](observations[1], trainer.problem.generator(0, 1, Purpose.ROLLOUT))
    assert torch.equal(drawn, joint[0, :, width + 5 : width + 10])


def test_padding_behind_an_early_end_is_not_collected():
    trainer = Trainer(a_config(envs=2, rollout=12, warmup=1), Countdown())
    trainer.rollout.collect(trainer.actors, 12, 1, trainer.replay)
    rows = trainer.replay.numbered(0, trainer.replay.added)
    assert rows.rewards[:, 0].tolist() == [1, 1, 2, 2, 3] * 2
    assert rows.terminated[:, 0].tolist() == [False, False, True, False, True] * 2
    assert [float(value) for value in torch.cat(trainer.rollout.ended.returns)] == [3, 6, 3, 6]


def test_later_iterations_collect_without_the_warm_up():
    trainer = trained(a_config(), 3)
    assert trainer.replay.added == 40 + 2 * 12 and len(trainer.replay) == 64


def test_the_minibatch_has_the_same_rows_for_all_agents():
    trainer = Trainer(a_config())
    trainer.collect(0)
    batch = trainer.minibatch(0)
    rows = trainer.replay.numbered(0, 40)
    for joint, rewards, ahead in zip(batch.joint, batch.rewards, batch.next_joint, strict=True):
        (at,) = torch.nonzero((rows.joint == joint).all(1))[:, 0].tolist()
        assert torch.equal(rows.rewards[at], rewards)
        assert torch.equal(rows.next_observations[at], ahead[:-15])
        torch.testing.assert_close(ahead[-15:].view(3, 5).sum(1), torch.ones(3))
    assert torch.equal(trainer.minibatch(0).joint, batch.joint) and not torch.equal(trainer.minibatch(1).joint, batch.joint)


def test_an_update_that_is_not_finite_leaves_all_agents_as_they_were():
    trainer = Trainer(a_config())
    trainer.collect(0)
    arrays, compute = trainer.published(trainer.minibatch(0)), Computation(trainer.problem)
    payloads = [compute(arrays, 0, agent) for agent in range(3)]
    payloads[2][0] = float("nan")
    before = trainer.digest()
    with pytest.raises(PprError, match="agent_2"):
        trainer.apply(payloads, 0)
    assert trainer.digest() == before


def test_a_state_of_another_training_is_refused(tmp_path):
    state = trained(a_config(), 1).state()
    with pytest.raises(PprError, match="not those of this configuration"):
        Trainer(a_config(hidden=9)).load(state)
    with pytest.raises(PprError, match="does not belong"):
        Trainer(a_config()).load({**state, "replay": {"added": 40}}, tmp_path)


@pytest.mark.slow
def test_learning_a_little_helps():
    """A single agent comes closer to its landmark: -8 before, -5 after."""
    changes = {"agents": 1, "envs": 16, "episode_length": 15, "rollout": 64, "warmup": 512, "batch": 256, "replay": 20_000, "hidden": 32}
    config = a_config(iterations=250, **changes)
    environment = make("simple_spread", agents=1, envs=200, episode_length=15)
    before = play(Trainer(config).actors, Episodes(environment, 200)).mean
    after = play(trained(config, 250).actors, Episodes(environment, 200)).mean
    assert after > 0.75 * before
