"""A training is the same whoever computes its updates, in what order, with which losses, and however often it was interrupted."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ppr.methods.codedmarl.agents.centralised import Trainer
from ppr.methods.codedmarl.agents.maddpg import Computation, payload_lengths
from ppr.methods.codedmarl.agents.model import TrainedAgents
from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.codes.matrices import load_matrix
from ppr.methods.codedmarl.config import TrainConfig
from ppr.methods.codedmarl.learners.controller import Controller, TooFewShares
from ppr.methods.codedmarl.learners.engine import Engine
from ppr.methods.codedmarl.learners.journal import Journal
from ppr.methods.codedmarl.learners.local import LocalEngine
from ppr.methods.codedmarl.learners.simulated import SimEngine
from ppr.methods.codedmarl.setup import code_of, schedule_of
from ppr.methods.codedmarl.train import Glance, check, train
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.run import Run

FAMILIES = ["uncoded", "replication", "mds", "random-sparse", "ldpc", "balanced", "multi"]
LEARNERS = 6


def small(**changes: Any) -> TrainConfig:
    """simple_spread with three agents, six learners and tiny networks."""
    values = {
        "agents": 3,
        "learners": LEARNERS,
        "batch": 32,
        "hidden": 8,
        "warmup": 100,
        "rollout": 10,
        "envs": 4,
        "replay": 200,
        "iterations": 30,
        "evaluate_every": 0,
        "checkpoint_every": 1000,
        "engine": "sim",
        "straggler_model": "fixed",
        "stragglers": 2,
        "delay": 0.02,
        "kill_rate": 0.02,
    }
    return TrainConfig.model_validate(values | changes)


@pytest.fixture(autouse=True)
def quick_curves(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """Drawing takes longer than most of these trainings; one test looks at what was drawn."""
    if request.function is not test_what_a_run_leaves_behind:
        monkeypatch.setattr(Run, "draw_curves", lambda _self: None)


def begin(path: Path, config: TrainConfig) -> Run:
    run = Run(path)
    run.start(config)
    return run


def alone(config: TrainConfig) -> Trainer:
    """The same training in this process, without learners."""
    trainer = Trainer(config)
    for iteration in range(config.iterations):
        trainer.iterate(iteration)
    return trainer


def coded(config: TrainConfig, engine: Engine) -> tuple[Trainer, Journal]:
    """The training with the learners of an engine that runs already."""
    trainer, journal = Trainer(config), Journal()
    code = code_of(config, 3)
    lengths = payload_lengths(trainer.problem.specs, config)
    controller = Controller(engine, code, lengths, list("abc"), config, schedule_of(config, code.learners), journal)
    for iteration in range(config.iterations):
        trainer.collect(iteration)
        trainer.apply(controller.iterate(iteration, trainer.published(trainer.minibatch(iteration))).vectors, iteration)
    return trainer, journal


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with LocalEngine(spares=2) as started:
        started.start(Computation(Trainer(small()).problem), LEARNERS)
        yield started


@pytest.fixture(scope="module")
def reference() -> str:
    return alone(small()).digest()


@pytest.mark.parametrize("family", FAMILIES)
def test_every_code_gives_the_bits_of_the_single_process(family, engine, reference):
    """30 iterations on real processes, two random stragglers in each, and learners that kill themselves."""
    trainer, journal = coded(small(code=family, kill_rate=0.03), engine)
    assert trainer.digest() == reference
    assert any(event["event"] == "lost" for event in journal.events)


@pytest.mark.parametrize("payload", ["grad", "params"])
def test_real_numbers_are_off_by_less_than_a_billionth_after_an_iteration(payload):
    config = small(code="mds", field="real64", payload=payload, iterations=1, kill_rate=0)
    with SimEngine(update_time=0.01) as engine:
        engine.start(Computation(Trainer(config).problem), LEARNERS)
        trainer, _journal = coded(config, engine)
    wanted = alone(config)
    for state, other in zip(trainer.states, wanted.states, strict=True):
        difference = torch.linalg.vector_norm(state.vector.double() - other.vector.double())
        assert difference / torch.linalg.vector_norm(other.vector.double()) < 1e-9


def test_shares_of_parameters_are_exact_too():
    config = small(payload="params", code="mds", iterations=5)
    with SimEngine(update_time=0.01) as engine:
        engine.start(Computation(Trainer(config).problem), LEARNERS)
        trainer, _journal = coded(config, engine)
    assert trainer.digest() == alone(config).digest()


def test_what_a_run_leaves_behind(tmp_path):
    seen: list[Glance] = []
    config = small(engine="local", iterations=6, evaluate_every=3, evaluate_episodes=4)
    run = begin(tmp_path / "run", config)
    assert train(config, run, watch=seen.append) == alone(config).digest()
    files = {path.name for path in run.path.iterdir()}
    wanted = "config.yaml code.npz metrics.jsonl shares.csv events.jsonl best.safetensors last.safetensors resume.pt curves.png replay"
    assert set(wanted.split()) <= files
    assert "learners.json" not in files
    assert [glance.iteration for glance in seen] == [1, 2, 3, 4, 5, 6]
    assert len(seen[0].standings) == LEARNERS
    records = run.history()
    assert [record["epoch"] for record in records] == [1, 2, 3, 4, 5, 6]
    assert all({"rollout", "broadcast", "wait", "decode", "apply", "seconds", "used"} <= record.keys() for record in records)
    assert [record["epoch"] for record in records if "evaluation" in record] == [3, 6]
    best = max((record for record in records if "evaluation" in record), key=lambda record: record["evaluation"])
    assert TrainedAgents.load(run.path).meta.epoch == best["epoch"]
    code = load_matrix(run.path / "code.npz")
    assert (code.learners, code.agents, code.field) == (LEARNERS, 3, "gf256")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("engine_name", ["inproc", "sim"])
def test_an_interrupted_training_goes_on_with_the_same_bits(number, engine_name, tmp_path):
    config = small(engine=engine_name, iterations=12, checkpoint_every=5)
    run = begin(tmp_path / "run", config)
    handlers = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)

    def interrupt(glance: Glance) -> None:
        if glance.iteration == 7:
            os.kill(os.getpid(), number)

    with pytest.raises(KeyboardInterrupt):
        train(config, run, watch=interrupt)
    assert handlers == (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM))
    assert len(run.history()) == 7
    assert train(config, run, resume=True) == alone(config).digest()
    assert [record["epoch"] for record in run.history()] == list(range(1, 13))


@pytest.mark.parametrize("overlap", [False, True])
def test_an_iteration_that_fails_for_want_of_learners_is_finished_before_the_state_is_saved(overlap, tmp_path, monkeypatch):
    """Also when the steps for the next iteration have been collected already."""
    config = small(iterations=8, overlap=overlap)
    run = begin(tmp_path / "run", config)
    iterate = Controller.iterate

    def failing(self: Controller, iteration: int, arrays: Any, meanwhile: Any) -> Any:
        if iteration == 4:
            meanwhile()
            raise TooFewShares("nobody there")
        return iterate(self, iteration, arrays, meanwhile)

    with monkeypatch.context() as patch:
        patch.setattr(Controller, "iterate", failing)
        with pytest.raises(TooFewShares):
            train(config, run)
    assert len(run.history()) == 5
    undisturbed = train(config, begin(tmp_path / "other", config))
    assert train(config, run, resume=True) == undisturbed
    assert (undisturbed == alone(config).digest()) == (not overlap)
    written = [line.split(",")[0] for line in (run.path / "shares.csv").read_text().splitlines()[1:]]
    assert set(written) == {str(iteration) for iteration in range(8) if iteration != 4}


def test_acting_ahead_gives_the_same_on_every_engine(tmp_path):
    """The policies that act for iteration t + 1 are those from before the update of t, whoever computes it."""
    found = {train(small(overlap=True, engine=name, iterations=6), begin(tmp_path / name, small())) for name in ("inproc", "sim", "local")}
    assert len(found) == 1
    assert found != {alone(small(iterations=6)).digest()}


def test_after_a_crash_it_goes_on_from_the_last_saved_state(tmp_path):
    """What was logged beyond that state is written again, once."""
    config = small(iterations=9, checkpoint_every=3)
    run = begin(tmp_path / "run", config)

    def crash(glance: Glance) -> None:
        if glance.iteration == 5:
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train(config, run, watch=crash)
    assert len(run.history()) == 5
    assert train(config, run, resume=True) == alone(config).digest()
    assert [record["epoch"] for record in run.history()] == list(range(1, 10))
    rows = [tuple(line.split(",")[:2]) for line in (run.path / "shares.csv").read_text().splitlines()[1:]]
    assert {int(iteration) for iteration, _learner in rows} == set(range(9))
    assert all(rows.count(row) <= 2 for row in rows)  # twice: a re-issued update besides the share


def test_a_training_that_fell_back_to_real_numbers_goes_on_with_them(tmp_path):
    config = small(iterations=4, code="mds")
    run = begin(tmp_path / "run", config)

    def stop(glance: Glance) -> None:
        if glance.iteration == 2:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(config, run, watch=stop)
    state = run.load_state()
    state["parts"]["training"]["fell_back"] = True
    run.save_state(state)
    seen: list[Glance] = []
    train(config, run, resume=True, watch=seen.append)
    assert all(glance.record.get("condition", 1) > 1 for glance in seen)
    assert run.load_state()["parts"]["training"]["fell_back"]


def test_gradients_that_are_not_finite_stop_it_with_the_agents_name(tmp_path):
    config = small(engine="local", actor_lr=1e30, critic_lr=1e30, clip=1e30)
    with pytest.raises(PprError, match=r"agent agent_\d: the .* is not finite in iteration \d"):
        train(config, begin(tmp_path / "run", config))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"learners": 2}, "2 learners for 3 agents"),
        ({"tolerance": 4}, "--tolerance 4: balanced of 6 learners for 3 agents survives at most 3"),
        ({"stragglers": 6}, "6 stragglers of 6 learners"),
        ({"straggler_model": "none"}, "stragglers without a model"),
        ({"straggler_model": "trace", "stragglers": 0, "delay": 0}, "a trace"),
        ({"learners": 300}, "gf256 has codes of at most 255"),
        ({"env": "simple_nothing"}, "simple_nothing"),
        ({"matrix": "none.npz"}, "none.npz"),
    ],
)
def test_what_cannot_be_trained_is_found_before_there_is_a_run(changes, message):
    with pytest.raises(PprError, match=message):
        check(small(**changes))


def test_a_matrix_of_ones_own(tmp_path):
    np.save(tmp_path / "two.npy", np.array([[1, 0], [0, 1], [1, 1]]))
    with pytest.raises(UsageError, match=r"two.npy: a matrix for 2 agents, and simple_spread has 3"):
        check(small(matrix=str(tmp_path / "two.npy")))
    build("mds", 5, 3, field="gf256").save(tmp_path / "mine.npz")
    config = small(matrix=str(tmp_path / "mine.npz"), iterations=3)
    assert train(config, begin(tmp_path / "run", config)) == alone(config).digest()


def test_more_learners_than_cores_are_warned_about(tmp_path, caplog):
    config = small(engine="local", learners=40, code="replication", iterations=1, spares=0)
    from ppr.methods.codedmarl.setup import warn_of_contention

    warn_of_contention(config, 4000)
    assert "4000 learners on" in caplog.text
    caplog.clear()
    warn_of_contention(config, 1)
    warn_of_contention(small(engine="sim"), 4000)
    assert caplog.text == ""
