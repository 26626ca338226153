"""The loop on what trainings are made of: two networks with two optimizers, a replay, budgets of steps and of minutes, several stops."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ppr.methods.common.config import BaseTrainConfig
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.random import rng_state
from ppr.methods.common.running.checkpoint import Meta, load_checkpoint
from ppr.methods.common.running.interrupts import Terminated, interruptible
from ppr.methods.common.running.loop import Loop
from ppr.methods.common.running.run import Progress, Run

STEPS = 12


class Replay:
    """What was seen so far, and what is drawn from it."""

    def __init__(self) -> None:
        self.rows: list[Tensor] = []

    def add(self, row: Tensor) -> None:
        self.rows.append(row)

    def sample(self) -> Tensor:
        return self.rows[int(torch.randint(len(self.rows), ()))]

    def state_dict(self) -> dict[str, Any]:
        return {"rows": list(self.rows)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.rows = list(state["rows"])


class Duel:
    """Two networks, each with an optimizer of its own, that learn from a replay with torch's own random numbers."""

    def __init__(self) -> None:
        torch.manual_seed(3)
        self.actor, self.critic = nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.5), nn.Linear(8, 1))
        self.actor_optimizer = torch.optim.Adam(self.actor.parameters(), 0.01)
        self.critic_optimizer = torch.optim.SGD(self.critic.parameters(), 0.01, momentum=0.9)
        self.replay = Replay()

    @property
    def parts(self) -> dict[str, Any]:
        return dict(vars(self))

    def update(self) -> dict[str, float]:
        self.replay.add(torch.randn(4))
        seen = self.replay.sample()
        critic_loss = (self.critic(self.actor(seen).detach()) - seen.sum()).square().mean()
        self.critic_optimizer.zero_grad()
        critic_loss.backward()
        self.critic_optimizer.step()
        actor_loss = -self.critic(self.actor(seen)).mean()
        self.actor_optimizer.zero_grad()
        actor_loss.backward()
        self.actor_optimizer.step()
        return {"critic": critic_loss.item(), "actor": actor_loss.item()}

    def bits(self) -> list[list[float]]:
        modules = (self.actor, self.critic)
        return [parameter.flatten().tolist() for module in modules for parameter in module.parameters()]


class PlainRun(Run):
    """A run without pictures."""

    def draw_curves(self) -> None:
        return


def begun(path: Path, **callbacks: Any) -> PlainRun:
    run = PlainRun(path, **callbacks)
    run.start(BaseTrainConfig())
    return run


def train(run: Run, *, resume: bool = False, after: Callable[[int], object] = lambda _step: None, **settings: Any) -> Duel:
    """A training of the duel that logs every second step and judges every fourth."""
    duel = Duel()
    loop = Loop(run, duel.parts, **({"steps": STEPS, "save_minutes": 1e9} | settings), resume=resume)
    for step in loop:
        losses = duel.update()
        loop.show(losses)
        if loop.every(2):
            loop.log({"step": loop.number, **losses})
        if loop.every(4):
            loop.checkpoint(duel.actor.state_dict(), Meta("toy", "duel", epoch=loop.number), {"error": losses["critic"]}, cost="error")
        after(step)
    return duel


def records(run: Run) -> list[dict[str, Any]]:
    return [{key: value for key, value in record.items() if key != "time"} for record in run.history()]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Duel, Run]:
    run = begun(tmp_path_factory.mktemp("whole") / "run")
    return train(run), run


class PowerFailure(Exception):
    """What ends a training without asking it."""


