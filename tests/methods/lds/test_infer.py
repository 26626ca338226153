"""The predictor: the same from memory and from a file, once or again, and what its records say."""

from __future__ import annotations

import csv
import io

import numpy as np
import pandas as pd
import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.lds.infer import Predictor
from ppr.methods.lds.learning import induction
from ppr.methods.lds.tables.table import TableOptions, frame_table

from .conftest import clusters


def cells(rows: int, seed: int) -> pd.DataFrame:
    """Two measurements and a colour, which tell the kind."""
    rng = np.random.default_rng(seed)
    kind = np.arange(rows) % 2
    found = pd.DataFrame(rng.normal(3 * kind[:, None], 1, (rows, 2)), columns=["x", "y"])
    return found.assign(colour=np.where(kind, "red", "blue"), kind=np.where(kind, "a", "b"), key=[f"k{row}" for row in range(rows)])


@pytest.fixture(scope="module")
def predictor(trained):
    return Predictor(trained(frame_table(cells(40, 0), "cells", TableOptions(label="kind", id="key"))))


def test_rows_in_memory_in_a_file_and_in_a_pipe_are_predicted_alike(predictor, tmp_path):
    new = cells(7, 1)
    new.to_csv(tmp_path / "new.csv", index=False)
    found = [
        predictor(new, new["key"], seed=3),
        predictor.read(str(tmp_path / "new.csv"), "key", seed=3),
        predictor.read("-", "key", seed=3, stdin=io.BytesIO((tmp_path / "new.csv").read_bytes())),
    ]
    for one in found:
        assert one.ids == [f"k{row}" for row in range(7)]
        np.testing.assert_allclose(one.probabilities, found[0].probabilities, atol=1e-6)
        assert one.predicted == new["kind"].tolist()
        assert one.labels is None and len(one.neighbours) == 7
    assert predictor(new).ids == [str(row) for row in range(7)]


def test_a_call_does_not_change_the_next_one(predictor):
    """Though what does not depend on the rows is kept: another seed and the first again give what they gave."""
    new = cells(5, 2)
    first, other, again = (predictor(new, seed=seed).probabilities for seed in (0, 1, 0))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    np.testing.assert_array_equal(Predictor(predictor.model)(new).probabilities, first)


def test_graphs_are_sampled_once_for_a_seed(predictor, monkeypatch):
    drawn = []
    genuine = induction.CandidatePairs.sample
    monkeypatch.setattr(induction.CandidatePairs, "sample", lambda self, generator: drawn.append(1) or genuine(self, generator))
    one = Predictor(predictor.model)
    for _ in range(3):
        one(cells(2, 5), seed=8)
    assert len(drawn) == predictor.model.samples


def test_known_rows_say_part_and_label(predictor):
    model = predictor.model
    found = predictor.known(seed=1)
    np.testing.assert_array_equal(found.probabilities, model.probabilities(seed=1))
    record = found.records()[3]
    assert list(record) == found.columns == ["id", "predicted", "confidence", "p(a)", "p(b)", "split", "label", "correct"]
    assert record["id"] == "k3" and record["label"] == "a" and record["correct"] == (record["predicted"] == "a")
    assert record["split"] == model.split.names(40)[3]
    assert record["confidence"] == max(record["p(a)"], record["p(b)"])
    assert len(found.unlabelled()) == 0 and found.unlabelled().columns == found.columns


def test_only_the_unlabelled_rows(trained):
    table = clusters()
    table.labels[[5, 11]] = -1
    found = Predictor(trained(table)).known()
    missing = found.unlabelled()
    assert missing.ids == ["r5", "r11"]
    np.testing.assert_array_equal(missing.probabilities, found.probabilities[[5, 11]])
    assert [(record["split"], record["label"], record["correct"]) for record in missing.records()] == [("", None, None)] * 2


def test_records_and_csv_of_new_rows(predictor, tmp_path):
    found = predictor(cells(2, 3), ["n1", "n2"])
    assert list(found.records()[0]) == ["id", "predicted", "confidence", "p(a)", "p(b)"]
    pairs = found.records("pairs")[1]["neighbours"]
    assert [pair["id"] for pair in pairs] == [name for name, _prob in found.neighbours[1]]
    assert found.records("names")[1]["neighbours"] == " ".join(pair["id"] for pair in pairs)
    found.save(tmp_path / "n.csv", overwrite=False, joined=True)
    with (tmp_path / "n.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [(row["id"], row["neighbours"]) for row in rows] == [(r["id"], r["neighbours"]) for r in found.records("names")]
    with pytest.raises(UsageError, match="exists already"):
        found.save(tmp_path / "n.csv", overwrite=False)


def test_values_that_were_not_there_are_noted(predictor, tmp_path):
    cells(2, 3).assign(colour="green").to_csv(tmp_path / "new.csv", index=False)
    assert predictor.read(str(tmp_path / "new.csv")).notes == ["column 'colour' has values that the training table had not: green"]
    with pytest.raises(PprError, match="lacks the columns 'colour'"):
        predictor(cells(2, 3).drop(columns="colour"))


def test_an_explanation_by_name(predictor):
    found = predictor.explain("k4")
    assert (found.label, found.row) == ("b", 4) and found.predicted in ("a", "b")
    records = found.records(2)
    assert len(records) == min(2, len(found.neighbours))
    assert {record["neighbour"] for record in records} <= set(predictor.model.ids)
    with pytest.raises(UsageError, match="no row of that id"):
        predictor.explain("k99")


def test_a_predictor_of_a_file_or_folder(predictor, tmp_path):
    predictor.model.save(tmp_path / "best.safetensors")
    (tmp_path / "config.yaml").write_text("{}\n")
    new = cells(4, 6)
    for given in (tmp_path, tmp_path / "best.safetensors", str(tmp_path)):
        np.testing.assert_array_equal(Predictor.load(given)(new).probabilities, predictor(new).probabilities)
    with pytest.raises(UsageError, match="no such file or model"):
        Predictor.load(tmp_path / "absent")
