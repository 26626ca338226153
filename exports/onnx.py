"""From a torch module to a checked ONNX graph, and how such a file is run: tracing, metadata, signature and latency."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import helper
from torch import Tensor, nn

from ppr.methods.common.errors import PprError, UsageError, reason
from ppr.methods.common.measuring.onnx_session import open_session
from ppr.methods.common.measuring.timing import repeat

from .parity import Computation

OPSET = 18  # the oldest that knows antialiased Resize; read by every ONNX Runtime since 1.15
MIN_OPSET, MAX_OPSET = 18, 23


def check_opset(opset: int) -> None:
    """Refuse an operator set that is not supported.

    Raises:
        UsageError: it is not between 18 and 23.
    """
    if not MIN_OPSET <= opset <= MAX_OPSET:
        raise UsageError(f"--opset {opset}: supported are {MIN_OPSET} to {MAX_OPSET}")


def trace(
    module: nn.Module,
    example: Sequence[Tensor],
    *,
    inputs: Sequence[str],
    outputs: Sequence[str],
    axes: Mapping[str, Mapping[int, str]] | None = None,
    opset: int = OPSET,
) -> onnx.ModelProto:
    """Trace a module into an ONNX model.

    Args:
        example: inputs; an axis that `axes` names must not be 0 or 1 long, or tracing would take it for a constant.
        axes: input -> axis -> name of that dimension, which is then free.

    Raises:
        PprError: the exporter cannot express the module.
    """
    shapes = None
    if axes:
        named = {label for of_input in axes.values() for label in of_input.values()}
        dims: dict[str, Any] = {label: torch.export.Dim(label, min=1 if label == "batch" else 2) for label in named}
        shapes = tuple({axis: dims[label] for axis, label in axes.get(name, {}).items()} for name in inputs)
    try:
        with silenced(), torch.no_grad():
            program = torch.onnx.export(
                module.eval(),
                tuple(example),
                input_names=list(inputs),
                output_names=list(outputs),
                dynamic_shapes=shapes,
                opset_version=opset,
                dynamo=True,
                optimize=True,
                verbose=False,
            )
    except Exception as error:  # the exporter raises many types, all meaning that the module cannot be expressed
        raise PprError(f"the ONNX exporter failed ({reason(error)})") from error
    assert program is not None
    model = program.model_proto
    _strip_traces(model)
    return model


def serialize(model: onnx.ModelProto, metadata: Mapping[str, Any]) -> bytes:
    """The file, checked, with the metadata inside: values that are not text become JSON.

    Raises:
        PprError: the model is not valid ONNX, an output that is named like a weight among the reasons, or too large for one file.
    """
    del model.metadata_props[:]
    helper.set_model_props(model, {key: value if isinstance(value, str) else json.dumps(value) for key, value in metadata.items()})
    try:
        onnx.checker.check_model(model, full_check=True)
        return model.SerializeToString()
    except Exception as error:  # of the checker, of its shape inference, or of protobuf beyond 2 GB
        raise PprError(f"the graph is not valid ONNX ({reason(error)})") from error


def runner(path: Path, inputs: Sequence[str], outputs: Sequence[str]) -> Computation:
    """Runs the file, tensors in and out.

    Raises:
        PprError: ONNX Runtime cannot load it, its inputs or outputs have other names, or later, it cannot be run.
    """
    try:
        runtime = open_session(path)
    except PprError as error:  # names the path, which is a temporary one here
        raise PprError(f"ONNX Runtime cannot load it ({reason(error.__cause__ or error)})") from error
    for kind, asked, values in (("takes", inputs, runtime.get_inputs()), ("gives", outputs, runtime.get_outputs())):
        found = [value.name for value in values]
        if found != list(asked):
            raise PprError(f"the graph {kind} {', '.join(found) or 'nothing'} where it should be {', '.join(asked)}")

    def run(*case: Tensor) -> Sequence[Tensor]:
        try:
            answers = runtime.run(None, {name: tensor.numpy() for name, tensor in zip(inputs, case, strict=True)})
        except Exception as error:
            raise PprError(f"ONNX Runtime cannot run it ({reason(error)})") from error
        return [torch.from_numpy(np.asarray(answer)) for answer in answers]

    return run


def signature(path: Path) -> tuple[dict[str, str], dict[str, str]]:
    """Inputs and outputs of a file as name -> "float32 [batch, 3, height, width]"."""
    graph = onnx.load(path).graph

    def describe(values: Iterable[onnx.ValueInfoProto]) -> dict[str, str]:
        found = {}
        for value in values:
            tensor = value.type.tensor_type
            dims = ", ".join(str(d.dim_param or d.dim_value) for d in tensor.shape.dim)
            found[value.name] = f"{np.dtype(helper.tensor_dtype_to_np_dtype(tensor.elem_type)).name} [{dims}]"
        return found

    return describe(graph.input), describe(graph.output)


def latency(path: Path, feed: dict[str, np.ndarray], *, threads: int | None = None, runs: int = 20) -> float:
    """Median milliseconds of one run in ONNX Runtime on the CPU, after three to warm up."""
    runtime = open_session(path, threads=threads)
    return 1000 * repeat(lambda: runtime.run(None, feed), runs, warm=3).median


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
def silenced() -> Iterator[None]:
    """The exporter and the quantiser talk on stdout, where only results belong."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
