"""Exported files: valid, equal to torch, smaller where promised, and usable by `infer`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from ppr.exports import onnx as exporter
from ppr.exports import saliency, torchscript
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.images import decode
from ppr.methods.common.running.checkpoint import Meta
from ppr.methods.saliency.infer import Predictor
from ppr.methods.saliency.network import RAS
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


class Small(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 16, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(self.conv(x))


@pytest.fixture(scope="module")
def small() -> tuple[Small, onnx.ModelProto]:
    torch.manual_seed(0)
    module = Small().eval()
    dynamic = {"image": {0: "batch", 2: "height", 3: "width"}}
    return module, exporter.export(module, [torch.rand(2, 3, 32, 32)], input_names=["image"], output_names=["map"], dynamic=dynamic)


def test_axes_opset_and_metadata_are_as_asked(small, tmp_path):
    module, model = small
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [18]
    inputs, outputs = exporter.signature(model)
    assert inputs == {"image": "float32 [batch, 3, height, width]"}
    assert outputs == {"map": "float32 [batch, 16, height, width]"}
    exporter.save(model, tmp_path / "m.onnx", metadata={"arch": "small", "mean": [1, 2, 3]})
    kept = {entry.key: entry.value for entry in onnx.load(tmp_path / "m.onnx").metadata_props}
    assert kept == {"arch": "small", "mean": json.dumps([1, 2, 3])}
    cases = [[torch.rand(1, 3, *size)] for size in ((32, 32), (17, 50), (64, 33))]
    assert exporter.parity(tmp_path / "m.onnx", module, cases).max_difference < 1e-6


def test_parity_sees_a_difference(small, tmp_path):
    """The check that guards every export must be able to fail."""
    _module, model = small
    exporter.save(model, tmp_path / "m.onnx", metadata={})
    other = Small().eval()
    assert exporter.parity(tmp_path / "m.onnx", other, [[torch.rand(1, 3, 16, 16)]]).max_difference > 1e-3


def test_no_path_of_this_machine_travels_in_a_file(small):
    _, model = small
    assert str(Path(__file__).parents[2]).encode() not in model.SerializeToString()


def test_half_storage_halves_the_file_and_keeps_the_function(small, tmp_path):
    module, model = small
    half = exporter.store_half(model, at_least=8)
    exporter.save(half, tmp_path / "h.onnx", metadata={})
    assert exporter.parity(tmp_path / "h.onnx", module, [[torch.rand(1, 3, 20, 20)]]).max_difference < 1e-3
    stored = {w.name: w.data_type for w in half.graph.initializer}
    assert onnx.TensorProto.FLOAT not in stored.values()


def test_weights_beyond_half_precision_are_refused(small):
    _, model = small
    big = onnx.ModelProto()
    big.CopyFrom(model)
    weight = next(w for w in big.graph.initializer if len(w.dims) == 4)
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full((16, 3, 3, 3), 1e6, np.float32), weight.name))
    with pytest.raises(PprError, match="half precision"):
        exporter.store_half(big)


def test_the_embedded_file_is_the_embedded_checkpoint(trained):
    network, _ = trained
    graph = saliency.SaliencyGraph(network).eval()
    cases = [[case] for case in saliency._cases(256, dynamic=True)]
    assert exporter.parity(FOLDER / "ras-mobile.onnx", graph, cases).max_difference < 1e-4
    onnx.checker.check_model(onnx.load(FOLDER / "ras-mobile.onnx"), full_check=True)


def test_preprocessing_inside_the_graph_gives_infers_mask(trained, photos, tmp_path):
    network, meta = trained
    path = tmp_path / "whole.onnx"
    report = saliency.to_onnx(network, meta, path, saliency.Request(side=256, preprocess=True), calibration=photos)
    assert report["max_grey_levels"] <= 1
    whole, plain = Predictor.load(path, threads=2), Predictor.load(threads=2)
    for rgb in photos[:2]:
        assert np.abs(whole(rgb).mask().astype(int) - plain(rgb).mask().astype(int)).max() <= 1
    assert whole.describe()["arch"] == "ras-mobile"


def test_int8_stays_close_and_is_half_of_half(trained, photos, tmp_path):
    network, meta = trained
    report = saliency.to_onnx(network, meta, tmp_path / "int8.onnx", saliency.Request(side=256, precision="int8"), calibration=photos)
    assert report["mean_difference"] < 0.02
    assert report["bytes"] < 0.7 * (FOLDER / "ras-mobile.onnx").stat().st_size
    kinds = {node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node}
    assert {"QuantizeLinear", "DequantizeLinear"} <= kinds
    int8, plain = Predictor.load(tmp_path / "int8.onnx", threads=2), Predictor.load(threads=2)
    assert np.mean([np.abs(int8(rgb).probability - plain(rgb).probability).mean() for rgb in photos]) < 0.02


def test_half_arithmetic_is_within_its_tolerance(trained, tmp_path):
    network, meta = trained
    report = saliency.to_onnx(network, meta, tmp_path / "half.onnx", saliency.Request(side=96, precision="fp16", all_levels=True))
    assert report["max_difference"] < 5e-3
    assert list(report["outputs"]) == ["saliency", "level2", "level3", "level4"]
    found = Predictor.load(tmp_path / "half.onnx", threads=1)(np.full((50, 70, 3), 90, np.uint8))
    assert found.probability.shape == (96, 96), "of several outputs infer reads the finest"


def test_rembg_profile_takes_what_rembg_feeds(trained, photos, tmp_path):
    """rembg feeds RGB / max with ImageNet's mean and std at 320x320, and reads output 0."""
    network, meta = trained
    path = tmp_path / "rembg.onnx"
    saliency.to_onnx(network, meta, path, saliency.Request(side=320, profile="rembg"))
    from PIL import Image

    rgb = photos[0]
    small = np.asarray(Image.fromarray(rgb).resize((320, 320), Image.Resampling.BILINEAR)).astype(np.float32)
    x = ((small / small.max() - np.float32([0.485, 0.456, 0.406])) / np.float32([0.229, 0.224, 0.225])).transpose(2, 0, 1)[None]
    found = exporter.session(path).run(None, {"image": x})[0]
    assert found.shape == (1, 1, 320, 320)
    assert np.abs(found[0, 0] - Predictor.load(size=320, threads=2)(rgb).probability).mean() < 0.01
    with pytest.raises(PprError, match="rembg"):
        Predictor.load(path)


