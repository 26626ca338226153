"""Splits: stratified, nested as in the paper, and bound to the ids of rows rather than to their places."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_wine

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.lds.tables.splits import Split, default_split, planetoid_split, stratified_split, table_split

PARTS = ("train", "val", "es", "test")


def parts(split):
    return [getattr(split, part) for part in PARTS]


@st.composite
def labelled(draw):
    counts = draw(st.lists(st.integers(3, 40), min_size=2, max_size=5))
    labels = np.repeat(np.arange(len(counts)), counts)
    labels = np.concatenate([labels, np.full(draw(st.integers(0, 20)), -1)])
    return np.random.default_rng(draw(st.integers(0, 99))).permutation(labels)


@given(labelled(), st.integers(0, 5))
def test_a_split_is_disjoint_and_has_every_class_where_one_is_needed(labels, seed):
    split = stratified_split(labels, seed=seed, ids=[f"row{row}" for row in range(len(labels))])
    everything = np.concatenate(parts(split))
    assert sorted(everything.tolist()) == np.flatnonzero(labels >= 0).tolist()
    assert split.rest(len(labels)).tolist() == np.flatnonzero(labels < 0).tolist()
    for rows in (split.train, split.val, split.es):
        assert set(labels[rows]) == set(labels[labels >= 0])


@given(labelled(), st.randoms(use_true_random=False))
def test_permuting_the_rows_permutes_the_split(labels, random):
    ids = [f"row{row}" for row in range(len(labels))]
    order = np.array(random.sample(range(len(labels)), len(labels)))
    plain = stratified_split(labels, 0.4, 0.2, 0.2, seed=3, ids=ids)
    moved = stratified_split(labels[order], 0.4, 0.2, 0.2, seed=3, ids=[ids[row] for row in order])
    for before, after in zip(parts(plain), parts(moved), strict=True):
        assert {ids[row] for row in before} == {ids[order[row]] for row in after}


def test_another_seed_or_other_ids_give_another_split():
    labels, ids = np.repeat([0, 1], 50), [str(row) for row in range(100)]
    trains = {
        tuple(stratified_split(labels, seed=seed, ids=names).train)
        for seed, names in ((0, ids), (1, ids), (0, [f"x{name}" for name in ids]))
    }
    assert len(trains) == 3


def test_numbers_of_rows_are_kept_exactly_and_stratified():
    labels = np.repeat([0, 1, 2], [60, 30, 10])
    split = stratified_split(labels, 20, 10, 30, seed=0, ids=[str(row) for row in range(100)])
    assert [len(rows) for rows in parts(split)] == [20, 10, 30, 40]
    assert np.bincount(labels[split.train]).tolist() == [12, 6, 2]
    assert np.bincount(labels[split.val]).tolist() == [6, 3, 1]
    shares = stratified_split(labels, 0.2, 0.1, 0.3, seed=0, ids=[str(row) for row in range(100)])
    assert [rows.tolist() for rows in parts(shares)] == [rows.tolist() for rows in parts(split)]


def test_a_table_with_unlabelled_rows_has_no_test_part():
    labels = np.repeat([0, 1], 20)
    ids = [str(row) for row in range(41)]
    assert [len(rows) for rows in parts(stratified_split(labels, seed=0, ids=ids))] == [16, 8, 8, 8]
    assert [len(rows) for rows in parts(stratified_split(np.append(labels, -1), seed=0, ids=ids))] == [20, 10, 10, 0]


@pytest.mark.parametrize(
    ("wanted", "part"),
    [
        ((0.5, 0.3, 0.3), "ask for 110%"),
        ((50, 25, 30), "ask for 105%"),
        ((1, 10, 10), "fewer rows than the 2 classes"),
        ((2.5, 10, 10), "neither a number of rows nor a share"),
        ((-0.1, 0.2, 0.2), "neither"),
        ((float("nan"), 0.2, 0.2), "neither"),
        ((0.5, None, 0.2), "--val is missing"),
    ],
)
def test_parts_that_cannot_be(wanted, part):
    with pytest.raises(UsageError, match=part):
        stratified_split(np.repeat([0, 1], 50), *wanted, seed=0, ids=[str(row) for row in range(100)])


def test_a_class_with_two_rows_cannot_be_split():
    with pytest.raises(PprError, match="class number 1 has 2 labelled rows"):
        stratified_split(np.repeat([0, 1], [10, 2]), seed=0, ids=[str(row) for row in range(12)])
    with pytest.raises(PprError, match="not one row has a label"):
        stratified_split(np.full(3, -1), seed=0, ids=["a", "b", "c"])


def test_the_papers_protocol_is_nested_and_reproducible():
    labels = load_wine().target
    split = table_split(labels, 10, 1)
    assert [len(rows) for rows in parts(split)] == [10, 10, 10, 148]
    assert split.rest(178).size == 0
    for rows in (split.train, split.val, split.es):
        assert np.abs(np.bincount(labels[rows], minlength=3) - np.bincount(labels) * 10 / 178).max() < 1.5
    again, other = table_split(labels, 10, 1), table_split(labels, 10, 2)
    assert (split.train == again.train).all() and set(split.train) != set(other.train)
    with pytest.raises(UsageError, match="cannot be split"):
        table_split(labels, 60, 1)


def test_the_validation_part_of_a_public_split_is_halved_by_the_seed():
    given = Split(np.arange(5), np.arange(5, 16), [], np.arange(20, 30))
    split = planetoid_split(given.train, given.val, given.test, 0)
    assert (len(split.val), len(split.es)) == (6, 5)
    assert sorted([*split.val, *split.es]) == list(range(5, 16))
    assert set(split.es) != set(planetoid_split(given.train, given.val, given.test, 1).es)


def test_the_default_split_respects_what_came_with_the_data():
    labels, ids = np.repeat([0, 1], 50), [str(row) for row in range(100)]
    public = Split(np.arange(10), np.arange(10, 30), [], np.arange(30, 100))
    assert len(default_split("x", labels, ids, public, 1).es) == 10
    whole = Split(np.arange(10), np.arange(10, 20), np.arange(20, 30), np.arange(30, 100))
    assert default_split("x", labels, ids, whole, 1) is whole
    assert len(default_split("wine", load_wine().target, ids, None, 1).train) == 10
    assert len(default_split("wine.csv", labels, ids, None, 1).train) == 40


def test_a_row_in_two_parts_is_refused():
    with pytest.raises(ValueError, match="in two parts"):
        Split([1, 2], [2], [], [])
    with pytest.raises(ValueError, match="negative"):
        Split([-1], [2], [], [])
    split = Split([3, 1, 3], [2], [0], [])
    assert (split.train.tolist(), split.names(5)) == ([1, 3], ["es", "train", "val", "train", ""])
