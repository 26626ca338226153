"""Implicit functions of other people: in an ONNX file, or in a Python module."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ppr.methods.common.errors import PprError, UsageError, reason
from ppr.methods.common.measuring.onnx_session import open_session
from ppr.methods.common.running import onnx_metadata

from .lattice import Field, Floats

BOX = (-0.5, 0.5)
_NUMBERS = "the metadata `level` is a number, `box` two ascending ones in brackets"


@dataclass(frozen=True)
class Function:
    """A field, and what it says of itself.

    Attributes:
        values: points float32 [n, 3] -> one value a point.
        level: the value on the surface; None where it does not say.
        box: the walls of the cube it is about.
    """

    name: str
    values: Field
    level: float | None = None
    box: tuple[float, float] = BOX

    def __call__(self, points: Floats) -> Floats:
        return self.values(points)

    def negated(self, points: Floats) -> Floats:
        """High where the function is low."""
        return -self.values(points)


def of_python(name: str) -> Function:
    """The function `module:function` (attributes may be nested), importable from the current folder.

    Raises:
        UsageError: no such module or function; or its import fails.
        PprError: when called, and the function fails.
    """
    module_name, separator, attributes = name.partition(":")
    if not (separator and module_name and attributes):
        raise UsageError(f"--field {name}: not of the form module:function", hint="for example --field shapes:torus")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module_name)
    except Exception as error:  # the user's own module may fail in any way while it is imported
        raise UsageError(f"--field {name}: importing '{module_name}' failed ({type(error).__name__}: {error})") from error
    finally:
        sys.path.pop(0)
    for attribute in attributes.split("."):
        if not hasattr(found, attribute):
            raise UsageError(f"--field {name}: '{module_name}' has no '{attributes}'")
        found = getattr(found, attribute)
    if not callable(found):
        raise UsageError(f"--field {name}: is no function")

    def values(points: Floats) -> Floats:
        try:
            answer = found(points)
        except Exception as error:  # the user's own function may fail in any way
            raise PprError(f"--field {name}: failed on points {list(points.shape)} ({type(error).__name__}: {error})") from error
        if hasattr(answer, "detach"):
            answer = answer.detach().cpu().numpy()
        answer = np.asarray(answer)
        return answer[:, 0] if answer.ndim == 2 and answer.shape[1] == 1 else answer

    return Function(name, values)


def of_onnx(path: Path, code: NDArray[np.float32] | None = None, *, threads: int | None = None) -> Function:
    """The function in an ONNX file, with the level and the box that its metadata name.

    Args:
        code: float32 [z], the second input of a file that has two.

    Raises:
        UsageError: another number of inputs than points (and a code), or a code that is missing or of another length.
        PprError: the file cannot be run, now or when it is called.
    """
    metadata = onnx_metadata.read(path)
    level, box = _numbers(path, metadata, "level", 1), _numbers(path, metadata, "box", 2)
    session = open_session(path, threads=threads)
    inputs = session.get_inputs()
    if len(inputs) not in (1, 2):
        raise UsageError(f"{path}: takes {len(inputs)} inputs, not points [n, 3] and perhaps a code")
    feed: dict[str, Any] = {}
    if len(inputs) == 2:
        feed[inputs[1].name] = _code_input(path, inputs[1], code)
    elif code is not None:
        raise UsageError(f"{path}: takes points alone, no --code")
    points_input, batched = inputs[0].name, len(inputs[0].shape) == 3

    def values(points: Floats) -> Floats:
        try:
            answer = session.run(None, feed | {points_input: points[None] if batched else points})[0]
        except Exception as error:  # ONNX Runtime has a type of its own for each thing that can be wrong
            raise PprError(f"{path}: failed on points {list(points.shape)} ({reason(error)})") from error
        return np.asarray(answer).reshape(-1).astype(np.float32)

    return Function(path.stem, values, level[0] if level else None, (box[0], box[1]) if box else BOX)


def _numbers(path: Path, metadata: Mapping[str, str], key: str, count: int) -> list[float]:
    """What the metadata say under a key, finite and ascending; empty where they say nothing."""
    if key not in metadata:
        return []
    try:
        found = np.asarray(json.loads(metadata[key]), np.float64).reshape(-1)
    except (ValueError, TypeError, RecursionError) as error:
        raise PprError(f"{path}: its metadata give '{key}' as {metadata[key][:40]}", hint=_NUMBERS) from error
    if len(found) != count or not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        raise PprError(f"{path}: its metadata give '{key}' as {metadata[key][:40]}", hint=_NUMBERS)
    return found.tolist()


def _code_input(path: Path, wanted: Any, code: NDArray[np.float32] | None) -> NDArray[np.float32]:
    if code is None:
        raise UsageError(f"{path}: takes a code, too", hint=f"give --code FILE.npy for its input '{wanted.name}'")
    length = wanted.shape[-1]
    if isinstance(length, int) and length != len(code):
        raise UsageError(f"{path}: a code of {len(code)} numbers, but the model takes {length}", hint="was it made with another model?")
    return code[None] if len(wanted.shape) == 2 else code
