"""What the verbs with meshes leave behind: mesh files, pictures, and what is said of them."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output

if TYPE_CHECKING:
    from PIL import Image

    from ppr.exports.mesh.meshing import Outputs

STDOUT = Path("-")
THUMBNAIL = 192  # pixels a side of a picture on a sheet
out = click.option(
    "--out", "-o", "outs", type=options.PATH, multiple=True, help="obj, ply, stl, off or glb; repeatable; '-' is ply on stdout."
)
preview = click.option("--preview", type=options.PATH, default=None, metavar="FILE.png", help="Also a picture of three views.")
mesh_format = click.option(
    "--format", type=click.Choice(["obj", "ply", "stl", "off", "glb"]), default="obj", show_default=True, help="Of the meshes."
)


def outputs_of(outs: Sequence[Path], preview: Path | None = None, *, overwrite: bool, as_json: bool = False) -> Outputs:
    """Where the options say that a mesh goes; refused before any work if it could not be written there after it.

    Raises:
        UsageError: unknown suffixes, files that exist, stdout given twice, with --json, or a terminal.
    """
    from ppr.exports.mesh.meshing import Outputs

    to_stdout = list(outs).count(STDOUT)
    if to_stdout and as_json:
        raise UsageError("--out - and --json both want stdout")
    if to_stdout > 1:
        raise UsageError("--out -: given twice")
    if to_stdout and sys.stdout.buffer.isatty():
        raise UsageError("not writing a mesh to the terminal", hint="redirect it (> chair.ply) or give --out FILE")
    files = [path for path in outs if path != STDOUT]
    outputs = Outputs(files, preview, sys.stdout.buffer if to_stdout else None, overwrite=overwrite)
    outputs.check()
    return outputs


def write_sheet(pictures: Sequence[tuple[str, Image.Image]], path: Path, columns: int | None, *, overwrite: bool) -> None:
    """Named pictures as one; its path goes to stdout."""
    from ppr.methods.common.drawing.pictures import save_picture
    from ppr.methods.imnet.pictures import sheet

    save_picture(sheet(pictures, columns), path, overwrite=overwrite)
    click.echo(str(path))


def check_sheet(path: Path | None, *, overwrite: bool) -> None:
    """Refuse a picture that could not be written after the work.

    Raises:
        UsageError: no picture by its suffix, or it exists.
    """
    outputs_of((), path, overwrite=overwrite)


def say(record: dict[str, Any], *, as_json: bool) -> None:
    """The record as JSON, or the files written on stdout and a line about the mesh on stderr."""
    if as_json:
        output.emit_json(record)
        return
    for path in record["files"]:
        click.echo(path)
    closed = "closed" if record["watertight"] else "OPEN"
    asked = record["queries"] + record["refine_queries"]
    output.note(
        f"{record['name']}: {record['vertices']:,} vertices, {record['faces']:,} faces, {closed}, {record['components']} component"
        f"{'s' * (record['components'] != 1)}; {asked:,} points asked in {record['seconds']:.2f} s"
    )