def stopping(at: int, how: str) -> Callable[[int], None]:
    """What happens after a step: Ctrl-C, SIGTERM or the end of the process as far as Python can play it."""

    def act(step: int) -> None:
        if step == at:
            if how == "power":
                raise PowerFailure
            signal.raise_signal(signal.SIGINT if how == "ctrl-c" else signal.SIGTERM)

    return act


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stops=st.lists(st.tuples(st.integers(0, STEPS - 2), st.sampled_from(["ctrl-c", "term", "power"])), min_size=1, max_size=3),
    save_every=st.sampled_from([0, 1, 5]),
)
def test_however_often_it_was_stopped_the_bits_are_the_same(whole, tmp_path_factory, stops, save_every):
    """Weights, momentum, replay, torch's random numbers, records and checkpoints; after one stop, two or three."""
    run, resume = begun(tmp_path_factory.mktemp("cut") / "run"), False
    for at, how in stops:
        try:
            train(run, resume=resume, after=stopping(at, how), save_every=save_every)
        except (KeyboardInterrupt, PowerFailure) as error:
            assert isinstance(error, Terminated) == (how == "term") and isinstance(error, PowerFailure) == (how == "power")
        resume = True
        torch.manual_seed(999)  # another process begins with other random numbers
        run = PlainRun(run.path)
    duel = train(run, resume=True, save_every=save_every)
    expected, undisturbed = whole
    assert duel.bits() == expected.bits()
    assert records(run) == records(undisturbed)
    for name in ("best", "last"):
        ours, theirs = (load_checkpoint(getattr(one, name)) for one in (run, undisturbed))
        assert all(torch.equal(ours.state[key], theirs.state[key]) for key in theirs.state)
        assert (ours.meta.epoch, ours.meta.metrics) == (theirs.meta.epoch, theirs.meta.metrics)


def test_the_comparison_would_notice_a_part_that_is_not_saved(whole, tmp_path):
    run = begun(tmp_path / "run")
    with pytest.raises(KeyboardInterrupt):
        train(run, after=stopping(5, "ctrl-c"))
    state = run.load_state()
    for row in state["parts"]["replay"]["rows"]:
        row += 1
    run.save_state(state)
    assert train(run, resume=True).bits() != whole[0].bits()


def test_it_can_be_resumed_from_the_first_moment(whole, tmp_path):
    """Lost in its first step, with no other save to come: the state before it is there."""
    run = begun(tmp_path / "run")
    with pytest.raises(PowerFailure):
        train(run, after=stopping(0, "power"))
    assert run.load_state()["position"]["step"] == 0
    assert train(run, resume=True).bits() == whole[0].bits()


def test_a_finished_training_resumes_to_nothing(tmp_path):
    run = begun(tmp_path / "run")
    train(run)
    before, steps = run.last.read_bytes(), []
    train(run, resume=True, after=steps.append)
    assert steps == [] and run.last.read_bytes() == before


def test_ctrl_c_in_the_last_step_leaves_nothing_to_resume(tmp_path):
    run = begun(tmp_path / "run")
    train(run, after=stopping(STEPS - 1, "ctrl-c"))
    assert run.load_state()["position"]["step"] == STEPS


def test_a_training_that_stops_itself_stays_stopped(tmp_path):
    run, steps = begun(tmp_path / "run"), []
    for resume in (False, True):
        loop = Loop(run, {}, resume=resume)
        for step in loop:
            steps.append(step)
            if step == 4:
                loop.stop()
    assert steps == [0, 1, 2, 3, 4]


def test_it_ends_with_an_error_only_when_the_step_is_saved(tmp_path):
    run = begun(tmp_path / "run")
    for at, last in ((3, False), (STEPS - 1, True)):
        loop = Loop(run, {}, steps=STEPS, resume=last)

        def go(loop: Loop = loop, at: int = at) -> None:
            for step in loop:
                if step == at:
                    loop.fail(PprError("no learners"))

        if last:
            go()  # all is done: nothing failed
        else:
            with pytest.raises(PprError, match="no learners"):
                go()
        assert run.load_state()["position"]["step"] == at + 1


