"""Encoding matrices of somebody's own, and those that come back from files."""

from __future__ import annotations

import dataclasses
import json
import logging
import pickle
import re
from typing import get_args

import numpy as np
import pytest

from ppr.methods.codedmarl.codes import matrix_files
from ppr.methods.codedmarl.codes.code import HEADER
from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.codes.matrices import from_matrix, load_matrix
from ppr.methods.codedmarl.config import Family, FieldName
from ppr.methods.common.errors import PprError, UsageError

FAMILIES, FIELDS = get_args(Family), get_args(FieldName)
BAD = np.random.default_rng(0).standard_normal((6, 3))
MATRICES = {
    "has 1 dimensions": BAD[0],
    "has 3 dimensions": BAD[None],
    "transpose it?": BAD.T,
    "0 x 3": BAD[:0],
    "6 x 0": BAD[:, :0],
    "are <U3, not real numbers": np.full((6, 3), "abc"),
    "are complex128": BAD * 1j,
    "row 2, column 1 is nan": np.where(np.arange(18).reshape(6, 3) == 7, np.nan, BAD),
    "row 0, column 0 is inf": np.where(np.arange(18).reshape(6, 3) == 0, np.inf, BAD),
    "row 5, column 2 is -1e\\+300": np.where(np.arange(18).reshape(6, 3) == 17, -1e300, BAD),
    "row 0, column 0 is 1e-300": np.where(np.arange(18).reshape(6, 3) == 0, 1e-300, BAD),
    "no learner has agent 1": BAD * [1, 0, 1],
    "its rank is 2, not 3": BAD[:, [0, 1, 1]],
    "at most 10,000": np.ones((10_001, 1)),
}


@pytest.mark.parametrize("part", MATRICES)
def test_a_matrix_that_is_no_code_is_refused_with_the_reason(part):
    with pytest.raises(PprError) as caught:
        from_matrix(MATRICES[part], where="mine.npy")
    assert re.search(part, f"{caught.value.message} {caught.value.hint}")
    assert caught.value.message.startswith("mine.npy: ")


@pytest.mark.parametrize("entry", [256, -1, 0.5])
def test_entries_outside_gf256_are_refused_there(entry):
    matrix = np.eye(3)
    matrix[2, 2] = entry
    with pytest.raises(PprError, match="not an element 0"):
        from_matrix(matrix, "gf256")


def test_the_rank_over_gf256_is_not_that_of_the_numbers():
    """3 * 3 = 5 there: the second row is three times the first."""
    matrix = np.array([[1, 3], [3, 5]])
    assert from_matrix(matrix).tolerance == 0
    with pytest.raises(PprError, match="its rank is 1, not 2"):
        from_matrix(matrix, "gf256")


@pytest.mark.parametrize("dtype", [bool, np.int8, np.int64, np.float16, np.float32, np.longdouble])
def test_any_kind_of_real_number_will_do(dtype):
    code = from_matrix(np.eye(4, 3, dtype=dtype))
    assert code.matrix.dtype == np.float64 and code.tolerance == 0 and code.weights.tolist() == [1, 1, 1, 0]


def test_odd_rows_are_no_obstacle():
    """Rows of zeros, copies, tiny and huge scales; the tolerance is that of the rows that help."""
    matrix = np.array([[1, 2, 0], [1, 2, 0], [0, 0, 0], [-3e12, 0, 1e12], [0, 1e-9, 4e-9], [1, 1, 1], [1, -1, 2]])
    assert from_matrix(matrix).tolerance == 2
    assert from_matrix(matrix[:5]).tolerance == 0


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("family", FAMILIES)
def test_a_saved_code_comes_back(tmp_path, family, field):
    code = build(family, 6, 4, field=field, seed=3, search=False)
    path = code.save(tmp_path / "code.npz")
    back = load_matrix(path)
    np.testing.assert_array_equal(back.matrix, code.matrix)
    np.testing.assert_array_equal(np.load(path, allow_pickle=False)["matrix"], code.matrix)
    for name in HEADER:
        assert getattr(back, name) == getattr(code, name)


def test_a_large_code_is_saved_by_its_entries(tmp_path):
    code = build("balanced", 10_000, 5_000)
    path = code.save(tmp_path / "code.npz")
    assert path.stat().st_size < 500_000
    back = load_matrix(path)
    assert (back.entries != code.entries).nnz == 0 and back.tolerance == 3 and back.generic


def test_codes_can_be_sent_to_other_processes():
    code = build("balanced", 6, 3, search=False)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(code)).matrix, code.matrix)


def write_npz(path, **arrays):
    np.savez(path, **arrays)
    return path


