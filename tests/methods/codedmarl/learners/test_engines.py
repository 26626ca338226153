"""Every engine does the same: shares of the right content, losses noticed at once, abandoned work given up, nothing left behind."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from ppr.methods.codedmarl.codes.field import combine
from ppr.methods.codedmarl.learners.engine import NO_FAULT, Answer, Assignment, Engine, Failure, Fault, Lost, Share
from ppr.methods.codedmarl.learners.local import LocalEngine
from ppr.methods.codedmarl.learners.processes import started
from ppr.methods.codedmarl.learners.simulated import SimEngine
from ppr.methods.codedmarl.learners.work import checksum, digest
from ppr.methods.common.errors import PprError

from ....waiting import LIMIT, until
from ..toy import Toy, arrays, expected

X = arrays()["x"]
ROOT = Path(__file__).parents[4]


pytestmark = pytest.mark.usefixtures("importable")


@pytest.fixture(scope="module")
def ray_engine(ray_cluster: None) -> Iterator[Engine]:
    from ppr.methods.codedmarl.learners.on_ray import RayEngine

    with RayEngine(spares=1) as engine:
        engine.start(Toy(), 3)
        yield engine


@pytest.fixture(scope="module")
def local_engine(importable: Path) -> Iterator[Engine]:
    with LocalEngine(spares=1) as engine:
        engine.start(Toy(), 3)
        yield engine


@pytest.fixture
def sim_engine() -> Engine:
    engine = SimEngine(update_time=0.1)
    engine.start(Toy(), 3)
    return engine


@pytest.fixture(params=["local", pytest.param("ray", marks=pytest.mark.slow), "sim"])
def engine(request: pytest.FixtureRequest) -> Engine:
    found: Engine = request.getfixturevalue(f"{request.param}_engine")
    until(lambda: found.ready() == {0, 1, 2})
    return found


def answers(engine: Engine, count: int, timeout: float = LIMIT) -> list[Answer]:
    found: list[Answer] = []
    while len(found) < count:
        more = engine.wait_any(timeout)
        assert more, f"{len(found)} of {count} answers"
        found += more
    return found


def task(iteration: int, learner: int, agents: tuple[int, ...] = (0, 2), fault: Fault = NO_FAULT, **changes: object) -> Assignment:
    coefficients = tuple(float(agent + 1) for agent in agents)
    values = {"coefficients": coefficients, "field": "real64", "length": 50, "fault": fault} | changes
    return Assignment(iteration, learner, agents, **values)  # type: ignore[arg-type]


ITERATION = iter(range(1, 1000))


def test_shares_hold_what_the_learners_were_told_to_combine(engine):
    t = next(ITERATION)
    engine.publish(t, arrays())
    engine.submit([task(t, 0), task(t, 1, (1,), plain=True), task(t, 2, field="gf256", coefficients=(3, 7))])
    found = {share.assignment.learner: share for share in answers(engine, 3)}
    updates = [expected(X, t, 0), expected(X, t, 2)]
    np.testing.assert_array_equal(found[0].payload, combine("real64", (1.0, 3.0), updates, 50))
    np.testing.assert_array_equal(found[1].payload, expected(X, t, 1))
    np.testing.assert_array_equal(found[2].payload, combine("gf256", (3, 7), updates, 50))
    for share in found.values():
        assert share.crc == checksum(share.payload)
        assert share.started <= share.first_update <= share.done
        assert share.pid in {member.pid for member in engine.members()}
    assert found[0].digests == {0: digest(updates[0]), 2: digest(updates[1])} == found[2].digests


def test_abandoned_stragglers_stop_at_once(engine):
    t = next(ITERATION)
    engine.publish(t, arrays())
    engine.submit([task(t, 0, fault=Fault(delay=60)), task(t, 1, fault=Fault(delay=60, mode="burn")), task(t, 2)])
    (share,) = answers(engine, 1)
    assert share.assignment.learner == 2
    began = engine.now()
    engine.abandon(t)
    stopped = answers(engine, 2)
    assert engine.now() - began < 60
    assert {share.assignment.learner for share in stopped} == {0, 1}
    assert all(share.outcome == "abandoned" and share.payload is None for share in stopped)
    engine.publish(t + 1, arrays(1))
    next(ITERATION)
    engine.submit([task(t + 1, learner, (1,), plain=True) for learner in range(3)])
    for share in answers(engine, 3):
        np.testing.assert_array_equal(share.payload, expected(arrays(1)["x"], t + 1, 1))


def test_a_killed_learner_is_reported_while_others_work_and_is_back(engine):
    t = next(ITERATION)
    engine.publish(t, arrays())
    engine.submit([task(t, 0, fault=Fault(kill=True)), task(t, 1), task(t, 2)])
    found = answers(engine, 3)
    lost = [answer for answer in found if isinstance(answer, Lost)]
    assert [one.learner for one in lost] == [0]
    assert {share.assignment.learner for share in found if isinstance(share, Share)} == {1, 2}
    engine.abandon(t)
    engine.respawn(0)
    until(lambda: engine.ready() == {0, 1, 2})
    t = next(ITERATION)
    engine.publish(t, arrays())
    engine.submit([task(t, 0)])
    (share,) = answers(engine, 1)
    assert share.outcome == "sent"


def test_a_computation_that_fails_comes_back_as_its_error(engine):
    with type(engine)() as engine:
        engine.start(Toy(fails=1), 2)
        engine.publish(0, arrays())
        engine.submit([task(0, 0, (0, 1)), task(0, 1, (0,))])
        found = answers(engine, 2)
        failures = [answer for answer in found if isinstance(answer, Failure)]
        assert [type(one.error) for one in failures] == [PprError]
        assert str(failures[0].error) == "agent 1: not finite"
        assert failures[0].error.hint == "lower the rate"
        assert "Toy" in failures[0].where or "toy" in failures[0].where


def test_corrupt_and_dropped_shares(engine):
    t = next(ITERATION)
    engine.publish(t, arrays())
    engine.submit([task(t, 0, fault=Fault(corrupt=True)), task(t, 1, fault=Fault(drop=True))])
    found = {share.assignment.learner: share for share in answers(engine, 2)}
    assert checksum(found[0].payload) != found[0].crc
    assert not np.array_equal(found[0].payload, combine("real64", (1.0, 3.0), [expected(X, t, 0), expected(X, t, 2)], 50))
    assert found[1].outcome == "dropped"
    assert found[1].payload is None


def test_delays_after_each_update_add_up(engine):
    t = next(ITERATION)
    engine.publish(t, arrays())
    engine.submit([task(t, 0, (0, 1, 2), Fault(delay=0.1, each=True)), task(t, 1, (0, 1, 2), Fault(delay=0.1))])
    found = {share.assignment.learner: share.done - share.started for share in answers(engine, 2)}
    assert found[0] >= 0.3 - 1e-3
    assert found[1] >= 0.1 - 1e-3
    if isinstance(engine, SimEngine):  # elsewhere a busy machine may take as long as it likes
        assert found[0] - found[1] == pytest.approx(0.2, abs=0.05)


def test_the_virtual_clock_waits_without_waiting():
    """Three learners of 0.1 s an update: w updates take w/10 s and a straggler its delay more, however long this test takes."""
    engine = SimEngine(update_time=0.1)
    engine.start(Toy(seconds=0.02), 3)
    engine.publish(0, arrays())
    began, real = engine.now(), time.perf_counter()
    engine.submit([task(0, 0, (0, 1)), task(0, 1, (0,), Fault(delay=500)), task(0, 2, (0, 1, 2))])
    found = answers(engine, 3, timeout=1000)
    assert [share.assignment.learner for share in found] == [0, 2, 1]
    assert [share.received - began for share in found] == pytest.approx([0.2, 0.3, 500.1], abs=0.05)
    assert engine.now() - began == pytest.approx(500.1, abs=0.05)
    assert time.perf_counter() - real < LIMIT
    began = engine.now()
    assert engine.wait_any(7) == []
    assert engine.now() - began == pytest.approx(7, abs=0.05)


def test_local_learners_are_gone_after_close_and_leave_no_shared_memory():
    before = set(Path("/dev/shm").iterdir())
    engine = LocalEngine(spares=1)
    engine.start(Toy(), 2)
    engine.publish(0, {"x": X, "large": np.zeros(1 << 20)})
    engine.submit([task(0, 0, fault=Fault(delay=60)), task(0, 1, fault=Fault(delay=60, mode="burn"))])
    pids = [member.pid for member in engine.members()]
    assert len(pids) == 3
    engine.close()
    engine.close()
    until(lambda: all(started(pid) is None for pid in pids))
    assert set(Path("/dev/shm").iterdir()) <= before


def test_local_learners_end_with_a_controller_that_is_killed(tmp_path):
    script = tmp_path / "controller.py"
    script.write_text(
        "import sys, time\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from tests.methods.codedmarl.toy import Toy, arrays\n"
        "from ppr.methods.codedmarl.learners.engine import Assignment, Fault\n"
        "from ppr.methods.codedmarl.learners.local import LocalEngine\n"
        "if __name__ == '__main__':\n"
        "    engine = LocalEngine(spares=0)\n"
        "    engine.start(Toy(), 1)\n"
        "    engine.publish(0, arrays())\n"
        "    engine.submit([Assignment(0, 0, (0,), (1.0,), 'real64', 50, fault=Fault(delay=1.0))])\n"
        "    print(engine.members()[0].pid, flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as controller:
        assert controller.stdout is not None
        learner = int(controller.stdout.readline())
        assert started(learner) is not None
        controller.kill()
    until(lambda: started(learner) is None)


def test_sigkill_from_outside_is_seen_at_once_and_a_spare_steps_in(local_engine):
    until(lambda: sum(member.ready for member in local_engine.members()) == 4)
    t = next(ITERATION)
    local_engine.publish(t, arrays())
    local_engine.submit([task(t, 1, fault=Fault(delay=60))])
    victim = next(member.pid for member in local_engine.members() if member.learner == 1)
    spare = next(member.pid for member in local_engine.members() if member.learner is None)
    os.kill(victim, signal.SIGKILL)
    (lost,) = answers(local_engine, 1)
    assert lost == Lost(1, "its process ended (SIGKILL)")
    local_engine.respawn(1)
    assert local_engine.ready() == {0, 1, 2}
    assert next(member.pid for member in local_engine.members() if member.learner == 1) == spare


def test_a_learner_that_computes_from_replaced_arrays_does_not_answer(tmp_path):
    """The block's iteration is looked at after the computation too."""
    engine = LocalEngine(spares=0)
    with engine:
        engine.start(Toy(gate=tmp_path / "gate"), 1)
        engine.publish(0, arrays())
        engine.submit([task(0, 0, (0,), plain=True)])
        until((tmp_path / "gate.begun").exists)
        engine.publish(1, arrays(1))
        (tmp_path / "gate").touch()
        (share,) = answers(engine, 1)
        assert share.outcome == "abandoned"


def test_answers_survive_pickling():
    share = Share(task(1, 0), "sent", np.ones(3), {0: b"12345678"}, 7, 0.0, 0.0, 0.0, "here", 1)
    again = pickle.loads(pickle.dumps(share))
    assert again.assignment == share.assignment
    assert again.bytes == 24
