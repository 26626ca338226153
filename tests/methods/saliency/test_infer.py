"""The predictor: what it promises about any input, and the invariances of its maps."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path, PurePosixPath

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.inputs import Input
from ppr.methods.common.reading.sources import Source
from ppr.methods.saliency import naive
from ppr.methods.saliency.infer import Order, Predictor, produce, resize_to_side
from ppr.methods.saliency.products.destinations import Destinations
from ppr.methods.saliency.products.refine import Refinement
from ppr.methods.saliency.products.render import Background
from ppr.methods.saliency.products.style import Style
from ppr.methods.saliency.weights import EMBEDDED

FOLDER = EMBEDDED.folder
DEMO = sorted((FOLDER.parent / "demo").glob("*.jpg"))


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor.load(threads=2)


def photo(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


@pytest.mark.parametrize("path", DEMO, ids=lambda path: path.stem)
def test_every_bundled_photo_has_an_object_the_network_is_sure_of(predictor, path):
    summary = predictor(photo(path)).summary()
    assert summary.object
    assert 8 < summary.coverage < 80
    assert summary.confidence > 0.7
    left, top, right, bottom = summary.box
    assert 0 <= left < summary.centroid[0] < right <= summary.width
    assert 0 <= top < summary.centroid[1] < bottom <= summary.height


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
    assert not saliency.summary().object
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


def test_torch_and_onnx_give_the_same_map(predictor):
    torch_predictor = Predictor.load(backend="torch", threads=2)
    rgb = photo(DEMO[0])
    assert np.abs(torch_predictor(rgb).probability - predictor(rgb).probability).max() < 1e-3


@pytest.mark.parametrize(("size", "shape"), [(320, (320, 320)), (0, (352, 640))])
def test_size_chooses_the_networks_input(size, shape):
    rgb = photo(next(path for path in DEMO if path.stem == "cat"))
    assert Predictor.load(size=size, threads=2)(rgb).probability.shape == shape


@pytest.mark.parametrize(("width", "height"), [(97, 61), (40, 300), (64, 64), (20, 31)])
def test_resizing_is_by_triangle_weights(width, height):
    """Pillow's integer arithmetic against the weights written out, for images larger and smaller than the network's side."""
    rgb = np.random.default_rng(width).integers(0, 256, (height, width, 3), dtype=np.uint8)
    found = resize_to_side(rgb, 64)
    assert found.shape == (64, 64, 3)
    assert np.abs(found.astype(int) - naive.resized(rgb, 64)).max() <= 1


def test_native_size_is_bounded():
    assert resize_to_side(np.zeros((100, 9000, 3), np.uint8), 0).shape == (32, 1600, 3)


def test_devices_that_are_not_there_are_refused_with_what_is(monkeypatch):
    monkeypatch.setattr("ppr.methods.common.measuring.onnx_session.has_nvidia_driver", lambda: False)
    with pytest.raises(UsageError, match="no NVIDIA driver") as error:
        Predictor.load(device="cuda")
    assert "CPUExecutionProvider" in (error.value.hint or "")
    with pytest.raises(UsageError, match="not a device"):
        Predictor.load(device="gpu")


def test_a_run_directory_is_its_best_checkpoint(saliency_checkpoint, tmp_path):
    """--backend onnx takes the run's own export, where there is one."""
    run = tmp_path / "run"
    run.mkdir()
    shutil.copy(saliency_checkpoint, run / "best.safetensors")
    loaded = Predictor.load(run, device="cpu", threads=1)
    assert (loaded.kind, loaded.path, loaded.backend.arch) == ("torch", run / "best.safetensors", "ras-mobile-s")
    with pytest.raises(UsageError, match=r"without best\.onnx|no best\.onnx"):
        Predictor.load(run, backend="onnx")
    shutil.copy(FOLDER / "ras-mobile.onnx", run / "best.onnx")
    assert Predictor.load(run, backend="onnx", threads=1).path == run / "best.onnx"


@pytest.mark.parametrize(
    ("backend", "kind", "suffix"), [("auto", "onnx", ".onnx"), ("onnx", "onnx", ".onnx"), ("torch", "torch", ".safetensors")]
)
def test_an_embedded_name_is_the_file_its_backend_reads(backend, kind, suffix):
    loaded = Predictor.load("ras-mobile", backend=backend, device="cpu", threads=1)
    assert (loaded.kind, loaded.path) == (kind, FOLDER / f"ras-mobile{suffix}")


def test_one_call_reads_predicts_renders_and_writes(predictor, tmp_path):
    """The pictures are what the single steps make of the photo; a bad file gives its error and the next goes on."""
    (tmp_path / "bad.jpg").write_bytes(b"no image")
    items = [Input(Source(str(path)), PurePosixPath(path.name), path) for path in (tmp_path / "bad.jpg", DEMO[0])]
    style = Style(Background("colour", (1, 2, 3)), Refinement(threshold=0.5))
    kinds = ("mask", "cutout")
    destinations = Destinations.plan(tmp_path / "out", items, kinds, None, None, keep_tree=True, many=False)
    (_bad, error), (item, results) = produce(predictor, Order(kinds, destinations, style), items)
    assert isinstance(error, PprError)
    (result,) = results
    assert (item, result.written) == (items[1], [str(tmp_path / f"out/{DEMO[0].stem}.{label}.png") for label in ("saliency", "cutout")])
    saliency = predictor(photo(DEMO[0]))
    mask = np.where(saliency.mask() > 127, 255, 0)
    assert (np.asarray(Image.open(result.written[0])) == mask).all()
    assert (np.asarray(Image.open(result.written[1]))[mask == 0] == (1, 2, 3)).all()
    assert result.summary == saliency.summary()
    assert result.record() | {"ms": 0} == {"path": str(DEMO[0]), **asdict(result.summary), "ms": 0, "written": result.written}


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
        Predictor.load(EMBEDDED.find("ras-mobile"), backend="onnx")
    with pytest.raises(UsageError, match="no such file or model"):
        Predictor.load("ras-mobil")


def test_embedded_weights_are_small():
    assert sum(path.stat().st_size for path in FOLDER.iterdir() if path.suffix in (".onnx", ".safetensors")) <= 8_000_000
