"""An iteration from the controller's side: nothing waits for those who are slow or lost, and the result doesn't depend on who they were."""

from __future__ import annotations

import itertools
import logging
import time
from typing import Any

import numpy as np
import pytest

from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.learners.controller import Stopped, TooFewShares
from ppr.methods.codedmarl.learners.engine import Engine
from ppr.methods.codedmarl.learners.local import LocalEngine
from ppr.methods.codedmarl.learners.simulated import SimEngine
from ppr.methods.codedmarl.learners.stragglers import schedule
from ppr.methods.common.errors import PprError

from ....waiting import LIMIT, until
from ..toy import Toy, arrays, expected
from .controlled import AGENTS, X, controlled, events, right, skip

pytestmark = pytest.mark.usefixtures("importable")


@pytest.mark.parametrize("family", ["uncoded", "replication", "mds", "random-sparse", "balanced", "multi"])
def test_random_stragglers_and_kills_never_change_the_result(family):
    code = build(family, 7, AGENTS, field="gf256")
    with controlled(code) as controller:
        controller.schedule = schedule("bernoulli", code.learners, delay=3.0, chance=0.4, kill_rate=0.15, seed=1)
        for iteration in range(25):
            assert right(controller.iterate(iteration, arrays()), iteration)
        assert len(events(controller, "lost")) > 5
        assert events(controller, "back")


def test_coded_iterations_do_not_wait_for_a_straggler_and_uncoded_ones_do():
    """Three of seven learners are a second late. mds updates 4 agents in 0.4 s; uncoded has 0.1 s of work and waits the second."""
    for family, seconds in (("mds", 0.4), ("uncoded", 1.1)):
        code = build(family, 7, AGENTS, field="gf256")
        with controlled(code, {0: {0: 1.0, 1: 1.0, 2: 1.0}}) as controller:
            got = controller.iterate(0, arrays())
            assert right(got, 0)
            assert got.wait == pytest.approx(seconds, abs=0.05)
    assert controller.engine.now() > 0


def test_separate_shares_make_use_of_slow_learners():
    """The straggler's shares but the last arrive in time."""
    code = build("multi", 4, AGENTS, tolerance=1, field="gf256")
    with controlled(code, {0: {0: 9.0}}) as controller:
        assert controller.iterate(0, arrays()).wait < 1
        controller.iterate(1, arrays())
        rows = [row for row in controller.journal.flush() if row.learner == 0 and row.iteration == 0]
        assert [row.outcome for row in rows] == ["used", "abandoned"]


def test_lost_learners_beyond_the_tolerance_are_replaced_by_single_updates_at_once():
    """Two of four uncoded learners die: their agents go to others when that is seen, not after the timeout."""
    code = build("uncoded", 4, AGENTS, field="gf256")
    with controlled(code, {0: {1: "kill", 2: "kill"}}) as controller:
        got = controller.iterate(0, arrays())
        assert right(got, 0)
        assert got.reissued >= 1
        assert got.wait < 1
        assert {event["learner"] for event in events(controller, "lost")} == {1, 2}


def test_damaged_shares_are_erasures():
    code = build("mds", 6, AGENTS, field="gf256")
    with controlled(code, {0: {0: "corrupt", 1: "corrupt"}}) as controller:
        got = controller.iterate(0, arrays())
        assert right(got, 0)
        assert got.reissued == 0
        assert 0 not in got.used
        assert {event["learner"] for event in events(controller, "corrupt")} == {0, 1}


def test_silence_ends_at_the_timeout():
    """A share that got lost without a trace cannot be noticed but by waiting."""
    code = build("uncoded", 4, AGENTS, field="gf256")
    with controlled(code, {0: {3: "drop"}}) as controller:
        got = controller.iterate(0, arrays())
        assert right(got, 0)
        assert got.reissued == 1
        assert 5.0 < got.wait < 5.5
        assert [(event["agents"], event["late"]) for event in events(controller, "reissue")] == [([3], True)]


