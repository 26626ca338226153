"""Scores beside those of random play, and teams of two trainings together."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppr.methods.codedmarl.agents.episodes import Episodes, play
from ppr.methods.codedmarl.environments import AgentSpec
from ppr.methods.codedmarl.evaluate import RandomPlayer, cross_play, evaluate, sides_of
from ppr.methods.codedmarl.infer import Predictor
from ppr.methods.common.errors import UsageError

from .problems import a_model


def test_an_evaluation_is_what_was_played_beside_random_play_from_the_same_starts():
    predictor = Predictor(a_model(env="simple_tag", agents=4))
    environment = predictor.environment(6)
    rounds: list[int] = []
    record = evaluate(predictor, Episodes(environment, 6, seed=3), lambda: rounds.append(1))
    assert len(rounds) == 2
    assert {key: record[key] for key in ("return", "teams", "metrics")} == play(predictor.actors, Episodes(environment, 6, seed=3)).record()
    players = [RandomPlayer(spec) for spec in environment.specs]
    assert record["baselines"] == {"random": play(players, Episodes(environment, 6, seed=3, sampled=True)).record()}
    assert record["baselines"] != evaluate(predictor, Episodes(environment, 6, seed=4))["baselines"]
    assert record["env"] == "simple_tag" and record["episodes"] == 6 and record["policy"] == "without noise"
    assert record["definition"].startswith("sum over the 5 steps of an episode, mean over agents; per agent: adversaries 10")


def test_random_play_is_as_good_as_that_of_mpe2():
    """Three agents of simple_spread that act at random return -25 each there, over 25 steps."""
    predictor = Predictor(a_model(agents=3, episode_length=25))
    random = evaluate(predictor, Episodes(predictor.environment(300), 300))["baselines"]["random"]
    assert random["return"] == pytest.approx(-25, abs=2) and random["teams"]["good"]["interval"] < 1


def test_random_players_do_anything_whatever_they_see():
    spec = AgentSpec("a", 2, 5, "good", "discrete")
    actions = RandomPlayer(spec)(torch.zeros(20_000, 2), torch.Generator().manual_seed(0))
    assert actions.shape == (20_000, 5) and float(actions.min()) >= 0 and float(actions.max()) < 1
    counts = np.bincount(actions.argmax(1), minlength=5)
    assert np.abs(counts / 4000 - 1).max() < 0.05


def test_cross_play_lets_the_sides_of_two_trainings_meet():
    one, other = (Predictor(a_model(env="simple_tag", agents=4, seed=seed)) for seed in (1, 2))
    environment = one.environment(20)
    matches = cross_play(one, other, Episodes(environment, 20, seed=5))
    assert [match.sides for match in matches] == [(0, 0), (0, 1), (1, 0), (1, 1)]
    for match, model in ((matches[0], one), (matches[3], other)):
        assert (match.evaluation.returns == play(model.actors, Episodes(environment, 20, seed=5)).returns).all()
    mixed = [*other.actors[:2], *one.actors[2:]]  # adversaries come first
    assert (matches[1].evaluation.returns == play(mixed, Episodes(environment, 20, seed=5)).returns).all()


def test_sides():
    specs = [AgentSpec(str(number), 1, 1, "good") for number in range(5)]
    assert sides_of(specs) == ([0, 1, 2], [3, 4])
    hunted = [AgentSpec("x", 1, 1, "adversary"), *specs]
    assert sides_of(hunted) == ([1, 2, 3, 4, 5], [0])
    with pytest.raises(UsageError, match="nobody to play with"):
        sides_of(specs[:1])


def test_agents_that_do_not_fit_are_refused():
    spread, tag = Predictor(a_model(agents=4)), Predictor(a_model(env="simple_tag", agents=4))
    data = Episodes(spread.environment(1), 1)
    with pytest.raises(UsageError, match=r"differ: adversary_0 \(adversary, .* not agent_0 \(good, 24 observed, 5 simplex actions\)"):
        cross_play(spread, tag, data)
    with pytest.raises(UsageError, match="the agents of the two runs are 3, not 4"):
        cross_play(spread, Predictor(a_model(agents=3)), data)
