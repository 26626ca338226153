"""Scores: those of the rows asked for, of the model and of the baselines on the same split."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from ppr.methods.common.errors import PprError
from ppr.methods.lds.evaluate import evaluate, predictors_of, splits_of
from ppr.methods.lds.infer import Predictor
from ppr.methods.lds.scores import classification_scores
from ppr.methods.lds.tables.splits import PARTS

from .conftest import clusters, quick


@pytest.mark.slow
def test_a_report_has_the_scores_of_its_test_rows(model):
    data = model.data()
    assert data.seed == 1 and data.split is model.split
    found = evaluate(Predictor(model), data, baselines=True)
    probabilities = model.probabilities(seed=1)
    accuracy = (probabilities[data.split.test].argmax(1) == data.table.labels[data.split.test]).mean()
    assert found["scores"]["lds"]["accuracy"] == pytest.approx(accuracy)
    assert {"logistic-regression", "knn-gcn", "mlp"} < set(found["scores"]) and "gcn" not in found["scores"]
    assert found["edges"]["start"] == model.start.prob.sum()
    assert found["rows"] == {part: len(getattr(data.split, part)) for part in PARTS}
    assert set(evaluate(Predictor(model), data)["scores"]) == {"lds"}


def test_scores_are_those_of_the_rows_asked_for():
    predicted, labels = np.array([0, 1, 0]), np.array([0, 1, 1])
    assert classification_scores(predicted, labels, np.array([0, 1])) == {"accuracy": 1.0, "macro_f1": 1.0}
    assert classification_scores(predicted, labels, np.array([1, 2]))["accuracy"] == 0.5
    assert all(math.isnan(value) for value in classification_scores(predicted, labels, np.array([], np.int64)).values())


def test_every_seed_has_a_split_and_the_edges_it_keeps(model):
    table = replace(clusters(), graph=model.start)
    config = quick(seeds=3, seed=4, keep_edges=0.5)
    found = list(splits_of(table, config))
    assert [one.seed for one in found] == [4, 5, 6]
    assert len({tuple(one.split.train) for one in found}) == 3
    assert all(0 < len(one.table.graph) < len(model.start) for one in found)


def test_a_model_without_test_rows_is_refused(model, tmp_path):
    split = replace(model.split, test=np.array([], np.int64))
    path = replace(model, split=split).save(tmp_path / "none.safetensors")
    with pytest.raises(PprError, match="had no test rows"):
        list(predictors_of(path))
    (one,) = predictors_of(model.save(tmp_path / "some.safetensors"))
    assert one.model.ids == model.ids
