"""Matrices in .npz files: the layout of the citation sets, dense ones, and hostile files."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.lds.tables.splits import default_split
from ppr.methods.lds.tables.table import TableOptions, read_table

SPARSE = scipy.sparse.random(20, 7, 0.4, "csr", np.float32, random_state=0)
SOUND = {
    "x_data": SPARSE.data,
    "x_indices": SPARSE.indices,
    "x_indptr": SPARSE.indptr,
    "x_shape": np.array(SPARSE.shape),
    "y": (np.arange(20) % 3 - (np.arange(20) == 19) * 2).astype(np.int8),  # the last one is -1
    "edges": np.array([[0, 1, 5], [1, 2, 3]], np.int32),
    "train_idx": np.arange(6),
    "val_idx": np.arange(6, 12),
    "test_idx": np.arange(12, 20),
}


def read(tmp_path, **changes):
    arrays = {name: array for name, array in (SOUND | changes).items() if array is not None}
    np.savez(tmp_path / "data.npz", **arrays)
    return read_table(str(tmp_path / "data.npz"), TableOptions())


def test_the_layout_of_the_citation_sets(tmp_path):
    table = read(tmp_path)
    sums = np.asarray(SPARSE.sum(1))
    np.testing.assert_allclose(table.features.toarray(), SPARSE.toarray() / np.where(sums, sums, 1), atol=1e-6)
    assert (table.name, table.ids[:2], table.classes, table.labels[-1]) == ("data.npz", ["0", "1"], ["0", "1", "2"], -1)
    assert list(zip(table.graph.first.tolist(), table.graph.second.tolist(), strict=True)) == [(0, 1), (1, 2), (3, 5)]
    assert 19 not in table.split.test and len(table.split.test) == 7
    split = default_split(table.name, table.labels, table.ids, table.split, 1)
    assert (len(split.val), len(split.es)) == (3, 3)


def test_a_dense_matrix_is_standardised_and_names_are_read(tmp_path):
    dense = np.random.default_rng(0).random((20, 4))
    none = dict.fromkeys(("x_data", "x_indices", "x_indptr", "x_shape", "edges", "train_idx", "val_idx", "test_idx"))
    names = [f"n{row}" for row in range(20)]
    table = read(tmp_path, **none, x=dense, ids=np.array(names), classes=np.array(["zebra", "ant", "mouse"]))
    np.testing.assert_allclose(table.features, (dense - dense.mean(0)) / dense.std(0), atol=1e-5)
    assert (table.ids, table.classes, table.graph, table.split) == (names, ["ant", "mouse", "zebra"], None, None)
    assert [table.classes[label] for label in table.labels[:3]] == ["zebra", "ant", "mouse"]
    assert table.labels[19] == -1


DAMAGE = [
    ({"y": None}, "no array 'y'"),
    ({"x_indptr": None}, "no array 'x_indptr'"),
    ({"y": np.zeros(20)}, "'y' is float64, not integers"),
    ({"y": np.zeros(19, int)}, r"'y' is \[19\]"),
    ({"y": np.zeros(20, int)}, "1 classes in 'y'"),
    ({"y": np.arange(20) * 10**6}, "class number 19000000"),
    ({"x_shape": np.array([20, 3])}, "a column outside"),
    ({"x_shape": np.array([2**40, 7])}, "a matrix of shape"),
    ({"x_shape": np.array([20, 2**40])}, "a matrix of shape"),
    ({"x_indptr": SPARSE.indptr[::-1].copy()}, "does not count the entries"),
    ({"x_data": SPARSE.data[:-1]}, "'x_data'"),
    ({"x_data": np.where(np.arange(SPARSE.nnz) == 3, np.nan, SPARSE.data)}, "has a NaN"),
    ({"edges": np.array([[0], [20]])}, "outside"),
    ({"edges": np.zeros((3, 2), int)}, r"'edges' is \[3, 2\]"),
    ({"train_idx": np.array([20])}, "'train_idx' has a row outside"),
    ({"train_idx": np.array([7])}, "in two parts"),
    ({"train_idx": np.array([0, 3])}, "class '1' has no row in the train part"),
    ({"val_idx": None}, "too few labelled rows"),
    ({"ids": np.array(["a"] * 20)}, "a name twice"),
    ({"ids": np.arange(20)}, "not strings"),
    ({"classes": np.array(["a", "b"])}, "'classes' has 2 names"),
    ({"x": np.zeros((20, 0))}, "'x' is float64"),
    ({"x": np.array([["a", "b"]] * 20)}, "'x' is <U1"),
]


@pytest.mark.parametrize(("changes", "part"), DAMAGE, ids=[f"{next(iter(change))}: {part[:25]}" for change, part in DAMAGE])
def test_what_does_not_fit_is_refused(tmp_path, changes, part):
    with pytest.raises(PprError, match=part):
        read(tmp_path, **changes)


class Bomb:
    """What unpickling it would do."""

    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_pickled_objects_are_refused_and_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", **SOUND | {"y": np.array([Bomb()] * 20, dtype=object)})
    with pytest.raises(PprError, match="'y' holds pickled Python objects"):
        read_table("data.npz", TableOptions())
    assert not Path("unpickled").exists()


def test_an_array_that_promises_more_than_it_has_is_not_allocated(tmp_path):
    def with_header(shape):
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": shape})
        np.savez(tmp_path / "data.npz", **{name: array for name, array in SOUND.items() if name != "y"})
        with zipfile.ZipFile(tmp_path / "data.npz", "a") as archive:
            archive.writestr("y.npy", header.getvalue() + b"\0" * 160)
        return str(tmp_path / "data.npz")

    with pytest.raises(PprError, match="says it has 8,192 GiB"):
        read_table(with_header((2**40,)), TableOptions())
    with pytest.raises(PprError, match="says it has 80,000,000 bytes"):
        read_table(with_header((10**7,)), TableOptions())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not quite", b"a,b\n1,2\n"])
def test_files_that_are_no_npz(tmp_path, content):
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(PprError, match=r"not an \.npz file"):
        read_table(str(tmp_path / "data.npz"), TableOptions())
    with pytest.raises(PprError, match="No such file"):
        read_table(str(tmp_path / "absent.npz"), TableOptions())


def test_a_cut_or_damaged_npz(tmp_path):
    read(tmp_path)
    content = (tmp_path / "data.npz").read_bytes()
    (tmp_path / "data.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(PprError, match=r"not an \.npz file"):
        read_table(str(tmp_path / "data.npz"), TableOptions())
    place = content.index(b"NUMPY")
    (tmp_path / "data.npz").write_bytes(content[:place] + b"DUMPY" + content[place + 5 :])
    with pytest.raises(PprError, match="damaged, or not an"):
        read_table(str(tmp_path / "data.npz"), TableOptions())


def test_options_for_columns_are_refused(tmp_path):
    read(tmp_path)
    with pytest.raises(UsageError, match="--label y: "):
        read_table(str(tmp_path / "data.npz"), TableOptions(label="y"))
