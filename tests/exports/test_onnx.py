"""ONNX graphs: traced as asked, described, without traces of the machine, and smaller where promised."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from ppr.exports import onnx as exporter
from ppr.exports.parity import Tolerance, compare
from ppr.exports.precision import store_half
from ppr.methods.common.errors import PprError, UsageError


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
    axes = {"image": {0: "batch", 2: "height", 3: "width"}}
    return module, exporter.trace(module, [torch.rand(2, 3, 32, 32)], inputs=["image"], outputs=["map"], axes=axes)


def written(model: onnx.ModelProto, path: Path, **metadata: object) -> Path:
    path.write_bytes(exporter.serialize(model, metadata))
    return path


def difference(path: Path, module: nn.Module, *sizes: tuple[int, int]) -> float:
    cases = [[torch.rand(1, 3, *size)] for size in sizes]
    return compare(exporter.runner(path, ["image"], ["map"]), module, cases, ["map"], Tolerance(1.0)).max_difference


def test_axes_opset_and_metadata_are_as_asked(small, tmp_path):
    module, model = small
    assert [entry.version for entry in model.opset_import if entry.domain == ""] == [18]
    path = written(model, tmp_path / "m.onnx", arch="small", mean=[1, 2, 3])
    inputs, outputs = exporter.signature(path)
    assert inputs == {"image": "float32 [batch, 3, height, width]"}
    assert outputs == {"map": "float32 [batch, 16, height, width]"}
    kept = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    assert kept == {"arch": "small", "mean": json.dumps([1, 2, 3])}
    assert difference(path, module, (32, 32), (17, 50), (64, 33)) < 1e-6


def test_another_network_is_seen(small, tmp_path):
    assert difference(written(small[1], tmp_path / "m.onnx"), Small().eval(), (16, 16)) > 1e-3


def test_no_path_of_this_machine_travels_in_a_file(small):
    _, model = small
    assert str(Path(__file__).parents[2]).encode() not in model.SerializeToString()


def test_half_storage_halves_the_file_and_keeps_the_function(small, tmp_path):
    module, model = small
    half = store_half(model, at_least=8)
    assert difference(written(half, tmp_path / "h.onnx"), module, (20, 20)) < 1e-3
    stored = {w.name: w.data_type for w in half.graph.initializer}
    assert onnx.TensorProto.FLOAT not in stored.values()


@pytest.mark.parametrize("value", [1e6, np.inf, np.nan])
def test_weights_beyond_half_precision_are_refused(small, value):
    _, model = small
    big = onnx.ModelProto()
    big.CopyFrom(model)
    weight = next(w for w in big.graph.initializer if len(w.dims) == 4)
    weight.CopyFrom(onnx.numpy_helper.from_array(np.full((16, 3, 3, 3), value, np.float32), weight.name))
    with pytest.raises(PprError, match="half precision"):
        store_half(big)


@pytest.mark.parametrize("opset", [17, 24])
def test_an_opset_that_is_not_supported(opset):
    with pytest.raises(UsageError, match=f"--opset {opset}: supported are 18 to 23"):
        exporter.check_opset(opset)
