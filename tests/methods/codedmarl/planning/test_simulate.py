"""Iterations on a virtual clock: closed forms, queues, crashes, lost shares, and that nothing hangs."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.learners.stragglers import Stragglers
from ppr.methods.codedmarl.learners.traces import load_trace
from ppr.methods.codedmarl.planning.closed_forms import shifted_exponential
from ppr.methods.codedmarl.planning.machines import Setting
from ppr.methods.codedmarl.planning.simulate import simulate
from ppr.methods.codedmarl.planning.simulation_summary import COLUMNS, csv_rows, patient, summarise
from ppr.methods.codedmarl.planning.waits import Situation, estimate

from ....counting import calls

NONE = Stragglers()
EXPONENTIAL = Stragglers("exp", delay=1.0)


def seconds(code, setting):
    return np.array([one.seconds for one in simulate(code, setting)])


@pytest.mark.parametrize(("family", "wait"), [("mds", 13.803), ("uncoded", 3.718), ("replication", None)])
def test_shifted_exponential_learners_meet_the_closed_forms(family, wait):
    code = build(family, 15, 8)
    formula = shifted_exponential(code, 1.0, 1.0)
    times = seconds(code, patient(code, Setting(2500, EXPONENTIAL, 1.0, seed=2)))
    error = times.std() / np.sqrt(len(times))
    assert abs(times.mean() - formula.mean) < 3 * error
    if wait is not None:
        assert times.mean() == pytest.approx(wait, rel=0.01)


@pytest.mark.parametrize("family", ["ldpc", "balanced", "multi", "random-sparse"])
@pytest.mark.parametrize(
    "kind", [Stragglers("fixed", 3, 0.5), Stragglers("bernoulli", delay=0.5, chance=0.2), Stragglers("pareto", delay=0.02, shape=3.0)]
)
def test_other_codes_and_models_meet_the_planner(family, kind):
    code = build(family, 15, 8, tolerance=2 if family in ("balanced", "multi") else None)
    times = seconds(code, Setting(400, kind, 0.02, overhead=0.1, seed=5))
    expected = estimate(code, Situation(kind, 0.02))
    error = np.hypot(times.std() / np.sqrt(len(times)), expected.error or 0)
    assert abs(times.mean() - 0.1 - expected.mean) < 3.5 * error + 1e-9


def test_the_same_seed_gives_the_same_iterations_and_codes_meet_the_same_stragglers():
    setting = Setting(30, Stragglers("fixed", 4, 1.0), 0.02, crash_after=5.0, restart_after=1.0, seed=3)
    code = build("balanced", 15, 8, tolerance=1)
    assert simulate(code, setting) == simulate(code, setting)
    assert simulate(code, setting) != simulate(code, replace(setting, seed=4))


def test_shares_go_through_the_controllers_link_one_after_the_other():
    """Eight learners are ready at once after 1 s; each share takes .25 s."""
    (first, second) = simulate(build("uncoded", 8, 8), Setting(2, NONE, 1.0, overhead=0.5, transfer=0.25))
    assert first.seconds == pytest.approx(0.5 + 1 + 8 * 0.25)
    assert second.start == pytest.approx(first.seconds)
    assert first.link == pytest.approx(2.0)
    code = build("replication", 12, 4)
    (one,) = simulate(code, Setting(1, NONE, 1.0, transfer=0.25))
    assert one.seconds == pytest.approx(2.0)  # four of the twelve shares, and the rest is not sent any more
    assert (one.arrived, one.used, one.computed, one.link) == (4, 4, 12, pytest.approx(1.0))


def test_a_learner_that_is_told_to_stop_finishes_its_update_first():
    """Ten learners of this code have one update, ready after 1 s; the last of their shares arrives .1 s later, when the other five are
    at their second update until 2 s. The next iteration begins at 1.35 s.
    """
    code = build("ldpc", 15, 8)
    instant, update = (
        simulate(code, Setting(2, NONE, 1.0, overhead=0.25, transfer=0.01, abandon=abandon)) for abandon in ("instant", "update")
    )
    assert [one.seconds for one in instant + update] == pytest.approx([1.35] * 4)
    assert [one.late for one in instant + update] == [0, 0, 0, 5]
    assert [one.computed for one in instant] == [15, 15]
    assert [one.computed for one in update] == [20, 15]  # begun at 2 s, they are at their first update when the second one ends


def test_late_learners_slow_the_next_iteration():
    heavy = build("random-sparse", 15, 8)
    instant, update = (
        simulate(heavy, Setting(40, EXPONENTIAL, 1.0, abandon=abandon, timeout=1e4, seed=1)) for abandon in ("instant", "update")
    )
    assert sum(one.late for one in instant) == 0
    assert sum(one.late for one in update) > 40
    assert sum(one.seconds for one in update) > sum(one.seconds for one in instant)
    assert sum(one.computed for one in update) > sum(one.computed for one in instant)
    paused = simulate(heavy, Setting(40, EXPONENTIAL, 1.0, overhead=1.0, abandon="update", timeout=1e4, seed=1))
    assert sum(one.late for one in paused) == 0  # an update is over before the pause is


def faults(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_text("iteration,learner,delay,kind\n" + text)
    return Stragglers("trace", trace=load_trace(path))


@pytest.mark.parametrize("kind", ["kill", "drop", "corrupt"])
def test_a_lost_share_is_given_out_again_after_the_timeout(tmp_path, kind):
    """Uncoded: learner 1 of 3 loses its share in iteration 1, and another one computes its agent after 5 s."""
    setting = Setting(3, faults(tmp_path, f"1,1,,{kind}\n2,0,0,\n"), 1.0, timeout=5.0, restart_after=0.5)
    before, lost, after = simulate(build("uncoded", 3, 3), setting)
    assert before.seconds == after.seconds == 1
    assert lost.seconds == pytest.approx(6.0)
    assert (lost.reissued, lost.decoded, lost.down) == (1, True, 0)
    assert lost.computed == {"kill": 3, "drop": 4, "corrupt": 4}[kind]  # the killed one dies before its update is done


def test_a_code_survives_what_uncoded_does_not(tmp_path):
    setting = Setting(2, faults(tmp_path, "0,3,,kill\n0,5,0,drop\n1,2,,corrupt\n1,9,,kill\n"), 0.02, timeout=5.0, restart_after=0.1)
    for family in ("balanced", "multi"):
        found = simulate(build(family, 15, 8, tolerance=2), setting)
        assert all(one.decoded and not one.reissued and one.seconds < 0.1 for one in found)


def test_iterations_nobody_answers_in_are_given_up_and_counted(tmp_path):
    kind = faults(tmp_path, "".join(f"0,{learner},,drop\n" for learner in range(4)) + "1,0,0,\n")
    lost, fine = simulate(build("uncoded", 4, 4), Setting(2, kind, 1.0, timeout=3.0, rounds=3))
    assert not lost.decoded
    assert lost.seconds == pytest.approx(4 * 3.0)
    assert lost.reissued == 12
    assert fine.decoded and fine.seconds == 1
    summary = summarise([lost, fine], 4)
    assert (summary.given_up, summary.rescued) == (1, 0)


def test_learners_that_crash_all_the_time_hang_nothing():
    setting = Setting(60, NONE, 1.0, crash_after=0.5, restart_after=3.0, timeout=4.0, seed=1)
    found = simulate(build("replication", 8, 4), setting)
    assert len(found) == 60
    assert any(not one.decoded for one in found)
    assert sum(one.down for one in found) > 60
    assert all(one.seconds <= 16 + 1e-9 for one in found)


def test_as_many_learners_are_down_as_the_rates_say():
    setting = Setting(1500, NONE, 0.1, overhead=0.9, crash_after=30.0, restart_after=10.0, timeout=5.0, seed=4)
    found = simulate(build("multi", 12, 3, tolerance=9), setting)
    assert np.mean([one.down for one in found]) == pytest.approx(12 * 10 / 40, rel=0.15)


def test_killed_learners_are_down_until_they_have_restarted(tmp_path):
    kind = faults(tmp_path, "0,0,,kill\n" + "9,0,0,\n")
    found = simulate(build("multi", 4, 2, tolerance=3), Setting(6, kind, 1.0, overhead=9.0, restart_after=1e5, seed=0))
    assert [one.down for one in found] == [0, 1, 1, 1, 1, 1]


@pytest.mark.parametrize(("family", "tolerance"), [("replication", None), ("balanced", 5), ("ldpc", None)])
def test_a_thousand_learners_are_fast(family, tolerance):
    """200 iterations shall take less than 60 s on a core, which is some 80 million calls; here are 10 of them."""
    code = build(family, 1000, 500, tolerance=tolerance)
    found = []
    assert calls(lambda: found.extend(simulate(code, patient(code, Setting(10, Stragglers("exp", delay=0.02), 0.02))))) < 1_000_000
    assert all(one.decoded for one in found)


def test_ten_thousand_learners_with_crashes():
    code = build("replication", 10_000, 2_500)
    setting = Setting(2, Stragglers("pareto", delay=0.02), 0.02, transfer=1e-6, crash_after=100.0, abandon="update")
    assert all(one.decoded for one in simulate(code, setting))


def test_summary_and_csv():
    code = build("multi", 15, 8, tolerance=2)
    found = simulate(code, Setting(50, Stragglers("exp", delay=0.05), 0.02, overhead=0.1, transfer=0.001, seed=2))
    summary = summarise(found, 8)
    times = [one.seconds for one in found]
    assert summary.mean == pytest.approx(np.mean(times))
    assert summary.p50 <= summary.p95 <= summary.p99 <= max(times)
    assert summary.wasted == pytest.approx(1 - 50 * 8 / sum(one.computed for one in found))
    assert summary.link == pytest.approx(sum(one.link for one in found) / sum(times))
    rows = list(csv_rows({"multi": found}))
    assert len(rows) == 50 and len(rows[0]) == len(COLUMNS)
    assert np.isnan(summarise(found[:1], 8).error)
