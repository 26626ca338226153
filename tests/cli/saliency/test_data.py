"""`ppr saliency data check|prepare|synth`."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ppr.methods.saliency.pairs.check import KINDS
from ppr.methods.saliency.pairs.find import find_pairs


def test_sound_data(ppr, scenes):
    answer = ppr("saliency", "data", "check", scenes(4))
    assert answer.code == 0
    assert answer.out.startswith("4 pairs, 0 errors, 0 warnings; longest side 64 to 64 (median 64);")


def test_warnings_alone_are_no_failure(ppr, scenes):
    folder = scenes(2)
    cv2.imwrite(str(folder / "masks/scene1.png"), np.zeros((48, 64), np.uint8))
    (folder / "images/orphan.png").write_bytes((folder / "images/scene0.png").read_bytes())
    answer = ppr("saliency", "data", "check", folder)
    assert answer.code == 0
    assert "2 pairs, 0 errors, 2 warnings" in answer.out
    for kind in ("empty mask", "image alone"):
        assert KINDS[kind][1].split(";")[0] in answer.out
    assert f"image alone: {folder / 'images/orphan.png'}" in answer.out


def test_errors_exit_with_1_and_json_lists_everything(ppr, scenes):
    folder = scenes(4)
    for index in range(3):
        cv2.imwrite(str(folder / f"masks/scene{index}.png"), np.zeros((9 + index, 9), np.uint8))
    answer = ppr("saliency", "data", "check", folder, "--json")
    assert answer.code == 1
    (record,) = answer.records
    assert (record["pairs"], record["errors"], record["warnings"]) == (4, 3, 3)
    mismatches = [finding for finding in record["findings"] if finding["kind"] == "size mismatch"]
    assert [finding["detail"] for finding in mismatches] == [f"mask 9x{9 + index}, image 64x48" for index in range(3)]
    assert {finding["severity"] for finding in mismatches} == {"error"}


def test_an_image_of_the_test_set_is_an_error(ppr, scenes):
    data, test = scenes(3, name="data"), scenes(2, name="test", seed=1)
    assert ppr("saliency", "data", "check", data, "--against", test).code == 0
    (test / "images/scene1.png").write_bytes((data / "images/scene2.png").read_bytes())
    answer = ppr("saliency", "data", "check", data, "--against", test)
    assert answer.code == 1
    assert f"in the test set: {data / 'images/scene2.png'} ~ {test / 'images/scene1.png'}" in answer.out


def test_long_lists_are_cut_and_say_so(ppr, scenes):
    folder = scenes(1)
    for index in range(11):
        (folder / f"masks/alone{index}.png").write_bytes((folder / "masks/scene0.png").read_bytes())
    answer = ppr("saliency", "data", "check", folder)
    assert answer.out.count("mask alone: ") == 9
    assert "mask alone: … and 3 more (--json lists all)" in answer.out


def test_a_folder_without_pairs_fails(ppr, scenes, tmp_path):
    folder = scenes(2)
    for path in (folder / "masks").iterdir():
        path.unlink()
    answer = ppr("saliency", "data", "check", folder)
    assert answer.code == 1
    assert "0 pairs" in answer.out
    assert ppr("saliency", "data", "check", tmp_path / "absent").code == 2


def test_prepare_writes_a_set_that_evaluate_and_check_accept(ppr, scenes, tmp_path):
    out = tmp_path / "clean.zip"
    answer = ppr("saliency", "data", "prepare", scenes(3), "--longest", "40", "-o", out)
    assert (answer.code, answer.out) == (0, f"{out}\n")
    assert ppr("saliency", "data", "check", out).out.startswith("3 pairs, 0 errors, 0 warnings; longest side 40 to 40")
    again = ppr("saliency", "data", "prepare", tmp_path / "data", "-o", out)
    assert again.code == 2
    assert "exists already" in again.err
    assert ppr("saliency", "data", "prepare", tmp_path / "data", "-o", out, "--overwrite").code == 0


def test_prepare_reports_bad_pairs(ppr, scenes, tmp_path):
    folder = scenes(3)
    (folder / "masks/scene2.png").write_bytes(b"")
    answer = ppr("saliency", "data", "prepare", folder, "-o", tmp_path / "clean")
    assert answer.code == 1
    assert "scene2.png: empty file (0 bytes)" in answer.err
    assert "2 done" in answer.err
    assert "1 failed" in answer.err
    assert len(find_pairs([tmp_path / "clean"]).pairs) == 2


def test_synth_is_reproducible(ppr, tmp_path):
    for name, seed in (("a.zip", "1"), ("b.zip", "1"), ("c.zip", "2")):
        answer = ppr("saliency", "data", "synth", "--count", "3", "--size", "40x30", "--seed", seed, "-o", tmp_path / name)
        assert (answer.code, answer.out) == (0, f"{tmp_path / name}\n")
    first, second, other = ((tmp_path / name).read_bytes() for name in ("a.zip", "b.zip", "c.zip"))
    assert first == second != other
    assert len(find_pairs([tmp_path / "a.zip"]).pairs) == 3


@pytest.mark.parametrize("size", ["40", "40x", "8x300", "axb", "40x30x3"])
def test_synth_refuses_sizes_that_are_none(ppr, tmp_path, size):
    answer = ppr("saliency", "data", "synth", "-o", tmp_path / "a.zip", "--size", size)
    assert answer.code == 2
    assert f"'--size': '{size}'" in answer.err
    assert not (tmp_path / "a.zip").exists()
