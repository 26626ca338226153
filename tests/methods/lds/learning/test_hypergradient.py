"""Hypergradients in factored form against finite differences and against plain back-propagation through dense matrices."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
import torch

from ppr.methods.lds.learning.hypergradient import InnerProblem, Labelled, Optimizer, State, hypergradient, inner_step
from ppr.methods.lds.naive import dense_hypergradient, dense_logits
from ppr.methods.lds.network import Adjacency, Factors, Features, Weights, logits, logits_and_tangent, propagate

NODES, WIDTH, HIDDEN, CLASSES, DECAY = 12, 5, 4, 3, 5e-4


class World:
    """A small problem in float64: features, labels, and graphs drawn from a fixed seed."""

    def __init__(self, seed: int = 0) -> None:
        self.generator = torch.Generator().manual_seed(seed)
        self.matrix = torch.randn(NODES, WIDTH, dtype=torch.float64, generator=self.generator)
        self.features = Features(self.matrix)
        labels = torch.randint(0, CLASSES, (NODES,), generator=self.generator)
        self.train = Labelled(torch.arange(4), labels[:4])
        self.val = Labelled(torch.arange(4, 9), labels[4:9])
        self.problem = InnerProblem(self.features, self.train, DECAY)

    def weights(self) -> Weights:
        return Weights.glorot(WIDTH, HIDDEN, CLASSES, self.generator, self.matrix)

    def sample(self) -> torch.Tensor:
        upper = (torch.rand(NODES, NODES, generator=self.generator) < 0.3).double().triu(1)
        return upper + upper.T

    def dropout(self) -> torch.Tensor:
        return (torch.rand(NODES, HIDDEN, generator=self.generator) < 0.5).double() * 2


def adjacency(dense: torch.Tensor) -> Adjacency:
    first, second = torch.nonzero(dense.triu(1), as_tuple=True)
    return Adjacency.of_pairs(first, second, len(dense), dense[first, second], dtype=torch.float64)


def derivative(factors: Factors) -> torch.Tensor:
    left, right, degree = factors.stacked()
    product = left @ right.T
    return (product + product.T + degree[:, None] + degree).fill_diagonal_(0)


def unroll(world: World, optimizer: Optimizer, samples: list[torch.Tensor], weights: Weights, keeps: list[torch.Tensor | None]):
    state, steps = State.start(weights), []
    for sample, keep in zip(samples, keeps, strict=True):
        state, step, _loss = inner_step(world.problem, optimizer, state, adjacency(sample), keep)
        steps.append(step)
    return state, steps


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("tau", [1, 3, 5])
def test_it_is_the_slope_of_the_outer_loss_when_one_pair_moves_in_all_samples(kind, tau):
    """Central differences over a_ij = a_ji in every sampled graph, in float64, without dropout."""
    world = World()
    optimizer = Optimizer(kind, 0.02 if kind == "adam" else 0.5)
    weights, samples = world.weights(), [world.sample() for _ in range(tau + 1)]

    def outer_loss(shift: float, i: int, j: int) -> float:
        moved = [sample.clone() for sample in samples]
        for sample in moved:
            sample[i, j] += shift
            sample[j, i] += shift
        state, _steps = unroll(world, optimizer, moved[:-1], weights, [None] * tau)
        return world.val.cross_entropy(dense_logits(state.weights, world.matrix, moved[-1])).item()

    state, steps = unroll(world, optimizer, samples[:-1], weights, [None] * tau)
    factors, _loss = hypergradient(world.problem, optimizer, steps, state, world.val, adjacency(samples[-1]))
    found = derivative(factors)
    pairs = [(0, 1), (2, 7), (5, 9), (3, 11), (8, 10)]
    expected = [(outer_loss(1e-5, i, j) - outer_loss(-1e-5, i, j)) / 2e-5 for i, j in pairs]
    scale = found.abs().max().item()
    np.testing.assert_allclose([found[i, j].item() for i, j in pairs], expected, rtol=1e-6, atol=1e-6 * scale)


@pytest.mark.parametrize("kind", ["adam", "sgd"])
@pytest.mark.parametrize("tau", [1, 3, 5])
def test_the_factors_hold_what_plain_back_propagation_gives(kind, tau):
    world = World(1)
    optimizer = Optimizer(kind, 0.02 if kind == "adam" else 0.5)
    samples, keeps = [world.sample() for _ in range(tau + 1)], [world.dropout() for _ in range(tau)]
    before, _ = unroll(world, optimizer, [world.sample() for _ in range(3)], world.weights(), [None] * 3)
    state, steps = before, []
    for sample, keep in zip(samples, keeps, strict=False):
        state, step, _loss = inner_step(world.problem, optimizer, state, adjacency(sample), keep)
        steps.append(step)
    factors, loss = hypergradient(world.problem, optimizer, steps, state, world.val, adjacency(samples[-1]))
    expected, dense_loss = dense_hypergradient(world.matrix, world.train, DECAY, optimizer, steps, world.val, samples)
    torch.testing.assert_close(derivative(factors), expected, rtol=1e-9, atol=1e-12)
    assert loss == pytest.approx(dense_loss, abs=1e-12)


def test_absent_pairs_get_a_derivative_too():
    world = World(2)
    samples = [world.sample(), world.sample()]
    optimizer = Optimizer("adam", 0.02)
    state, steps = unroll(world, optimizer, samples[:-1], world.weights(), [None])
    factors, _loss = hypergradient(world.problem, optimizer, steps, state, world.val, adjacency(samples[-1]))
    absent = (samples[0] == 0) & (samples[1] == 0) & ~torch.eye(NODES, dtype=torch.bool)
    assert absent.any()
    assert (derivative(factors)[absent] != 0).double().mean() > 0.5


def test_a_weight_that_never_had_a_gradient_gives_no_nan():
    """A feature that is 0 in every row has a second moment of 0, where the root's slope is infinite."""
    world = World(3)
    world.matrix[:, 2] = 0
    world.problem = InnerProblem(Features(world.matrix), world.train, 0.0)
    samples, optimizer = [world.sample() for _ in range(4)], Optimizer("adam", 0.02)
    state, steps = unroll(world, optimizer, samples[:-1], world.weights(), [None] * 3)
    factors, _loss = hypergradient(world.problem, optimizer, steps, state, world.val, adjacency(samples[-1]))
    assert all(torch.isfinite(part).all() for part in factors.stacked())
    assert (steps[0].gradient.first[2] == 0).all()


