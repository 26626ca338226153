"""Trained agents as one thing to ask: from a name, a file or a run; from a line to actions; and films."""

from __future__ import annotations

import json

import pytest
import torch
from PIL import Image

from ppr.methods.codedmarl.agents.episodes import Episodes, play
from ppr.methods.codedmarl.agents.model import TrainedAgents
from ppr.methods.codedmarl.infer import Predictor
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.jsonl import Line

from .problems import a_model, a_problem, trained_states


def test_a_name_a_file_and_a_run_are_the_same(tmp_path):
    model = a_model(env="simple_tag", agents=4, seed=2)
    path = model.save(tmp_path / "best.safetensors")
    line = Line(1, "line 1", json.dumps({spec.name: [0.5] * spec.observation for spec in model.specs}).encode())
    wanted = Predictor(model).answer(line)
    assert Predictor.load(path).answer(line) == Predictor.load(tmp_path).answer(line) == wanted
    assert [spec.name for spec in Predictor.load().model.specs] == ["agent_0", "agent_1", "agent_2"]
    with pytest.raises(UsageError, match="no such file or model"):
        Predictor.load("spred")


def test_actions_are_those_of_the_actors_and_a_box_has_no_choice():
    problem = a_problem()
    predictor = Predictor(TrainedAgents.of(problem, trained_states(problem), iteration=0))
    seen = {spec.name: [0.1 * place for place in range(spec.observation)] for spec in problem.specs}
    actions = predictor(seen)
    for actor in predictor.actors:
        expected = actor(torch.tensor([seen[actor.spec.name]]))[0]
        found = actions[actor.spec.name]
        assert found["soft"] == pytest.approx(expected.tolist(), abs=1e-6)
        assert found.get("discrete") == (None if actor.spec.kind == "box" else int(expected.argmax()))
    assert predictor({"agent_1": seen["agent_1"]}) == {"agent_1": actions["agent_1"]} and predictor(seen) == actions
    with pytest.raises(PprError, match=r"^here: no agent 'agent_2'"):
        predictor({"agent_2": [0.0]}, "here")


def test_a_film_shows_the_start_and_every_step_of_what_was_played(tmp_path):
    predictor = Predictor(a_model())
    data = Episodes(predictor.environment(1), 2, seed=3)
    record = predictor.film(data, tmp_path / "film.gif", fps=5, size=240)
    assert record["frames"] == 2 * (1 + 5) and record["path"] == str(tmp_path / "film.gif") and record["episodes"] == 2
    evaluation = play(predictor.actors, data)
    assert record["returns"] == {"good": evaluation.teams()["good"].mean}
    with Image.open(tmp_path / "film.gif") as film:
        assert film.n_frames > 6 and film.size == (240, 256) and film.info["duration"] == 200
        film.seek(0)
        first = film.convert("RGB").tobytes()
        film.seek(3)
        assert film.convert("RGB").tobytes() != first
    with pytest.raises(UsageError, match="exists already"):
        predictor.film(data, tmp_path / "film.gif")
