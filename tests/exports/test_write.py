"""The writer of every exported network: what it puts in place is valid, described and equal to torch, and what is not leaves nothing."""

from __future__ import annotations

import functools
import json
import math
import resource
from dataclasses import replace

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import Tensor, nn

from ppr.exports.onnx import runner, signature, trace
from ppr.exports.parity import Tolerance
from ppr.exports.write import SUFFIX, Export, write, write_all
from ppr.methods.common.errors import PprError, UsageError

FORMATS = ["onnx", "torchscript"]
both = pytest.mark.parametrize("format", FORMATS)


class Two(nn.Module):
    """x (n, 3) -> sum with a weight (n, 3), the largest's index (n)."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, 1.5, -1.0]))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = x + self.weight
        return y, y.argmax(1)


class Computed(nn.Module):
    """x (n, 3) -> f(x), for an f without weights."""

    def __init__(self, function) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor):
        return self.function(x)


CASES = [[torch.rand(rows, 3, generator=torch.Generator().manual_seed(rows))] for rows in (4, 1, 7)]
NAMES = {"inputs": ["x"], "outputs": ["y", "largest"], "axes": {"x": {0: "rows"}}}


@functools.cache
def traced_before(opset: int) -> onnx.ModelProto:
    """Of `Two`, for tests of what comes after: tracing takes half a second."""
    return trace(Two(), CASES[0], **NAMES, opset=opset)


def example(module=None, **changes) -> Export:
    """An export that is right, but for the changes."""
    return Export(**{"module": module or Two(), "cases": CASES, "metadata": {"method": "test", "sizes": [1, 2]}} | NAMES | changes)


def ready() -> Export:
    return example(graph=traced_before)


def one_output(function, **changes) -> Export:
    return example(Computed(function), **{"outputs": ["y"]} | changes)


def refused(export: Export, folder, format, message, **options) -> PprError:
    """Write and be refused: with the file's name and "not written", and nothing is left."""
    path = folder / f"new/folder/out{SUFFIX[format]}"
    with pytest.raises(PprError, match=message) as caught:
        write(export, path, format, **options)
    assert caught.value.message.startswith(f"{path}: ") and caught.value.message.endswith("; not written")
    assert caught.value.hint
    assert not list(folder.iterdir())
    return caught.value


@both
def test_a_right_network_is_written_described_and_compared(tmp_path, format):
    path = tmp_path / f"new/out{SUFFIX[format]}"
    written = write(example(), path, format)
    assert (written.path, written.bytes) == (path, path.stat().st_size)
    assert written.compared == {"max_difference": written.parity.max_difference, "cases": 3} and written.parity.max_difference < 1e-6
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    if format == "onnx":
        assert signature(path) == ({"x": "float32 [rows, 3]"}, {"y": "float32 [rows, 3]", "largest": "int64 [rows]"})
        assert {entry.key: entry.value for entry in onnx.load(path).metadata_props} == {"method": "test", "sizes": "[1, 2]"}
    else:
        extra = {"ppr.json": ""}
        torch.jit.load(path, _extra_files=extra)
        assert json.loads(extra["ppr.json"]) == {"method": "test", "sizes": [1, 2]}


@both
@pytest.mark.parametrize("function", [lambda x: (x, (x - 2).log()), lambda x: (x / 0, x)])
def test_a_network_that_computes_no_numbers(tmp_path, format, function):
    """NaN in the second output, and infinity on both sides, whose difference is NaN."""
    refused(example(Computed(function), tolerance=Tolerance(math.inf)), tmp_path, format, "torch computes NaN or infinity in '(y|largest)'")


@both
def test_a_file_that_computes_no_numbers(tmp_path, format):
    export = one_output(lambda x: x / (x - x), reference=same, tolerance=Tolerance(math.inf))
    refused(export, tmp_path, format, "'y' holds NaN or infinity where torch has numbers")


@pytest.mark.slow
@both
def test_nan_in_the_last_case_only(tmp_path, format):
    export = one_output(lambda x: x.sqrt())
    cases = [*CASES, [torch.tensor([[1.0, 4.0, -1.0]])]]
    refused(replace(export, cases=cases), tmp_path, format, "torch computes NaN or infinity in 'y'")


def against(*reference, **changes) -> Export:
    """The right export, compared with a network whose first or second output is another."""
    network = Two()

    def other(x: Tensor) -> list[Tensor]:
        return [change(output) for change, output in zip(reference, network(x), strict=True)]

    return replace(ready(), reference=other, **changes)


def same(output: Tensor) -> Tensor:
    return output


