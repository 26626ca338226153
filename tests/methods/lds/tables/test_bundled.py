"""Data sets by name: as scikit-learn and the Planetoid repository have them."""

from __future__ import annotations

import collections
import io
import os
import pickle
import struct
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import scipy.sparse
from sklearn import datasets

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.lds.tables import planetoid
from ppr.methods.lds.tables.bundled import CITATIONS, load_data, load_named
from ppr.methods.lds.tables.table import TableOptions


@pytest.mark.parametrize(("name", "load"), [("wine", datasets.load_wine), ("cancer", datasets.load_breast_cancer)])
def test_wine_and_cancer_are_standardised(name, load):
    table, bunch = load_named(name), load()
    expected = (bunch.data - bunch.data.mean(0)) / bunch.data.std(0)
    np.testing.assert_allclose(table.features, expected, atol=1e-5)
    assert (table.labels == bunch.target).all() and table.classes == bunch.target_names.tolist()
    assert (table.name, table.notes) == (name, [])


def test_digits_are_grey_values_from_0_to_1():
    table = load_named("Digits")
    assert (table.features == datasets.load_digits().data / 16).all()
    assert table.features.shape == (1797, 64)
    assert table.classes == [str(digit) for digit in range(10)]


def test_a_name_is_taken_unless_a_file_has_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert load_data("wine", TableOptions()).name == "wine"
    with pytest.raises(UsageError, match="wien: no such file or data set") as caught:
        load_data("wien", TableOptions())
    assert caught.value.hint == "did you mean 'wine'?"
    with pytest.raises(UsageError, match="--label class: wine has its labels"):
        load_data("wine", TableOptions(label="class"))
    with pytest.raises(PprError, match="No such file"):
        load_data("wine.csv", TableOptions(label="class"))
    Path("wine").write_text("")
    with pytest.raises(UsageError, match="not a table of a known kind"):
        load_data("wine", TableOptions())


def test_a_graph_can_be_given_beside_a_named_set(tmp_path):
    np.savez(tmp_path / "g.npz", rows=np.array([0]), cols=np.array([177]))
    table = load_data("wine", TableOptions(graph=tmp_path / "g.npz"))
    assert len(table.graph) == 1 and table.notes == ["176 rows have no edge in the graph"]


@pytest.mark.parametrize("name", CITATIONS)
def test_a_citation_set_that_is_not_here_says_how_to_get_it(name):
    with pytest.raises(PprError, match=f"{name}: this data set is not on this machine") as caught:
        load_named(name)
    assert f"ind.{name}.*" in (caught.value.hint or "") and "kimiyoung/planetoid" in (caught.value.hint or "")


