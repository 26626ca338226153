"""Lists of pairs: whatever order, direction and repetition they come in, the same graph; and what is counted on it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppr.methods.common.reading.pairs import PairGraph


@st.composite
def edge_lists(draw):
    nodes = draw(st.integers(1, 12))
    node = st.integers(0, nodes - 1)
    edges = draw(st.lists(st.tuples(node, node, st.floats(0, 1, width=32)), max_size=40))
    return nodes, edges


def columns(edges):
    return [np.array([edge[column] for edge in edges]) for column in range(3)]


@given(edge_lists(), st.randoms(use_true_random=False))
def test_order_direction_and_repetition_do_not_matter(case, random):
    nodes, edges = case
    expected: dict[tuple[int, int], float] = {}
    for one, other, prob in edges:
        if one != other:
            pair = (min(one, other), max(one, other))
            expected[pair] = max(expected.get(pair, 0.0), prob)
    shuffled = [(b, a, p) if random.random() < 0.5 else (a, b, p) for a, b, p in random.sample(edges, len(edges))]
    for form in (edges, shuffled):
        graph = PairGraph.build(nodes, *columns(form))
        assert list(zip(graph.first.tolist(), graph.second.tolist(), strict=True)) == sorted(expected)
        assert graph.prob.tolist() == [expected[pair] for pair in sorted(expected)]
        assert (graph.first.dtype, graph.second.dtype, graph.prob.dtype) == (np.int64, np.int64, np.float32)
        assert len(graph) == len(expected)


def test_without_probabilities_every_pair_has_one():
    graph = PairGraph.build(3, [2, 0, 1], [0, 2, 1])
    assert (graph.first.tolist(), graph.second.tolist(), graph.prob.tolist()) == ([0], [2], [1.0])


def test_empty_graphs_have_the_right_types():
    for graph in (PairGraph.build(0, [], []), PairGraph.build(5, [3], [3])):
        assert (len(graph), graph.first.dtype, graph.prob.dtype) == (0, np.int64, np.float32)


def test_above_keeps_what_reaches_the_threshold_and_never_a_zero():
    graph = PairGraph.build(4, [0, 0, 0], [1, 2, 3], [0.5, 0.25, 0.0])
    assert graph.above(0.5).second.tolist() == [1]
    assert graph.above(0.0).second.tolist() == [1, 2]
    assert graph.above(0.3).nodes == 4


def test_homophily_weighs_pairs_by_probability_and_leaves_out_unknown_labels():
    labels = np.array([0, 0, 1, -1, -1])
    graph = PairGraph.build(5, [0, 0, 0, 3], [1, 2, 3, 4], [0.75, 0.25, 1.0, 1.0])
    assert graph.homophily(labels) == pytest.approx(0.75)
    assert math.isnan(PairGraph.build(5, [3], [4]).homophily(labels))
    with pytest.raises(ValueError, match="for 5 nodes"):
        graph.homophily(labels[:4])


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        ((3, [0], [3]), "outside"),
        ((3, [-1], [1]), "outside"),
        ((3, [0, 1], [1]), "lengths"),
        ((3, [0], [1], [1.5]), "probability"),
        ((3, [0], [1], [float("nan")]), "probability"),
        ((3, [0], [1], [-0.1]), "probability"),
        ((1 << 40, [0], [1]), "nodes"),
    ],
)
def test_what_is_no_graph_is_refused(arguments, part):
    with pytest.raises(ValueError, match=part):
        PairGraph.build(*arguments)


@given(edge_lists(), st.randoms(use_true_random=False))
def test_the_union_has_the_pairs_of_either_graph_once(case, random):
    nodes, edges = case
    parts = [[edge for edge in edges if random.random() < 0.6] for _ in range(2)]
    one, other = (PairGraph.build(nodes, *columns(part)) for part in parts)
    first, second = one.union(other)
    expected = {(min(a, b), max(a, b)) for part in parts for a, b, _prob in part if a != b}
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == sorted(expected)
