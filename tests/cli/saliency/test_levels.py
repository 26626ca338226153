"""`ppr saliency levels`."""

from __future__ import annotations

import math

import cv2
import pytest

from ppr.methods.saliency.pairs.procedural import scene


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    cv2.imwrite(str(path), scene(80, 60, seed=4)[0])
    return path


def test_the_figure_is_written_and_named(ppr, photo, saliency_checkpoint, tmp_path):
    answer = ppr("saliency", "levels", photo, "--checkpoint", saliency_checkpoint, "--size", "64", "-o", tmp_path / "figure.png")
    assert (answer.code, answer.out) == (0, f"{tmp_path / 'figure.png'}\n")
    figure = cv2.imread(str(tmp_path / "figure.png"))
    assert min(figure.shape[:2]) > 400
    again = ppr("saliency", "levels", photo, "--checkpoint", saliency_checkpoint, "--size", "64", "-o", tmp_path / "figure.png")
    assert again.code == 2
    assert "exists already" in again.err


def test_default_name_and_json(ppr, photo, saliency_checkpoint):
    answer = ppr("saliency", "levels", photo, "--checkpoint", saliency_checkpoint, "--size", "64", "--json")
    (record,) = answer.records
    assert record["path"] == str(photo.with_name("photo.levels.png"))
    assert photo.with_name("photo.levels.png").is_file()
    assert [(level["level"], level["stride"]) for level in record["levels"]] == [("S6", 32), ("S5", 16), ("S4", 8), ("S3", 4)]
    values = [level[key] for level in record["levels"][1:] for key in ("attention_on_object", "attention_elsewhere")]
    assert all(value is None or (math.isfinite(value) and 0 <= value <= 1) for value in values)


@pytest.mark.parametrize(
    ("extra", "code", "message"),
    [
        (["-o", "figure.bmp"], 2, "not a figure format"),
        (["--checkpoint", "net.onnx"], 2, "give a .safetensors checkpoint"),
        (["--checkpoint", "no-such-network"], 2, "no such file or model"),
        (["--size", "7"], 2, "--size"),
        (["-o", "-", "--json"], 2, "both want stdout"),
    ],
)
def test_wrong_commands(ppr, photo, saliency_checkpoint, extra, code, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [] if "--checkpoint" in extra else ["--checkpoint", saliency_checkpoint]
    answer = ppr("saliency", "levels", photo, *given, *extra)
    assert answer.code == code
    assert message in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_what_is_not_an_image(ppr, photo, saliency_checkpoint, tmp_path):
    photo.write_bytes(b"text")
    answer = ppr("saliency", "levels", photo, "--checkpoint", saliency_checkpoint)
    assert answer.code == 1
    assert "photo.png: not an image" in answer.err
    assert "no such file" in ppr("saliency", "levels", tmp_path / "absent.png", "--checkpoint", saliency_checkpoint).err
