"""Why a row got its class: the numbers are those of a graph with the pair taken out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.lds.learning.explain import explain
from ppr.methods.lds.naive import dense_logits

START = PairGraph.build(48, [0, 0, 0, 0, 3], [1, 2, 3, 4, 9], [1, 1, 1, 0.5, 1])
LEARNED = PairGraph.build(48, [0, 0, 0, 0, 3], [1, 2, 4, 7, 9], [1, 0.6, 0.5, 0.3, 1])


@pytest.fixture(scope="module")
def known(model):
    return replace(model, start=START, graph=LEARNED)


def probabilities(model, graph: PairGraph, row: int) -> np.ndarray:
    adjacency = torch.zeros(graph.nodes, graph.nodes)
    adjacency[graph.first, graph.second] = adjacency[graph.second, graph.first] = torch.from_numpy(graph.prob)
    return dense_logits(model.weights, torch.from_numpy(model.features), adjacency).softmax(1)[row].numpy()


def test_every_pair_is_there_with_what_became_of_it(known):
    pairs = explain(known, 0).neighbours
    found = {pair.row: (round(pair.prob, 3), pair.start, pair.status) for pair in pairs}
    assert found == {1: (1, 1, "kept"), 2: (0.6, 1, "weakened"), 4: (0.5, 0.5, "kept"), 7: (0.3, 0, "added"), 3: (0, 1, "removed")}
    assert [pair.row for pair in pairs] == [1, 2, 4, 7, 3]


def test_the_change_is_that_of_the_graph_without_the_pair(known):
    found = explain(known, 0)
    whole, pairs = found.probabilities, found.neighbours
    np.testing.assert_allclose(whole, probabilities(known, LEARNED, 0), atol=1e-5)
    label = whole.argmax()
    for pair in pairs:
        keep = ~((LEARNED.first == 0) & (LEARNED.second == pair.row))
        without = PairGraph(48, LEARNED.first[keep], LEARNED.second[keep], LEARNED.prob[keep])
        expected = probabilities(known, without, 0)
        assert pair.change == pytest.approx(expected[label] - whole[label], abs=1e-5)
        assert pair.becomes == expected.argmax()
    assert pairs[-1].change == 0  # a pair that is gone already
    assert any(abs(pair.change) > 1e-4 for pair in pairs)


def test_a_pair_is_found_from_either_end_and_a_row_may_have_none(known):
    assert [pair.row for pair in explain(known, 9).neighbours] == [3]
    assert [pair.row for pair in explain(known, 3).neighbours] == [9, 0]
    alone = explain(known, 40)
    assert alone.neighbours == [] and alone.probabilities.sum() == pytest.approx(1, abs=1e-5)
