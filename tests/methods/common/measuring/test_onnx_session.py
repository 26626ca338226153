"""Opening networks in ONNX Runtime: what was asked for, and what is said about files and devices that are not to be had."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from ppr.methods.common.errors import PprError, UsageError, reason
from ppr.methods.common.measuring.onnx_session import choose_providers, open_session


@pytest.fixture
def doubling(tmp_path):
    """y = x + x over [rows, 3]."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, tmp_path / "double.onnx")
    return tmp_path / "double.onnx"


def test_it_runs_as_it_was_asked_to(doubling, monkeypatch):
    given = []
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *args, **named: given.append((args[1], named)) or session(*args, **named))
    x = np.ones((2, 3), np.float32)
    (y,) = open_session(doubling, threads=3, dimensions={"rows": 2}).run(None, {"x": x})
    np.testing.assert_array_equal(y, 2 * x)
    open_session(doubling)
    (options, named), (free, _named) = given
    assert (options.intra_op_num_threads, options.log_severity_level, named["providers"]) == (3, 3, ["CPUExecutionProvider"])
    assert options.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    assert free.intra_op_num_threads == 0


def test_known_dimensions_are_fixed(doubling):
    fixed = open_session(doubling, dimensions={"rows": 2})
    assert fixed.get_inputs()[0].shape == [2, 3]
    assert open_session(doubling).get_inputs()[0].shape == ["rows", 3]


def test_a_damaged_file_is_named_with_a_hint(doubling):
    doubling.write_bytes(doubling.read_bytes()[:-20])
    with pytest.raises(PprError, match=r"double.onnx: ONNX Runtime cannot load it \(") as caught:
        open_session(doubling, hint="train again")
    assert caught.value.hint == "train again"
    assert "\n" not in caught.value.message


def test_a_reason_fits_a_line():
    assert reason(RuntimeError("x" * 500 + "\nmore")) == "x" * 160
    assert reason(RuntimeError()) == "RuntimeError"


def test_devices(monkeypatch):
    both = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("ppr.methods.common.measuring.onnx_session.has_nvidia_driver", lambda: True)
    assert choose_providers("cuda:1", both) == [("CUDAExecutionProvider", {"device_id": 1}), "CPUExecutionProvider"]
    assert choose_providers("auto", both) == [("CUDAExecutionProvider", {"device_id": 0}), "CPUExecutionProvider"]
    assert choose_providers("cpu", both) == choose_providers("auto", both[1:]) == ["CPUExecutionProvider"]
    monkeypatch.setattr("ppr.methods.common.measuring.onnx_session.has_nvidia_driver", lambda: False)
    assert choose_providers("auto", both) == ["CPUExecutionProvider"]
    for wrong, message in (("cuda", "no NVIDIA driver"), ("gpu", "not a device"), ("cpu:0", "not a device"), ("cuda:x", "not a device")):
        with pytest.raises(UsageError, match=message):
            choose_providers(wrong, both)


def test_cuda_that_does_not_start_is_an_error(doubling, monkeypatch):
    """The runtime itself would go on with the CPU."""
    monkeypatch.setattr("ppr.methods.common.measuring.onnx_session.choose_providers", lambda *_given: ["CPUExecutionProvider"])
    with pytest.raises(UsageError, match="could not start CUDA"):
        open_session(doubling, device="cuda")


def test_neither_torch_nor_onnx_is_imported(doubling):
    code = (
        "import sys\nfrom pathlib import Path\n"
        "for name in ('torch', 'onnx', 'matplotlib', 'scipy', 'pydantic'): sys.modules[name] = None\n"
        "from ppr.methods.common.measuring.onnx_session import open_session\n"
        "open_session(Path(sys.argv[1]))"
    )
    subprocess.run([sys.executable, "-c", code, str(doubling)], check=True, timeout=300)
