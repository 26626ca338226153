"""`ppr codedmarl plan`: the numbers of the reference case, its outputs, and what wrong options get."""

from __future__ import annotations

import numpy as np
import pytest

BASIC = ("codedmarl", "plan", "--learners", "15", "--agents", "8", "--stragglers", "2", "--delay", "1.0", "--update-time", "0.02")


def refused(answer, code, *parts):
    assert answer.code == code, answer.out + answer.err
    assert not answer.out
    assert "Traceback" not in answer.err
    for part in parts:
        assert part in answer.err


def trace(tmp_path, text):
    path = tmp_path / "trace.csv"
    path.write_text("iteration,learner,delay,kind\n" + text)
    return path


def test_the_reference_case(ppr):
    (found,) = ppr(*BASIC, "--json").records
    codes = {one["code"]: one for one in found["codes"]}
    for name, wait, tolerance in (("uncoded", 1.02, 0), ("replication", 0.22, 0), ("ldpc", 0.1110, 1), ("mds", 0.16, 7)):
        assert codes[name]["expected_wait"] == pytest.approx(wait, abs=1e-4)
        assert codes[name]["tolerance"] == tolerance
    assert found["best"] == "balanced s=2" and found["best_tolerance"] == 2
    assert codes["balanced s=2"]["expected_wait"] == pytest.approx(0.04)
    assert codes["ldpc"]["p_decodable_by_losses"] == pytest.approx([1, 1, 0.9429, 0.8286, 0.6681, 0.4835, 0.2877, 0.1119], abs=6e-5)
    assert {"balanced s=2", "replication", "uncoded"} <= set(found["pareto"])
    heat = found["heat_map"]
    assert np.array(heat["best"]).shape == np.array(heat["wait"]).shape == (len(heat["stragglers"]), len(heat["delays"]))
    assert found["explanation"][0].startswith("balanced s=2: each learner updates 1-2 agents; survives any 2 losses")


def test_the_table_says_it_too(ppr):
    answer = ppr(*BASIC)
    assert answer.code == 0, answer.err
    lines = [line.split() for line in answer.out.splitlines()]
    assert next(line for line in lines if line[:1] == ["replication"])[1:7] == ["1", "1.8750", "0", "0.8000", "0.2200", "1.0200"]
    assert next(line for line in lines if line[:2] == ["balanced", "s=2"])[-1] == "best"
    assert "P(decodable) when k learners are lost" in answer.out
    assert "survives any 2 losses" in answer.out


def test_units(ppr):
    plain, named = (
        ppr("codedmarl", "plan", "--learners", "6", "--agents", "3", "--json", *more).records[0]
        for more in (
            ("--stragglers", "1", "--delay", "0.25", "--update-time", "0.02", "--payload", "125000", "--bandwidth", "125MB/s"),
            ("-k", "1", "--delay", "250ms", "--update-time", "20ms", "--payload", "125kB", "--bandwidth", "1Gbit"),
        )
    )
    assert plain == named
    codes = {one["code"]: one for one in plain["codes"]}
    assert codes["uncoded"]["expected_wait"] == pytest.approx(0.02 + 0.25 + 0.001)
    assert codes["uncoded"]["upload"] == 3 * 125e3


@pytest.mark.parametrize(
    ("options", "wait"),
    [
        (("--model", "exp", "--update-time", "1s", "--delay", "1s"), 3 * (1 + 1 / 6 + 1 / 5 + 1 / 4)),
        (("--model", "none", "--overhead", "3s"), 0.06),
        (
            ("--straggler-share", "0.2", "--delay", "1s"),
            0.06 + 1 - (0.8**6 + 6 * 0.2 * 0.8**5 + 15 * 0.2**2 * 0.8**4 + 20 * 0.2**3 * 0.8**3),
        ),
    ],
)
def test_models(ppr, options, wait):
    (found,) = ppr("codedmarl", "plan", "--learners", "6", "--agents", "3", *options, "--json").records
    (mds,) = [one for one in found["codes"] if one["code"] == "mds"]
    assert mds["expected_wait"] == pytest.approx(wait, rel=1e-6)
    assert mds["iteration"] == pytest.approx(mds["expected_wait"] + (3 if "3s" in options else 0))


def test_pareto_prints_its_standard_error_and_a_warning(ppr):
    answer = ppr("codedmarl", "plan", "--learners", "6", "--agents", "3", "--model", "pareto", "--delay", "20ms")
    assert answer.code == 0, answer.err
    assert "±" in answer.out
    assert "no variance" in answer.err


def test_a_matrix_of_ones_own_is_ranked_with_the_others(ppr, tmp_path):
    matrix = np.vstack([np.eye(4), np.ones((1, 4)), [[0, 0, 0, 2.0]]])
    np.save(tmp_path / "mine.npy", matrix)
    (found,) = ppr("codedmarl", "plan", "--matrix", tmp_path / "mine.npy", "-k", "1", "--delay", "1", "--json").records
    (mine,) = [one for one in found["codes"] if one["code"] == "mine.npy"]
    assert (found["learners"], found["agents"]) == (6, 4)
    assert (mine["max_row"], mine["tolerance"], mine["redundancy"]) == (4, 1, 9 / 4)
    # Three of six losses (agents 0 to 2) have to wait for the dense row of four updates.
    assert mine["expected_wait"] == pytest.approx((3 * 0.08 + 3 * 0.02) / 6)


