"""Functions of other people are asked as they want to be, and what is wrong with them is said."""

from __future__ import annotations

import json
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from ppr.exports.mesh.functions import BOX, of_onnx, of_python
from ppr.methods.common.errors import PprError, UsageError

POINTS = np.random.default_rng(0).random((7, 3)).astype(np.float32)


def saved(path, *, batched=False, code=None, metadata=None):
    """An ONNX file of the sum of a point's coordinates, times that of a code if there is one."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [-1])
    inputs = [helper.make_tensor_value_info("points", TensorProto.FLOAT, [1, None, 3] if batched else [None, 3])]
    nodes = [helper.make_node("ReduceSum", ["points", "axes"], ["sums"], keepdims=1)]
    if code is not None:
        inputs.append(helper.make_tensor_value_info("code", TensorProto.FLOAT, code))
        nodes += [helper.make_node("ReduceSum", ["code", "axes"], ["weight"]), helper.make_node("Mul", ["sums", "weight"], ["values"])]
    else:
        nodes.append(helper.make_node("Identity", ["sums"], ["values"]))
    output = helper.make_tensor_value_info("values", TensorProto.FLOAT, None)
    model = helper.make_model(helper.make_graph(nodes, "sum", inputs, [output], [axes]), opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("batched", [False, True])
def test_a_file_is_asked_for_points_in_the_form_it_takes(tmp_path, batched):
    function = of_onnx(saved(tmp_path / "sum.onnx", batched=batched))
    np.testing.assert_allclose(function(POINTS), POINTS.sum(1), rtol=1e-6)
    np.testing.assert_allclose(function.negated(POINTS), -POINTS.sum(1), rtol=1e-6)
    assert (function.name, function.level, function.box) == ("sum", None, BOX)


@pytest.mark.parametrize("shape", [[4], [1, 4]])
def test_a_code_is_the_second_input(tmp_path, shape):
    path = saved(tmp_path / "m.onnx", code=shape)
    code = np.array([1, 2, 3, 4], np.float32)
    np.testing.assert_allclose(of_onnx(path, code)(POINTS), 10 * POINTS.sum(1), rtol=1e-6)
    with pytest.raises(UsageError, match="a code of 3 numbers, but the model takes 4"):
        of_onnx(path, code[:3])
    with pytest.raises(UsageError, match="takes a code, too"):
        of_onnx(path)
    with pytest.raises(UsageError, match="takes points alone"):
        of_onnx(saved(tmp_path / "plain.onnx"), code)


def test_level_and_box_are_those_the_file_names(tmp_path):
    function = of_onnx(saved(tmp_path / "m.onnx", metadata={"level": "0.25", "box": json.dumps([-1, 2])}))
    assert (function.level, function.box) == (0.25, (-1.0, 2.0))


@pytest.mark.parametrize(
    ("key", "value"), [("level", "high"), ("level", "NaN"), ("level", "[1, 2]"), ("box", "3"), ("box", "[1, 1]"), ("box", '{"low": 0}')]
)
def test_metadata_that_are_no_numbers_are_refused(tmp_path, key, value):
    with pytest.raises(PprError, match=f"its metadata give '{key}' as"):
        of_onnx(saved(tmp_path / "m.onnx", metadata={key: value}))


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "their_fields.py").write_text(
        "def sums(p): return p.sum(1)\n"
        "def column(p): return p.sum(1, keepdims=True)\n"
        "def failing(p): raise RuntimeError('no idea')\n"
        "class Shapes:\n    @staticmethod\n    def twice(p): return 2 * p.sum(1)\n"
        "number = 3\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "their_fields", raising=False)


@pytest.mark.parametrize(("name", "factor"), [("sums", 1), ("column", 1), ("Shapes.twice", 2)])
@pytest.mark.usefixtures("module")
def test_a_function_of_a_module_in_this_folder_is_called(name, factor):
    np.testing.assert_allclose(of_python(f"their_fields:{name}")(POINTS), factor * POINTS.sum(1), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sums", "not of the form"),
        ("their_fields:", "not of the form"),
        ("not_there:sums", "importing 'not_there' failed"),
        ("their_fields:absent", "has no 'absent'"),
        ("their_fields:number", "is no function"),
    ],
)
@pytest.mark.usefixtures("module")
def test_what_is_no_function_is_a_usage_error(name, message):
    with pytest.raises(UsageError, match=message):
        of_python(name)


@pytest.mark.usefixtures("module")
def test_a_function_that_fails_is_named():
    with pytest.raises(PprError, match=r"their_fields:failing: failed on points \[7, 3\] \(RuntimeError: no idea\)"):
        of_python("their_fields:failing")(POINTS)
