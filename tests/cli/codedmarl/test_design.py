"""`ppr codedmarl design`: what it reports of codes it makes and of files, and what it refuses."""

from __future__ import annotations

import json

import numpy as np
import pytest

BALANCED = ("--code", "balanced", "--tolerance", "3", "--learners", "15", "--agents", "8", "--field", "real64", "--seed", "0")


def design(ppr, *arguments):
    """The one JSON object of a command that succeeds."""
    answer = ppr("codedmarl", "design", *arguments, "--json")
    assert answer.code == 0, answer.err
    assert len(answer.records) == 1
    return answer.records[0]


def test_a_balanced_code_is_made_written_and_checked(ppr, tmp_path):
    made = design(ppr, *BALANCED, "--out", tmp_path / "code.npz")
    assert made["max_weight"] == made["least_max_weight"] == 3 and made["redundancy"] == 4
    assert made["tolerance"] == made["tolerance_at_most"] == 3
    assert made["erasures"] == made["verified_erasures"] == made["decodable_erasures"] == 455
    assert 1 < made["median_condition"] < made["worst_condition"] < 100
    assert made["p_decodable"][:4] == [1] * 4 and len(made["p_decodable"]) == 8 and 0.98 < made["p_decodable"][4] < 1
    assert [len(row) for row in made["rows"]] == made["weights"] and made["remarks"] == []
    checked = design(ppr, "--check", tmp_path / "code.npz")
    assert checked == made
    with np.load(tmp_path / "code.npz", allow_pickle=False) as stored:
        assert [np.flatnonzero(row).tolist() for row in stored["matrix"]] == made["rows"]


def test_seven_lost_learners_cost_five_updates(ppr):
    made = design(ppr, "--tolerance", "7")
    assert made["max_weight"] == 5 and made["decodable_erasures"] == made["erasures"] == 6435
    assert made["worst_condition"] < 1e5 and made["p_decodable"] == [1] * 8