class Python2Pickler(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, which the published files are full of."""

    dispatch: ClassVar = dict(pickle._Pickler.dispatch)

    def save_bytes(self, value):
        self.write(b"T" + struct.pack("<i", len(value)) + value)
        self.memoize(value)

    dispatch[bytes] = save_bytes


def old_pickle(value):
    stream = io.BytesIO()
    Python2Pickler(stream, protocol=2).dump(value)
    content = stream.getvalue()
    for new, old in ((b"scipy.sparse._csr", b"scipy.sparse.csr"), (b"numpy._core.multiarray", b"numpy.core.multiarray")):
        content = content.replace(b"c" + new + b"\n", b"c" + old + b"\n")
    return content


BAGS = scipy.sparse.csr_matrix((np.random.default_rng(0).random((10, 4)) < 0.5).astype(np.float32))
CLASSES = np.array([0, 1] * 5)


def write_planetoid(folder, **changes):
    """Ten papers, the last three of them for the test, as numbers 9, 7 and 10: there is a paper 8 of which only the number exists."""
    one_hot = np.eye(2, dtype=np.int32)[CLASSES]
    values = {"x": BAGS[:4], "allx": BAGS[:7], "tx": BAGS[7:], "y": one_hot[:4], "ally": one_hot[:7], "ty": one_hot[7:]}
    values |= {"graph": collections.defaultdict(list, {0: [1, 2], 1: [0], 2: [0, 0, 2], 9: [3], 10: []})} | changes
    folder.mkdir(parents=True, exist_ok=True)
    for part, value in values.items():
        (folder / f"ind.cora.{part}").write_bytes(old_pickle(value))
    (folder / "ind.cora.test.index").write_text("9\n7\n10\n")


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setattr(planetoid, "VALIDATION", 3)


def test_the_published_files_are_assembled(cache, small):
    write_planetoid(cache / "datasets/cora")
    table = load_named("cora")
    rows = [*range(7), 9, 7, 10]
    sums = np.asarray(BAGS.sum(1))
    np.testing.assert_allclose(table.features.toarray()[rows], BAGS.toarray() / np.where(sums, sums, 1), atol=1e-6)
    assert table.features.shape == (11, 4) and table.features[8].nnz == 0
    assert table.labels[rows].tolist() == CLASSES.tolist() and table.labels[8] == -1
    assert list(zip(table.graph.first.tolist(), table.graph.second.tolist(), strict=True)) == [(0, 1), (0, 2), (3, 9)]
    split = table.split
    assert [rows.tolist() for rows in (split.train, split.val, split.es, split.test)] == [[0, 1, 2, 3], [4, 5, 6], [], [7, 9, 10]]


class Command:
    def __reduce__(self):
        return os.mkdir, ("unpickled",)


def test_a_file_that_would_run_a_program_is_refused(tmp_path, monkeypatch, small):
    monkeypatch.chdir(tmp_path)
    write_planetoid(tmp_path, graph={0: Command()})
    with pytest.raises(PprError, match=r"ind.cora.graph: not a file of the Planetoid repository \(posix.mkdir"):
        planetoid.read_planetoid(tmp_path, "cora")
    assert not Path("unpickled").exists()


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"x": 1, "y": None}, "damaged or do not belong together"),
        ({"tx": BAGS[:2]}, "does not continue the other rows"),
        ({"allx": BAGS[:5]}, "does not continue the other rows"),
        ({"graph": {0: [99]}}, "outside"),
        ({"graph": [1]}, "damaged"),
        ({"ty": np.eye(2)}, "damaged"),
    ],
)
def test_files_that_do_not_belong_together(tmp_path, small, changes, part):
    write_planetoid(tmp_path, **changes)
    with pytest.raises(PprError, match=part):
        planetoid.read_planetoid(tmp_path, "cora")


@pytest.mark.parametrize("content", [b"", b"\x80\x02", b"not a pickle", b"\x80\x02T\xff\xff\xff\x7f"])
def test_files_that_are_no_pickles(tmp_path, content):
    write_planetoid(tmp_path)
    (tmp_path / "ind.cora.allx").write_bytes(content)
    with pytest.raises(PprError, match=r"ind\.cora\.allx: not a file of the Planetoid"):
        planetoid.read_planetoid(tmp_path, "cora")
    (tmp_path / "ind.cora.allx").unlink()
    with pytest.raises(PprError, match=r"ind\.cora\.allx: cannot be read"):
        planetoid.read_planetoid(tmp_path, "cora")


@pytest.mark.parametrize(("name", "edges", "homophily"), [("cora", 5278, 0.810), ("citeseer", 4552, 0.738)])
def test_the_real_citation_sets(cache, name, edges, homophily):
    folder = Path(os.environ.get("PPR_TEST_DATA", Path(__file__).parents[5] / "shared/data/saliency")).parent / "lds"
    if not (folder / f"{name}.npz").is_file():
        pytest.skip("no real citation data (set PPR_TEST_DATA)")
    (cache / "datasets" / name).mkdir(parents=True)
    (cache / "datasets" / name / f"{name}.npz").symlink_to(folder / f"{name}.npz")
    table = load_named(name)
    sums = np.asarray(table.features.sum(1)).ravel()
    assert np.isclose(sums, 1, atol=1e-5).sum() + (sums == 0).sum() == len(table.ids)
    assert (len(table.graph), table.split.es.size, table.split.val.size, table.split.test.size) == (edges, 0, 500, 1000)
    assert table.graph.homophily(table.labels) == pytest.approx(homophily, abs=5e-4)