def test_a_trace_with_losses(ppr, tmp_path):
    path = trace(tmp_path, "0,0,0.5,\n1,0,,kill\n")
    answer = ppr("codedmarl", "plan", "--learners", "3", "--agents", "2", "--trace", path, "--timeout", "9s", "--json")
    codes = {one["code"]: one for one in answer.records[0]["codes"]}
    assert codes["uncoded"]["expected_wait"] == pytest.approx((0.52 + 9.02) / 2)
    assert codes["uncoded"]["never_decodable"] == 0.5
    assert codes["replication"]["expected_wait"] == pytest.approx(0.02)
    assert "50.0% of the iterations are not decodable" in answer.err


def test_the_picture(ppr, tmp_path):
    from PIL import Image

    path = tmp_path / "plan.png"
    answer = ppr("codedmarl", "plan", "--learners", "6", "--agents", "3", "-k", "1", "--plot", path)
    assert answer.code == 0, answer.err
    with Image.open(path) as image:
        assert image.size[0] > 1000
        assert len(image.convert("RGB").getcolors(1 << 20)) > 100
    refused(ppr("codedmarl", "plan", "--plot", path), 2, "exists already", "--overwrite")
    assert ppr("codedmarl", "plan", "--learners", "6", "--agents", "3", "--plot", path, "--overwrite").code == 0


def test_the_controllers_link_is_mentioned_where_it_is_the_limit(ppr):
    answer = ppr(*BASIC, "--payload", "10MB", "--bandwidth", "1Gbit")
    assert "one after the other, longer than the wait" in answer.err


REFUSED = [
    (("--learners", "7", "--agents", "8"), ("--learners 7: fewer than the 8 agents", "--learners 8 or more")),
    (("--stragglers", "15"), ("--stragglers 15: of 15 learners at most 14 can be late",)),
    (("--stragglers", "-1"), ("-1",)),
    (("--delay", "-1s"), ("'-1s' is not at least 0",)),
    (("--delay", "5parsec"), ("unknown unit 'parsec'", "ms")),
    (("--delay", "nan"), ("'nan' is not a number with a unit",)),
    (("--delay", "1e9"), ("a delay of 1e+09 seconds",)),
    (("--update-time", "1e400"), ("beyond all measure",)),
    (("--payload", "3 bananas"), ("unknown unit 'bananas'", "kB")),
    (("--bandwidth", "1000"), ("'1000' lacks its unit", "1Gbit")),
    (("--bandwidth", "0Gbit"), ("is not above 0",)),
    (("--timeout", "0"), ("is not above 0",)),
    (("--straggler-share", "1.5"), ("a chance is between 0 and 1",)),
    (("--straggler-share", "nan"), ("a chance is between 0 and 1",)),
    (("--model", "bernoulli"), ("--straggler-share is missing",)),
    (("--model", "exp", "--stragglers", "2"), ("--stragglers: the model exp does not look at it", "--model fixed")),
    (("--model", "pareto", "--pareto-shape", "1"), ("only above 1",)),
    (("--model", "trace"), ("belong together", "--trace FILE.csv")),
    (("--trace", "absent.csv"), ("absent.csv: no such trace",)),
    (("--learners", "99999"), ("99999",)),
    (("--agents", "0"), ("0",)),
]


@pytest.mark.parametrize(("options", "parts"), REFUSED, ids=[" ".join(options) for options, _parts in REFUSED])
def test_wrong_options(ppr, tmp_path, monkeypatch, options, parts):
    monkeypatch.chdir(tmp_path)
    refused(ppr("codedmarl", "plan", *options), 2, *parts)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("0,0,nan,\n", "line 2: delay 'nan'"),
        ("", "a header without rows"),
        ("0,0,1e99,\n", "1e99"),
        ("0,0,1,burn\n", "unknown kind 'burn'"),
    ],
)
def test_broken_traces(ppr, tmp_path, text, part):
    refused(ppr("codedmarl", "plan", "--trace", trace(tmp_path, text)), 1, part)


def test_a_trace_of_other_learners(ppr, tmp_path):
    refused(ppr("codedmarl", "plan", "--trace", trace(tmp_path, "0,15,1,\n")), 2, "names learner 15", "--learners 16")


def test_matrices_that_cannot_be_used(ppr, tmp_path):
    def given(array, *options):
        np.save(tmp_path / "m.npy", array)
        return ppr("codedmarl", "plan", "--matrix", tmp_path / "m.npy", *options)

    refused(given(np.eye(4), "--learners", "5"), 2, "4 learners x 4 agents, not of 5 x 4", "--learners 4 --agents 4")
    refused(given(np.full((4, 2), np.nan)), 1, "m.npy")
    refused(given(np.ones((4, 2))), 1, "m.npy", "rank is 1, not 2")
    refused(given(np.ones((2, 4))), 1, "m.npy")
    refused(given(np.array([{}], object)), 1, "m.npy")
    refused(ppr("codedmarl", "plan", "--matrix", tmp_path / "absent.npy"), 1, "absent.npy")
