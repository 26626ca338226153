"""What the commands make of trained agents: scores, films, answers, exported actors; and what they say to what cannot be."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image

from ppr.methods.codedmarl.agents.centralised import Trainer
from ppr.methods.codedmarl.agents.model import TrainedAgents
from ppr.methods.codedmarl.config import TrainConfig


def a_run(folder: Path, **changes) -> Path:
    """The folder of a training that made no step."""
    trainer = Trainer(TrainConfig.model_validate({"hidden": 8, "episode_length": 5, "envs": 2} | changes))
    TrainedAgents.of(trainer.problem, trainer.states, iteration=0).save(folder / "best.safetensors")
    return folder


@pytest.fixture(scope="module")
def spread(tmp_path_factory) -> Path:
    return a_run(tmp_path_factory.mktemp("spread"))


@pytest.fixture(scope="module")
def tag(tmp_path_factory) -> Path:
    return a_run(tmp_path_factory.mktemp("tag"), env="simple_tag", agents=4, adversaries=3)


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


def test_the_agents_that_come_along_do_what_the_card_says(ppr):
    (record,) = ppr("codedmarl", "evaluate", "spread", "--json").records
    assert record["teams"]["good"]["mean"] > -13 and record["teams"]["good"]["interval"] < 1
    assert record["metrics"]["occupied"]["mean"] > 1
    assert record["episodes"] == 100 and record["env"] == "simple_spread" and "mean over agents" in record["definition"]
    assert -27 < record["baselines"]["random"]["teams"]["good"]["mean"] < -23


def test_evaluate_prints_intervals_measures_and_what_a_return_is(ppr, tag):
    answer = ppr("codedmarl", "evaluate", tag, "--episodes", "20")
    assert answer.code == 0, answer.err
    for part in ("return of good", "return of adversary", "+- 95 %", "random play"):
        assert part in answer.out
    assert "return: sum over the 5 steps of an episode, mean over agents" in answer.err and "without noise" in answer.err
    assert ppr("codedmarl", "evaluate", tag, "--episodes", "20").out == answer.out
    assert ppr("codedmarl", "evaluate", tag, "--episodes", "20", "--seed", "1").out != answer.out
    assert ppr("codedmarl", "evaluate", tag, "--episodes", "20", "--sampled").out != answer.out
    (single,) = ppr("codedmarl", "evaluate", tag, "--episodes", "1", "--json").records
    assert single["teams"]["good"]["interval"] is None


def test_cross_play_is_a_matrix(ppr, tag, tmp_path):
    other = a_run(tmp_path, env="simple_tag", agents=4, adversaries=3, seed=1)
    (record,) = ppr("codedmarl", "evaluate", tag, "--opponent", other, "--episodes", "10", "--json").records
    names = [str(tag), str(other)]
    assert [(match["good"], match["adversary"]) for match in record["matches"]] == [(one, two) for one in names for two in names]
    (own,) = ppr("codedmarl", "evaluate", tag, "--episodes", "10", "--json").records
    assert record["matches"][0]["teams"] == own["teams"]
    assert record["matches"][1]["teams"] != own["teams"]
    answer = ppr("codedmarl", "evaluate", tag, "--opponent", other, "--episodes", "10")
    assert answer.code == 0 and "+- 95 % adversary" in answer.out


def test_code_outside_of_ppr_runs_only_where_it_is_named(ppr, tmp_path):
    pytest.importorskip("mpe2")
    env = "mpe2.simple_adversary_v3:parallel_env"
    run = a_run(tmp_path / "run", env=env, envs=1)
    for arguments in (("evaluate", run, "--episodes", "2"), ("infer", run, "--gif", tmp_path / "a.gif", "--episodes", "1")):
        answer = ppr("codedmarl", *arguments)
        assert answer.code == 2 and f"hint: give --env {env} to import and run it" in answer.err
        answer = ppr("codedmarl", *arguments, "--env", env)
        assert answer.code == 0, answer.err


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


def test_a_reader_that_leaves_is_no_error(spread):
    line = json.dumps(observations(spread)) + "\n"
    command = f"{sys.executable} -m ppr.cli.main codedmarl infer {spread} --stdin | head -n 1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], input=line * 3000, capture_output=True, text=True, timeout=120, check=True)
    first, code = done.stdout.splitlines()
    assert "agent_2" in json.loads(first) and code == "0" and done.stderr == ""


@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_exported_actors_do_the_same_in_another_runtime(ppr, tag, tmp_path, format):
    answer = ppr("codedmarl", "export", tag, "--out", tmp_path / "out", "--format", format, "--note", "licence=CC0-1.0")
    assert answer.code == 0, answer.err
    described = json.loads((tmp_path / "out/actors.json").read_text())
    assert described["licence"] == "CC0-1.0" and described["env"] == "simple_tag"
    assert described.get("opset") == (18 if format == "onnx" else None)
    files = [*(agent["file"] for agent in described["agents"]), "actors.json"]
    assert answer.out.splitlines() == [str(tmp_path / "out" / file) for file in files]
    rng = np.random.default_rng(1)
    for actor, agent in zip(TrainedAgents.load(tag).actors, described["agents"], strict=True):
        assert (agent["name"], agent["team"], agent["observation"]) == (actor.spec.name, actor.spec.team, actor.spec.observation)
        seen = rng.normal(size=(7, actor.spec.observation)).astype(np.float32)
        expected = actor(torch.from_numpy(seen)).numpy()
        path = str(tmp_path / "out" / agent["file"])
        if format == "onnx":
            assert onnx.load(path).opset_import[0].version == 18
            assert {prop.key: prop.value for prop in onnx.load(path).metadata_props}["name"] == actor.spec.name
            action, choice = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).run(None, {"observation": seen})
        else:
            action, choice = (part.numpy() for part in torch.jit.load(path)(torch.from_numpy(seen)))
        assert np.abs(action - expected).max() < 1e-5 and (choice == expected.argmax(1)).all()
    again = ppr("codedmarl", "export", tag, "--out", tmp_path / "out", "--format", format)
    assert again.code == 2 and "exists already" in again.err


def test_the_configuration_is_printed_and_can_be_read(ppr, tmp_path):
    from ppr.methods.codedmarl.config import PRESETS
    from ppr.methods.common.config import load_config

    for arguments, values in (((), {}), (("--preset", "demo"), PRESETS["demo"]), (("--preset", "paper"), PRESETS["paper"])):
        answer = ppr("codedmarl", "config", *arguments)
        (tmp_path / "c.yaml").write_text(answer.out)
        assert load_config(TrainConfig, tmp_path / "c.yaml") == TrainConfig.model_validate(values)
    answer = ppr("codedmarl", "config", "--preset", "dmo")
    assert answer.code == 2 and "did you mean 'demo'?" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("evaluate", "absent"), 2, "absent: no such file or model"),
        (("evaluate", "{empty}"), 2, "not a run directory"),
        (("evaluate", "{text}"), 1, "text.safetensors"),
        (("evaluate", "{spread}", "--episodes", "0"), 2, "--episodes"),
        (("evaluate", "{spread}", "--env", "simple_sprad"), 2, "did you mean 'simple_spread'?"),
        (("evaluate", "{spread}", "--env", "simple_tag"), 2, "--adversaries"),
        (("evaluate", "{spread}", "--opponent", "{tag}"), 2, "the agents of the two runs are 4, not 3"),
        (("infer", "{spread}"), 2, "give either --gif FILE, to watch, or --stdin, to ask"),
        (("infer", "{spread}", "--stdin", "--gif", "a.gif"), 2, "give either --gif FILE"),
        (("infer", "{spread}", "--stdin", "--fps", "3"), 2, "--fps: is for --gif"),
        (("infer", "sprad", "--gif", "a.gif"), 2, "did you mean 'spread'?"),
        (("export", "{spread}"), 2, "--out"),
        (("export", "{spread}", "--out", "o", "--opset", "9"), 2, "--opset"),
        (("export", "{spread}", "--out", "o", "--note", "x"), 2, "--note x: not of the form key=text"),
    ],
)
def test_what_cannot_be_done_is_said(ppr, tmp_path, monkeypatch, spread, tag, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.safetensors").write_text("no checkpoint")
    places = {"spread": spread, "tag": tag, "empty": "empty", "text": "text.safetensors"}
    answer = ppr("codedmarl", *(argument.format(**places) for argument in arguments))
    assert answer.code == code, answer.err
    assert message in answer.err and answer.out == "" and "Traceback" not in answer.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["empty", "text.safetensors"]