class Clock:
    """Seconds that pass when a step says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(durations=st.lists(st.floats(0.1, 20), min_size=400, max_size=400), minutes=st.floats(0.5, 10))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_budget_of_minutes_is_kept_and_its_schedule_finished(tmp_path_factory, durations, minutes):
    """Steps take as long as they like: the schedule rises to 1, which is reached in the last step, and only there."""
    clock, fractions, began = Clock(), [], []
    loop = Loop(begun(tmp_path_factory.mktemp("timed") / "run"), {}, minutes=minutes, clock=clock)
    for step in loop:
        fractions.append(loop.fraction)
        began.append(clock.now - 100)
        clock.now += durations[step]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1 and fractions.count(1.0) == 1
    assert fractions[0] == 0 or len(fractions) == 1
    # The last step may begin late only if the one before took longer than could be known.
    assert all(seconds < 60 * minutes for seconds in began[:-1])
    assert clock.now - 100 >= 60 * minutes - 20 or len(fractions) == 1


def test_steps_and_minutes_together_end_with_the_first(tmp_path):
    for name, minutes, expected in (("short", 1.0, 6), ("long", 100.0, 9)):
        clock = Clock()
        loop = Loop(begun(tmp_path / name), {}, steps=9, minutes=minutes, clock=clock)
        fractions = []
        for _ in loop:
            fractions.append(loop.fraction)
            clock.now += 10
        assert len(fractions) == expected and fractions[0] == 0 and fractions[-1] == 1


def test_the_minutes_of_earlier_sessions_count(tmp_path):
    run, steps = begun(tmp_path / "run"), []
    for resume in (False, True):
        clock = Clock()
        loop = Loop(run, {}, minutes=1, resume=resume, clock=clock)
        with pytest.raises(KeyboardInterrupt) if not resume else interruptible():
            for step in loop:
                steps.append(step)
                clock.now += 6
                if step == 3:
                    signal.raise_signal(signal.SIGINT)
    assert steps == list(range(10))


def test_the_state_is_saved_now_and_then(tmp_path):
    run, clock, saved = begun(tmp_path / "run"), Clock(), []
    loop = Loop(run, {}, steps=10, save_minutes=1, clock=clock, saving=saved.append)
    for _ in loop:
        clock.now += 25
    assert saved == [0, 3, 6, 9, 10]
    counted: list[int] = []
    for _ in Loop(begun(tmp_path / "counted"), {}, steps=10, save_every=4, clock=clock, saving=counted.append):
        pass
    assert counted == [0, 4, 8, 10]


def numbered(epoch: int, first: int) -> Iterator[tuple[int, int]]:
    """Seven batches an epoch, each by its name."""
    return ((epoch, number) for number in range(first, 7))


@pytest.mark.parametrize("per_step", [1, 3])
def test_no_batch_is_drawn_twice_or_left_out(tmp_path, per_step):
    """Whatever was read ahead when it stopped, a resumed training asks for the batches from where it stands."""
    run, taken, asked = begun(tmp_path / "run"), [], []

    def opened(epoch: int, first: int) -> Iterator[tuple[int, int]]:
        asked.append((epoch, first))
        return numbered(epoch, first)

    updates = math.ceil(7 / per_step)
    for resume, stop in ((False, 2), (True, updates + 1), (True, None)):
        loop = Loop(run, {}, steps=2 * updates, epoch_steps=updates, resume=resume)
        stream = loop.stream(opened, per_step)
        try:
            for step in loop:
                taken += stream.take()
                assert loop.epoch == step // updates
                if step == stop:
                    signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass
    assert taken == [(epoch, number) for epoch in range(2) for number in range(7)]
    assert asked[0] == (0, 0) and asked[-1][0] == 1


def test_data_without_epochs_go_on_too(tmp_path):
    run, taken = begun(tmp_path / "run"), []
    for resume in (False, True):
        loop = Loop(run, {}, steps=6, resume=resume)
        stream = loop.stream(lambda _epoch, first: iter(range(first, 100)))
        try:
            for step in loop:
                taken += stream.take()
                if step == 2:
                    signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt:
            pass
    assert taken == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_finite_is_refused_with_its_place(tmp_path, value):
    with pytest.raises(PprError, match=r"critic is (nan|inf) in step 3"):
        for step in (loop := Loop(begun(tmp_path / "a"), {}, steps=5)):
            loop.show({"actor": 1.0, "critic": value if step == 2 else 0.0})
    with pytest.raises(PprError, match=r"loss is (nan|inf) in epoch 2, step 1"):
        for step in (loop := Loop(begun(tmp_path / "b"), {}, steps=8, epoch_steps=4)):
            loop.refuse_non_finite(torch.tensor(value if step == 4 else 0.0))


def test_progress_is_of_the_epoch_or_of_the_training(tmp_path):
    seen: list[Progress] = []
    run = begun(tmp_path / "run", report=seen.append)
    for _ in (loop := Loop(run, {}, steps=4, epoch_steps=2)):
        loop.show({"loss": 0.5})
    assert [(now.epoch, now.epochs, now.step, now.steps) for now in seen] == [(1, 2, 1, 2), (1, 2, 2, 2), (2, 2, 1, 2), (2, 2, 2, 2)]
    seen.clear()
    run = begun(tmp_path / "other", report=seen.append)
    for _ in (loop := Loop(run, {}, steps=2)):
        loop.show({})
    assert [(now.step, now.steps) for now in seen] == [(1, 2), (2, 2)]


def test_nan_is_never_the_best(tmp_path):
    run = begun(tmp_path / "run")
    costs = iter([math.nan, 3.0, 3.0, 2.5, math.nan, 2.6])
    loop = Loop(run, {}, steps=6)
    assert [loop.improves(next(costs)) for _ in loop] == [False, True, False, True, False, False]


def test_two_trainings_cannot_share_a_run(tmp_path):
    run = begun(tmp_path / "run")
    seen = []

    def second(_step: int) -> None:
        with pytest.raises(UsageError, match="is being trained by another process"):
            train(PlainRun(run.path), resume=True)
        seen.append(1)

    train(run, after=second)
    assert len(seen) == STEPS
    train(PlainRun(run.path), resume=True)


def test_a_state_of_another_training_is_refused(tmp_path):
    run = begun(tmp_path / "run")
    train(run)
    with pytest.raises(PprError, match="another training"):
        Loop(run, {"other": Replay()}, steps=STEPS, resume=True)
    parts = Duel().parts | {"actor": nn.Linear(4, 5)}
    with pytest.raises(PprError, match=r"resume\.pt: does not fit this training"):
        Loop(run, parts, steps=STEPS, resume=True)
    run.save_state({"epoch": 3})
    with pytest.raises(PprError, match="of another version of ppr"):
        Loop(run, {}, steps=STEPS, resume=True)
    run.save_state([1, 2])  # type: ignore[arg-type]
    with pytest.raises(PprError, match="of another version of ppr"):
        Loop(run, {}, steps=STEPS, resume=True)
    run.save_state({"format": 1, "position": {"step": "x"}, "parts": {}, "rng": rng_state()})
    with pytest.raises(PprError, match="does not fit this training"):
        Loop(run, {}, steps=STEPS, resume=True)
    run.resume.unlink()
    with pytest.raises(UsageError, match="nothing to resume"):
        Loop(run, {}, steps=STEPS, resume=True)
    train(run, steps=1)  # none of them kept the run to itself


class Chorus:
    """Two processes of which this is one: what the first says is what both do."""

    world_size = 2

    def __init__(self, *, first: bool, heard: list[Any]) -> None:
        self.is_global_zero, self.heard = first, heard

    def broadcast(self, obj: Any) -> Any:
        if self.is_global_zero:
            self.heard.append(obj)
            return obj
        return self.heard.pop(0)

    def all_reduce(self, data: Any, *, reduce_op: Any = "mean") -> Any:
        return data


def test_the_first_process_decides_saves_and_logs(tmp_path):
    """SIGTERM reaches the first alone; the second stops behind the same step, and writes nothing."""
    run, heard = begun(tmp_path / "run"), []
    with pytest.raises(Terminated):
        train(run, after=stopping(4, "term"), processes=Chorus(first=True, heard=heard))
    saved, logged = run.resume.read_bytes(), run.metrics.read_bytes()
    run.release()
    steps: list[int] = []
    with pytest.raises(Terminated):
        train(run, after=steps.append, processes=Chorus(first=False, heard=heard))
    assert steps == [0, 1, 2, 3, 4] and heard == []
    assert run.resume.read_bytes() == saved and run.metrics.read_bytes() == logged


def test_handlers_are_as_before_behind_a_loop(tmp_path):
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    with pytest.raises(PowerFailure):
        train(begun(tmp_path / "run"), after=stopping(2, "power"))
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


SCRIPT = """
import os, signal, sys
sys.path.insert(0, sys.argv[2])
from pathlib import Path
from test_loop import PlainRun, begun, train
run = begun(Path(sys.argv[1]))
train(run, after=lambda step: os.kill(os.getpid(), signal.SIGKILL) if step == 7 else None, save_every=3)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_process_leaves_a_run_that_goes_on(whole, tmp_path):
    command = [sys.executable, "-c", SCRIPT, tmp_path / "run", Path(__file__).parent]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == -signal.SIGKILL, done.stderr
    run = PlainRun(tmp_path / "run")
    assert run.load_state()["position"]["step"] == 6
    assert train(run, resume=True).bits() == whole[0].bits()
    assert records(run) == records(whole[1])
