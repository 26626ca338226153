"""From a torch module to a TorchScript file that C++ and mobile runtimes load."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.files import atomic_path

from .onnx import Parity


def export(
    module: nn.Module,
    cases: Sequence[Sequence[Tensor]],
    path: Path,
    *,
    metadata: Mapping[str, Any],
    tolerance: float,
    overwrite: bool = False,
) -> Parity:
    """Trace on the first case, freeze, and write the file if it agrees with the module on all cases. Metadata goes into `ppr.json` inside.

    Raises:
        PprError: tracing failed, or the outputs differ by more than `tolerance`.
    """
    module = module.eval()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            traced = torch.jit.freeze(torch.jit.trace(module, tuple(cases[0])))
        except RuntimeError as error:
            raise PprError(f"{path}: tracing failed ({str(error).splitlines()[0][:160]})") from error
        with atomic_path(path, overwrite=overwrite) as temporary:
            torch.jit.save(traced, str(temporary), _extra_files={"ppr.json": json.dumps(dict(metadata))})
            loaded = torch.jit.load(str(temporary))
            worst = max(_difference(loaded(*case), module(*case)) for case in cases)
            if worst > tolerance:
                raise PprError(f"{path}: differs from torch by {worst:.2g}, more than {tolerance:g}; not written")
    return Parity(worst, len(cases))


def _difference(found: Any, expected: Any) -> float:
    pairs = zip(found, expected, strict=True) if isinstance(expected, (tuple, list)) else [(found, expected)]
    return max((ours - theirs).abs().max().item() for ours, theirs in pairs)