@both
def test_a_difference_beyond_the_tolerance(tmp_path, format):
    export = against(lambda y: y + 1e-3, same)
    error = refused(export, tmp_path, format, r"'y' differs from torch by 0\.001, more than 1e-05")
    assert error.hint == {"onnx": "try another --opset, or --format torchscript", "torchscript": "try --format onnx"}[format]
    assert refused(replace(export, hint="do it by hand"), tmp_path, format, "differs").hint == "do it by hand"
    written = write(replace(export, tolerance=Tolerance(2e-3)), tmp_path / "wide", format)
    assert written.compared["max_difference"] == pytest.approx(1e-3, rel=1e-3)


@both
def test_shapes_kinds_numbers_and_integers(tmp_path, format):
    refused(against(lambda y: y[None], same), tmp_path, format, r"'y' has the shape \[4, 3\] where torch has \[1, 4, 3\]")
    refused(against(same, lambda largest: largest[:, None]), tmp_path, format, r"'largest' has the shape \[4\] where")
    refused(against(same, lambda largest: 3 - largest), tmp_path, format, "'largest' differs from torch by [123], more than 0")
    refused(against(same, lambda largest: largest.float()), tmp_path, format, "'largest' is int64 where torch has float32")
    refused(replace(ready(), reference=lambda x: Two()(x)[0]), tmp_path, format, "has 2 outputs where torch has 1 and 2 are named")


@pytest.mark.slow
@both
def test_outputs_that_are_missing_or_not_named(tmp_path, format):
    refused(example(outputs=["y"]), tmp_path, format, "y, .*where it should be y" if format == "onnx" else "2 outputs .* 1 are named")
    refused(
        one_output(lambda x: x + 1, outputs=["y", "z"]),
        tmp_path,
        format,
        "gives y where it should be y, z" if format == "onnx" else "1 outputs .* 2 are named",
    )


@pytest.mark.parametrize("names", [{"outputs": ["weight", "largest"]}, {"outputs": ["y", "x"]}, {"outputs": ["y", "y"]}])
def test_an_output_named_like_something_else_of_the_graph(tmp_path, names):
    refused(example(**names), tmp_path, "onnx", "the graph is not valid ONNX|Output names cannot be duplicated")


@pytest.mark.parametrize("name", ["weight", "y"])
def test_an_input_named_like_something_else_of_the_graph(tmp_path, name):
    refused(example(inputs=[name], axes={name: {0: "rows"}}), tmp_path, "onnx", "not valid ONNX|the graph takes|the ONNX exporter failed")


def graph_of(*nodes, domain="") -> onnx.ModelProto:
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["rows", 3]) for name in ("x", "y")]
    graph = helper.make_graph(list(nodes), "g", values[:1], values[1:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("own", 1)], ir_version=9)


@pytest.mark.parametrize(
    ("node", "message"),
    [
        (helper.make_node("Relu", ["nowhere"], ["y"]), "the graph is not valid ONNX"),
        (helper.make_node("NoSuchNode", ["x"], ["y"]), "the graph is not valid ONNX"),
        (helper.make_node("ReduceMax", ["x"], ["y"], keepdims=0), "the graph is not valid ONNX"),  # a number where (rows, 3) is declared
        (helper.make_node("Own", ["x"], ["y"], domain="own"), "ONNX Runtime cannot load it"),
        (helper.make_node("Neg", ["x"], ["y"]), "'y' differs from torch by"),
    ],
)
def test_graphs_of_ones_own_are_checked_all_the_same(tmp_path, node, message):
    refused(one_output(lambda x: x, graph=lambda _opset: graph_of(node)), tmp_path, "onnx", message)
    unchecked = one_output(lambda x: x, graph=lambda _opset: graph_of(node), tolerance=None)
    if "differs" in message:  # nobody compared, and the report says so
        assert write(unchecked, tmp_path / "out.onnx").compared == {}
    else:
        refused(unchecked, tmp_path, "onnx", message)


def test_a_graph_that_cannot_be_run(tmp_path):
    """Valid and loadable, and no input fits: (n, 3) times (n, 3)."""
    node = helper.make_node("MatMul", ["x", "x"], ["y"])
    model = graph_of(node)
    for value in (*model.graph.input, *model.graph.output):
        del value.type.tensor_type.shape.dim[:]
        for name in ("a", "b"):
            value.type.tensor_type.shape.dim.add().dim_param = name
    refused(one_output(lambda x: x, graph=lambda _opset: model), tmp_path, "onnx", "ONNX Runtime cannot run it")