def test_torchscript_takes_any_size(trained, tmp_path):
    network, meta = trained
    report = saliency.to_torchscript(network, meta, tmp_path / "t.pt", saliency.Request(side=0))
    assert report["max_difference"] < 1e-4
    with pytest.raises(UsageError, match="plain float32"):
        saliency.to_torchscript(network, meta, tmp_path / "u.pt", saliency.Request(side=0, precision="int8"))


def test_a_torchscript_that_differs_is_not_written(tmp_path):
    class Random(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + torch.rand_like(x)

    with pytest.raises(PprError, match="differs from torch"):
        torchscript.export(Random(), [[torch.zeros(1, 3, 4, 4)]], tmp_path / "r.pt", metadata={}, tolerance=1e-4)
    assert list(tmp_path.iterdir()) == []


def test_requests_that_contradict_themselves(trained, tmp_path):
    network, meta = trained
    for request, message in (
        (saliency.Request(side=0, preprocess=True), "fixed --size"),
        (saliency.Request(side=256, profile="rembg"), "320x320"),
        (saliency.Request(side=256, precision="int8"), "images to calibrate on"),
    ):
        with pytest.raises(UsageError, match=message):
            saliency.to_onnx(network, meta, tmp_path / "x.onnx", request)
    with pytest.raises(PprError, match="supported are 18"):
        exporter.export(Small(), [torch.rand(1, 3, 8, 8)], input_names=["i"], output_names=["o"], opset=11)
    assert list(tmp_path.iterdir()) == []
