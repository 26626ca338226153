"""One way from a network to a file that other programs run: made, described, checked, compared with torch, and only then put in place."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from onnx import ModelProto
from torch import Tensor, nn

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.files import atomic_path, refuse_existing

from . import onnx, torchscript
from .parity import BROKEN, USUAL, Computation, Parity, Tolerance, compare

Format = Literal["onnx", "torchscript"]
SUFFIX: dict[Format, str] = {"onnx": ".onnx", "torchscript": ".pt"}
_ELSE: dict[Format, str] = {"onnx": "try another --opset, or --format torchscript", "torchscript": "try --format onnx"}


@dataclass(frozen=True)
class Export:
    """A network as a file shall hold it.

    Args:
        module: what is traced, on the first case.
        cases: inputs on which the file is compared with torch. In the first no axis that `axes` names is 0 or 1 long.
        inputs, outputs: their names in the file. ONNX forbids one that a weight has.
        metadata: what the file says about itself.
        axes: input -> axis -> name of that dimension, which is then free.
        tolerance: how far the file may be from torch; None compares nothing, because somebody asked for that.
        reference: what the file must agree with, where that is not the module itself.
        graph: makes the ONNX graph of an opset, where that is more than tracing the module.
        hint: what to do where the file is too far off.
    """

    module: nn.Module
    cases: Sequence[Sequence[Tensor]]
    inputs: Sequence[str]
    outputs: Sequence[str]
    metadata: Mapping[str, Any]
    axes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)
    tolerance: Tolerance | None = USUAL
    reference: Computation | None = None
    graph: Callable[[int], ModelProto] | None = None
    hint: str | None = None

    def __post_init__(self) -> None:
        if not self.cases and (self.tolerance is not None or self.graph is None):
            raise ValueError("nothing to trace, or to compare on")
        if any(len(case) != len(self.inputs) for case in self.cases):
            raise ValueError("a case has one tensor an input")

    def traced(self, opset: int) -> ModelProto:
        """The ONNX graph."""
        if self.graph is not None:
            return self.graph(opset)
        return onnx.trace(self.module, self.cases[0], inputs=self.inputs, outputs=self.outputs, axes=self.axes, opset=opset)


@dataclass(frozen=True)
class Written:
    """A file that is in place."""

    path: Path
    bytes: int
    parity: Parity | None

    @property
    def compared(self) -> dict[str, Any]:
        """The largest difference to torch and the number of cases, for a report; nothing where nothing was compared."""
        return {} if self.parity is None else {"max_difference": self.parity.max_difference, "cases": self.parity.cases}


def write(export: Export, path: Path, format: Format = "onnx", *, opset: int = onnx.OPSET, overwrite: bool = False) -> Written:
    """Write one file; see `write_all`."""
    (written,) = write_all({path: export}, format, opset=opset, overwrite=overwrite)
    return written


def write_all(
    exports: Mapping[Path, Export], format: Format = "onnx", *, opset: int = onnx.OPSET, overwrite: bool = False
) -> list[Written]:
    """Write files, or none of them: each is verified under a temporary name, and they are renamed when all of them are right.

    Args:
        exports: path -> what to write there.
        opset: 18 to 23; for ONNX.

    Raises:
        UsageError: a file exists already and shall not be overwritten, or an opset that is not supported.
        PprError: a weight or an output is NaN or infinite, the network cannot be expressed in the format, the file is not valid, does not
            run, or differs from torch by more than its tolerance, or it cannot be written.
    """
    if format == "onnx":
        onnx.check_opset(opset)
    for path, export in exports.items():
        refuse_existing(path, overwrite=overwrite)
        with _refusing(path, export.hint):
            _refuse_broken_weights(export)
    written = []
    with contextlib.ExitStack() as renamed_at_the_end:
        for path, export in exports.items():
            hint = export.hint or _ELSE[format]
            with _refusing(path, hint):
                content = _content(export, format, opset)
            renamed_at_the_end.enter_context(_taking_folders_back(path))
            temporary = renamed_at_the_end.enter_context(atomic_path(path, overwrite=overwrite))
            temporary.write_bytes(content)
            with _refusing(path, hint):
                parity = _verify(temporary, export, format)
            written.append(Written(path, len(content), parity))
    return written


@contextlib.contextmanager
def _refusing(path: Path, hint: str | None) -> Iterator[None]:
    """The one form of a refusal: the file, why, "not written", and what to do."""
    try:
        yield
    except UsageError:
        raise
    except PprError as error:
        raise PprError(f"{path}: {error.message}; not written", hint=error.hint or hint) from error


@contextlib.contextmanager
def _taking_folders_back(path: Path) -> Iterator[None]:
    """Remove the folders that are made for a file which is not written after all."""
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # somebody else's file is in one
            for folder in made:
                folder.rmdir()
        raise


def _refuse_broken_weights(export: Export) -> None:
    """NaN or infinity can hide behind a saturated output, and need not be met by the cases.

    A buffer may be infinite, as masks of attention are. What a module of lower precision cannot hold is told from what the network
    lacks itself.
    """
    for module, hint in ((export.reference, BROKEN), (export.module, export.hint or BROKEN)):
        if not isinstance(module, nn.Module):
            continue
        for name, weight in module.named_parameters():
            if not torch.isfinite(weight).all():
                raise PprError(f"the weight {name!r} is not finite", hint=hint)
        for name, buffer in module.named_buffers():
            if torch.isnan(buffer).any():
                raise PprError(f"the buffer {name!r} holds NaN", hint=hint)


def _content(export: Export, format: Format, opset: int) -> bytes:
    if format == "onnx":
        return onnx.serialize(export.traced(opset), export.metadata)
    return torchscript.serialize(torchscript.trace(export.module, export.cases[0]), export.metadata)


def _verify(path: Path, export: Export, format: Format) -> Parity | None:
    """Open the file as its reader does, and compare it with torch."""
    run = onnx.runner(path, export.inputs, export.outputs) if format == "onnx" else torchscript.runner(path)
    if export.tolerance is None:
        return None
    return compare(run, export.reference or export.module.eval(), export.cases, export.outputs, export.tolerance)
