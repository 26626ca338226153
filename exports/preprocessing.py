"""Pre- and post-processing inside an ONNX graph: a photo of any size in, a mask of that size out."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, compose, helper, numpy_helper

from ppr.methods.saliency.network import Normalization


class _Builder:
    """Appends nodes and constants to a graph under construction."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any, dtype: Any) -> str:
        name = f"constant{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def add(self, op: str, *inputs: str, output: str | None = None, **attributes: Any) -> str:
        name = output or f"{op.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name


#: Pillow's weights for 8-bit images are integers in units of 2^-22 (32 bits less 8 of the pixel and 2 to spare).
PILLOW_UNIT = float(1 << 22)


def _triangle_weights(build: _Builder, length: str, side: int) -> str:
    """(side, length) float64 weights of Pillow's bilinear filter: a triangle as wide as one output pixel, at least one input pixel.

    `length` names an int64 vector of one element. The weights are integers in Pillow's unit, as its own are: where a photo shrinks by a
    simple ratio many sums end on half a level, and only the same arithmetic rounds them all the same way.
    """
    zero, one, half = (build.constant(value, np.float64) for value in (0, 1, 0.5))
    count = build.add("Cast", build.add("Squeeze", length), to=TensorProto.DOUBLE)
    scale = build.add("Div", count, build.constant(side, np.float64))
    support = build.add("Max", scale, one)
    centres = build.add("Mul", build.constant((np.arange(side) + 0.5)[:, None], np.float64), scale)
    pixels = build.add("Add", build.add("Range", zero, count, one), half)
    distance = build.add("Div", build.add("Abs", build.add("Sub", pixels, centres)), support)
    weights = build.add("Max", build.add("Sub", one, distance), zero)
    normalised = build.add("Div", weights, build.add("ReduceSum", weights, build.constant([1], np.int64), keepdims=1))
    return build.add("Floor", build.add("Add", build.add("Mul", normalised, build.constant(PILLOW_UNIT, np.float64)), half))


def with_preprocessing(model: onnx.ModelProto, normalization: Normalization, side: int) -> onnx.ModelProto:
    """Wrap a plain graph of fixed size: (H, W, 3) uint8 RGB of any size -> (H, W) uint8 mask.

    The resize is Pillow's antialiased bilinear, columns before rows and rounded to 8 bits after each, as `infer` does it; ONNX's own
    antialiased Resize treats borders differently, which moves masks by several grey levels.
    """
    build = _Builder()

    def rounded(x: str) -> str:
        return build.add(
            "Floor", build.add("Add", build.add("Div", x, build.constant(PILLOW_UNIT, np.float64)), build.constant(0.5, np.float64))
        )

    shape = build.add("Shape", "photo", start=0, end=2)
    height, width = (build.add("Shape", "photo", start=axis, end=axis + 1) for axis in (0, 1))
    planes = build.add("Cast", build.add("Transpose", "photo", perm=[2, 0, 1]), to=TensorProto.DOUBLE)
    columns = build.add("Transpose", _triangle_weights(build, width, side), perm=[1, 0])
    narrow = rounded(build.add("MatMul", planes, columns))
    small = rounded(build.add("MatMul", _triangle_weights(build, height, side), narrow))
    batch = build.add("Unsqueeze", build.add("Cast", small, to=TensorProto.FLOAT), build.constant([0], np.int64))
    unit = build.add("Div", batch, build.constant(normalization.scale, np.float32))
    centred = build.add("Sub", unit, build.constant(np.reshape(normalization.mean, (1, 3, 1, 1)), np.float32))
    scaled = build.add("Div", centred, build.constant(np.reshape(normalization.std, (1, 3, 1, 1)), np.float32))
    order = build.constant([2, 1, 0] if normalization.bgr else [0, 1, 2], np.int64)
    network_input = build.add("Gather", scaled, order, axis=1)

    inner = compose.add_prefix(model, "net_").graph
    rename = {inner.input[0].name: network_input, inner.output[0].name: "saliency"}
    for node in inner.node:
        node.input[:] = [rename.get(name, name) for name in node.input]
        node.output[:] = [rename.get(name, name) for name in node.output]
        build.nodes.append(node)

    full_size = build.add("Concat", build.constant([1, 1], np.int64), shape, axis=0)
    full = build.add("Resize", "saliency", "", "", full_size, mode="linear", coordinate_transformation_mode="half_pixel")
    levels = build.add("Round", build.add("Mul", full, build.constant(255, np.float32)))
    build.add("Squeeze", build.add("Cast", levels, to=TensorProto.UINT8), build.constant([0, 1], np.int64), output="mask")
    graph = helper.make_graph(
        build.nodes,
        "saliency_with_preprocessing",
        [helper.make_tensor_value_info("photo", TensorProto.UINT8, ["photo_height", "photo_width", 3])],
        [helper.make_tensor_value_info("mask", TensorProto.UINT8, ["photo_height", "photo_width"])],
        [*inner.initializer, *build.constants],
    )
    wrapped = helper.make_model(graph, opset_imports=list(model.opset_import), ir_version=model.ir_version)
    wrapped.functions.extend(model.functions)
    return wrapped
