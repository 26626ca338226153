"""The encoder: new rows become what the same rows were in the table, and its JSON brings it back."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.tables import encoder as encoder_module
from ppr.methods.common.reading.tables.columns import encoder_for
from ppr.methods.common.reading.tables.encoder import TableEncoder


@pytest.fixture
def cells():
    rng = np.random.default_rng(0)
    return pd.DataFrame(
        {
            "n": np.where(np.arange(80) % 9 == 0, np.nan, rng.standard_normal(80)),
            "whole": rng.integers(0, 5, 80),
            "level": np.where(np.arange(80) % 3 == 0, "u", "v"),
            "text": [f"some words {row} here" for row in range(80)],
            "constant": 1,
        }
    )


def test_new_rows_are_encoded_alone_as_in_the_table(cells):
    encoder, _notes = encoder_for(cells)
    features = encoder.transform(cells)
    assert features.shape == (80, encoder.width) == (80, len(encoder.feature_names))
    for row in (0, 41, 79):
        alone = cells.iloc[[row]].drop(columns="constant")[["text", "level", "whole", "n"]]
        assert (encoder.transform(alone) == features[[row]]).all()


def test_json_brings_the_encoder_back(cells):
    encoder, _notes = encoder_for(cells)
    again = TableEncoder.from_json(encoder.to_json())
    assert again == encoder
    assert (again.transform(cells) == encoder.transform(cells)).all()


def change(**values):
    return lambda record: record | values


@pytest.mark.parametrize(
    "damage",
    [
        lambda record: [],
        change(width=3),
        change(width="x"),
        change(scaling="log"),
        change(columns=[{"name": "n", "kind": "python"}]),
        change(columns=[{"name": "n", "kind": "number", "std": "nan"}], width=1),
        change(columns=None),
    ],
)
def test_a_damaged_description_is_refused(cells, damage):
    record = json.loads(encoder_for(cells)[0].to_json())
    with pytest.raises(PprError, match="not a description of a table's columns"):
        TableEncoder.from_json(json.dumps(damage(record)))
    with pytest.raises(PprError, match="not a description"):
        TableEncoder.from_json("{")


def test_unknown_levels_are_no_level_and_can_be_told(cells):
    encoder, _notes = encoder_for(cells)
    new = cells.iloc[:2].assign(level=["w", None], n=[np.nan, 0.0])
    features = encoder.transform(new)
    place = encoder.feature_names.index("level=u")
    assert features[:, place : place + 2].sum() == 0
    assert encoder.unknown_levels(new) == {"level": ["w"]}
    assert features[0, encoder.feature_names.index("n is missing")] == 1
    assert features[1, encoder.feature_names.index("n is missing")] == 0


def test_what_new_rows_lack_or_have_wrong_is_named(cells):
    encoder, _notes = encoder_for(cells)
    with pytest.raises(PprError, match="lacks the columns 'level'") as caught:
        encoder.transform(cells.rename(columns={"level": "lvel"}))
    assert caught.value.hint == "did you mean 'lvel'?"
    with pytest.raises(PprError, match="column 'whole', row 1: 'many' is not a number"):
        encoder.transform(cells.iloc[:3].assign(whole=["1", "many", "2"]))
    with pytest.raises(PprError, match="a table with named columns"):
        encoder.transform(np.zeros((2, 5), np.float32))


def test_whole_numbers_as_levels_do_not_depend_on_gaps_beside_them():
    encoder, _notes = encoder_for(pd.DataFrame({"code": ["1", "2", "x"] * 9}))
    for new in ([1, 2], [1.0, 2.0], ["1", "2"]):
        assert encoder.transform(pd.DataFrame({"code": new})).tolist() == [[1, 0, 0], [0, 1, 0]]
    assert encoder.transform(pd.DataFrame({"code": [1, np.nan]})).tolist() == [[1, 0, 0], [0, 0, 0]]


def test_rows_of_bags_of_words_sum_to_one_sparse_or_not():
    bags = scipy.sparse.csr_matrix(np.array([[1, 0, 3], [0, 0, 0], [2, 2, 0]], np.float32))
    encoder = TableEncoder((), 3, "rows")
    expected = [[0.25, 0, 0.75], [0, 0, 0], [0.5, 0.5, 0]]
    for cells in (bags, bags.toarray(), pd.DataFrame(bags.toarray())):
        features = encoder.transform(cells)
        assert scipy.sparse.issparse(features) and features.dtype == np.float32
        assert features.toarray().tolist() == expected
        assert features.has_canonical_format
    assert TableEncoder.from_json(encoder.to_json()) == encoder
    with pytest.raises(PprError, match="rows of 3 features are needed"):
        encoder.transform(bags[:, :2])
    with pytest.raises(PprError, match="row 2 of the features has a NaN"):
        encoder.transform(np.array([[1, 2, 3], [1, 2, 3], [1, np.nan, 3]], np.float32))


def test_too_large_features_are_refused_before_they_are_made(cells, monkeypatch):
    monkeypatch.setattr(encoder_module, "MAX_FEATURE_BYTES", 80 * 60 * 4)
    with pytest.raises(PprError, match="80 rows of 69 features"):
        encoder_for(cells)


def test_nearly_numeric_text_is_pointed_out():
    cells = pd.DataFrame({"price": [f"{row}.5" for row in range(99)] + ["3,5"], "b": np.arange(100.0) % 7})
    notes = encoder_for(cells)[1]
    assert "column 'price' is text, because 1 of its cells are no numbers, as '3,5'" in notes
