"""Models that come along are found by name, files and runs by path."""

from __future__ import annotations

import pytest

from ppr.methods.codedmarl.weights import EMBEDDED as CODEDMARL
from ppr.methods.common.errors import UsageError
from ppr.methods.common.running.embedded import Embedded, best_of
from ppr.methods.imnet.weights import EMBEDDED as IMNET
from ppr.methods.saliency.weights import EMBEDDED as SALIENCY


@pytest.fixture
def models(tmp_path):
    folder = tmp_path / "package"
    folder.mkdir()
    for name in ("chairs.safetensors", "chairs.encoder.safetensors", "small.safetensors", "small.onnx"):
        (folder / name).touch()
    return Embedded(folder)


def test_parts_are_no_models(models):
    assert models.names() == ["chairs", "small"]


def test_a_name_is_found_and_a_file_goes_first(models, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert models.find("chairs") == models.folder / "chairs.safetensors"
    assert models.find("small", ".onnx") == models.folder / "small.onnx"
    (tmp_path / "chairs").mkdir()
    assert models.find("chairs") == models.folder / "chairs.safetensors"  # a folder without a checkpoint is no model
    (tmp_path / "small").touch()
    assert str(models.find("small")) == "small"


@pytest.mark.parametrize("given", ["chars", "../package/chairs", "chairs.safetensors", "absent/chairs", ""])
def test_what_is_neither_is_a_usage_error(models, given):
    assert models.file(given) is None
    with pytest.raises(UsageError, match="no such file or model") as raised:
        models.find(given)
    assert "chairs" in raised.value.hint


def make_run(folder, *names):
    folder.mkdir()
    for name in ("config.yaml", *names):
        (folder / name).touch()
    return folder


@pytest.mark.parametrize("given", [str, lambda path: path])
def test_a_run_stands_for_its_best_checkpoint(models, tmp_path, given):
    run = make_run(tmp_path / "run", "last.safetensors", "best.safetensors")
    for known in (models, Embedded()):
        assert known.find(given(run)) == run / "best.safetensors"


def test_a_run_goes_before_a_name_and_that_is_said(models, tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    make_run(tmp_path / "chairs", "best.safetensors")
    with caplog.at_level("INFO", logger="ppr"):
        assert str(models.find("chairs")) == "chairs/best.safetensors"
    assert "not the embedded model" in caplog.text


def test_a_run_without_a_best_checkpoint_gives_its_last_and_says_so(tmp_path, caplog):
    run = make_run(tmp_path / "run", "last.safetensors")
    with caplog.at_level("INFO", logger="ppr"):
        assert best_of(run) == run / "last.safetensors"
    assert "last one" in caplog.text


@pytest.mark.parametrize(
    ("names", "suffix", "message", "hint"),
    [
        (("config.yaml",), ".safetensors", "a run without best.safetensors", "--resume"),
        (("config.yaml", "best.safetensors"), ".onnx", "a run without best.onnx", "export"),
        ((), ".safetensors", "not a run directory", "train --out"),
    ],
)
def test_a_folder_without_a_checkpoint_is_a_usage_error(models, tmp_path, names, suffix, message, hint):
    for name in names:
        (tmp_path / name).touch()
    with pytest.raises(UsageError, match=message) as raised:
        models.find(tmp_path, suffix)
    assert hint in raised.value.hint


def test_where_no_models_come_along_files_and_runs_are_named(tmp_path):
    with pytest.raises(UsageError, match="no such file or model") as raised:
        Embedded().find(tmp_path / "absent")
    assert raised.value.hint == "a file .safetensors, or the folder that `train --out` made"


def test_the_methods_models_are_there():
    assert SALIENCY.names() == ["ras-mobile"] and IMNET.names() == ["chairs"] and CODEDMARL.names() == ["spread"]
