"""Models of stragglers and traces: their statistics, that iterations stand for themselves, and what a broken file gets."""

from __future__ import annotations

import numpy as np
import pytest

from ppr.methods.codedmarl.learners.stragglers import Stragglers, schedule
from ppr.methods.codedmarl.learners.traces import load_trace
from ppr.methods.common.errors import PprError, UsageError

MODELS = {
    "fixed": {"stragglers": 3, "delay": 1.0},
    "bernoulli": {"chance": 0.3, "delay": 1.0},
    "exp": {"delay": 1.0},
    "pareto": {"delay": 1.0},
}


def write(path, text):
    path.write_text(text)
    return path


@pytest.mark.parametrize("model", MODELS)
def test_an_iteration_has_its_own_faults_whatever_was_drawn_before(model):
    one, other = (schedule(model, 12, kill_rate=0.2, seed=7, **MODELS[model]) for _ in range(2))
    for iteration in (5, 0, 3):
        one.draw(iteration)
    first, second = one.draw(4), other.draw(4)
    np.testing.assert_array_equal(first.delays, second.delays)
    np.testing.assert_array_equal(first.killed, second.killed)
    assert (one.draw(5).delays != first.delays).any()
    assert (schedule(model, 12, seed=8, **MODELS[model]).draw(4).delays != first.delays).any()


def test_fixed_slows_so_many_learners_and_each_as_often():
    hits = np.zeros(10)
    faults = schedule("fixed", 10, stragglers=3, delay=0.25, seed=1)
    for iteration in range(3000):
        delays = faults.draw(iteration).delays
        assert sorted(set(delays.tolist())) == [0, 0.25]
        assert (delays > 0).sum() == 3
        hits += delays > 0
    assert (np.abs(hits / 3000 - 0.3) < 5 * np.sqrt(0.3 * 0.7 / 3000)).all()


def test_fixed_slows_all_learners_of_a_code_that_has_fewer():
    assert (schedule("fixed", 4, stragglers=8, delay=2).draw(0).delays == 2).all()


@pytest.mark.parametrize(
    ("model", "options", "mean"), [("exp", {}, 0.5), ("pareto", {"shape": 3.0}, 0.5), ("bernoulli", {"chance": 0.2}, 0.1)]
)
def test_means(model, options, mean):
    faults = schedule(model, 1000, delay=0.5, **options)
    drawn = np.concatenate([faults.draw(iteration).delays for iteration in range(100)])
    assert drawn.mean() == pytest.approx(mean, rel=0.03)
    assert drawn.min() >= 0
    assert faults.draw(0).per_update == (model != "bernoulli")


def test_killing_does_not_change_delays():
    with_kills, without = (schedule("exp", 2000, delay=1, kill_rate=rate, seed=3).draw(9) for rate in (0.1, 0))
    np.testing.assert_array_equal(with_kills.delays, without.delays)
    assert with_kills.killed.mean() == pytest.approx(0.1, abs=0.03)
    assert not without.killed.any()


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"stragglers": -1}, "at least 0"),
        ({"delay": -0.1}, "delay of -0.1"),
        ({"delay": float("nan")}, "delay of nan"),
        ({"delay": 1e300}, "delay of 1e+300"),
        ({"chance": 1.5}, "between 0 and 1"),
        ({"kill_rate": 1.0}, "chance below 1"),
        ({"model": "pareto", "shape": 1.0}, "only above 1"),
        ({"model": "trace"}, "belong together"),
    ],
)
def test_values_without_sense_are_refused(options, part):
    with pytest.raises(UsageError, match=part.replace("+", r"\+")):
        Stragglers(**({"model": "fixed"} | options))


def test_a_trace_is_replayed_and_begins_again(tmp_path):
    path = write(tmp_path / "t.csv", "learner,iteration,kind,delay\n1,0,,0.5\n0,2,kill,\n2,2,corrupt,0.25\n1,2,drop,\n1,2,delay,2\n\n")
    faults = schedule("trace", 3, trace=path)
    for cycle in (0, 3, 300):
        np.testing.assert_array_equal(faults.draw(cycle).delays, [0, 0.5, 0])
        assert not faults.draw(cycle + 1).lost.any()
        assert not faults.draw(cycle + 1).delays.any()
        last = faults.draw(cycle + 2)
        np.testing.assert_array_equal(last.delays, [0, 2, 0.25])
        assert (last.killed.tolist(), last.dropped.tolist(), last.corrupted.tolist()) == (
            [True, False, False],
            [False, True, False],
            [False, False, True],
        )
    fewer = schedule("trace", 2, trace=path).draw(2)  # the third learner's rows are left out
    assert fewer.delays.tolist() == [0, 2] and fewer.lost.tolist() == [True, True]


