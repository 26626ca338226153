"""The scenarios by mpe2: the same interface, the same metrics."""

from __future__ import annotations

import pytest
import torch

pytest.importorskip("mpe2")

from ppr.methods.codedmarl.environments import make
from ppr.methods.codedmarl.environments.mpe2_backend import world_state
from ppr.methods.common.errors import UsageError
from ppr.methods.common.random import torch_generator


@pytest.mark.parametrize(("name", "agents"), [("simple_spread", 3), ("simple_tag", 4), ("simple_adversary", 3), ("simple_push", 2)])
def test_an_episode_is_that_of_the_batched_environment(name, agents):
    slow, fast = (make(name, agents=agents, envs=2, backend=backend) for backend in ("mpe2", "batched"))
    assert slow.specs == fast.specs and slow.metrics == fast.metrics and slow.reward_definition == fast.reward_definition
    slow.reset(torch_generator(1))
    fast.load(world_state([instance.environment.unwrapped.world for instance in slow.instances], 0))
    for t in range(25):
        joint = [torch.rand(2, 5, generator=torch_generator(t, i)) for i in range(agents)]
        theirs, ours = slow.step(joint), fast.step(joint)
        torch.testing.assert_close(theirs.rewards, ours.rewards)
        assert torch.equal(theirs.done, ours.done) and torch.equal(theirs.terminated, ours.terminated)
        assert theirs.metrics.keys() == ours.metrics.keys()
        for metric, value in theirs.metrics.items():
            torch.testing.assert_close(value, ours.metrics[metric])
    assert ours.done.all()


def test_seeds_come_from_the_generator_and_states_go_on():
    environment = make("simple_tag", agents=3, envs=2, backend="mpe2")
    first = torch.cat(environment.reset(torch_generator(1)), 1)
    assert not torch.equal(first[0], first[1])
    joint = [torch.rand(2, 5, generator=torch_generator(i)) for i in range(3)]
    after = torch.cat(environment.step(joint).observations, 1)
    saved = environment.state()
    assert not torch.equal(torch.cat(environment.reset(torch_generator(2)), 1), first)
    assert torch.equal(torch.cat(environment.load(saved), 1), after)
    assert torch.equal(torch.cat(environment.reset(torch_generator(1)), 1), first)


def test_mpe2_draws():
    environment = make("simple_spread", agents=2, backend="mpe2")
    environment.reset(torch_generator(0))
    picture = environment.frame(size=240)
    assert picture.size == (240, 240)
    assert len(picture.getcolors(10_000)) > 2


@pytest.mark.parametrize(("name", "adversaries"), [("simple_push", 2), ("simple_adversary", 2)])
def test_teams_that_mpe2_does_not_have(name, adversaries):
    with pytest.raises(UsageError, match="mpe2 has") as caught:
        make(name, agents=4, adversaries=adversaries, backend="mpe2")
    assert "--env-backend" in caught.value.hint
