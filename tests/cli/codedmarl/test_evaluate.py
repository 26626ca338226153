"""Scores of trained agents, beside random play and with those of another training."""

from __future__ import annotations

from pathlib import Path

import pytest

from .runs import a_run


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
    ],
)
def test_what_cannot_be_done_is_said(ppr, places, arguments, code, message):
    answer = ppr("codedmarl", *(argument.format(**places) for argument in arguments))
    assert answer.code == code, answer.err
    assert message in answer.err and answer.out == "" and "Traceback" not in answer.err
    assert sorted(path.name for path in Path.cwd().iterdir()) == ["empty", "text.safetensors"]
