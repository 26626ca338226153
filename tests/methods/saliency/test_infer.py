"""The predictor: what it promises about any input, and the invariances of its maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.saliency.infer import Predictor, Saliency, resize_to_side
from ppr.methods.saliency.weights import FOLDER, checkpoint_path

DEMO = sorted((FOLDER.parent / "demo").glob("*.jpg"))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(threads=2)


def photo(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.stem)
def test_every_bundled_photo_has_an_object_the_network_is_sure_of(predictor, path):
    summary = predictor(photo(path)).summary()
    assert summary["object"]
    assert 8 < summary["coverage"] < 80
    assert summary["confidence"] > 0.7
    left, top, right, bottom = summary["box"]
    assert 0 <= left < summary["centroid"][0] < right <= summary["width"]
    assert 0 <= top < summary["centroid"][1] < bottom <= summary["height"]


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.stem)
def test_mirroring_the_image_mirrors_the_map(predictor, path):
    rgb = photo(path)
    mirrored = np.ascontiguousarray(rgb[:, ::-1])
    plain = np.abs(predictor(rgb).probability - predictor(mirrored).probability[:, ::-1]).mean()
    averaged = np.abs(predictor(rgb, flip=True).probability - predictor(mirrored, flip=True).probability[:, ::-1]).mean()
    assert plain < 0.05
    assert averaged < 1e-3


def blanks() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "black": np.zeros((120, 160, 3), np.uint8),
        "white": np.full((120, 160, 3), 255, np.uint8),
        "wall": np.full((300, 400, 3), (200, 180, 150), np.uint8),
        "noise": rng.integers(0, 256, (200, 300, 3), dtype=np.uint8),
        "grey noise": np.repeat(rng.integers(0, 256, (256, 256, 1), dtype=np.uint8), 3, 2),
        "pixel": np.full((1, 1, 3), 77, np.uint8),
    }


@pytest.mark.parametrize("name", blanks())
def test_where_there_is_no_object_none_is_claimed(predictor, name):
    rgb = blanks()[name]
    saliency = predictor(rgb)
    assert np.isfinite(saliency.probability).all()
    assert not saliency.summary()["object"]
    assert saliency.mask().shape == rgb.shape[:2]
    assert saliency.mask(stretch=True).mean() < 64


@given(width=st.integers(1, 700), height=st.integers(1, 700))
@settings(max_examples=10, deadline=None)
def test_any_size_gives_a_map_of_that_size(predictor, width, height):
    saliency = predictor(np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8))
    assert saliency.mask().shape == (height, width)
    assert saliency.mask().dtype == np.uint8


@pytest.mark.parametrize(("width", "height"), [(3, 5000), (5000, 3), (2300, 2100)])
def test_extreme_shapes_work(predictor, width, height):
    assert predictor(np.zeros((height, width, 3), np.uint8)).mask().shape == (height, width)


def test_large_masks_round_as_small_ones_do():
    """Above 4 megapixels the mask is upsampled in 16 bits; its levels are those of the float way."""
    probability = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    saliency = Saliency(probability, 2300, 2000)
    expected = np.rint(saliency.resized() * 255)
    assert np.abs(saliency.mask().astype(float) - expected).max() <= 1
    assert (saliency.mask() == expected).mean() > 0.98


def test_stretching_does_not_make_an_object_out_of_noise():
    flat = Saliency(np.full((8, 8), 0.02, np.float32) + np.linspace(0, 0.04, 64, dtype=np.float32).reshape(8, 8), 8, 8)
    assert flat.mask(stretch=True).max() < 20
    faint = Saliency(np.linspace(0.1, 0.4, 64, dtype=np.float32).reshape(8, 8), 8, 8)
    assert (faint.mask(stretch=True).min(), faint.mask(stretch=True).max()) == (0, 255)


def test_summary_of_a_known_box():
    probability = np.zeros((60, 80), np.float32)
    probability[10:30, 20:50] = 1
    summary = Saliency(probability, 160, 120).summary()
    assert summary["box"] == [40, 20, 100, 60]
    assert summary["centroid"] == [70.0, 40.0]
    assert summary["coverage"] == 12.5
    assert summary["confidence"] == 1.0


def test_torch_and_onnx_give_the_same_map(predictor):
    torch_predictor = Predictor.load(backend="torch", threads=2)
    rgb = photo(DEMO[0])
    assert np.abs(torch_predictor(rgb).probability - predictor(rgb).probability).max() < 1e-3


@pytest.mark.parametrize(("size", "shape"), [(320, (320, 320)), (0, (352, 640))])
def test_size_chooses_the_networks_input(size, shape):
    rgb = photo(next(path for path in DEMO if path.stem == "cat"))
    assert Predictor.load(size=size, threads=2)(rgb).probability.shape == shape


def test_native_size_is_bounded():
    assert resize_to_side(np.zeros((100, 9000, 3), np.uint8), 0).shape == (32, 1600, 3)


def test_devices_that_are_not_there_are_refused_with_what_is(monkeypatch):
    monkeypatch.setattr("ppr.methods.common.measuring.onnx_session.has_nvidia_driver", lambda: False)
    with pytest.raises(UsageError, match="no NVIDIA driver") as error:
        Predictor.load(device="cuda")
    assert "CPUExecutionProvider" in (error.value.hint or "")
    with pytest.raises(UsageError, match="not a device"):
        Predictor.load(device="gpu")


def test_files_that_are_no_network_are_refused(tmp_path):
    text = tmp_path / "text.onnx"
    text.write_text("hello, I am not a network")
    half = tmp_path / "half.onnx"
    half.write_bytes((FOLDER / "ras-mobile.onnx").read_bytes()[:100_000])
    empty = tmp_path / "empty.onnx"
    empty.touch()
    for path in (text, half, empty):
        with pytest.raises(PprError, match=path.name):
            Predictor.load(path)
    with pytest.raises(UsageError, match=r"needs an \.onnx file"):
        Predictor.load(checkpoint_path("ras-mobile"), backend="onnx")
    with pytest.raises(UsageError, match="no such file or model"):
        Predictor.load("ras-mobil")


def test_embedded_weights_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.suffix in (".onnx", ".safetensors")) <= 8_000_000
