"""`ppr imnet list`: the shapes a model knows."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options, output
from . import _results, _shape_source

if TYPE_CHECKING:
    from ppr.exports.mesh.extract import Extraction
    from ppr.methods.common.reading.meshes import Mesh
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.field import CodeField
    from ppr.methods.imnet.pictures import Plane

#: Of a map: side of a thumbnail in pixels, cells along its longer side, cells a side of a thumbnail's mesh.
MAP_TILE, MAP_CELLS, MAP_RESOLUTION = 96, 8, 32
SHEET_RESOLUTION = 64


@click.command("list")
@click.option("--match", multiple=True, metavar="TEXT", help="Only shapes whose name contains this; repeatable.")
@click.option("--every", type=click.IntRange(1), default=1, metavar="K", help="Only every K-th of them.")
@click.option("--limit", "-n", type=click.IntRange(1), default=None, help="At most so many.")
@click.option("--contact", type=options.PATH, default=None, metavar="SHEET.png", help="A picture of them; takes about 0.3 s a shape.")
@click.option("--map", "latent_map", type=options.PATH, default=None, metavar="MAP.png", help="A picture in which like codes lie together.")
@click.option(
    "--columns",
    type=click.IntRange(1, 100),
    default=None,
    help=f"Of the contact sheet; of the map, cells along its longer side. [default: about square; {MAP_CELLS}]",
)
@click.option(
    "--resolution",
    "-r",
    type=click.IntRange(16, 256),
    default=None,
    help=f"Of the pictures' meshes. [default: {SHEET_RESOLUTION}; {MAP_RESOLUTION} on the map]",
)
@_shape_source.checkpoint
@options.overwrite
@options.json_lines
@options.quiet
def list_shapes(
    match: tuple[str, ...],
    every: int,
    limit: int | None,
    contact: Path | None,
    latent_map: Path | None,
    columns: int | None,
    resolution: int | None,
    checkpoint: str,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Print number and name of every shape a model knows; with --contact or --map draw them instead.

    The map shows the plane of the first two principal components of the listed shapes' codes, and in every cell that holds shapes the one
    nearest to its middle. With --json each shape's place in that plane is printed too.

    \b
    ppr imnet list --every 20 --contact shapes.png
    ppr imnet list --map map.png
    ppr imnet list --json --match b012 | jq -r .name
    """
    for picture in (contact, latent_map):
        _results.check_sheet(picture, overwrite=overwrite)
    from ppr.exports.mesh.extract import Extraction
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.pictures import principal_plane

    predictor = Predictor.load(checkpoint)
    found = [(index, name) for index, name in enumerate(predictor.bank.names) if any(text in name for text in match or ("",))][::every][
        :limit
    ]
    plane = principal_plane(predictor.bank.codes[[index for index, _name in found]]) if latent_map is not None and found else None
    if as_json:
        for row, (index, name) in enumerate(found):
            place = {} if plane is None else {"map": [round(value, 6) for value in plane.positions[row].tolist()]}
            output.emit_json({"index": index, "name": name, **place})
    elif contact is None and latent_map is None:
        click.echo("\n".join(f"{index:5d}  {name}" for index, name in found))
    if not found:
        output.note(f"no shape's name contains {' or '.join(match)}")
        return 0
    batch = output.Batch()
    level = predictor.decoder.level
    if contact is not None:
        settings = Extraction(resolution=resolution or SHEET_RESOLUTION, level=level, refine=1)
        pictures = thumbnails(predictor, found, settings, batch)
        if pictures:
            drawn = [(name, pictures[index]) for index, name in found if index in pictures]
            _results.write_sheet(drawn, contact, columns, overwrite=overwrite)
    if latent_map is not None and plane is not None:
        cells = resolution or MAP_RESOLUTION
        # Half as many seed cells as cells: with as many, nearly all that is asked for would be the seed grid.
        settings = Extraction(resolution=cells, level=level, refine=0, seed_grid=cells // 2)
        write_map(predictor, found, plane, settings, batch, latent_map, columns or MAP_CELLS, overwrite=overwrite)
    return batch.exit_code()


def write_map(
    predictor: Predictor,
    found: list[tuple[int, str]],
    plane: Plane,
    settings: Extraction,
    batch: output.Batch,
    path: Path,
    across: int,
    *,
    overwrite: bool,
) -> None:
    """Write the map of shapes; a shape without a surface leaves its cell empty. The path goes to stdout."""
    from ppr.methods.common.drawing.pictures import save_picture
    from ppr.methods.imnet.pictures import draw_map, grid

    laid = grid(plane.positions, across)
    pictures = thumbnails(predictor, [found[row] for row in laid.shapes.values()], settings, batch, MAP_TILE)
    drawn = {row: pictures[found[row][0]] for row in laid.shapes.values() if found[row][0] in pictures}
    save_picture(draw_map(drawn, laid, MAP_TILE), path, overwrite=overwrite)
    click.echo(str(path))
    across_share, up_share = plane.explained
    output.note(f"{len(laid.shapes)} of {len(found)} shapes; {across_share:.0%} of the codes' variance lie along x, {up_share:.0%} along y")


def thumbnails(
    predictor: Predictor, shapes: Iterable[tuple[int, str]], settings: Extraction, batch: output.Batch, size: int = 192
) -> dict[int, Any]:
    """Small pictures of shapes by their number; one without a surface is reported and left out."""
    from ppr.exports.mesh.preview import render

    named, pictures = list(shapes), {}
    with batch.progress("list", len(named)):
        for index, name in named:
            with batch.item(), output.named(name):
                pictures[index] = render(small_mesh(predictor.field(predictor.bank.codes[index]), settings), size)
    return pictures


def small_mesh(field: CodeField, settings: Extraction) -> Mesh:
    """The surface of a shape; where the seed grid finds none, it is looked for in every cell."""
    from ppr.exports.mesh.extract import EmptyFieldError, extract

    try:
        return extract(field, settings).mesh
    except EmptyFieldError:
        return extract(field, replace(settings, seed_grid=settings.resolution)).mesh
