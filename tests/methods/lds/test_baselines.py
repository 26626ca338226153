"""Baselines: they learn, they repeat, and they never see a test label."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from ppr.methods.common.errors import UsageError
from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.common.reading.tables.encoder import TableEncoder
from ppr.methods.lds.baselines import BASELINES, run_baselines
from ppr.methods.lds.gcn_baseline import train_gcn
from ppr.methods.lds.tables.bundled import load_named
from ppr.methods.lds.tables.splits import Split, default_split, table_split
from ppr.methods.lds.tables.table import SplitTable, Table

EXPECTED = {  # 5 seeds of the specification, on the same splits: mean and standard deviation in %
    "logistic-regression": (94.6, 1.3),
    "rbf-svm": (95.0, 3.1),
    "random-forest": (93.2, 0.8),
    "label-spreading": (90.1, 2.5),
    "knn-gcn": (90.9, 2.6),
}


@pytest.fixture(scope="module")
def wine():
    table = load_named("wine")
    return table, default_split(table.name, table.labels, table.ids, None, 1)


@pytest.fixture(scope="module")
def scores(wine):
    return run_baselines(SplitTable(*wine, 1))


@pytest.mark.slow
def test_wine_is_classified_about_as_well_as_measured_elsewhere(scores):
    assert set(scores) == set(BASELINES) - {"gcn"}
    for name, (mean, deviation) in EXPECTED.items():
        assert scores[name].accuracy > (mean - 3 * deviation) / 100, name
        assert abs(scores[name].macro_f1 - scores[name].accuracy) < 0.05
    assert scores["mlp"].accuracy > 0.8


@pytest.mark.slow
def test_the_same_seed_gives_the_same_scores_and_leaves_the_callers_random_numbers_alone(wine, scores):
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    names = ["random-forest", "mlp", "knn-gcn"]
    assert run_baselines(SplitTable(*wine, 1), names) == {name: scores[name] for name in names}
    assert torch.rand(1) == expected


@pytest.mark.slow
def test_labels_of_test_rows_are_not_read(wine, scores):
    """With test labels moved on by one class, what is chosen and predicted stays, so that none of the right ones is right any more."""
    table, split = wine
    labels = table.labels.copy()
    labels[split.test] = (labels[split.test] + 1) % 3
    moved = run_baselines(SplitTable(replace(table, labels=labels), split, 1))
    for name, score in moved.items():
        assert score.chosen == scores[name].chosen
        assert score.accuracy <= 1 - scores[name].accuracy + 1e-9


def test_without_test_rows_there_is_no_score(wine):
    table, split = wine
    (score,) = run_baselines(SplitTable(table, replace(split, test=np.empty(0, np.int64)), 1), ["logistic-regression"]).values()
    assert math.isnan(score.accuracy) and math.isnan(score.macro_f1)


def test_names_are_checked(wine):
    with pytest.raises(UsageError, match="no baseline of that name") as caught:
        run_baselines(SplitTable(*wine, 1), ["random-forrest"])
    assert caught.value.hint == "did you mean 'random-forest'?"
    with pytest.raises(UsageError, match="the table has no graph"):
        run_baselines(SplitTable(*wine, 1), ["gcn"])


def blocks():
    """Two blocks of 40 rows that only the graph tells apart."""
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 40)
    first, second = rng.integers(0, 80, (2, 3000))
    same = (labels[first] == labels[second]) | (rng.random(3000) < 0.05)
    graph = PairGraph.build(80, first[same][:500], second[same][:500])
    features = rng.standard_normal((80, 5)).astype(np.float32)
    table = Table("blocks", [str(row) for row in range(80)], features, labels, ["a", "b"], TableEncoder((), 5, "none"), graph)
    return table, table_split(labels, 8, 0)


def test_a_given_graph_is_used():
    table, split = blocks()
    scores = run_baselines(SplitTable(table, split, 0), ["gcn", "logistic-regression"])
    assert scores["gcn"].accuracy > 0.85 > scores["logistic-regression"].accuracy


def test_the_gcn_heeds_probabilities_and_sparse_features_are_the_same():
    import scipy.sparse

    table, split = blocks()
    plain = train_gcn(table.features, table.graph, table.labels, split, 0, epochs=30)
    sparse = train_gcn(scipy.sparse.csr_matrix(table.features), table.graph, table.labels, split, 0, epochs=30)
    assert (plain.predicted == sparse.predicted).all()
    assert plain.score == pytest.approx(sparse.score, abs=1e-4)
    faint = replace(table.graph, prob=table.graph.prob * np.float32(0.01))
    assert train_gcn(table.features, faint, table.labels, split, 0, epochs=30).score != plain.score


def test_the_best_epoch_is_that_of_the_es_rows():
    table, split = blocks()
    long = train_gcn(table.features, table.graph, table.labels, split, 3, lr=0.1, epochs=60)
    assert long.epoch < 60  # the loss on es rises again later
    stopped = train_gcn(table.features, table.graph, table.labels, split, 3, lr=0.1, epochs=long.epoch)
    assert stopped.epoch == long.epoch and (stopped.predicted == long.predicted).all()
    accuracy = (long.predicted[split.es] == table.labels[split.es]).mean()
    assert long.score[0] == pytest.approx(accuracy)


def test_a_tiny_table_has_fewer_neighbours():
    rng = np.random.default_rng(0)
    labels = np.arange(8) % 2
    features = (rng.standard_normal((8, 2)) + 5 * labels[:, None]).astype(np.float32)
    table = Table("tiny", [str(row) for row in range(8)], features, labels, ["a", "b"], TableEncoder((), 2, "none"))
    scores = run_baselines(SplitTable(table, Split([0, 1], [2, 3], [4, 5], [6, 7]), 0), ["knn-gcn", "label-spreading"])
    assert scores["knn-gcn"].chosen["k"] == 3
