"""Films of trained agents, and answers to observations that come through a pipe."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ppr.methods.codedmarl.agents.model import TrainedAgents


@pytest.fixture
def say(ppr, monkeypatch):
    """`say(lines, *arguments)`: `ppr codedmarl infer --stdin` with these bytes on standard input."""

    def call(lines: bytes, *arguments):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
        return ppr("codedmarl", "infer", *arguments, "--stdin")

    return call


def observations(run: Path, seed: int = 0) -> dict[str, list[float]]:
    rng = np.random.default_rng(seed)
    return {spec.name: rng.normal(size=spec.observation).tolist() for spec in TrainedAgents.load(run).specs}


def test_a_film_is_written(ppr, spread, tmp_path):
    path = tmp_path / "film.gif"
    answer = ppr("codedmarl", "infer", spread, "--gif", path, "--episodes", "2", "--size", "240", "--seed", "4", "--json")
    assert answer.code == 0, answer.err
    (record,) = answer.records
    with Image.open(path) as film:
        assert film.n_frames > 6 and max(film.size) >= 240
    assert record["frames"] == 12 and record["path"] == str(path)
    again = ppr("codedmarl", "infer", spread, "--gif", path, "--episodes", "2")
    assert again.code == 2 and "exists already" in again.err


def test_a_film_of_the_agents_that_come_along_needs_no_run(ppr, tmp_path):
    answer = ppr("codedmarl", "infer", "--gif", tmp_path / "spread.gif", "--episodes", "1")
    assert answer.code == 0, answer.err
    assert answer.out == f"{tmp_path / 'spread.gif'}\n" and "return of good -" in answer.err
    with Image.open(tmp_path / "spread.gif") as film:
        assert film.n_frames > 15


def test_a_line_is_answered_with_what_the_actors_do(say, tag):
    seen = observations(tag)
    answer = say(json.dumps(seen).encode() + b"\n" + json.dumps({"agent_0": seen["agent_0"]}).encode(), tag)
    assert answer.code == 0, answer.err
    full, single = answer.records
    assert single == {"agent_0": full["agent_0"]} and full.keys() == seen.keys()
    for actor in TrainedAgents.load(tag).actors:
        expected = actor(torch.tensor([seen[actor.spec.name]], dtype=torch.float32))[0]
        assert full[actor.spec.name]["soft"] == pytest.approx(expected.tolist(), abs=1e-6)
        assert full[actor.spec.name]["discrete"] == int(expected.argmax())


BAD = [
    (b"hello", "not JSON"),
    (b"[1, 2]", "no object with an observation an agent"),
    (b"{}", "no object with an observation an agent"),
    (b'{"agent_0": 3}', "the observation of agent_0 is no list of finite numbers"),
    (b'{"agent_0": [NaN]}', "the observation of agent_0 is no list of finite numbers"),
    (b'{"agent_0": [true]}', "the observation of agent_0 is no list of finite numbers"),
    (b'{"agent_0": ["1"]}', "the observation of agent_0 is no list of finite numbers"),
    (b'{"agent_0": [1e999]}', "the observation of agent_0 is no list of finite numbers"),
    (b'{"agent_0": [1' + b"0" * 400 + b"]}", "the observation of agent_0 is no list of finite numbers"),
    (b'{"agent_0": [1, 2]}', "agent_0 observes 18 numbers, not 2"),
    (b'{"agent_7": [1]}', "no agent 'agent_7'"),
    (b"\xff\xfe", "not JSON"),
    (b"[" * 100_000, "not JSON"),
]


@pytest.mark.parametrize(("line", "message"), BAD, ids=[message for _line, message in BAD])
def test_a_bad_line_is_reported_and_the_others_are_answered(say, spread, line, message):
    good = json.dumps(observations(spread)).encode()
    answer = say(b"\n".join([good, line, b"", good]), spread)
    assert answer.code == 1
    assert len(answer.records) == 2 and answer.records[0] == answer.records[1]
    assert f"line 2: {message}" in answer.err and "Traceback" not in answer.err and answer.err.count("Error") == 1


def test_a_line_without_end_is_refused_and_the_next_is_answered(say, spread):
    good = json.dumps(observations(spread)).encode()
    answer = say(b"[" + b"1," * (9 << 20) + b"1]\n" + good, spread)
    assert answer.code == 1 and len(answer.records) == 1 and "line 1: longer than" in answer.err


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error(spread):
    line = json.dumps(observations(spread)) + "\n"
    command = f"{sys.executable} -m ppr.cli.main codedmarl infer {spread} --stdin | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], input=line * 3000, capture_output=True, text=True, timeout=300, check=True)
    first, code = done.stdout.splitlines()
    assert "agent_2" in json.loads(first) and code == "0" and done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("infer", "{spread}"), 2, "give either --gif FILE, to watch, or --stdin, to ask"),
        (("infer", "{spread}", "--stdin", "--gif", "a.gif"), 2, "give either --gif FILE"),
        (("infer", "{spread}", "--stdin", "--fps", "3"), 2, "--fps: is for --gif"),
        (("infer", "sprad", "--gif", "a.gif"), 2, "did you mean 'spread'?"),
    ],
)
def test_what_cannot_be_done_is_said(ppr, places, arguments, code, message):
    answer = ppr("codedmarl", *(argument.format(**places) for argument in arguments))
    assert answer.code == code, answer.err
    assert message in answer.err and answer.out == "" and "Traceback" not in answer.err
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["empty", "text.safetensors"]
