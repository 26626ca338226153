"""From a torch module to a checked ONNX file: export, metadata, precision variants, parity and latency."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.files import atomic_path

OPSET = 18  # the oldest that knows antialiased Resize; read by every ONNX Runtime since 1.15
MIN_OPSET, MAX_OPSET = 18, 23


@dataclass(frozen=True)
class Parity:
    """How an ONNX file compares with the module it came from."""

    max_difference: float
    cases: int


def export(
    module: nn.Module,
    inputs: Sequence[Tensor],
    *,
    input_names: Sequence[str],
    output_names: Sequence[str],
    dynamic: Mapping[str, Mapping[int, str]] | None = None,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """Trace a module into a checked ONNX model.

    Args:
        inputs: example inputs; an axis that `dynamic` names must not be 0 or 1 long, or tracing would take it for a constant.
        dynamic: input name -> axis -> name of that dimension.

    Raises:
        PprError: the exporter cannot express the module, or the opset is not between 18 and 23.
    """
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise PprError(f"--opset {opset}: supported are {MIN_OPSET} to {MAX_OPSET}")
    shapes = None
    if dynamic:
        dims: dict[str, Any] = {}
        named = {label for axes in dynamic.values() for label in axes.values()}
        dims = {label: torch.export.Dim(label, min=1 if label == "batch" else 2) for label in named}
        shapes = tuple({axis: dims[label] for axis, label in dynamic.get(name, {}).items()} for name in input_names)
    module = module.eval()
    try:
        with _silenced(), torch.no_grad():
            program = torch.onnx.export(
                module,
                tuple(inputs),
                input_names=list(input_names),
                output_names=list(output_names),
                dynamic_shapes=shapes,
                opset_version=opset,
                dynamo=True,
                optimize=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many types, all meaning that the module cannot be expressed
        raise PprError(f"the ONNX exporter failed ({str(error).strip().splitlines()[0][:160]})") from error
    assert program is not None
    model = program.model_proto
    _strip_traces(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def save(model: onnx.ModelProto, path: Path, *, metadata: Mapping[str, Any], overwrite: bool = False) -> None:
    """Check the model, attach metadata (values that are not text become JSON) and write the file whole or not at all.

    Raises:
        PprError: the model is not valid ONNX, or the file cannot be written.
    """
    del model.metadata_props[:]
    helper.set_model_props(model, {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()})
    try:
        onnx.checker.check_model(model, full_check=True)
    except onnx.checker.ValidationError as error:
        raise PprError(f"{path}: the exported graph is not valid ONNX ({error})") from error
    with atomic_path(path, overwrite=overwrite) as temporary:
        onnx.save_model(model, str(temporary))


def store_half(model: onnx.ModelProto, *, at_least: int = 64) -> onnx.ModelProto:
    """Store large float32 weights as float16 with a Cast behind each: half the file, float32 arithmetic.

    ONNX Runtime folds the casts into constants when it loads the model, so that it runs as fast as the float32 file.
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
        if np.abs(values).max() > np.finfo(np.float16).max:
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
    """
    import tempfile

    from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.feeds = iter(calibration)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.feeds, None)

    with tempfile.TemporaryDirectory() as folder, _silenced():
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


def _is_depthwise(node: onnx.NodeProto) -> bool:
    """Whether a node is a convolution with groups: it has few weights to save and loses most to 8 bits."""
    return node.op_type == "Conv" and any(attribute.name == "group" and attribute.i > 1 for attribute in node.attribute)


def signature(model: onnx.ModelProto) -> tuple[dict[str, str], dict[str, str]]:
    """Inputs and outputs as name -> "float32 [batch, 3, height, width]"."""

    def describe(values: Iterable[onnx.ValueInfoProto]) -> dict[str, str]:
        found = {}
        for value in values:
            tensor = value.type.tensor_type
            dims = ", ".join(str(d.dim_param or d.dim_value) for d in tensor.shape.dim)
            found[value.name] = f"{np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name} [{dims}]"
        return found

    return describe(model.graph.input), describe(model.graph.output)


def session(path: Path, *, threads: int | None = None) -> Any:
    """An ONNX Runtime session on the CPU."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def parity(path: Path, module: nn.Module, cases: Sequence[Sequence[Tensor]]) -> Parity:
    """The largest absolute difference between the file in ONNX Runtime and the module in float32, over several inputs and all outputs."""
    runtime = session(path)
    names = [node.name for node in runtime.get_inputs()]
    worst = 0.0
    with torch.no_grad():
        for case in cases:
            expected = module(*case)
            expected = expected if isinstance(expected, (tuple, list)) else [expected]
            found = runtime.run(None, {name: tensor.numpy() for name, tensor in zip(names, case, strict=True)})
            for theirs, ours in zip(found, expected, strict=True):
                worst = max(worst, float(np.abs(theirs.astype(np.float64) - ours.double().numpy()).max()))
    return Parity(worst, len(cases))


def latency(path: Path, feed: dict[str, np.ndarray], *, threads: int | None = None, runs: int = 20) -> float:
    """Median milliseconds of one run in ONNX Runtime on the CPU, after three to warm up."""
    runtime = session(path, threads=threads)
    times = []
    for _ in range(runs + 3):
        start = time.perf_counter()
        runtime.run(None, feed)
        times.append(time.perf_counter() - start)
    return 1000 * float(np.median(times[3:]))


def _strip_traces(model: onnx.ModelProto) -> None:
    """Drop the exporter's notes on source lines: a third of a small file, and paths of the machine that exported it."""
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    for value in [*model.graph.value_info, *model.graph.input, *model.graph.output]:
        del value.metadata_props[:]
    del model.graph.metadata_props[:]
    for function in model.functions:
        del function.metadata_props[:]


@contextlib.contextmanager
def _silenced() -> Iterator[None]:
    """The exporter and the quantiser talk on stdout, where only results belong."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