def test_after_the_timeout_idle_learners_get_the_work_and_not_those_that_are_slow():
    """Two of four learners are late by a minute; both agents go to the two others, and nothing queues behind the late ones."""
    code = build("uncoded", 4, AGENTS, field="gf256")
    with controlled(code, {0: {0: 60.0, 1: 60.0}}) as controller:
        got = controller.iterate(0, arrays())
        assert right(got, 0)
        assert got.reissued == 1
        assert 5.0 < got.wait < 5.5


def test_what_is_done_meanwhile_does_not_count_as_waiting_for_learners():
    """It takes longer than the timeout, and the shares that came in the meantime are enough."""
    code = build("uncoded", 4, AGENTS, field="gf256")
    with controlled(code) as controller:
        got = controller.iterate(0, arrays(), lambda: skip(controller.engine, 20.0))
        assert right(got, 0)
        assert got.reissued == 0


def test_when_nobody_answers_it_ends_with_exit_code_3():
    class Deaf(SimEngine):
        def submit(self, assignments: object) -> None:
            pass

    code = build("mds", 6, AGENTS, field="gf256")
    with controlled(code, engine=Deaf(), retries=2) as controller:
        began = controller.engine.now()
        with pytest.raises(TooFewShares, match="2 more rounds brought no update of agent_0, agent_1, agent_2, agent_3") as caught:
            controller.iterate(0, arrays())
        assert caught.value.exit_code == 3
        assert "--resume" in (caught.value.hint or "")
        assert controller.engine.now() - began == pytest.approx(3 * 5.0, abs=0.5)


def test_a_learner_that_owes_answers_for_too_long_is_replaced():
    class Stuck(SimEngine):
        """Learner 0 never answers; told to be replaced, it does."""

        stuck = True

        def submit(self, assignments: Any) -> None:
            super().submit([task for task in assignments if task.learner or not self.stuck])

        def respawn(self, learner: int) -> None:
            self.stuck = False
            super().respawn(learner)

    code = build("mds", 6, AGENTS, field="gf256")
    with controlled(code, engine=Stuck(update_time=1.0), timeout=10.0) as controller:
        for iteration in range(6):
            assert right(controller.iterate(iteration, arrays()), iteration)
        assert [(event["learner"], event["reason"]) for event in events(controller, "lost")] == [(0, "unresponsive")]


def test_badly_conditioned_shares_wait_for_a_better_one_but_not_long():
    """Rows 0 and 1 are almost parallel; row 2 is late by 0.5 s, which is worth waiting for, or by a minute, which is not."""
    from ppr.methods.codedmarl.codes.matrices import from_matrix

    matrix = np.vstack([np.eye(4), np.eye(4)])[[0, 1, 2, 3, 4]]
    matrix[1] = matrix[0] + np.array([0, 1e-6, 0, 0])
    matrix[4] = [0, 1, 0, 0]
    code = from_matrix(matrix, "real64")
    for delay, wait, conditioned in ((0.5, 0.6, True), (60.0, 1.2, False)):
        with controlled(code, {0: {4: delay}}, max_cond=1e4, grace=1.0) as controller:
            got = controller.iterate(0, arrays())
            assert got.wait == pytest.approx(wait, abs=0.11)
            assert (got.condition < 1e4) == conditioned
            for agent, vector in enumerate(got.vectors):
                np.testing.assert_allclose(vector, expected(X, 0, agent), rtol=1e-6 if conditioned else 1e-3, atol=1e-3)


def test_real_decoding_is_close():
    code = build("mds", 7, AGENTS, field="real64")
    with controlled(code) as controller:
        got = controller.iterate(0, arrays())
        for agent, vector in enumerate(got.vectors):
            np.testing.assert_allclose(vector, expected(X, 0, agent), rtol=1e-6, atol=1e-6)