def test_the_same_seed_makes_the_same_file_content(ppr, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        design(ppr, "--code", "random-sparse", "--seed", seed, "--out", tmp_path / f"{name}.npz")
    first, again, other = (np.load(tmp_path / f"{name}.npz", allow_pickle=False)["matrix"] for name in "abc")
    assert (first == again).all() and (first != other).any()


@pytest.mark.parametrize(
    ("code", "tolerance", "heaviest"), [("uncoded", 0, 1), ("replication", 0, 1), ("ldpc", 1, 4), ("mds", 7, 8), ("multi", 2, 2)]
)
@pytest.mark.parametrize("field", ["gf256", "real64"])
def test_every_family_can_be_designed(ppr, code, tolerance, heaviest, field):
    made = design(ppr, "--code", code, "--field", field)
    assert (made["family"], made["field"], made["tolerance"], made["max_weight"]) == (code, field, tolerance, heaviest)
    assert (made["worst_condition"] is None) == (field == "gf256" or code == "multi")


def test_a_person_reads_rows_and_properties(ppr):
    answer = ppr("codedmarl", "design", "--code", "replication", "--learners", "5", "--agents", "3")
    assert answer.code == 0
    assert all(word in answer.out for word in ("learner", "updates", "agents", "tolerance", "redundancy", "worst condition"))
    assert "all 1: 1 decodable" in answer.out and "1.67" in answer.out


def test_a_matrix_of_one_s_own_is_judged_and_its_oddities_are_said(ppr, tmp_path):
    matrix = np.array([[1, -2, 0], [0, 0, 0], [-2, 4, 0], [0, 1, 1], [3, 0, 1], [0, 0, 5]], float)
    np.save(tmp_path / "mine.npy", matrix)
    found = design(ppr, "--check", tmp_path / "mine.npy")
    assert found["family"] == "file" and found["tolerance"] == 1 and found["weights"] == [2, 0, 2, 2, 2, 1]
    assert any("learner 1 without agents" in remark for remark in found["remarks"])
    assert any("learner 2 repeats learner 0" in remark for remark in found["remarks"])
    answer = ppr("codedmarl", "design", "--check", tmp_path / "mine.npy")
    assert "note: learner 2 repeats learner 0" in answer.err


def test_ill_conditioned_matrices_are_pointed_out(ppr, tmp_path):
    """The paper's Vandermonde matrix."""
    np.save(tmp_path / "vandermonde.npy", np.linspace(0.1, 0.5, 8) ** np.arange(14, -1, -1)[:, None])
    found = design(ppr, "--check", tmp_path / "vandermonde.npy")
    assert found["tolerance"] == 7 and found["worst_condition"] > 1e8
    assert any("digits" in remark for remark in found["remarks"])


def test_a_header_that_promises_too_much_is_contradicted(ppr, tmp_path):
    from ppr.methods.codedmarl.codes import matrix_files
    from ppr.methods.codedmarl.codes.construction import build

    header = {"family": "mds", "field": "real64", "tolerance": 4, "seed": 0, "separate": False, "generic": False}
    matrix_files.write(tmp_path / "code.npz", build("replication", 6, 3).entries, header, overwrite=False)
    found = design(ppr, "--check", tmp_path / "code.npz")
    assert found["tolerance"] == 1 and "the file says that its tolerance is 4" in found["remarks"]


def test_large_codes_are_sampled(ppr):
    found = design(ppr, "--learners", "200", "--agents", "100", "--tolerance", "4")
    assert found["tolerance"] == found["tolerance_at_most"] == 4 and found["max_weight"] == 3
    assert found["decodable_erasures"] == found["verified_erasures"] < found["erasures"]
    assert found["worst_condition"] < 1e8


REFUSED = [
    (("--learners", "7"), 2, "7 learners for 8 agents"),
    (("--tolerance", "8"), 2, "survives at most 7"),
    (("--code", "mds", "--tolerance", "2"), 2, "mds has none to choose"),
    (("--field", "gf256", "--learners", "256"), 2, "at most 255 learners"),
    (("--code", "ldpc", "--learners", "9"), 2, "nearest: 10 x 8 and 9 x 7"),
    (("--code", "best"), 2, "best"),
    (("--learners", "0"), 2, "--learners"),
    (("--out", "code.npy"), 2, "written as .npz"),
    (("--check", "code.npz", "--agents", "8"), 2, "does not go with --agents"),
    (("--check", "code.npz", "--out", "other.npz"), 2, "does not go with --out"),
    (("--check", "absent.npz"), 1, "absent.npz: cannot be read"),
]


@pytest.mark.parametrize(("arguments", "code", "part"), REFUSED, ids=[part for *_rest, part in REFUSED])
def test_what_cannot_be_designed_is_refused(ppr, tmp_path, monkeypatch, arguments, code, part):
    monkeypatch.chdir(tmp_path)
    answer = ppr("codedmarl", "design", *arguments)
    assert answer.code == code and answer.out == ""
    assert part in answer.err and "Traceback" not in answer.err
    assert not list(tmp_path.iterdir())


BAD_MATRICES = [
    (np.eye(3)[:2], "transpose it?"),
    (np.where(np.eye(3) > 0, np.nan, 0), "row 0, column 0 is nan"),
    (np.ones((5, 3)), "its rank is 1, not 3"),
    (np.zeros((0, 0)), "0 x 0"),
    (np.eye(3) * [1, 0, 1], "no learner has agent 1"),
    (np.array([["1", "2"]]), "not real numbers"),
    (np.zeros(4), "has 1 dimensions"),
]


@pytest.mark.parametrize(("matrix", "part"), BAD_MATRICES, ids=[part for _matrix, part in BAD_MATRICES])
def test_a_bad_matrix_file_is_refused_with_the_reason(ppr, tmp_path, matrix, part):
    np.save(tmp_path / "bad.npy", matrix)
    answer = ppr("codedmarl", "design", "--check", tmp_path / "bad.npy")
    assert answer.code == 1 and answer.out == ""
    assert part in answer.err and "bad.npy" in answer.err and "Traceback" not in answer.err
    assert len(answer.err.splitlines()) <= 3


def test_existing_files_stay_unless_told_otherwise(ppr, tmp_path):
    small = ("codedmarl", "design", "--learners", "5", "--agents", "3", "--out", tmp_path / "code.npz")
    assert ppr(*small, "--seed", "1").code == 0
    before = (tmp_path / "code.npz").read_bytes()
    answer = ppr(*small)
    assert answer.code == 2 and "exists already" in answer.err and (tmp_path / "code.npz").read_bytes() == before
    assert ppr(*small, "--overwrite").code == 0
    assert json.loads(str(np.load(tmp_path / "code.npz", allow_pickle=False)["header"]))["seed"] == 0
