"""Nearest-neighbour graphs against brute force, and what copies, empty rows and large tables do to them."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.lds.learning import neighbours
from ppr.methods.lds.learning.neighbours import distinct_rows, knn_graph

METRICS = ["cosine", "euclidean"]


def pairs(graph) -> set[tuple[int, int]]:
    return set(zip(graph.first.tolist(), graph.second.tolist(), strict=True))


def distances(features: np.ndarray, metric: str) -> np.ndarray:
    """[N, N] in float64, infinite on the diagonal."""
    rows = features.astype(np.float64)
    if metric == "cosine":
        unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
        found = 1 - unit @ unit.T
    else:
        found = np.linalg.norm(rows[:, None] - rows[None], axis=2)
    np.fill_diagonal(found, np.inf)
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("k", [1, 4])
def test_two_rows_are_joined_where_either_is_near_the_other(metric, k):
    features = np.random.default_rng(0).standard_normal((40, 5)).astype(np.float32)
    nearest = np.argsort(distances(features, metric), axis=1)[:, :k]
    expected = {(min(i, j), max(i, j)) for i in range(40) for j in nearest[i].tolist()}
    graph, notes = knn_graph(features, k, metric)
    assert pairs(graph) == expected
    assert (graph.prob == 1).all() and notes == []
    # Neither the mutual pairs alone, nor only those that the upper triangle of the directed graph has.
    upper = {(i, j) for i in range(40) for j in nearest[i].tolist() if i < j}
    assert upper < expected


@pytest.mark.parametrize("metric", METRICS)
def test_sparse_and_dense_features_give_the_same_graph(metric):
    rng = np.random.default_rng(1)
    features = (rng.random((50, 8)) * (rng.random((50, 8)) < 0.4)).astype(np.float32)
    features[7] = features[3] = features[0]
    features[20] = 0
    dense, sparse = (knn_graph(form, 5, metric) for form in (features, scipy.sparse.csr_matrix(features)))
    assert pairs(dense[0]) == pairs(sparse[0])
    assert dense[1] == sparse[1] != []


def test_copies_do_not_use_up_each_others_neighbours():
    """Rows 1 to 11 copy row 0, and k = 3: each copy has the three nearest rows that are not copies, and the row it copies."""
    rng = np.random.default_rng(2)
    others = rng.standard_normal((15, 3)).astype(np.float32)
    features = np.concatenate([np.repeat(others[:1], 12, 0), others[1:]])
    graph, notes = knn_graph(features, 3, "euclidean")
    near = (np.argsort(distances(others, "euclidean")[0])[:3] + 11).tolist()
    found = pairs(graph)
    for copy in range(1, 12):
        assert {j for i, j in found if i == copy} == set(near)
        assert {i for i, j in found if j == copy} == {0}
    assert notes == ["11 rows are copies of others; they share the neighbours of the row they copy"]


def test_rows_are_equal_whatever_the_sign_of_a_zero_or_the_stored_zeros():
    dense = np.array([[0.0, 1], [-0.0, 1], [2, 1]], np.float32)
    assert [part.tolist() for part in distinct_rows(dense)] == [[0, 2], [0, 0, 1]]
    stored = scipy.sparse.csr_matrix((np.array([1, 0, 1, 2, 1], np.float32), [1, 0, 1, 0, 1], [0, 1, 3, 5]), shape=(3, 2))
    assert [part.tolist() for part in distinct_rows(stored)] == [[0, 2], [0, 0, 1]]
    assert stored.nnz == 5  # the caller's matrix is left alone


def test_a_row_without_direction_is_compared_by_length_and_that_is_said():
    rng = np.random.default_rng(3)
    features = (rng.standard_normal((20, 4)) + 3).astype(np.float32)
    features[5] = 0
    features[[11, 12]] *= 0.01
    features[12] = features[12][::-1]
    graph, notes = knn_graph(features, 2, "cosine")
    assert {(5, 11), (5, 12)} <= pairs(graph)
    assert notes == ["1 rows are all 0 and have no direction; their neighbours are found by euclidean distance"]


def test_k_has_to_be_below_the_number_of_distinct_rows():
    features = np.repeat(np.arange(6, dtype=np.float32), 4)[:, None]
    assert len(knn_graph(features, 5, "euclidean")[0]) > 0
    with pytest.raises(UsageError, match="k = 6: there are only 6 distinct rows") as caught:
        knn_graph(features, 6, "euclidean")
    assert caught.value.hint == "--k 5"


@pytest.mark.slow  # numba compiles the search, which takes longer than anything it finds here
@pytest.mark.slow  # numba compiles for half a minute
def test_the_approximate_search_of_large_tables_finds_nearly_all(monkeypatch):
    pytest.importorskip("pynndescent")
    metric = "euclidean"
    features = np.random.default_rng(4).standard_normal((400, 6)).astype(np.float32)
    exact = pairs(knn_graph(features, 8, metric)[0])
    monkeypatch.setattr(neighbours, "EXACT_NODES", 399)
    threads = torch.get_num_threads()
    graph, _notes = knn_graph(features, 8, metric, seed=3)
    assert torch.get_num_threads() == threads
    assert len(pairs(graph) & exact) / len(exact) >= 0.9
    assert np.bincount(np.concatenate([graph.first, graph.second])).min() >= 8
    assert pairs(knn_graph(features, 8, metric, seed=3)[0]) == pairs(graph)


def test_without_pynndescent_a_large_table_says_what_brings_it(monkeypatch):
    monkeypatch.setattr(neighbours, "EXACT_NODES", 10)
    monkeypatch.setitem(__import__("sys").modules, "pynndescent", None)
    with pytest.raises(PprError, match="neighbours among 11 rows need pynndescent") as caught:
        knn_graph(np.random.default_rng(0).standard_normal((11, 2)).astype(np.float32), 2, "euclidean")
    assert caught.value.hint == "pip install 'ppr[lds]'"
