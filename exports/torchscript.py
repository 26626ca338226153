"""From a torch module to a TorchScript file that C++ and mobile runtimes load."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ppr.methods.common.errors import PprError, reason

from .parity import Computation


def trace(module: nn.Module, example: Sequence[Tensor]) -> torch.jit.ScriptModule:
    """Trace a module on one input and freeze it: its weights become constants.

    Raises:
        PprError: tracing failed.
    """
    with torch.no_grad(), _silenced():
        try:
            return torch.jit.freeze(torch.jit.trace(module.eval(), tuple(example)))
        except Exception as error:  # whatever the module raises while it is traced
            raise PprError(f"tracing failed ({reason(error)})") from error


def serialize(traced: torch.jit.ScriptModule, metadata: Mapping[str, Any]) -> bytes:
    """The file, with the metadata as `ppr.json` inside."""
    buffer = io.BytesIO()
    with _silenced():
        torch.jit.save(traced, buffer, _extra_files={"ppr.json": json.dumps(dict(metadata))})
    return buffer.getvalue()


def runner(path: Path) -> Computation:
    """Runs the file.

    Raises:
        PprError: it cannot be loaded, or later, cannot be run.
    """
    try:
        with _silenced():
            loaded = torch.jit.load(str(path), map_location="cpu")
    except Exception as error:
        raise PprError(f"TorchScript cannot load it ({reason(error)})") from error

    def run(*case: Tensor) -> Tensor | Sequence[Tensor]:
        try:
            return loaded(*case)
        except Exception as error:
            raise PprError(f"TorchScript cannot run it ({reason(error)})") from error

    return run


def _silenced() -> warnings.catch_warnings:
    """TorchScript warns of its own age, and of every branch that a trace takes."""
    return warnings.catch_warnings(action="ignore")
