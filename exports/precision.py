"""An ONNX graph in less precision: weights stored in half, or convolutions computed in 8 bits."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from ppr.methods.common.errors import PprError, reason

from .onnx import silenced


def store_half(model: onnx.ModelProto, *, at_least: int = 64) -> onnx.ModelProto:
    """Store large float32 weights as float16 with a Cast behind each: half the file, float32 arithmetic.

    ONNX Runtime folds the casts into constants when it loads the model, so that it runs as fast as the float32 file.

    Raises:
        PprError: a weight that is too large, infinite or NaN.
    """
    halved = onnx.ModelProto()
    halved.CopyFrom(model)
    graph = halved.graph
    casts = []
    for initializer in graph.initializer:
        if initializer.data_type != TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(initializer)
        if values.size < at_least:
            continue
        if not np.abs(values).max() <= np.finfo(np.float16).max:
            raise PprError(f"the weight {initializer.name} does not fit into half precision")
        name = initializer.name
        initializer.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], f"{name}_cast", to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    stored = {initializer.name for initializer in graph.initializer}
    kept = [value for value in graph.value_info if value.name not in stored]
    del graph.value_info[:]
    graph.value_info.extend(kept)
    return halved


def quantize_int8(
    model: onnx.ModelProto, calibration: Iterable[dict[str, np.ndarray]], *, keep_float: Sequence[str] = ()
) -> onnx.ModelProto:
    """Static int8 quantisation in QDQ form: per-channel weights, activations calibrated on real inputs, depthwise convolutions left out.

    Args:
        calibration: feeds as the model takes them; some hundred.
        keep_float: name fragments of nodes that stay in float32 (the last convolutions, which decide the map's levels).

    Raises:
        PprError: the quantiser failed.
    """
    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    try:
        with tempfile.TemporaryDirectory() as folder, silenced():
            plain, prepared, result = (Path(folder) / name for name in ("plain.onnx", "prepared.onnx", "int8.onnx"))
            onnx.save_model(model, str(plain))
            quant_pre_process(str(plain), str(prepared), skip_symbolic_shape=True)
            nodes = onnx.load(str(prepared)).graph.node
            excluded = [
                node.name
                for node in nodes
                if _is_depthwise(node) or any(part in name for part in keep_float for name in (node.name, *node.input))
            ]
            quantize_static(
                str(prepared),
                str(result),
                Reader(),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                reduce_range=False,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                calibrate_method=CalibrationMethod.MinMax,
                op_types_to_quantize=["Conv"],  # sums of logits and attention products span too wide a range for 256 levels
                nodes_to_exclude=excluded,
            )
            return onnx.load(str(result))
    except Exception as error:  # of the quantiser, of the runtime that calibrates, or of a full disk
        raise PprError(f"ONNX Runtime cannot quantise the graph ({reason(error)})") from error


def _is_depthwise(node: onnx.NodeProto) -> bool:
    """Whether a node is a convolution with groups: it has few weights to save and loses most to 8 bits."""
    return node.op_type == "Conv" and any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)
