"""Learn edge probabilities and a GCN on them: the bilevel program of LDS (Franceschi et al. 2019, algorithm 1)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..common.errors import PprError
from ..common.random import torch_generator
from ..common.reading.pairs import PairGraph
from ..common.running.loop import Loop
from ..common.running.run import Progress, Run, ignore
from .config import TrainConfig
from .learning.hypergradient import InnerProblem, Labelled, Optimizer, State, Step, hypergradient, inner_step
from .learning.outcome import Choice, Learned, described, grid, learned_from, learned_state, score_of
from .learning.start import start_theta
from .learning.theta import AllPairs, CandidatePairs, Theta
from .naive import dense_hypergradient
from .network import Adjacency, Features, Weights, mean_probabilities

log = logging.getLogger("ppr")


@dataclass(frozen=True)
class Nodes:
    """What a training sees: features [N, n], number of classes, and rows with labels for each purpose."""

    features: Features
    classes: int
    train: Labelled
    val: Labelled
    es: Labelled


def learn(nodes: Nodes, raw: Any, graph: PairGraph | None, config: TrainConfig, run: Run, *, resume: bool = False) -> Learned:
    """Train every combination of the grid and return the best by early-stopping score.

    Args:
        nodes: features and labelled rows, on the device of the training.
        raw: the features as NumPy or SciPy matrix, for neighbours.
        graph: the given graph; None starts from nearest neighbours.
        run: a record of each outer iteration goes to its metrics, the state to go on from into its resume.pt.

    Raises:
        UsageError, PprError: a start graph that cannot be made; a hypergradient that is not finite.
        KeyboardInterrupt: after Ctrl-C or SIGTERM, once the state has been saved.
    """
    search = GridSearch(nodes, raw, graph, config)
    loop = Loop(run, {"search": search}, save_every=1, resume=resume)
    for iteration in loop:
        started = time.monotonic()
        record = search.iteration(run.report)
        loop.log({"epoch": iteration + 1, **described(search.choice), **record, "seconds": round(time.monotonic() - started, 2)})
        out_of_time = config.budget_minutes and loop.seconds > 60 * config.budget_minutes
        if out_of_time and not search.finished:
            log.warning("out of time: %d of %d combinations were begun", search.begun, len(search.choices))
        if search.finished or out_of_time:
            loop.stop()
    assert search.best is not None
    return search.best


class GridSearch:
    """Outer iterations of one combination of the grid after the other, and the best of all."""

    def __init__(self, nodes: Nodes, raw: Any, graph: PairGraph | None, config: TrainConfig) -> None:
        self.nodes, self.raw, self.graph, self.config = nodes, raw, graph, config
        self.choices = grid(config, graph_given=graph is not None)
        self.number = 0
        self.best: Learned | None = None
        self._current: Search | None = None

    @property
    def choice(self) -> Choice:
        """The combination of the last iteration."""
        return self.choices[self.number]

    @property
    def current(self) -> Search:
        """The search of that combination."""
        if self._current is None:
            theta, notes = start_theta(self.raw, self.graph, self.choice.k, self.choice.metric, self.config, self.nodes.features.like)
            for note in notes if self.number == 0 else []:
                log.info(note)
            self._current = Search(self.nodes, theta, self.choice, self.config, self.number)
        return self._current

    @property
    def finished(self) -> bool:
        return self.number + 1 == len(self.choices) and self.current.finished

    @property
    def begun(self) -> int:
        """How many combinations had an iteration."""
        return self.number + (self.current.done > 0)

    def iteration(self, report: Callable[[Progress], None] = ignore) -> dict[str, Any]:
        """One outer iteration; returns its record."""
        if self.current.finished:
            self.number, self._current = self.number + 1, None
        search, shown = self.current, partial(Progress, self.number + 1, len(self.choices), steps=self.config.inner_steps)
        record = search.iteration(lambda step: report(shown(step=step)))
        if search.best is not None and search.best.score.beats(self.best.score if self.best else None):
            self.best = search.best
        return record

    def state_dict(self) -> dict[str, Any]:
        return {"number": self.number, "best": learned_state(self.best), "current": self.current.state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.number, self.best, self._current = state["number"], learned_from(state["best"]), None
        self.current.load(state["current"])


class Search:
    """The outer iterations of one combination of the grid.

    All random numbers come from (seed, combination, outer iteration), so that a resumed training draws the same.
    """

    def __init__(self, nodes: Nodes, theta: Theta, choice: Choice, config: TrainConfig, number: int) -> None:
        self.nodes, self.theta, self.choice, self.config, self.number = nodes, theta, choice, config, number
        self.problem = InnerProblem(nodes.features, nodes.train, config.weight_decay)
        self.optimizer = Optimizer(config.inner_optimizer, config.inner_lr)
        self.best: Learned | None = None
        self.done, self.outer_steps, self.stale = 0, 0, 0

    @property
    def finished(self) -> bool:
        return self.stale >= self.config.outer_patience or self.done >= self.config.outer_iterations

    def generator(self, purpose: int) -> torch.Generator:
        """Random numbers of this outer iteration for one purpose."""
        return torch_generator(self.config.seed, self.number, self.done, purpose)

    def iteration(self, report: Callable[[int], None] = lambda _step: None) -> dict[str, Any]:
        """One outer iteration: new weights, segments of tau inner steps each followed by a step on theta, and the score of the result."""
        config, nodes, generator = self.config, self.nodes, self.generator(0)
        weights = Weights.glorot(nodes.features.shape[1], config.hidden, nodes.classes, generator, nodes.features.like)
        state, lowest, waited, outer_loss = State.start(weights), float("inf"), 0, None
        while state.steps < config.inner_steps and waited < config.inner_patience:
            state, steps, losses = self.segment(state, min(self.choice.tau, config.inner_steps - state.steps), generator)
            for loss in losses:
                lowest, waited = (loss, 0) if loss < config.inner_progress * lowest else (lowest, waited + 1)
            report(state.steps)
            if self.choice.outer_lr:
                outer_loss = self.outer_step(steps, state, generator)
        return self.judge(state.weights, lowest, outer_loss)

    def segment(self, state: State, count: int, generator: torch.Generator) -> tuple[State, list[Step], list[float]]:
        """`count` inner steps, each on a newly drawn graph; with what is needed to go back through them, and the losses before each."""
        steps, losses = [], []
        for _ in range(count):
            state, step, loss = inner_step(self.problem, self.optimizer, state, self.theta.sample(generator), self.dropout(generator))
            steps.append(step)
            losses.append(loss)
        return state, steps, losses

    def dropout(self, generator: torch.Generator) -> Tensor | None:
        """Factors on the hidden units, [N, hidden]: 0, or what keeps the expectation."""
        rate, like = self.config.dropout, self.nodes.features.like
        if not rate:
            return None
        kept = torch.rand(self.nodes.features.shape[0], self.config.hidden, generator=generator) >= rate
        return kept.to(like) / (1 - rate)

    def outer_step(self, steps: list[Step], state: State, generator: torch.Generator) -> float:
        """Move theta against the hypergradient of the last segment; returns the outer loss before.

        Raises:
            PprError: the hypergradient is not finite; theta stays as it was.
        """
        config, nodes = self.config, self.nodes
        rate = self.choice.outer_lr / (1 + config.outer_lr_decay * self.outer_steps)
        adjacency = self.theta.sample(generator)
        try:
            if config.engine == "dense":
                assert isinstance(self.theta, AllPairs)
                samples = [binary(step.adjacency) for step in steps] + [binary(adjacency)]
                gradient, loss = dense_hypergradient(
                    nodes.features.matrix.to_dense(), nodes.train, config.weight_decay, self.optimizer, steps, nodes.val, samples
                )
                self.theta.descend_dense(gradient, rate)
            else:
                factors, loss = hypergradient(self.problem, self.optimizer, steps, state, nodes.val, adjacency)
                self.theta.descend(factors, rate)
                if isinstance(self.theta, CandidatePairs) and config.grow_every and (self.outer_steps + 1) % config.grow_every == 0:
                    self.theta.grow(factors, round(config.grow_share * len(self.theta)))
        except FloatingPointError as error:
            raise PprError(
                f"{error} at outer step {self.outer_steps + 1} (outer iteration {self.done + 1}); the probabilities before it were kept",
                hint="lower --outer-lr or inner_lr; the best state so far is in the run",
            ) from error
        self.outer_steps += 1
        return loss

    def judge(self, weights: Weights, inner_loss: float, outer_loss: float | None) -> dict[str, Any]:
        """Score weights and theta on the early-stopping rows, keep the best, and describe the iteration."""
        probabilities = mean_probabilities(weights, self.nodes.features, self.theta, self.config.samples, self.generator(1))
        score = score_of(probabilities, self.nodes.es)
        self.done += 1
        better = score.beats(self.best.score if self.best else None)
        if better:
            theta = {name: value.clone() for name, value in self.theta.state().items()}
            self.best, self.stale = Learned(self.choice, score, weights, theta, self.done), 0
        else:
            self.stale += 1
        graph = self.theta.graph()
        return {
            "inner_loss": inner_loss,
            **({"val_loss": outer_loss} if outer_loss is not None else {}),
            "es_accuracy": score.accuracy,
            "es_loss": score.loss,
            "edges": float(graph.prob.sum()),
            "pairs": int((graph.prob > 0).sum()),
            "best": better,
        }

    def state(self) -> dict[str, Any]:
        """What `load` takes: tensors and plain values."""
        counters = {"done": self.done, "outer_steps": self.outer_steps, "stale": self.stale}
        return {"theta": self.theta.state(), "best": learned_state(self.best), **counters}

    def load(self, state: dict[str, Any]) -> None:
        self.theta.load(state["theta"])
        self.best = learned_from(state["best"])
        self.done, self.outer_steps, self.stale = state["done"], state["outer_steps"], state["stale"]


def binary(adjacency: Adjacency) -> Tensor:
    """A sampled graph as a dense matrix of 0 and 1, without the self loops."""
    return (adjacency.matrix.to_dense() != 0).to(adjacency.scale.dtype).fill_diagonal_(0)
