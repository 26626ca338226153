"""Edge probabilities: what is drawn of them, how they move, and that a candidate set of all pairs is the dense method."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.lds.learning.theta import AllPairs, CandidatePairs, candidate_graph
from ppr.methods.lds.network import Adjacency, Factors

NODES = 30


def random_graph(seed: int = 0, pairs: int = 80) -> PairGraph:
    rng = np.random.default_rng(seed)
    return PairGraph.build(NODES, *rng.integers(0, NODES, (2, pairs)), rng.choice([0.01, 0.3, 1.0], pairs))


def every_pair(graph: PairGraph) -> PairGraph:
    first, second = np.triu_indices(graph.nodes, 1)
    return PairGraph(graph.nodes, first, second, graph.probability_of(first, second))


def random_factors(seed: int, scale: float = 0.3) -> Factors:
    """The factors of some products with a random graph."""
    generator, factors = torch.Generator().manual_seed(seed), Factors()
    upper = torch.nonzero((torch.rand(NODES, NODES, generator=generator) < 0.2).triu(1))
    adjacency = Adjacency.of_pairs(upper[:, 0], upper[:, 1], NODES, dtype=torch.float32)
    for _ in range(3):
        features, adjoint = (scale * torch.randn(NODES, 4, generator=generator) for _ in range(2))
        factors.add(adjacency, features, adjacency @ features, adjoint, adjacency @ adjoint)
    return factors


def matrix(graph: PairGraph) -> np.ndarray:
    dense = np.zeros((graph.nodes, graph.nodes))
    dense[graph.first, graph.second] = graph.prob
    return dense + dense.T


@pytest.mark.parametrize("kind", [AllPairs, CandidatePairs])
def test_pairs_are_drawn_as_often_as_their_probability_says(kind):
    graph = random_graph()
    theta, generator = kind(graph), torch.Generator().manual_seed(1)
    count = 4000
    drawn = sum((theta.sample(generator).matrix.to_dense() != 0).double() for _ in range(count)) / count
    drawn.fill_diagonal_(0)
    expected = torch.from_numpy(matrix(graph))
    # Five standard deviations of a share of 4,000 coins.
    limit = 5 * (expected * (1 - expected) / count).sqrt() + 1e-12
    assert ((drawn - expected).abs() <= limit).all()


def test_improbable_pairs_are_drawn_independently():
    """The number drawn of 400 pairs of probability .01 has the mean and the variance of as many coins."""
    first, second = (part[:400] for part in np.triu_indices(NODES, 1))
    theta, generator = AllPairs(PairGraph(NODES, first, second, np.full(400, 0.01, np.float32))), torch.Generator().manual_seed(2)
    counts = np.array([len(theta.sample(generator).matrix.values()) - NODES for _ in range(3000)]) / 2
    assert counts.mean() == pytest.approx(4.0, abs=0.2)
    assert counts.var() == pytest.approx(3.96, rel=0.15)


@pytest.mark.parametrize("kind", [AllPairs, CandidatePairs])
def test_a_step_subtracts_the_derivative_and_stays_in_the_box(kind):
    start = random_graph(1)
    theta, factors = kind(every_pair(start) if kind is CandidatePairs else start), random_factors(3)
    theta.descend(factors, 0.7)
    left, right, degree = factors.stacked()
    gradient = left @ right.T + right @ left.T + degree[:, None] + degree
    expected = (torch.from_numpy(matrix(start)).float() - 0.7 * gradient).clamp(0, 1).fill_diagonal_(0)
    found = matrix(theta.graph())
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
    assert found.min() >= 0
    assert found.max() <= 1
    assert ((found > 0) & (matrix(start) == 0)).any()  # pairs that were absent rise too


def test_a_candidate_set_of_all_pairs_moves_as_the_dense_method():
    start = random_graph(2)
    both = AllPairs(start), CandidatePairs(every_pair(start))
    for step in range(3):
        for theta in both:
            theta.descend(random_factors(step), 0.5)
    np.testing.assert_allclose(matrix(both[0].graph()), matrix(both[1].graph()), atol=1e-5)


@pytest.mark.parametrize("kind", [AllPairs, CandidatePairs])
def test_a_derivative_that_is_not_finite_moves_nothing(kind):
    theta, factors = kind(random_graph()), random_factors(4, scale=1e30)
    before = matrix(theta.graph())
    with pytest.raises(FloatingPointError, match="not finite"):
        theta.descend(factors, 1.0)
    np.testing.assert_array_equal(matrix(theta.graph()), before)


@pytest.mark.parametrize("kind", [AllPairs, CandidatePairs])
def test_a_state_brings_everything_back(kind):
    theta = kind(every_pair(random_graph(3)))
    theta.descend(random_factors(5), 0.5)
    state = {name: value.clone() for name, value in theta.state().items()}
    before, draw = matrix(theta.graph()), theta.sample(torch.Generator().manual_seed(0)).matrix.to_dense()
    theta.descend(random_factors(6), 0.5)
    theta.load(state)
    np.testing.assert_array_equal(matrix(theta.graph()), before)
    torch.testing.assert_close(theta.sample(torch.Generator().manual_seed(0)).matrix.to_dense(), draw)


def test_growing_takes_the_pairs_whose_probability_would_rise_most():
    start = random_graph(4)
    candidates = PairGraph(NODES, start.first, start.second, np.where(np.arange(len(start)) % 3, start.prob, 0).astype(np.float32))
    theta, factors = CandidatePairs(candidates), random_factors(7)
    left, right, degree = factors.stacked()
    gradient = (left @ right.T + right @ left.T + degree[:, None] + degree).numpy()
    outside = np.triu(np.ones((NODES, NODES), bool), 1)
    outside[start.first, start.second] = False
    wanted = sorted(zip(gradient[outside], *np.nonzero(outside), strict=True))[:6]
    assert theta.grow(factors, 6) == 6
    grown = theta.graph()
    before = set(zip(start.first.tolist(), start.second.tolist(), strict=True))
    new = set(zip(grown.first.tolist(), grown.second.tolist(), strict=True)) - before
    assert new == {(int(i), int(j)) for _value, i, j in wanted}
    assert len(grown) == len(start)  # as many that stood at 0 went
    kept = candidates.prob > 0
    np.testing.assert_array_equal(grown.probability_of(start.first, start.second)[kept], candidates.prob[kept])


def test_candidates_hold_the_start_graph_and_what_is_near():
    start, near = random_graph(5, 20), random_graph(6, 40)
    found = candidate_graph(start, near, np.random.default_rng(0))
    np.testing.assert_array_equal(found.probability_of(start.first, start.second), start.prob)
    keys = set((found.first * NODES + found.second).tolist())
    assert set((near.first * NODES + near.second).tolist()) <= keys
    others = ~np.isin(found.first * NODES + found.second, start.first * NODES + start.second)
    assert (found.prob[others] == 0).all()
