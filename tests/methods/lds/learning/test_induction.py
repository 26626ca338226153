"""New rows: joined to their nearest known rows, and independent of each other."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse

from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.lds.learning import induction
from ppr.methods.lds.learning.induction import Induction, pair_distances
from ppr.methods.lds.network import Weights

from ..conftest import clusters


@pytest.fixture(scope="module")
def good(trained):
    """Trained on clouds that do not overlap."""
    return trained(clusters(apart=4.0), inner_steps=120)


def test_a_known_row_given_as_new_gets_its_own_class(good):
    known = good.probabilities().argmax(1)
    found, edges = Induction(good)(good.features)
    assert (found.argmax(1) == known).mean() == 1
    assert (known == good.labels).mean() > 0.95
    assert edges.neighbours[:, 0].tolist() == list(range(48))
    np.testing.assert_allclose(edges.distances[:, 0], 0, atol=1e-3)


def test_a_rows_prediction_does_not_depend_on_the_others(model, monkeypatch):
    new = clusters(20, seed=9).features
    together, edges = Induction(model)(new, seed=2)
    np.testing.assert_allclose(together.sum(1), 1, atol=1e-5)
    for row in range(20):
        alone, own = Induction(model)(new[row : row + 1], seed=2)
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)
        assert own.neighbours[0].tolist() == edges.neighbours[row].tolist()
    monkeypatch.setattr(induction, "BLOCK", 7)
    np.testing.assert_allclose(Induction(model)(new, seed=2)[0], together, atol=1e-5)


def test_a_prediction_is_a_pass_of_the_gcn_over_a_graph_with_the_row_added(model):
    """Against a dense pass, on a graph that is certain, with the known rows' degrees left as they are."""
    graph = PairGraph(48, model.start.first, model.start.second, np.ones_like(model.start.prob))
    certain = replace(model, graph=graph)
    new = clusters(3, seed=4).features
    found, edges = Induction(certain)(new)
    first, second = (weight.numpy().astype(np.float64) for weight in model.weights)
    adjacency = np.eye(48)
    adjacency[graph.first, graph.second] = adjacency[graph.second, graph.first] = 1
    scale = adjacency.sum(1) ** -0.5
    propagation = scale[:, None] * adjacency * scale
    known = model.features @ first
    hidden = np.maximum(propagation @ known, 0) @ second
    for row in range(3):
        links = np.zeros(48)
        links[edges.neighbours[row]] = edges.prob[row]
        own = (1 + links.sum()) ** -0.5
        weight = own * links * scale
        mine = np.maximum(weight @ known + own**2 * (new[row] @ first), 0) @ second
        logits = weight @ hidden + own**2 * mine
        np.testing.assert_allclose(found[row], np.exp(logits) / np.exp(logits).sum(), atol=1e-4)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_probabilities_fall_with_distance_and_follow_what_was_learned(model, trained, metric):
    one = model if metric == "euclidean" else trained(clusters(), metric=["cosine"])
    # Learned: near pairs are believed, far ones are not.
    lengths = pair_distances(one.features[one.start.first], one.features[one.start.second], metric)
    near = lengths < np.median(lengths)
    learned = PairGraph(48, one.start.first, one.start.second, np.where(near, 0.9, 0.2).astype(np.float32))
    edges = Induction(replace(one, graph=learned)).attach(clusters(200, seed=8).features)
    order = np.argsort(edges.distances.ravel(), kind="stable")
    prob = edges.prob.ravel()[order]
    assert (np.diff(prob) <= 1e-6).all()
    assert prob[0] == pytest.approx(0.9, abs=1e-5) and prob[-1] == pytest.approx(0.2, abs=1e-5)
    assert (np.diff(edges.distances, axis=1) >= 0).all()


def test_pairs_that_were_dropped_count_with_probability_0(model):
    none = replace(model, graph=PairGraph.build(48, [], []))
    assert (Induction(none).attach(clusters(5, seed=3).features).prob == 0).all()
    probabilities, _edges = Induction(none)(clusters(5, seed=3).features)
    first, second = (weight.numpy() for weight in model.weights)
    alone = np.maximum(clusters(5, seed=3).features @ first, 0) @ second
    assert probabilities.argmax(1).tolist() == alone.argmax(1).tolist()


def test_without_a_start_graph_new_rows_are_joined_all_the_same(model):
    empty = PairGraph.build(48, [], [])
    edges = Induction(replace(model, graph=empty, start=empty)).attach(clusters(5, seed=3).features)
    assert edges.neighbours.shape == (5, 3) and (edges.prob == 1).all()


def test_distances_are_those_of_the_search_dense_and_sparse():
    rng = np.random.default_rng(0)
    one, other = ((rng.random((30, 6)) * (rng.random((30, 6)) < 0.5)).astype(np.float32) + 0.01 for _ in range(2))
    for metric, expected in (
        ("euclidean", np.linalg.norm(one.astype(np.float64) - other, axis=1)),
        ("cosine", 1 - (one * other).sum(1) / np.linalg.norm(one, axis=1) / np.linalg.norm(other, axis=1)),
    ):
        np.testing.assert_allclose(pair_distances(one, other, metric), expected, atol=1e-6)
        sparse = pair_distances(scipy.sparse.csr_matrix(one), scipy.sparse.csr_matrix(other), metric)
        np.testing.assert_allclose(sparse, expected, atol=1e-6)


def test_a_new_row_without_direction_is_joined_by_length(trained):
    one = trained(clusters(), metric=["cosine"])
    edges = Induction(one).attach(np.zeros((1, 4), np.float32))
    assert edges.neighbours[0].tolist() == np.argsort(np.linalg.norm(one.features, axis=1))[:3].tolist()


def test_sparse_new_rows(model):
    bags = replace(model, features=scipy.sparse.csr_matrix(model.features), weights=Weights(*model.weights))
    new = clusters(6, seed=3).features
    np.testing.assert_allclose(Induction(bags)(scipy.sparse.csr_matrix(new))[0], Induction(model)(new)[0], atol=1e-4)
