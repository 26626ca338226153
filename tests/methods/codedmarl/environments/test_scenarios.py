"""The particle scenarios: physics in closed form and particle by particle, rewards by hand, episodes and resuming."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis.strategies import integers, sampled_from

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.environments import make
from ppr.methods.codedmarl.environments.physics import ACCELERATION, DAMPING, MARGIN, STIFFNESS, TIME_STEP, contact_forces, offsets
from ppr.methods.codedmarl.environments.tag import leaving
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.random import torch_generator

NAMES = ("simple_spread", "simple_tag", "simple_adversary", "simple_push")


def actions(environment, *key):
    generator = torch_generator(*key)
    return [torch.rand(environment.envs, spec.actions, generator=generator) for spec in environment.specs]


def placed(name, points, goal=0, **options):
    """A world with everything at rest at the points: agents, then landmarks."""
    environment = make(name, **options)
    state = environment.state()
    state["position"][0] = torch.tensor(points, dtype=torch.float64)
    state["goal"][0] = goal
    environment.load(state)
    return environment


def still(environment):
    """A step without forces."""
    return environment.step([torch.zeros(1, 5) for _ in environment.specs])


def test_a_free_agent_accelerates_as_the_difference_equation_says():
    environment = placed("simple_spread", [(0, 0), (9, 9)], agents=1)
    right_and_down = torch.tensor([[0.3, 0.0, 1.0, 0.5, 0.0]])
    for _ in range(10):
        environment.step([right_and_down])
    share = (1 - (1 - DAMPING) ** 10) / DAMPING
    expected = torch.tensor([1.0, -0.5], dtype=torch.float64) * ACCELERATION * TIME_STEP * share
    torch.testing.assert_close(environment.velocity[0, 0], expected)


def test_actions_beyond_one_are_clipped():
    free = [placed("simple_spread", [(0, 0), (9, 9)], agents=1) for _ in range(2)]
    free[0].step([torch.tensor([[0.0, -3.0, 7.0, 0.0, 0.0]])])
    free[1].step([torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]])])
    assert torch.equal(free[0].velocity, free[1].velocity)


def test_contact_forces_are_equal_and_opposite_and_soft():
    position = torch.randn(5, 4, 2, dtype=torch.float64, generator=torch_generator(1)) * 0.2
    forces = contact_forces(*offsets(position, 4), torch.full((4, 4), 0.3, dtype=torch.float64))
    assert forces.abs().amax() > 1
    torch.testing.assert_close(forces.sum(1), torch.zeros(5, 2, dtype=torch.float64))
    touching = torch.tensor([[[0.0, 0.0], [0.3, 0.0]]], dtype=torch.float64)
    force = contact_forces(*offsets(touching, 2), torch.full((2, 2), 0.3, dtype=torch.float64))
    assert force[0, 0, 0].item() == pytest.approx(-STIFFNESS * MARGIN * math.log(2))
    far = contact_forces(*offsets(10 * touching, 2), torch.full((2, 2), 0.3, dtype=torch.float64))
    assert far.abs().max() < 1e-100


def test_agents_in_the_same_place_do_not_become_nan():
    environment = placed("simple_spread", [(0, 0)] * 4, agents=2)
    step = still(environment)
    assert all(observation.isfinite().all() for observation in step.observations)


def test_prey_and_hunters_have_their_top_speeds():
    environment = placed("simple_tag", [(0, 9), (9, 0), (5, 5), (-5, -5)], agents=2)
    for _ in range(25):
        environment.step([torch.tensor([[0.0, 1.0, 0.0, 0.0, 0.0]])] * 2)
    torch.testing.assert_close(environment.velocity[0, :, 0], torch.tensor([-1.0, -1.3], dtype=torch.float64))


@settings(max_examples=10, deadline=None)
@given(seed=integers(0, 2**31))
def test_worlds_do_not_know_of_each_other(seed):
    """Whatever stands beside a world in the batch, it goes the same way."""
    many = make("simple_tag", agents=5, envs=3)
    many.reset(torch_generator(seed))
    one = make("simple_tag", agents=5, envs=1)
    one.load({key: value[1:2] if value.ndim else value for key, value in many.state().items()})
    for t in range(5):
        joint = actions(many, seed, t)
        together, alone = many.step(joint), one.step([action[1:2] for action in joint])
    torch.testing.assert_close(together.rewards[1:2], alone.rewards)
    torch.testing.assert_close(many.position[1:2], one.position, rtol=0, atol=1e-12)


@settings(max_examples=10, deadline=None)
@given(seed=integers(0, 2**31), name=sampled_from(NAMES))
def test_all_worlds_at_once_go_the_way_of_one_particle_after_the_other(seed, name):
    """Crowded, so that everything touches everything that can be touched."""
    environment = make(name, agents=4, adversaries=0 if name == "simple_spread" else 1, envs=3)
    environment.reset(torch_generator(seed))
    environment.load({key: 0.2 * value if key == "position" else value for key, value in environment.state().items()})
    cast, colliders = environment.cast, environment.colliders if environment.cast.touching else 0
    for t in range(4):
        before, joint = environment.state(), actions(environment, seed, t)
        environment.step(joint)
        for world in range(3):
            places = [tuple(point) for point in before["position"][world].tolist()]
            for agent in range(4):
                others = [(places[other], float(environment.reach[agent, other])) for other in range(colliders) if other != agent]
                team = 0 if agent < cast.adversaries else 1
                top_speed = math.inf if cast.top_speed is None else cast.top_speed[team]
                velocity = tuple(before["velocity"][world, agent].tolist())
                place, speed = naive.moved(
                    places[agent], velocity, joint[agent][world].tolist(), others, cast.acceleration[team], top_speed
                )
                assert environment.position[world, agent].tolist() == pytest.approx(place, abs=1e-9)
                assert environment.velocity[world, agent].tolist() == pytest.approx(speed, abs=1e-6)


def test_spread_rewards_and_metrics_by_hand():
    """Agents 0 and 1 touch; landmarks are 0.05, 0.4 and 1 away from their nearest agents."""
    environment = placed("simple_spread", [(0, 0), (0.2, 0), (5, 0), (0, 0.05), (5, 0.4), (-1, 0)], agents=3)
    step = still(environment)
    shared = -0.5 * (0.05 + 0.4 + 1)
    assert step.rewards[0].tolist() == pytest.approx([shared - 0.5, shared - 0.5, shared])
    assert {name: float(value[0]) for name, value in step.metrics.items()} == {"collisions": 1, "occupied": 1}


def test_tag_rewards_and_metrics_by_hand():
    """Hunters 0 and 1 both at prey 0; prey 1 alone at (0.95, -2)."""
    points = [(0, 0), (0.06, 0), (0.03, 0.05), (0.95, -2), (-5, 5), (5, 5)]
    step = still(placed("simple_tag", points, agents=4, adversaries=2))
    assert step.rewards[0].tolist() == pytest.approx([20, 20, -20, -(0.5 + math.exp(2))])
    assert step.metrics["touches"].tolist() == [2]


def test_the_price_of_leaving_the_square():
    distances = torch.tensor([0.0, 0.8999, 0.95, 1.0, 1.5, 3.0, 1e4], dtype=torch.float64)
    assert leaving(distances).tolist() == pytest.approx([0, 0, 0.5, 1, math.e, 10, 10])


@pytest.mark.parametrize("goal", [0, 1])
def test_deception_and_keep_away_rewards_by_hand(goal):
    points = [(3, 0), (0, 1), (0, 2), (0, 0), (0, 5)]  # an adversary, two good agents, two landmarks
    distances = [[3, 1, 2], [math.hypot(3, 5), 4, 3]][goal]
    nearest = min(distances[1:])
    deception = still(placed("simple_adversary", points, goal, agents=3, adversaries=1))
    assert deception.rewards[0].tolist() == pytest.approx([-distances[0], *[distances[0] - nearest] * 2])
    away = still(placed("simple_push", points, goal, agents=3, adversaries=1))
    assert away.rewards[0].tolist() == pytest.approx([nearest - distances[0], -distances[1], -distances[2]])
    for step in (deception, away):
        measured = {name: float(value[0]) for name, value in step.metrics.items()}
        assert measured == pytest.approx({"good_distance": nearest, "adversary_distance": distances[0]})


def test_only_good_agents_see_the_goal():
    for name in ("simple_adversary", "simple_push"):
        seen = [placed(name, [(3, 0), (0, 1), (0, 2), (0, 0), (0, 5)], goal, agents=3, adversaries=1).observe() for goal in (0, 1)]
        same = [torch.equal(one, other) for one, other in zip(*seen, strict=True)]
        assert same == [True, False, False]


@pytest.mark.parametrize(
    ("name", "agents", "adversaries", "observations"),
    [
        ("simple_spread", 3, None, [18] * 3),
        ("simple_spread", 8, None, [48] * 8),
        ("simple_spread", 10, None, [60] * 10),
        ("simple_tag", 8, None, [30] * 4 + [28] * 4),
        ("simple_adversary", 8, None, [28] + [30] * 7),
        ("simple_push", 2, None, [8, 19]),
        ("simple_push", 8, 3, [20] * 3 + [31] * 5),
    ],
)
def test_sizes_and_teams(name, agents, adversaries, observations):
    environment = make(name, agents=agents, adversaries=adversaries, envs=2)
    started = environment.reset(torch_generator(0))
    assert [spec.observation for spec in environment.specs] == observations
    assert [tuple(seen.shape) for seen in started] == [(2, size) for size in observations]
    hostile = [spec.name for spec in environment.specs if spec.team == "adversary"]
    assert hostile == [f"adversary_{number}" for number in range(len(hostile))]
    step = environment.step(actions(environment, 0))
    assert set(step.metrics) == {metric.name for metric in environment.metrics}
    assert {value.dtype for value in (*started, *step.observations, step.rewards, *step.metrics.values())} == {torch.float32}


@pytest.mark.parametrize("name", NAMES)
def test_an_episode_is_over_by_its_length_alone(name):
    environment = make(name, agents=4, envs=2, episode_length=3)
    environment.reset(torch_generator(0))
    steps = [environment.step(actions(environment, t)) for t in range(3)]
    assert [step.done.tolist() for step in steps] == [[False] * 2, [False] * 2, [True] * 2]
    assert all(step.valid.all() and not step.terminated.any() for step in steps)
    with pytest.raises(RuntimeError, match="reset"):
        environment.step(actions(environment, 3))


@pytest.mark.parametrize("name", NAMES)
def test_a_state_goes_on_bit_for_bit(name):
    environment, other = (make(name, agents=5, envs=3) for _ in range(2))
    environment.reset(torch_generator(7))
    for t in range(4):
        environment.step(actions(environment, t))
    saved = environment.state()
    there = other.load(saved)
    assert all(torch.equal(mine, theirs) for mine, theirs in zip(there, environment.observe(), strict=True))
    for t in range(4, 25):
        mine, theirs = environment.step(actions(environment, t)), other.step(actions(environment, t))
        assert torch.equal(mine.rewards, theirs.rewards)
        assert torch.equal(torch.cat(mine.observations, 1), torch.cat(theirs.observations, 1))
    assert theirs.done.all()


def test_a_state_is_a_copy():
    environment = make("simple_spread", agents=3)
    environment.reset(torch_generator(7))
    position = environment.position.clone()
    environment.state()["position"].zero_()
    environment.load(state := environment.state())
    state["position"].zero_()
    assert torch.equal(environment.position, position)


def test_resets_are_named_by_their_generator():
    environment = make("simple_push", agents=4, envs=64)
    first = environment.reset(torch_generator(3, 1))
    goals = environment.goal.clone()
    for t in range(3):
        environment.step(actions(environment, t))
    again = environment.reset(torch_generator(3, 1))
    assert all(torch.equal(one, other) for one, other in zip(first, again, strict=True))
    assert not torch.equal(environment.reset(torch_generator(3, 2))[0], first[0])
    assert 0.25 < goals.double().mean() < 0.75
    position = make("simple_tag", agents=4, envs=500)
    position.reset(torch_generator(0))
    assert 0.98 < position.position[:, :4].abs().max() <= 1 and 0.88 < position.position[:, 4:].abs().max() <= 0.9


def test_the_state_of_another_environment_is_refused():
    state = make("simple_spread", agents=3, envs=2).state()
    for other in (make("simple_spread", agents=3, envs=4), make("simple_tag", agents=3, envs=2), make("simple_spread", agents=4, envs=2)):
        with pytest.raises(PprError, match="saved state"):
            other.load(state)
    with pytest.raises(PprError, match="saved state"):
        make("simple_spread", agents=3, envs=2).load({"position": state["position"]})


@pytest.mark.parametrize(
    ("name", "options", "message", "hint"),
    [
        ("simple_spred", {}, "no environment 'simple_spred'", "simple_spread"),
        ("chess", {}, "no environment 'chess'", "simple_tag"),
        ("simple_push", {"agents": 1}, "at least 2 agents", "--agents"),
        ("simple_tag", {"agents": 4, "adversaries": 5}, "1 to 3 can be adversaries, not 5", "--adversaries"),
        ("simple_tag", {"agents": 4, "adversaries": 4}, "1 to 3 can be adversaries, not 4", "--adversaries"),
        ("simple_adversary", {"agents": 4, "adversaries": 0}, "1 to 3 can be adversaries, not 0", "--adversaries"),
        ("simple_spread", {"agents": 4, "adversaries": 1}, "no adversaries", "simple_tag"),
        ("simple_spread", {"agents": 0}, "0 agents", ""),
        ("simple_tag", {"agents": 4, "adversaries": -1}, "-1 are adversaries", ""),
        ("simple_spread", {"agents": 3, "envs": 0}, "at least one", ""),
        ("simple_spread", {"agents": 3, "episode_length": 0}, "at least one", ""),
        ("simple_spread", {"agents": 20_000, "envs": 32}, "pairs", "--envs"),
    ],
)
def test_what_cannot_be_made_is_said(name, options, message, hint):
    with pytest.raises(UsageError, match=message) as caught:
        make(name, **options)
    assert hint in (caught.value.hint or "")