def test_learners_that_differ_are_named_once_and_shares_become_real_numbers(tmp_path, caplog):
    """One of six real processes computes other last bits: both sides are named, and the training goes on with real64."""
    odd = tmp_path / "odd"
    odd.touch()
    code = build("mds", 6, AGENTS, field="gf256")
    with (
        caplog.at_level(logging.WARNING, logger="ppr"),
        controlled(code, engine=LocalEngine(spares=0), toy=Toy(odd=odd), folder=tmp_path / "run") as controller,
    ):
        for iteration in itertools.count():
            got = controller.iterate(iteration, arrays())
            for agent, vector in enumerate(got.vectors):
                np.testing.assert_allclose(vector, expected(X, iteration, agent), rtol=1e-5, atol=1e-5)
            if controller.code.field == "real64" and iteration > 10:
                break
            assert iteration < 200
    (event,) = events(controller, "disagreement")
    first, second = event["learners"]
    assert first != second
    warnings = [record.getMessage() for record in caplog.records if "different updates" in record.getMessage()]
    assert len(warnings) == 1
    assert f"learners {first} and {second} computed different updates of agent {event['agent']}" in warnings[0]


def test_an_error_of_a_computation_is_the_trainings():
    code = build("mds", 6, AGENTS, field="gf256")
    with controlled(code, toy=Toy(fails=2)) as controller, pytest.raises(PprError, match="agent 2: not finite"):
        controller.iterate(0, arrays())


def test_a_bug_in_a_computation_shows_the_learners_traceback():
    def broken(*_given: object) -> np.ndarray:
        raise ZeroDivisionError("here")

    code = build("mds", 6, AGENTS, field="gf256")
    with controlled(code, toy=broken) as controller, pytest.raises(RuntimeError, match=r"(?s)learner \d failed in iteration 0.*in broken"):
        controller.iterate(0, arrays())


def test_it_stops_when_told_to_while_it_waits():
    code = build("uncoded", 4, AGENTS, field="gf256")
    with controlled(code, {0: {0: 3.0}}) as controller:
        controller.stop.set()
        with pytest.raises(Stopped):
            controller.iterate(0, arrays())
        controller.stop.clear()
        assert right(controller.iterate(1, arrays()), 1)


@pytest.mark.parametrize("name", ["local", pytest.param("ray", marks=pytest.mark.slow)])
def test_a_learner_killed_in_mid_iteration_costs_no_waiting_and_is_back_soon(name, request):
    """SIGKILL of real processes: the others' shares are enough, the place is filled within 3 iterations, the results are right."""
    engine: Engine
    if name == "ray":
        request.getfixturevalue("ray_cluster")
        from ppr.methods.codedmarl.learners.on_ray import RayEngine

        engine = RayEngine(spares=1)
    else:
        engine = LocalEngine(spares=1)
    code = build("mds", 6, AGENTS, field="gf256")
    with controlled(code, {1: {2: "kill"}}, engine=engine, timeout=60.0, toy=Toy(seconds=0.01)) as controller:
        until(lambda: engine.ready() and sum(member.ready for member in engine.members()) == 7)  # the spare starts too
        before = {member.learner: member.pid for member in engine.members()}
        for iteration in range(2):
            got = controller.iterate(iteration, arrays())
            assert right(got, iteration)
            assert got.reissued == 0
            assert got.wait < 60
        assert 2 not in got.used
        deadline = time.monotonic() + LIMIT
        while not events(controller, "lost"):
            # Ray takes a second to notice; iterations go on meanwhile.
            iteration += 1
            assert right(controller.iterate(iteration, arrays()), iteration)
            assert time.monotonic() < deadline
        for later in range(iteration + 1, iteration + 4):
            assert right(controller.iterate(later, arrays()), later)
        (back,) = events(controller, "back")
        (lost,) = events(controller, "lost")
        assert back["learner"] == lost["learner"] == 2
        assert back["iteration"] - lost["iteration"] <= 3
        after = {member.learner: member.pid for member in engine.members()}
        assert {learner for learner in range(6) if before[learner] != after[learner]} == {2}
