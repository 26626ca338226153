"""Parts of a table, of any number and name: disjoint, in proportion, and bound to the ids of rows rather than to their places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.tables.splits import disjoint, listed, part_of_rows, parts_of_column, rows_left, stratified

IDS = [f"row{row}" for row in range(200)]


@st.composite
def cases(draw):
    counts = draw(st.lists(st.integers(4, 30), min_size=1, max_size=4))
    labels = np.concatenate([np.repeat(np.arange(len(counts)), counts), np.full(draw(st.integers(0, 20)), -1)])
    names = draw(st.lists(st.sampled_from(["train", "val", "calibration", "early"]), min_size=1, max_size=3, unique=True))
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels), dict.fromkeys(names, draw(st.floats(0.01, 0.3)))


@given(cases(), st.integers(0, 5))
def test_parts_are_disjoint_have_every_class_and_nothing_is_lost(case, seed):
    labels, sizes = case
    parts = stratified(labels, sizes, seed=seed, ids=IDS, rest="left")
    assert list(parts) == [*sizes, "left"]
    assert sorted(np.concatenate(list(parts.values())).tolist()) == np.flatnonzero(labels >= 0).tolist()
    assert rows_left(parts, len(labels)).tolist() == np.flatnonzero(labels < 0).tolist()
    for name in sizes:
        assert set(labels[parts[name]]) == set(labels[labels >= 0])
    names = part_of_rows(parts, len(labels))
    assert {name: [row for row, own in enumerate(names) if own == name] for name in parts} == {k: v.tolist() for k, v in parts.items()}


def test_a_part_has_each_class_in_proportion():
    labels = np.repeat([0, 1], [150, 50])
    parts = stratified(labels, {"train": 0.8}, seed=1, ids=IDS)
    assert np.bincount(labels[parts["train"]]).tolist() == [120, 40]
    assert len(parts["test"]) == 40


def test_an_error_names_the_parts():
    with pytest.raises(PprError, match="class number 1 has 1 labelled rows; train and val need one each"):
        stratified(np.array([0, 0, 0, 0, 1]), {"train": 2, "val": 2}, seed=0, ids=IDS)
    with pytest.raises(UsageError, match="train and val ask for 120% of the 10 labelled rows"):
        stratified(np.repeat([0, 1], 5), {"train": 0.6, "val": 6}, seed=0, ids=IDS)
    with pytest.raises(UsageError, match=r"--val 0\.0: neither"):
        stratified(np.repeat([0, 1], 5), {"train": 0.6, "val": 0.0}, seed=0, ids=IDS)


def test_rows_are_in_one_part():
    assert {name: rows.tolist() for name, rows in disjoint({"a": [3, 1, 3], "b": []}).items()} == {"a": [1, 3], "b": []}
    with pytest.raises(ValueError, match="in two parts"):
        disjoint({"a": [1, 2], "b": [2]})
    with pytest.raises(ValueError, match="negative"):
        disjoint({"a": [-1]})


def test_a_column_says_the_parts():
    cells = ["Train", " test ", None, "", "train"]
    found = parts_of_column(cells, "fold", ("train", "test"), IDS)
    assert {name: rows.tolist() for name, rows in found.items()} == {"train": [0, 4], "test": [1]}
    with pytest.raises(PprError, match="column 'fold', row row1: 'test' is no part of a split") as caught:
        parts_of_column(cells, "fold", ("train",), IDS)
    assert caught.value.hint == "train, or empty"


def test_names_are_listed_as_people_do():
    assert [listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == ["a", "a and b", "a, b and c"]