def test_the_tangent_is_the_change_of_the_logits_along_a_direction():
    world = World(4)
    weights, direction, graph, keep = world.weights(), world.weights(), adjacency(world.sample()), world.dropout()
    values, tangent = logits_and_tangent(weights, direction, world.features, graph, keep, None)

    def moved(step: float) -> torch.Tensor:
        return logits(Weights(*(a + step * b for a, b in zip(weights, direction, strict=True))), world.features, graph, keep)

    torch.testing.assert_close(values, logits(weights, world.features, graph, keep))
    torch.testing.assert_close(tangent, (moved(1e-6) - moved(-1e-6)) / 2e-6, rtol=1e-6, atol=1e-8)


def test_sparse_and_dense_features_give_the_same_products_and_derivatives():
    dense = torch.randn(7, 5, dtype=torch.float64).relu()
    results = []
    for features in (Features(dense), Features(dense.to_sparse_csr())):
        weights = torch.ones(5, 2, dtype=torch.float64, requires_grad=True)
        product = features @ weights
        product.square().sum().backward()
        results.append((product.detach(), weights.grad))
    torch.testing.assert_close(results[0], results[1])


def test_the_adjacency_is_that_of_the_paper_and_an_isolated_node_keeps_itself():
    dense = World(5).sample()
    dense[3], dense[:, 3] = 0, 0
    looped = dense + torch.eye(NODES, dtype=torch.float64)
    scale = torch.diag(looped.sum(1) ** -0.5)
    matrix = adjacency(dense).matrix.to_dense()
    torch.testing.assert_close(matrix, scale @ looped @ scale)
    assert matrix[3].tolist() == [float(i == 3) for i in range(NODES)]


def test_a_product_is_freed_when_nobody_looks_at_it_any_more():
    """A node of the autograd graph that held its own result would keep every inner step's graph for ever."""
    graph = Adjacency.of_pairs(torch.tensor([0, 1]), torch.tensor([1, 2]), 5, dtype=torch.float32)
    result = propagate(graph, torch.randn(5, 3, requires_grad=True), Factors())
    left = weakref.ref(result)
    del result
    gc.collect()
    assert left() is None
