"""Models that come along are found by name, files by path."""

from __future__ import annotations

import pytest

from ppr.methods.codedmarl.weights import EMBEDDED as CODEDMARL
from ppr.methods.common.errors import UsageError
from ppr.methods.common.running.embedded import Embedded
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
    assert models.find("chairs") == models.folder / "chairs.safetensors"  # a folder is no model
    (tmp_path / "small").touch()
    assert str(models.find("small")) == "small"


@pytest.mark.parametrize("given", ["chars", "../package/chairs", "chairs.safetensors", "absent/chairs", ""])
def test_what_is_neither_is_a_usage_error(models, given):
    assert models.file(given) is None
    with pytest.raises(UsageError, match="no such file or model") as raised:
        models.find(given)
    assert "chairs" in raised.value.hint


def test_the_methods_models_are_there():
    assert SALIENCY.names() == ["ras-mobile"] and IMNET.names() == ["chairs"] and CODEDMARL.names() == ["spread"]
