"""`ppr imnet list`: the shapes a model knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ppr.methods.common.errors import PprError

from .. import options, output
from . import shape_source, surface
from .generate import save_sheet, thumbnail


@click.command("list")
@click.option("--match", multiple=True, metavar="TEXT", help="Only shapes whose name contains this; repeatable.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="K", help="Only every K-th of them.")
@click.option("--limit", "-n", type=click.IntRange(1), default=None, help="At most so many.")
@click.option("--contact", type=options.PATH, default=None, metavar="SHEET.png", help="A picture of them; takes about 0.3 s a shape.")
@click.option("--columns", type=click.IntRange(1, 100), default=None, help="Of the contact sheet.")
@click.option("--resolution", "-r", type=click.IntRange(16, 256), default=64, show_default=True, help="Of the pictures' meshes.")
@shape_source.checkpoint
@options.overwrite
@options.json_lines
@options.quiet
def list_shapes(
    match: tuple[str, ...],
    every: int,
    limit: int | None,
    contact: Path | None,
    columns: int | None,
    resolution: int,
    checkpoint: str,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Print number and name of every shape a model knows; with --contact also draw them.

    \b
    ppr imnet list --every 20 --contact shapes.png
    ppr imnet list --json --match b012 | jq -r .name
    """
    surface.check_outputs([], contact, overwrite=overwrite)
    from ppr.exports.mesh import Extraction, extract
    from ppr.methods.imnet.model import ShapeModel

    model = ShapeModel.load(checkpoint)
    found = [(index, name) for index, name in enumerate(model.bank.names) if any(text in name for text in match or ("",))][::every][:limit]
    if as_json:
        for index, name in found:
            output.emit_json({"index": index, "name": name})
    elif contact is None:
        click.echo("\n".join(f"{index:5d}  {name}" for index, name in found))
    if not found:
        output.note(f"no shape's name contains {' or '.join(match)}")
    if contact is None or not found:
        return 0
    pictures: list[tuple[str, Any]] = []
    batch = output.Batch()
    settings = Extraction(resolution=resolution, level=model.decoder.level, refine=1)
    with output.progress("list", len(found)) as advance:
        for index, name in found:
            try:
                pictures.append((name, thumbnail(extract(model.field(model.bank.codes[index]), settings).mesh, "y")))
            except PprError as error:
                batch.failure(PprError(f"{name}: {error.message}", hint=error.hint))
            advance()
    if pictures:
        save_sheet(pictures, contact, columns, overwrite=overwrite)
    return batch.exit_code()
