"""`ppr imnet extract`: the mesh of any implicit function."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import PprError, UsageError, reason

from .. import options
from . import _results, _shape_source, _surface

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Field = Callable[[NDArray[np.float32]], NDArray[np.float32]]


@click.command()
@click.option(
    "--onnx", "onnx_path", type=options.PATH, default=None, metavar="FILE", help="Model with points [n, 3] in, one value a point out."
)
@click.option(
    "--field", "field_name", default=None, metavar="MODULE:FUNCTION", help="Python function of points float32 [n, 3], inside high."
)
@click.option("--negate", is_flag=True, help="The function is low inside, as signed distances are.")
@click.option("--code", type=options.PATH, default=None, metavar="FILE.npy", help="Second input of the ONNX model, if it has one.")
@click.option("--level", type=float, default=None, help="Value on the surface. [default: the ONNX file's own, else 0.5; 0 with --negate]")
@click.option(
    "--box", nargs=2, type=float, default=None, metavar="LOW HIGH", help="The cube to look in. [default: the file's, else -0.5 0.5]"
)
@_results.out
@_results.preview
@_surface.extraction
@_surface.finishing
@options.threads
@options.overwrite
@options.json_lines
@options.quiet
def extract(
    onnx_path: Path | None,
    field_name: str | None,
    negate: bool,
    code: Path | None,
    level: float | None,
    box: tuple[float, float] | None,
    outs: tuple[Path, ...],
    preview: Path | None,
    threads: int | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Turn any implicit function into a closed mesh with few queries: from a coarse grid, along the surface, cell by cell.

    --field imports MODULE from the current folder or the Python path and runs it: give only code you trust.

    \b
    ppr imnet extract --field shapes:torus --negate --out torus.stl
    ppr imnet extract --onnx occupancy.onnx --box -0.55 0.55 --resolution 256 --out part.ply
    """
    if (onnx_path is None) == (field_name is None):
        raise UsageError("give --onnx FILE or --field MODULE:FUNCTION")
    if not outs and preview is None:
        raise UsageError("nothing to write", hint="give --out part.obj")
    if box is not None and not box[0] < box[1]:
        raise UsageError(f"--box {box[0]:g} {box[1]:g}: the first is not below the second")
    outputs = _results.outputs_of(outs, preview, overwrite=overwrite, as_json=as_json)
    meshing = _surface.meshing_of(given)
    from dataclasses import replace

    if onnx_path is not None:
        field, own = onnx_field(onnx_path, code, threads)
    else:
        assert field_name is not None
        field, own = python_field(field_name), {}
    where = box or tuple(own.get("box", (-0.5, 0.5)))
    asked = level if level is not None else float(own.get("level", 0.0 if negate else 0.5))
    at = asked
    if negate:
        positive, at = field, -asked
        field = lambda points: -positive(points)  # noqa: E731
    meshing = replace(meshing, extraction=replace(meshing.extraction, level=at, box=where))
    name = onnx_path.stem if onnx_path is not None else str(field_name)
    made = _surface.make(meshing.of_function, field, name, outputs)
    _results.say(made.record | {"level": asked}, as_json=as_json)


def python_field(name: str) -> Field:
    """The function `module:function` (attributes may be nested), importable from the current folder.

    Raises:
        UsageError: no such module or function; or its import fails.
    """
    import numpy as np

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

    def field(points: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            values = found(points)
        except Exception as error:  # the user's own function may fail in any way
            raise PprError(f"--field {name}: failed on points {list(points.shape)} ({type(error).__name__}: {error})") from error
        if hasattr(values, "detach"):
            values = values.detach().cpu().numpy()
        values = np.asarray(values)
        return values[:, 0] if values.ndim == 2 and values.shape[1] == 1 else values

    return field


def onnx_field(path: Path, code: Path | None, threads: int | None) -> tuple[Field, dict[str, Any]]:
    """The function in an ONNX file, and what the file says about its level and box.

    Raises:
        UsageError: another number of inputs than points (and a code), or a code that is missing or of another length.
        PprError: the file cannot be run.
    """
    import numpy as np

    from ppr.methods.common.measuring.onnx_session import open_session
    from ppr.methods.common.running import onnx_metadata

    own: dict[str, Any] = {}
    for key, text in onnx_metadata.read(path).items():
        if key in ("level", "box"):
            own[key] = json.loads(text)
    session = open_session(path, threads=threads)
    names = [item.name for item in session.get_inputs()]
    if len(names) not in (1, 2):
        raise UsageError(f"{path}: takes {len(names)} inputs, not points [n, 3] and perhaps a code")
    feed: dict[str, Any] = {}
    if len(names) == 2:
        if code is None:
            raise UsageError(f"{path}: takes a code, too", hint=f"give --code FILE.npy for its input '{names[1]}'")
        from ppr.methods.imnet.models.codes import only

        feed[names[1]] = only(list(_shape_source.read_codes(code)), str(code)).code
        wanted = session.get_inputs()[1].shape
        if len(wanted) == 2:
            feed[names[1]] = feed[names[1]][None]
        if isinstance(wanted[-1], int) and wanted[-1] != feed[names[1]].shape[-1]:
            raise UsageError(f"{code}: a code of {feed[names[1]].shape[-1]} numbers, but the model takes {wanted[-1]}")
    elif code is not None:
        raise UsageError(f"{path}: takes points alone, no --code")
    batched = len(session.get_inputs()[0].shape) == 3

    def field(points: NDArray[np.float32]) -> NDArray[np.float32]:
        try:
            values = session.run(None, feed | {names[0]: points[None] if batched else points})[0]
        except Exception as error:  # ONNX Runtime has a type of its own for each thing that can be wrong
            raise PprError(f"{path}: failed on points {list(points.shape)} ({reason(error)})") from error
        return np.asarray(values).reshape(-1).astype(np.float32)

    return field, own
