"""`ppr imnet interpolate`: the way from one shape to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from . import _results, _surface


@click.command()
@click.argument("first", metavar="A")
@click.argument("last", metavar="B")
@click.option("--steps", type=click.IntRange(2, 1000), default=20, show_default=True, help="Shapes, A and B included.")
@click.option("--gif", type=options.PATH, default=None, metavar="FILE.gif", help="An animation.")
@click.option("--fps", type=click.FloatRange(0.1, 50), default=12.0, show_default=True, help="Of the animation.")
@click.option("--mesh-dir", type=options.PATH, default=None, metavar="DIR", help="A mesh of every step.")
@_results.mesh_format
@click.option("--contact", type=options.PATH, default=None, metavar="SHEET.png", help="A picture of all steps.")
@click.option("--size", type=click.IntRange(32, 2048), default=384, show_default=True, help="Side of a frame in pixels.")
@_surface.meshing
def interpolate(
    first: str,
    last: str,
    steps: int,
    gif: Path | None,
    fps: float,
    mesh_dir: Path | None,
    format: str,
    contact: Path | None,
    size: int,
    level: float,
    checkpoint: str,
    threads: int | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Turn shape A into shape B in equal steps of the code.

    A and B are names or numbers of known shapes, seed:7 for a generated one, or files (.npy codes, voxels, meshes, pictures).

    \b
    ppr imnet interpolate 0 40 --steps 24 --gif morph.gif
    ppr imnet interpolate seed:1 scan.binvox --steps 5 --mesh-dir steps/ --format glb
    """
    meshing = _surface.meshing_of(given)
    if gif is None and mesh_dir is None and contact is None:
        raise UsageError("nothing to write", hint="give --gif FILE.gif, --mesh-dir DIR or --contact SHEET.png")
    if gif is not None and gif.suffix.lower() != ".gif":
        raise UsageError(f"--gif {gif}: the animation is a .gif")
    from ppr.exports.mesh.meshing import Outputs
    from ppr.exports.mesh.preview import render
    from ppr.methods.common.drawing.animation import save_gif
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.field import limited

    _results.check_sheet(contact, overwrite=overwrite)
    targets = [mesh_dir / f"{index:04d}.{format}" for index in range(steps)] if mesh_dir else []
    for path in [*targets, *([gif] if gif else [])]:
        refuse_existing(path, overwrite=overwrite)
    predictor = Predictor.load(checkpoint)
    ends = [predictor.by_word(word) for word in (first, last)]
    frames, thumbnails = [], []
    with output.progress("interpolate", steps) as advance, limited(threads):
        for index in range(steps):
            share = index / (steps - 1)
            code = ends[0].code * (1 - share) + ends[1].code * share  # exact at both ends
            outputs, name = Outputs(targets[index : index + 1], overwrite=overwrite), f"{ends[0].name}-{ends[1].name}-{index:04d}"
            made = _surface.make(meshing, predictor.field(code), name, outputs, probability=level)
            if mesh_dir:
                _results.say({"i": index, "share": share} | made.record, as_json=as_json)
            if gif is not None:
                frames.append(render(made.mesh, size, up=meshing.finish.up))
            if contact is not None:
                thumbnails.append((f"{share:.2f}", render(made.mesh, _results.THUMBNAIL, up=meshing.finish.up)))
            advance()
    if gif is not None:
        save_gif(frames, gif, fps, overwrite=overwrite)
        click.echo(str(gif))
    if contact is not None:
        _results.write_sheet(thumbnails, contact, None, overwrite=overwrite)
