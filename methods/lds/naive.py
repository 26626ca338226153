"""LDS by plain back-propagation through dense adjacency matrices: what the paper's equations say, letter by letter.

It needs the memory of some N x N arrays a step and is there to compare with: the factored engine gives the same hypergradients.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .learning.hypergradient import Labelled, Optimizer, State, Step
from .network import Weights


def normalise(adjacency: Tensor) -> Tensor:
    """D^-1/2 (A + I) D^-1/2 of a dense adjacency matrix [N, N] without diagonal."""
    looped = adjacency + torch.eye(len(adjacency), dtype=adjacency.dtype, device=adjacency.device)
    scale = looped.sum(1).rsqrt()
    return scale[:, None] * looped * scale


def dense_logits(weights: Weights, features: Tensor, adjacency: Tensor, keep: Tensor | None = None) -> Tensor:
    """The GCN's class logits [N, C] on a dense adjacency matrix [N, N]."""
    propagation = normalise(adjacency)
    hidden = (propagation @ (features @ weights.first)).relu()
    return propagation @ ((hidden if keep is None else hidden * keep) @ weights.second)


def dense_hypergradient(
    features: Tensor,
    train: Labelled,
    weight_decay: float,
    optimizer: Optimizer,
    steps: list[Step],
    validation: Labelled,
    samples: list[Tensor],
) -> tuple[Tensor, float]:
    """As `hypergradient.hypergradient`, by differentiating through the unrolled steps.

    Args:
        features: [N, n].
        steps: the last tau inner steps; of each only its dropout mask, and of the first its state are used.
        samples: dense sampled graphs [N, N], one a step and one for the outer loss.

    Returns:
        for the pair (i, j), at both places, the derivative by a_ij and a_ji together, [N, N] without diagonal; and the outer loss.
    """
    leaves = [sample.detach().requires_grad_() for sample in samples]
    state = State(
        Weights(*(weight.detach().requires_grad_() for weight in steps[0].before.weights)),
        steps[0].before.mean,
        steps[0].before.square,
        steps[0].before.steps,
    )
    for step, leaf in zip(steps, leaves, strict=False):
        loss = train.cross_entropy(dense_logits(state.weights, features, leaf, step.keep))
        loss = loss + weight_decay / 2 * state.weights.first.square().sum()
        gradient = Weights(*torch.autograd.grad(loss, state.weights, create_graph=True))
        state = optimizer(state, gradient)
    outer = validation.cross_entropy(dense_logits(state.weights, features, leaves[-1]))
    total = torch.stack(torch.autograd.grad(outer, leaves)).sum(0)
    return (total + total.T).fill_diagonal_(0), outer.item()
