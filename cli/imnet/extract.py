"""`ppr imnet extract`: the mesh of any implicit function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ppr.methods.common.errors import UsageError

from .. import options
from . import _results, _shape_source, _surface


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

    from ppr.exports.mesh.functions import of_onnx, of_python
    from ppr.methods.imnet.models.codes import only

    if onnx_path is not None:
        own_code = None if code is None else only(list(_shape_source.read_codes(code)), str(code)).code
        function = of_onnx(onnx_path, own_code, threads=threads)
    else:
        assert field_name is not None
        function = of_python(field_name)
    asked = level if level is not None else function.level
    if asked is None:
        asked = 0.0 if negate else 0.5
    field, at = (function.negated, -asked) if negate else (function, asked)
    meshing = replace(meshing, extraction=replace(meshing.extraction, level=at, box=box or function.box))
    made = _surface.make(meshing.of_function, field, function.name, outputs)
    _results.say(made.record | {"level": asked}, as_json=as_json)
