"""`ppr saliency evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppr.methods.saliency.metrics import LABELS


@pytest.fixture
def network(saliency_checkpoint) -> tuple[str, ...]:
    """Options that choose the small random network."""
    return ("--checkpoint", str(saliency_checkpoint), "--size", "64", "--threads", "1", "--device", "cpu")


def folder_of_maps(folder: Path, masks: Path, change=lambda mask: mask) -> Path:
    folder.mkdir()
    for path in masks.iterdir():
        cv2.imwrite(str(folder / path.name), change(cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)))
    return folder


def test_a_table_of_every_metric(ppr, scenes, network):
    answer = ppr("saliency", "evaluate", "--data", scenes(3), "--raw", *network)
    assert answer.code == 0
    for label in (*LABELS.values(), "images", "empty masks", "left out", "ms per image", "images per second"):
        assert label in answer.out
    assert "data (stretched)" in answer.out
    assert "data (as is)" in answer.out
    assert "min-max stretched" in answer.err


def test_json_has_the_numbers_of_each_set(ppr, scenes, network):
    first, second = scenes(3, name="a"), scenes(2, name="b", seed=1)
    answer = ppr("saliency", "evaluate", "--data", first, "--data", second, "--levels", "--json", "--limit", "2", *network)
    assert answer.code == 0
    records = answer.records
    assert [(record["data"], record["images"]) for record in records] == [(str(first), 2), (str(second), 2)]
    for record in records:
        assert record["network"]["arch"] == "ras-mobile-s"
        assert set(record["stretched"]) == set(LABELS)
        assert "raw" not in record
        assert record["speed"]["fps"] == pytest.approx(1000 / record["speed"]["ms"])
        assert [level["level"] for level in record["levels"]] == ["/32", "/16", "/8", "/4"]
        assert record["levels"][-1]["mae"] == pytest.approx(record["stretched"]["mae"], abs=2e-3)


def test_a_baseline_is_a_further_column(ppr, scenes, network):
    data = scenes(2)
    table = ppr("saliency", "evaluate", "--data", data, "--baseline", *network)
    assert (table.code, "data (centre prior)" in table.out) == (0, True)
    masks = ppr("saliency", "evaluate", "--pred", data / "masks", "--gt", data, "--baseline", "--json").records[0]
    assert masks["stretched"]["mae"] == 0 < masks["centre"]["mae"]


def test_levels_are_a_second_table(ppr, scenes, network):
    answer = ppr("saliency", "evaluate", "--data", scenes(2), "--levels", *network)
    table = answer.out.split("data, level by level")[1]
    assert [line.split()[0] for line in table.splitlines() if line.strip().startswith("/")] == ["/32", "/16", "/8", "/4"]


def test_saved_maps_score_the_same_and_reports_hold_everything(ppr, scenes, network, tmp_path):
    data, maps, report = scenes(3), tmp_path / "maps", tmp_path / "report"
    first = ppr("saliency", "evaluate", "--data", data, "--save-maps", maps, "--report", report, "--worst", "2", "--json", *network)
    assert sorted(path.name for path in maps.iterdir()) == ["scene0.png", "scene1.png", "scene2.png"]
    assert sorted(path.name for path in report.iterdir()) == ["images.csv", "metrics.json", "pr.csv", "pr.png", "worst.png"]
    assert json.loads((report / "metrics.json").read_text()) == first.records[0]
    again = ppr("saliency", "evaluate", "--pred", maps, "--gt", data, "--json")
    assert again.code == 0
    assert again.records[0]["stretched"] == pytest.approx(first.records[0]["stretched"], abs=1e-9)
    assert again.records[0]["speed"] is None


def test_filled_folders_are_not_written_into(ppr, scenes, network, tmp_path):
    data = scenes(1)
    (tmp_path / "report").mkdir()
    (tmp_path / "report/notes.txt").write_text("mine")
    command = ("saliency", "evaluate", "--data", data, "--report", tmp_path / "report", *network)
    answer = ppr(*command)
    assert answer.code == 2
    assert "--report" in answer.err
    assert "is not empty" in answer.err
    assert ppr(*command, "--overwrite").code == 0
    assert (tmp_path / "report/notes.txt").read_text() == "mine"
    assert (tmp_path / "report/pr.csv").is_file()


def test_truths_against_themselves_and_inverted(ppr, scenes, tmp_path):
    masks = scenes(2) / "masks"
    same = ppr("saliency", "evaluate", "--pred", masks, "--gt", masks, "--json")
    assert same.code == 0
    found = same.records[0]["stretched"]
    assert [found[name] for name in ("mae", "s", "max_f")] == pytest.approx([0, 1, 1])
    inverted = folder_of_maps(tmp_path / "inverted", masks, lambda mask: 255 - mask)
    assert ppr("saliency", "evaluate", "--pred", inverted, "--gt", masks, "--json").records[0]["stretched"]["mae"] == pytest.approx(1)


def test_empty_masks_are_counted_and_undefined_metrics_are_null(ppr, tmp_path):
    for part in ("maps", "masks"):
        (tmp_path / part).mkdir()
        cv2.imwrite(str(tmp_path / part / "a.png"), np.zeros((20, 20), np.uint8))
    answer = ppr("saliency", "evaluate", "--pred", tmp_path / "maps", "--gt", tmp_path / "masks", "--json")
    assert (answer.records[0]["images"], answer.records[0]["empty_masks"]) == (1, 1)
    assert answer.records[0]["stretched"]["max_f"] is None
    assert answer.records[0]["stretched"]["mae"] == 0


def test_missing_and_extra_maps_are_told(ppr, scenes, tmp_path):
    data = scenes(3)
    maps = folder_of_maps(tmp_path / "maps", data / "masks")
    (maps / "scene1.png").rename(maps / "stranger.png")
    answer = ppr("saliency", "evaluate", "--pred", maps, "--gt", data, "--json")
    assert answer.code == 1
    assert "no map for 1 of 3 masks (scene1)" in answer.err
    assert "1 maps in" in answer.err
    assert "(stranger)" in answer.err
    assert {name: answer.records[0][name] for name in ("images", "missing", "extra", "left_out")} == {
        "images": 2,
        "missing": 1,
        "extra": 1,
        "left_out": 0,
    }


def test_a_map_of_another_size_is_left_out_unless_resized(ppr, scenes, tmp_path):
    data = scenes(2)
    maps = folder_of_maps(tmp_path / "maps", data / "masks")
    cv2.imwrite(str(maps / "scene0.png"), np.zeros((10, 10), np.uint8))
    answer = ppr("saliency", "evaluate", "--pred", maps, "--gt", data)
    assert answer.code == 1
    assert "scene0.png: is 10x10, its mask is 64x48" in answer.err
    assert "--resize" in answer.err
    assert ppr("saliency", "evaluate", "--pred", maps, "--gt", data, "--resize").code == 0


def test_a_damaged_image_in_a_set_is_reported_and_left_out(ppr, scenes, network):
    data = scenes(3)
    (data / "images/scene1.png").write_bytes((data / "images/scene1.png").read_bytes()[:200])
    answer = ppr("saliency", "evaluate", "--data", data, "--json", *network)
    assert answer.code == 1
    assert "scene1.png: damaged or truncated image" in answer.err
    assert (answer.records[0]["images"], answer.records[0]["left_out"]) == (2, 1)
    assert "Traceback" not in answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give either --data"),
        (["--data", "x", "--pred", "x", "--gt", "x"], "give either --data"),
        (["--pred", "x"], "--pred: needs --gt"),
        (["--gt", "x"], "--gt: needs --pred"),
        (["--data", "x", "--gt", "x"], "--gt: needs --pred"),
        (["--pred", "x", "--gt", "x", "--levels"], "--levels: concerns a network"),
        (["--pred", "x", "--gt", "x", "--save-maps", "y"], "--save-maps: concerns a network"),
        (["--data", "x", "--resize"], "--resize: only with --pred"),
        (["--data", "nowhere/at/all"], "nowhere/at/all: no such file, folder or data set"),
        (["--pred", "nowhere", "--gt", "nowhere"], "nowhere: no such file or folder"),
        (["--data", "x", "--limit", "0"], "limit"),
    ],
)
def test_wrong_commands(ppr, arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = ppr("saliency", "evaluate", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert answer.out == ""
    assert "Traceback" not in answer.err


def test_levels_of_an_onnx_file_are_refused(ppr, scenes, tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"")
    answer = ppr("saliency", "evaluate", "--data", scenes(1), "--levels", "--checkpoint", tmp_path / "net.onnx")
    assert answer.code != 0
    assert "net.onnx" in answer.err or ".safetensors" in answer.err


def test_a_set_without_pairs_is_refused(ppr, tmp_path):
    (tmp_path / "notes.txt.d").mkdir()
    answer = ppr("saliency", "evaluate", "--data", tmp_path / "notes.txt.d")
    assert answer.code == 2
    assert "no image/mask pairs" in answer.err


def test_quiet_says_nothing_but_the_result(ppr, scenes, network):
    answer = ppr("saliency", "evaluate", "--data", scenes(1), "--quiet", *network)
    assert answer.code == 0
    assert answer.err == ""
    assert "MAE" in answer.out
