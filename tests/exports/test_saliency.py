"""Exported RAS networks: equal to torch, smaller where promised, and usable by `infer`."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from ppr.exports import onnx as exporter
from ppr.exports import saliency
from ppr.exports.parity import Tolerance, compare
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.measuring.onnx_session import open_session
from ppr.methods.common.reading.images import decode
from ppr.methods.common.running.checkpoint import Meta
from ppr.methods.saliency.infer import Predictor
from ppr.methods.saliency.network import ARCHITECTURES, RAS
from ppr.methods.saliency.torch_backend import load_network
from ppr.methods.saliency.weights import EMBEDDED

FOLDER = EMBEDDED.folder
DEMO = sorted((FOLDER.parent / "demo").glob("*.jpg"))


@pytest.fixture(scope="module")
def trained() -> tuple[RAS, Meta]:
    return load_network("ras-mobile")


@pytest.fixture(scope="module")
def photos() -> list[np.ndarray]:
    return [decode(path, path.name).rgb for path in DEMO]


def test_the_embedded_file_is_the_embedded_checkpoint(trained):
    network, _ = trained
    graph = saliency.SaliencyGraph(network).eval()
    run = exporter.runner(FOLDER / "ras-mobile.onnx", ["image"], ["saliency"])
    assert compare(run, graph, saliency.random_cases(256, dynamic=True), ["saliency"], Tolerance(1e-4)).cases == 3
    onnx.checker.check_model(onnx.load(FOLDER / "ras-mobile.onnx"), full_check=True)


@pytest.mark.slow
def test_preprocessing_inside_the_graph_gives_infers_mask(trained, photos, tmp_path):
    """At a side to which the photos shrink by 4/5: many sums end on half a level, and have to be rounded as Pillow rounds them."""
    network, meta = trained
    path = tmp_path / "whole.onnx"
    report = saliency.to_onnx(network, meta, path, saliency.Request(side=320, preprocess=True), calibration=photos)
    assert report["max_grey_levels"] <= 1
    whole, plain = Predictor.load(path, threads=2), Predictor.load(threads=2, size=320)
    for rgb in photos[:2]:
        assert np.abs(whole(rgb).mask().astype(int) - plain(rgb).mask().astype(int)).max() <= 1
    assert whole.describe()["arch"] == "ras-mobile"


@pytest.mark.slow
def test_int8_stays_close_and_is_half_of_half(trained, photos, tmp_path):
    network, meta = trained
    report = saliency.to_onnx(network, meta, tmp_path / "int8.onnx", saliency.Request(side=256, precision="int8"), calibration=photos)
    assert report["mean_difference"] < 0.02
    assert report["bytes"] < 0.7 * (FOLDER / "ras-mobile.onnx").stat().st_size
    kinds = {node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    int8, plain = Predictor.load(tmp_path / "int8.onnx", threads=2), Predictor.load(threads=2)
    assert np.mean([np.abs(int8(rgb).probability - plain(rgb).probability).mean() for rgb in photos]) < 0.02


@pytest.mark.slow
def test_half_arithmetic_is_within_its_tolerance(trained, tmp_path):
    network, meta = trained
    report = saliency.to_onnx(network, meta, tmp_path / "half.onnx", saliency.Request(side=96, precision="fp16", all_levels=True))
    assert report["max_difference"] < 5e-3
    assert list(report["outputs"]) == ["saliency", "level2", "level3", "level4"]
    found = Predictor.load(tmp_path / "half.onnx", threads=1)(np.full((50, 70, 3), 90, np.uint8))
    assert found.probability.shape == (96, 96), "of several outputs infer reads the finest"


@pytest.mark.slow
def test_rembg_profile_takes_what_rembg_feeds(trained, photos, tmp_path):
    """rembg feeds RGB / max with ImageNet's mean and std at 320x320, and reads output 0."""
    network, meta = trained
    path = tmp_path / "rembg.onnx"
    saliency.to_onnx(network, meta, path, saliency.Request(side=320, profile="rembg"))
    from PIL import Image

    rgb = photos[0]
    small = np.asarray(Image.fromarray(rgb).resize((320, 320), Image.Resampling.BILINEAR)).astype(np.float32)
    x = ((small / small.max() - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])).transpose(2, 0, 1)[None]
    found = open_session(path).run(None, {"image": x})[0]
    assert found.shape == (1, 1, 320, 320)
    assert np.abs(found[0, 0] - Predictor.load(size=320, threads=2)(rgb).probability).mean() < 0.01
    with pytest.raises(PprError, match="rembg"):
        Predictor.load(path)