@both
def test_a_module_that_cannot_be_traced(tmp_path, format):
    class Wordless(Exception):
        pass

    def fails(x: Tensor) -> Tensor:
        raise Wordless

    refused(one_output(fails), tmp_path, format, "failed")


class Saturated(nn.Module):
    """Hides an infinite weight behind a sigmoid."""

    def __init__(self, weight: float, buffer: float = 0.0) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(weight))
        self.register_buffer("mask", torch.tensor([buffer, 0.0, 0.0]))

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(x + self.bias + self.mask)


@pytest.mark.slow
@both
def test_weights_that_are_not_finite(tmp_path, format):
    for module, message in (
        (Saturated(math.inf), "the weight 'bias' is not finite"),
        (Saturated(math.nan), "the weight 'bias' is not finite"),
        (Saturated(0.0, math.nan), "the buffer 'mask' holds NaN"),
    ):
        for tolerance in (Tolerance(), None):
            error = refused(example(module, outputs=["y"], tolerance=tolerance), tmp_path, format, message)
            assert "checkpoint" in error.hint
        right = example(Saturated(0.0), outputs=["y"], reference=module)
        assert "checkpoint" in refused(replace(right, hint="another precision"), tmp_path, format, message).hint
        wrong = example(module, outputs=["y"], reference=Saturated(0.0), hint="another precision")
        assert refused(wrong, tmp_path, format, message).hint == "another precision"
    assert write(example(Saturated(0.0, -math.inf), outputs=["y"]), tmp_path / "masked", format).parity.max_difference < 1e-6


@both
def test_what_lies_there_is_kept(tmp_path, format):
    path = tmp_path / "out"
    path.write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write(example(Computed(lambda _x: pytest.fail("traced in vain"))), path, format)
    with pytest.raises(PprError, match="differs from torch"):
        write(replace(ready(), reference=lambda x: (x, x.argmax(1))), path, format, overwrite=True)
    assert path.read_text() == "mine"
    write(ready(), path, format, overwrite=True)
    assert path.stat().st_size > 100 and list(tmp_path.iterdir()) == [path]


@both
def test_a_full_disk_keeps_the_old_file(tmp_path, format):
    path = tmp_path / "out"
    path.write_text("mine")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    export = ready()
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        with pytest.raises(PprError, match="out: writing failed"):
            write(export, path, format, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_text() == "mine" and list(tmp_path.iterdir()) == [path]


@both
def test_of_several_files_all_are_written_or_none(tmp_path, format):
    right = ready()
    wrong = replace(right, reference=lambda x: (x, x.argmax(1)))
    first, last = tmp_path / "out/first", tmp_path / "out/last"
    with pytest.raises(PprError, match="last: 'y' differs"):
        write_all({first: right, last: wrong}, format)
    assert not list(tmp_path.iterdir())
    assert [file.path for file in write_all({first: right, last: right}, format)] == [first, last]
    assert sorted(first.parent.iterdir()) == [first, last]
    first.unlink()
    with pytest.raises(UsageError, match="last: exists already"):
        write_all({first: right, last: right}, format)
    assert not first.exists()


def test_interrupted_between_two_files_nothing_is_left(tmp_path):
    def interrupted(_opset):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_all({tmp_path / "new/one": ready(), tmp_path / "new/two": example(graph=interrupted)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("opset", [18, 23])
def test_the_opset_is_the_one_asked_for(tmp_path, opset):
    write(example(), tmp_path / "out.onnx", opset=opset)
    assert [entry.version for entry in onnx.load(tmp_path / "out.onnx").opset_import if entry.domain == ""] == [opset]
    with pytest.raises(UsageError, match="supported are 18 to 23"):
        write(example(), tmp_path / "never.onnx", opset=24)


def test_no_rows_are_rows_too(tmp_path):
    write(replace(ready(), cases=[*CASES, [torch.zeros(0, 3)]]), tmp_path / "out.onnx")
    values, largest = runner(tmp_path / "out.onnx", ["x"], ["y", "largest"])(torch.zeros(0, 3))
    assert (values.shape, largest.shape) == ((0, 3), (0,))


@pytest.mark.parametrize("changes", [{"cases": []}, {"cases": [[torch.zeros(2, 3)] * 2]}, {"cases": [[]]}])
def test_an_export_without_a_case_is_a_mistake_of_the_program(changes):
    with pytest.raises(ValueError, match=r"nothing to trace|one tensor an input"):
        example(**changes)


def test_dropout_is_off_in_what_is_written(tmp_path):
    module = nn.Dropout(0.5).train()
    for format in FORMATS:
        assert write(example(module, outputs=["y"], reference=same), tmp_path / format, format).parity.max_difference == 0