def test_what_a_header_says_of_other_entries_is_not_believed(tmp_path, caplog):
    path = build("mds", 6, 3).save(tmp_path / "code.npz")
    with np.load(path, allow_pickle=False) as stored:
        header, matrix = stored["header"], stored["matrix"].copy()
    matrix[3:] = matrix[:3]
    with caplog.at_level(logging.INFO, "ppr"):
        code = load_matrix(write_npz(tmp_path / "changed.npz", header=header, matrix=matrix))
    assert code.family == "file" and code.tolerance == 1
    assert "judged by themselves" in caplog.text


def test_files_of_gf256_elements_are_for_gf256(tmp_path):
    path = build("mds", 6, 3, field="gf256").save(tmp_path / "code.npz")
    assert load_matrix(path).field == load_matrix(path, "gf256").field == "gf256"
    with pytest.raises(PprError, match="elements of GF"):
        load_matrix(path, "real64")
    real = build("mds", 6, 3).save(tmp_path / "real.npz")
    assert load_matrix(real, "real32").field == "real32"
    with pytest.raises(PprError, match="not an element"):
        load_matrix(real, "gf256")
    assert load_matrix(build("replication", 6, 3).save(tmp_path / "ones.npz"), "gf256").tolerance == 1


def test_plain_arrays_are_read(tmp_path):
    np.save(tmp_path / "plain.npy", np.eye(4))
    assert load_matrix(tmp_path / "plain.npy").tolerance == 0
    assert load_matrix(write_npz(tmp_path / "one.npz", anything=np.eye(4)), "gf256").field == "gf256"
    assert load_matrix(write_npz(tmp_path / "two.npz", matrix=np.eye(4), other=np.zeros(2))).agents == 4


def damaged(tmp_path):
    """Files that are not matrices, and what is said of them."""
    good = build("mds", 6, 3).save(tmp_path / "good.npz")
    header = json.loads(str(np.load(good, allow_pickle=False)["header"]))
    large = {"data": np.ones(2), "indices": np.array([0, 9]), "indptr": np.array([0, 1, 2]), "shape": np.array([2, 2])}
    (tmp_path / "text.npz").write_text("not a zip")
    (tmp_path / "text.npy").write_text("not an array")
    (tmp_path / "cut.npz").write_bytes(good.read_bytes()[:200])
    np.save(tmp_path / "objects.npy", np.array([[{}]], object), allow_pickle=True)
    with (tmp_path / "huge.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
    return {
        tmp_path / "absent.npz": "cannot be read",
        tmp_path: "Is a directory",
        tmp_path / "text.npz": "not an .npz file",
        tmp_path / "text.npy": "not an .npy",
        tmp_path / "cut.npz": "not an .npz file",
        tmp_path / "objects.npy": "pickled",
        tmp_path / "huge.npy": "GiB",
        write_npz(tmp_path / "names.npz", a=np.eye(2), b=np.eye(2)): "called 'matrix'",
        write_npz(tmp_path / "none.npz"): "called 'matrix'",
        write_npz(tmp_path / "csr.npz", **large): "CSR",
        write_npz(tmp_path / "csr2.npz", **large | {"shape": np.array([2.5, 2])}): "CSR",
        write_npz(tmp_path / "head.npz", header=np.array("{"), matrix=np.eye(2)): "header is damaged",
        write_npz(tmp_path / "list.npz", header=np.array("[1]"), matrix=np.eye(2)): "header is damaged",
        write_npz(tmp_path / "array.npz", header=np.zeros(3), matrix=np.eye(2)): "header is damaged",
        write_npz(tmp_path / "field.npz", header=np.array(json.dumps(header | {"field": "x"})), matrix=np.eye(2)): "header is damaged",
        write_npz(tmp_path / "seed.npz", header=np.array(json.dumps(header | {"seed": "x"})), matrix=np.eye(2)): "header is damaged",
    }


def test_files_that_hold_no_matrix_are_refused(tmp_path):
    for path, part in damaged(tmp_path).items():
        with pytest.raises(PprError, match=part):
            load_matrix(path)


def test_nothing_is_written_over(tmp_path):
    path = build("mds", 6, 3).save(tmp_path / "code.npz")
    with pytest.raises(UsageError, match="exists already"):
        build("mds", 7, 3).save(path, overwrite=False)
    assert load_matrix(path).learners == 6


def test_single_updates_can_be_appended_to_a_code():
    """As when an update is given to another learner: rows of the identity below the matrix."""
    from scipy.sparse import csr_array, vstack

    for field in FIELDS:
        code = build("mds", 5, 3, field=field)
        extra = csr_array(np.eye(3, dtype=code.entries.dtype))
        longer = dataclasses.replace(code, entries=vstack([code.entries, extra], format="csr"), tolerance=None, family="file")
        assert longer.learners == 8 and longer.matrix.dtype == code.matrix.dtype
        np.testing.assert_array_equal(longer.matrix[5:], np.eye(3))


def test_digests_tell_matrices_apart():
    one, other = (build("mds", 5, 3, seed=seed).entries for seed in (0, 1))
    assert matrix_files.digest(one) == matrix_files.digest(one.copy()) != matrix_files.digest(other)
