"""Truncated reverse-mode hypergradients of the bilevel program (Franceschi et al. 2019, section 3.2 and algorithm 1).

The inner dynamics is a handful of optimizer steps on the inner loss, each on a newly sampled graph. Going back through a step takes
the product of the inner loss's second derivatives with a vector: the first derivative of a directional derivative, so that nothing has
to be differentiated twice. By the straight-through estimator the derivative by a sampled graph counts as the one by the probabilities,
for pairs that were not drawn too: that is how new edges come about.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..network import Adjacency, Factors, Features, Weights, logits, logits_and_tangent

BETAS = (0.9, 0.999)
EPSILON = 1e-8
UNDER_ROOT = 1e-12  # the root's slope is infinite at 0, where the second moment of a weight that never had a gradient is


@dataclass(frozen=True)
class Labelled:
    """Rows with known labels: rows int64 [m], labels int64 [m]."""

    rows: Tensor
    labels: Tensor

    def cross_entropy(self, values: Tensor) -> Tensor:
        """Mean cross-entropy of logits [N, C] on these rows."""
        return F.cross_entropy(values[self.rows], self.labels)


@dataclass(frozen=True)
class InnerProblem:
    """The inner loss: cross-entropy on the training rows and an L2 penalty on the first layer."""

    features: Features
    train: Labelled
    weight_decay: float

    def loss(self, weights: Weights, adjacency: Adjacency, keep: Tensor | None) -> Tensor:
        return self.train.cross_entropy(logits(weights, self.features, adjacency, keep)) + self.penalty(weights.first, weights.first) / 2

    def penalty(self, left: Tensor, right: Tensor) -> Tensor:
        return self.weight_decay * (left * right).sum()

    def slope(self, weights: Weights, direction: Weights, adjacency: Adjacency, keep: Tensor | None, factors: Factors | None) -> Tensor:
        """Directional derivative of the loss by the weights: its gradient's inner product with `direction`."""
        values, tangent = logits_and_tangent(weights, direction, self.features, adjacency, keep, factors)
        rows, labels = self.train.rows, self.train.labels
        residual = values[rows].softmax(1) - F.one_hot(labels, values.shape[1])
        return (residual * tangent[rows]).sum() / len(rows) + self.penalty(weights.first, direction.first)


@dataclass(frozen=True)
class State:
    """The inner optimizer's state: weights, first and second moments (zero and unused for SGD), steps done."""

    weights: Weights
    mean: Weights
    square: Weights
    steps: int = 0

    @classmethod
    def start(cls, weights: Weights) -> State:
        zero = Weights(*map(torch.zeros_like, weights))
        return cls(weights, zero, zero)


@dataclass(frozen=True)
class Step:
    """What has to be remembered of an inner step to go back through it."""

    before: State
    after: State
    gradient: Weights
    adjacency: Adjacency
    keep: Tensor | None


@dataclass(frozen=True)
class Optimizer:
    """Adam or gradient descent as a function from state to state."""

    kind: Literal["adam", "sgd"]
    lr: float

    def __call__(self, state: State, gradient: Weights) -> State:
        moved = [self._move(*parts, state.steps + 1) for parts in zip(state.weights, state.mean, state.square, gradient, strict=True)]
        weights, mean, square = (Weights(*part) for part in zip(*moved, strict=True))
        return State(weights, mean, square, state.steps + 1)

    def _move(self, weight: Tensor, mean: Tensor, square: Tensor, gradient: Tensor, step: int) -> tuple[Tensor, Tensor, Tensor]:
        if self.kind == "sgd":
            return weight - self.lr * gradient, mean, square
        mean = BETAS[0] * mean + (1 - BETAS[0]) * gradient
        square = BETAS[1] * square + (1 - BETAS[1]) * gradient.square()
        root = (square / (1 - BETAS[1] ** step) + UNDER_ROOT).sqrt()
        return weight - self.lr / (1 - BETAS[0] ** step) * mean / (root + EPSILON), mean, square

    def pull_back(self, step: Step, adjoint: State) -> tuple[State, Weights]:
        """From the adjoint of the state after a step to those of the state before it and of the gradient."""
        if self.kind == "sgd":
            return adjoint, Weights(*(-self.lr * part for part in adjoint.weights))
        number, parts = step.after.steps, []
        rate, unbias = self.lr / (1 - BETAS[0] ** number), 1 - BETAS[1] ** number
        for mean, square, gradient, to_weight, to_mean, to_square in zip(
            step.after.mean, step.after.square, step.gradient, adjoint.weights, adjoint.mean, adjoint.square, strict=True
        ):
            root = (square / unbias + UNDER_ROOT).sqrt()
            slope = -rate / (root + EPSILON)
            to_mean = to_mean + slope * to_weight
            to_square = to_square - slope * to_weight * mean / ((root + EPSILON) * (2 * unbias * root))
            to_gradient = (1 - BETAS[0]) * to_mean + 2 * (1 - BETAS[1]) * gradient * to_square
            parts.append((BETAS[0] * to_mean, BETAS[1] * to_square, to_gradient))
        means, squares, gradients = (Weights(*part) for part in zip(*parts, strict=True))
        return State(adjoint.weights, means, squares, step.before.steps), gradients


def inner_step(
    problem: InnerProblem, optimizer: Optimizer, state: State, adjacency: Adjacency, keep: Tensor | None
) -> tuple[State, Step, float]:
    """One step of the inner dynamics; the loss is that before it."""
    leaves = Weights(*(weight.detach().requires_grad_() for weight in state.weights))
    loss = problem.loss(leaves, adjacency, keep)
    gradient = Weights(*torch.autograd.grad(loss, leaves))
    with torch.no_grad():
        moved = optimizer(state, gradient)
    return moved, Step(state, moved, gradient, adjacency, keep), loss.item()


def hypergradient(
    problem: InnerProblem, optimizer: Optimizer, steps: list[Step], state: State, validation: Labelled, adjacency: Adjacency
) -> tuple[Factors, float]:
    """The derivative of the outer loss after `steps` by the graphs sampled in them and for the outer loss itself.

    Args:
        steps: the last tau inner steps, oldest first; what came before them counts as constant.
        state: the optimizer's state after them.
        validation: rows of the outer loss.
        adjacency: the graph sampled for the outer loss.

    Returns:
        the derivative, summed over all sampled graphs, as factors; and the outer loss.
    """
    factors = Factors()
    leaves = Weights(*(weight.detach().requires_grad_() for weight in state.weights))
    outer = validation.cross_entropy(logits(leaves, problem.features, adjacency, None, factors))
    adjoint = State(
        Weights(*torch.autograd.grad(outer, leaves)), Weights(*map(torch.zeros_like, leaves)), Weights(*map(torch.zeros_like, leaves))
    )
    for step in reversed(steps):
        adjoint, direction = optimizer.pull_back(step, adjoint)
        leaves = Weights(*(weight.detach().requires_grad_() for weight in step.before.weights))
        slope = problem.slope(leaves, direction, step.adjacency, step.keep, factors)
        curvature = torch.autograd.grad(slope, leaves)
        through = Weights(*(own + other for own, other in zip(adjoint.weights, curvature, strict=True)))
        adjoint = State(through, adjoint.mean, adjoint.square, step.before.steps)
    return factors, outer.item()
