"""Episodes against what the environment says step by step, and the environments that agents are let into."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppr.methods.codedmarl.agents.episodes import Episodes, Evaluation, environment_of, play
from ppr.methods.codedmarl.agents.problem import Purpose
from ppr.methods.codedmarl.environments import AgentSpec, make
from ppr.methods.common.errors import UsageError
from ppr.methods.common.random import torch_generator

from ..problems import Countdown, a_model


def test_teams_are_averaged_within_episodes():
    specs = tuple(AgentSpec(name, 1, 1, team) for name, team in (("a", "adversary"), ("b", "good"), ("c", "good")))
    evaluation = Evaluation(specs, np.array([[1.0, 2, 4], [3, 6, 0]]), {})
    teams = evaluation.teams()
    assert (teams["good"].mean, teams["good"].deviation, teams["adversary"].mean) == (3, 0, 2)
    assert evaluation.mean == pytest.approx(16 / 6)
    record = Evaluation(specs, np.array([[1.0, 2, 4], [3, 6, 0]]), {"touches": np.array([1.0, 3])}).record()
    assert record["return"] == evaluation.mean and record["teams"]["good"] == {"mean": 3, "interval": 0, "deviation": 0}
    assert record["metrics"]["touches"]["mean"] == 2 and record["metrics"]["touches"]["deviation"] == pytest.approx(2**0.5)


def test_returns_and_metrics_are_those_of_the_steps():
    """Played again by hand; the second round has starts of its own, and the episodes beyond those asked for are dropped."""
    model = a_model()
    environment = environment_of(model, 4)
    rounds: list[int] = []
    evaluation = play(model.actors, Episodes(environment, 7, seed=9), advance=lambda: rounds.append(1))
    assert len(rounds) == Episodes(environment, 7).rounds == 2
    assert evaluation.returns.shape == (7, 3) and {len(values) for values in evaluation.metrics.values()} == {7}
    again = make("simple_spread", agents=3, envs=4, episode_length=5)
    for number, rows in ((0, slice(0, 4)), (1, slice(4, 7))):
        observations = again.reset(torch_generator(9, number, 0, Purpose.EVALUATION_RESET))
        rewards, collisions = torch.zeros(4, 3), torch.zeros(4)
        for _ in range(5):
            step = again.step([actor(seen) for actor, seen in zip(model.actors, observations, strict=True)])
            observations, rewards, collisions = step.observations, rewards + step.rewards, collisions + step.metrics["collisions"]
        count = rows.stop - rows.start
        assert evaluation.returns[rows] == pytest.approx(rewards.numpy()[:count])
        assert evaluation.metrics["collisions"][rows] == pytest.approx(collisions.numpy()[:count])
        assert evaluation.metrics["occupied"][rows] == pytest.approx(step.metrics["occupied"].numpy()[:count])


def test_the_same_seed_plays_the_same_and_noise_is_drawn_where_asked_for():
    model = a_model()
    environment = environment_of(model, 50)
    one, again, other, noisy = (
        play(model.actors, Episodes(environment, 50, seed=seed, sampled=sampled)).returns
        for seed, sampled in ((1, False), (1, False), (2, False), (1, True))
    )
    assert (one == again).all() and (one != other).any() and (one != noisy).any()


def test_an_instance_that_ended_early_is_not_measured_any_more():
    actor = a_model(agents=1).actors[0]
    evaluation = play([lambda seen, generator: torch.zeros(2, 2)], Episodes(Countdown(), 2))
    assert actor and evaluation.returns[:, 0].tolist() == [3, 6]
    assert {name: values.tolist() for name, values in evaluation.metrics.items()} == {"sum": [3, 6], "mean": [1.5, 2], "last": [2, 3]}


def test_foreign_code_runs_only_where_it_is_named():
    model = a_model()
    foreign = type(model)(
        model.problem.__class__(model.specs, model.problem.config.model_copy(update={"env": "os:getcwd"})), [], [], model.meta
    )
    with pytest.raises(UsageError, match=r"trained in os:getcwd, which is code outside of ppr") as raised:
        environment_of(foreign, 1)
    assert "--env os:getcwd" in raised.value.hint
    assert environment_of(foreign, 1, env="simple_spread").name == "simple_spread"


def test_an_environment_without_the_agents_teams_is_refused():
    with pytest.raises(UsageError, match="has no adversaries"):
        environment_of(a_model(env="simple_tag", agents=4), 1, env="simple_spread")