@pytest.mark.slow
def test_torchscript_takes_any_size(trained, tmp_path):
    network, meta = trained
    report = saliency.to_torchscript(network, meta, tmp_path / "t.pt", saliency.Request(side=0))
    assert report["max_difference"] < 1e-4
    with pytest.raises(UsageError, match="plain float32"):
        saliency.to_torchscript(network, meta, tmp_path / "u.pt", saliency.Request(side=0, precision="int8"))


def test_requests_that_contradict_themselves(trained, tmp_path):
    network, meta = trained
    for request, message in (
        (saliency.Request(side=0, preprocess=True), "fixed --size"),
        (saliency.Request(side=256, profile="rembg"), "320x320"),
        (saliency.Request(side=256, precision="int8"), "images to calibrate on"),
        (saliency.Request(side=256, preprocess=True), "photos to be compared on"),
    ):
        with pytest.raises(UsageError, match=message):
            saliency.to_onnx(network, meta, tmp_path / "x.onnx", request)
    assert list(tmp_path.iterdir()) == []


KINDS = {
    "plain": {},
    "levels": {"all_levels": True},
    "half": {"precision": "fp16"},
    "stored in half": {"precision": "fp16w"},
    "int8": {"precision": "int8"},
    "photo to mask": {"preprocess": True},
    "rembg": {"profile": "rembg", "side": 320},
}


@pytest.fixture
def small() -> RAS:
    torch.manual_seed(0)
    return ARCHITECTURES["ras-mobile-s"].build(norm=True)


def overflow(network: RAS) -> None:
    """Give the finest block finite weights whose sum is infinity minus infinity."""
    (_conv, _pointwise, norm, _relu), last = network.blocks[-1].residual[-2:]
    with torch.no_grad():
        norm.bias.fill_(3e38)
        last.weight.copy_(10 * last.weight.sign())


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_weights_that_are_not_finite_are_not_written(small, photos, tmp_path, kind, value):
    with torch.no_grad():
        small.get_submodule(saliency.score_layers(small)[-1]).weight.view(-1)[0] = value
    request = saliency.Request(**{"side": 64} | KINDS[kind])
    with pytest.raises(PprError, match=r"m\.onnx: the weight '.*' is not finite; not written") as caught:
        saliency.to_onnx(small, Meta("saliency", "ras-mobile-s"), tmp_path / "m.onnx", request, calibration=photos[:2])
    assert "checkpoint" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["plain", "int8", "photo to mask"])
def test_a_network_that_computes_no_numbers_is_not_written(small, photos, tmp_path, kind):
    """Finite weights; in a mask NaN would be a grey level like any other."""
    overflow(small)
    request = saliency.Request(**{"side": 64} | KINDS[kind])
    with pytest.raises(PprError, match=r"m\.onnx: .*; not written") as caught:
        saliency.to_onnx(small, Meta("saliency", "ras-mobile-s"), tmp_path / "m.onnx", request, calibration=photos[:2])
    assert kind == "int8" or "torch computes NaN or infinity" in caught.value.message
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_torchscript_that_computes_no_numbers_is_not_written(small, tmp_path):
    overflow(small)
    with pytest.raises(PprError, match=r"m\.pt: torch computes NaN or infinity in 'saliency'; not written"):
        saliency.to_torchscript(small, Meta("saliency", "ras-mobile-s"), tmp_path / "m.pt", saliency.Request(side=64))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_weights_that_half_precision_cannot_hold(small, tmp_path):
    """The hint names another precision where the network itself is right."""
    small.requires_grad_(False)
    conv = next(module for module in small.modules() if isinstance(module, nn.Conv2d) and module.groups == 1)
    conv.weight *= 1e6
    for precision, message in (("fp16", "is not finite"), ("fp16w", "does not fit into half precision")):
        with pytest.raises(PprError, match=f"the weight .* {message}; not written") as caught:
            request = saliency.Request(side=64, precision=precision)
            saliency.to_onnx(small, Meta("saliency", "ras-mobile-s"), tmp_path / "m.onnx", request)
        assert caught.value.hint == {"fp16": "use --precision fp16w", "fp16w": "use --precision fp32"}[precision]
    assert list(tmp_path.iterdir()) == []