HEAD = "iteration,learner,delay,kind\n"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no column 'iteration'"),
        ("iteration,learner\n0,1\n", "no column 'delay'"),
        (HEAD, "a header without rows"),
        (HEAD + "0,1,nan,\n", "line 2: delay 'nan'"),
        (HEAD + "0,1,inf,\n", "delay 'inf'"),
        (HEAD + "0,1,1e300,\n", "delay '1e300'"),
        (HEAD + "0,1,-1,\n", "delay '-1'"),
        (HEAD + "0,1,,\n", "delay ''"),
        (HEAD + "0,1,soon,\n", "delay 'soon'"),
        (HEAD + "0,0,1,\n-1,1,1,\n", "line 3: iteration '-1'"),
        (HEAD + "0.5,1,1,\n", "iteration '0.5'"),
        (HEAD + f"{10**30},1,1,\n", "is not a whole number"),
        (HEAD + "0,10000,1,\n", "learner '10000'"),
        (HEAD + "0,1,1,explode\n", "unknown kind 'explode'"),
        (HEAD + "0,1,1\n", "3 cells, the header has 4"),
        (HEAD + "0,1,1,\n2,2,1,\n0,1,2,delay\n", "line 4: the same learner in the same iteration as in line 2"),
        ("\x00\x01", "no column|not a csv"),
    ],
)
def test_broken_traces_are_refused_with_their_line(tmp_path, text, part):
    with pytest.raises(PprError, match=part):
        load_trace(write(tmp_path / "t.csv", text))


def test_traces_that_are_no_text_or_not_there(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"\xff\xfe\x00iteration")
    with pytest.raises(PprError, match="not a csv text"):
        load_trace(tmp_path / "t.csv")
    with pytest.raises(UsageError, match="no such trace"):
        load_trace(tmp_path / "absent.csv")
    with pytest.raises(PprError, match="no delays were measured"):
        load_trace(tmp_path)


def test_a_trace_of_more_learners_is_refused_by_name(tmp_path):
    with pytest.raises(UsageError, match="names learner 7, and 5 learners have the numbers 0 to 4"):
        load_trace(write(tmp_path / "t.csv", HEAD + "0,7,1,\n")).check(5)


def test_a_run_gives_its_delays_back(tmp_path):
    """Updates take 20 ms; learner 2 is slow by half a second in iteration 1, is given up in iteration 2, and dies in iteration 3."""
    rows = [
        (t, j, -1, 2, 2, 0, 0.01, 0.06, 0.02, 0.04, 100, "h", 1, "used")
        for t in range(4)
        for j in range(3)
        if (t, j) not in ((1, 2), (2, 2), (3, 2))
    ]
    rows += [
        (1, 2, -1, 2, 2, 0.5, 0.01, 0.56, 0.02, 0.54, 100, "h", 1, "late"),
        (2, 2, -1, 2, 1, 0.75, 0.01, 0.06, 0.02, "", 0, "h", 1, "abandoned"),
        (3, 2, -1, 2, 0, 0, 0.01, 0.03, "", "", 0, "", "", "lost"),
    ]
    names = "iteration,learner,agent,weight,updates,delay,submitted,received,first,seconds,bytes,host,pid,outcome"
    write(tmp_path / "shares.csv", "\n".join([names, *(",".join(map(str, row)) for row in rows)]) + "\n")
    trace = load_trace(tmp_path)
    assert trace.update_time == pytest.approx(0.02)
    faults = schedule("trace", 3, trace=trace)
    np.testing.assert_allclose(faults.draw(0).delays, 0, atol=1e-12)
    np.testing.assert_allclose(faults.draw(1).delays, [0, 0, 0.5], atol=1e-12)
    np.testing.assert_allclose(faults.draw(2).delays, [0, 0, 0.71], atol=1e-12)
    assert faults.draw(3).killed.tolist() == [False, False, True]
