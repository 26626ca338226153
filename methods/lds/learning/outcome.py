"""What a search over the grid chooses between, how it judges, and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Any

from torch import Tensor

from ..config import TrainConfig
from ..network import Weights
from .hypergradient import Labelled


@dataclass(frozen=True)
class Choice:
    """One combination of the grid; k and metric are None where the graph was given."""

    k: int | None
    metric: str | None
    tau: int
    outer_lr: float


@dataclass(frozen=True)
class Score:
    """How good a state is on the early-stopping rows: accuracy, and of equal ones the mean cross-entropy.

    With few rows the accuracy is 1 after the first outer iteration; without the second criterion nothing later could win.
    """

    accuracy: float
    loss: float

    def beats(self, other: Score | None) -> bool:
        return other is None or (self.accuracy, -self.loss) > (other.accuracy, -other.loss)


@dataclass(frozen=True)
class Learned:
    """What is kept of a training: weights, probabilities, the choice they came from and its score."""

    choice: Choice
    score: Score
    weights: Weights
    theta: dict[str, Tensor]
    iteration: int


def grid(config: TrainConfig, *, graph_given: bool) -> list[Choice]:
    """Every combination to be trained."""
    starts: list[tuple[int | None, str | None]] = [(None, None)] if graph_given else list(product(config.k, config.metric))
    return [Choice(k, metric, tau, rate) for (k, metric), tau, rate in product(starts, config.tau, config.outer_lr)]


def described(choice: Choice) -> dict[str, Any]:
    """What is set in a choice."""
    return {key: value for key, value in vars(choice).items() if value is not None}


def score_of(probabilities: Tensor, rows: Labelled) -> Score:
    """Accuracy and cross-entropy of class probabilities [N, C] on labelled rows."""
    chosen = probabilities[rows.rows]
    accuracy = (chosen.argmax(1) == rows.labels).double().mean()
    loss = -chosen.gather(1, rows.labels[:, None]).clamp(min=1e-12).log().mean()
    return Score(float(accuracy), float(loss))


def learned_state(learned: Learned | None) -> dict[str, Any] | None:
    """As tensors and plain values."""
    if learned is None:
        return None
    return {
        "choice": vars(learned.choice),
        "score": vars(learned.score),
        "weights": {name: value.cpu() for name, value in learned.weights._asdict().items()},
        "theta": learned.theta,
        "iteration": learned.iteration,
    }


def learned_from(state: dict[str, Any] | None) -> Learned | None:
    """Back from `learned_state`."""
    if state is None:
        return None
    return Learned(Choice(**state["choice"]), Score(**state["score"]), Weights(**state["weights"]), state["theta"], state["iteration"])
