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
    from ppr.methods.common.reading.meshes import Mesh

out = click.option(
    "--out", "-o", "outs", type=options.PATH, multiple=True, help="obj, ply, stl, off or glb; repeatable; '-' is ply on stdout."
)
preview = click.option("--preview", type=options.PATH, default=None, metavar="FILE.png", help="Also a picture of three views.")
mesh_format = click.option(
    "--format", type=click.Choice(["obj", "ply", "stl", "off", "glb"]), default="obj", show_default=True, help="Of the meshes."
)


def write_outputs(
    mesh: Mesh, statistics: dict[str, Any], outs: Sequence[Path], preview: Path | None, *, up: str, overwrite: bool
) -> dict[str, Any]:
    """Write a mesh to every path (`-` is ply on stdout) and its picture; returns the record of it."""
    from ppr.exports.mesh.files import mesh_bytes, write_mesh

    for path in outs:
        if str(path) == "-":
            sys.stdout.buffer.write(mesh_bytes(mesh, "ply"))
        else:
            write_mesh(path, mesh, overwrite=overwrite)
    record = {"files": [str(path) for path in outs if str(path) != "-"], **statistics}
    if preview is not None:
        write_picture(preview, mesh, up=up, overwrite=overwrite)
        record["preview"] = str(preview)
    return record


def write_picture(path: Path, mesh: Mesh, *, up: str, overwrite: bool) -> None:
    """Three views of a mesh as a picture file."""
    from ppr.exports.mesh.preview import views

    save_picture(views(mesh, up=up), path, overwrite=overwrite)  # type: ignore[arg-type]


def save_picture(picture: Any, path: Path, *, overwrite: bool) -> None:
    """Write a Pillow image, whole or not at all.

    Raises:
        UsageError: a suffix that is no picture format, or a file that exists.
    """
    from ppr.methods.common.reading.files import atomic_path

    check_picture(path)
    with atomic_path(path, overwrite=overwrite) as temporary:
        picture.convert("RGB").save(temporary)


def check_picture(path: Path) -> None:
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg", ".webp"):
        raise UsageError(f"{path}: not a picture format", hint="one of: png, jpg, webp")


def check_outputs(outs: Sequence[Path], preview: Path | None, *, overwrite: bool) -> None:
    """Refuse before any work what could not be written after it.

    Raises:
        UsageError: nothing to write, unknown suffixes, files that exist, stdout given with something else, or a terminal.
    """
    from ppr.exports.mesh.files import WRITERS
    from ppr.methods.common.reading.files import refuse_existing

    if sum(str(path) == "-" for path in outs) > 1:
        raise UsageError("--out -: given twice")
    for path in outs:
        if str(path) == "-":
            if sys.stdout.buffer.isatty():
                raise UsageError("not writing a mesh to the terminal", hint="redirect it (> chair.ply) or give --out FILE")
        elif path.suffix.lower().removeprefix(".") not in WRITERS:
            raise UsageError(f"--out {path}: '{path.suffix}' is no mesh format known here", hint=f"one of: {', '.join(WRITERS)}")
        else:
            refuse_existing(path, overwrite=overwrite)
    if preview is not None:
        check_picture(preview)
        refuse_existing(preview, overwrite=overwrite)


def thumbnail(mesh: Any, up: str, size: int = 192) -> Any:
    """A small picture of a mesh."""
    from ppr.exports.mesh.preview import render

    return render(mesh, size, up=up)  # type: ignore[arg-type]


def save_sheet(pictures: list[tuple[str, Any]], path: Path, columns: int | None, *, overwrite: bool) -> None:
    """Named pictures as one; about square unless the number of columns is given. Its path goes to stdout."""
    from ppr.methods.common.drawing.sheets import contact_sheet

    labels, images = zip(*pictures, strict=True)
    across = columns or max(1, round((1.4 * len(images)) ** 0.5))
    save_picture(contact_sheet(images, across, labels), path, overwrite=overwrite)
    click.echo(str(path))


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
