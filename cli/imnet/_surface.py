"""How a surface is cut out of a field and finished: the options that every verb with meshes has."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from ..types import NumberOr
from . import _shape_source

if TYPE_CHECKING:
    from ppr.exports.mesh.meshing import Made, Meshing

MAX_RESOLUTION = 1024


KEEP = NumberOr({"largest": "largest", "all": "all"}, click.FloatRange(0, 1), "SHARE", "a share such as 0.001")
#: Options that say how the surface is found.
extraction = options.together(
    click.option("--resolution", "-r", type=click.IntRange(16), default=128, show_default=True, help="Cells a side."),
    click.option(
        "--extract", "mode", type=click.Choice(["sparse", "dense", "mise"]), default="sparse", show_default=True, help="Extractor."
    ),
    click.option("--refine", type=click.IntRange(0, 20), default=3, show_default=True, help="Rounds that move vertices onto the surface."),
    click.option(
        "--seed-grid",
        type=click.IntRange(1, 512),
        default=32,
        show_default=True,
        metavar="N",
        help="Coarse cells a side to begin with.",
    ),
    click.option("--soft", type=float, default=None, metavar="VALUE", help="Also look for parts where only this value is reached."),
    click.option("--keep", type=KEEP, default=None, help="Components to keep. [default: above 0.001 of the volume]"),
    click.option("--force", is_flag=True, help="Allow resolutions above 1024."),
)
#: Options that say what becomes of the mesh.
finishing = options.together(
    click.option("--normals/--no-normals", default=True, show_default=True, help="Vertex normals from the field's gradient."),
    click.option("--faces", type=click.IntRange(4), default=None, metavar="N", help="Decimate to about N triangles (needs open3d)."),
    click.option("--smooth", type=click.IntRange(0, 1000), default=0, metavar="N", help="Rounds of Taubin smoothing (needs open3d)."),
    click.option("--up", type=click.Choice(["y", "z"]), default="y", show_default=True, help="Axis that points upwards."),
    click.option("--scale", type=click.FloatRange(0, min_open=True), default=None, metavar="METRES", help="Longest side."),
    click.option("--center", is_flag=True, help="Put the bounding box's middle at the origin."),
    click.option("--on-floor", is_flag=True, help="Put the lowest point at height 0."),
    click.option("--color", metavar="HOW", default=None, help="Vertex colours: normal, height, or #rrggbb."),
)
level = click.option(
    "--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5, show_default=True, help="Occupancy on the surface."
)
#: What every verb takes that turns codes into meshes: all between a code and its finished mesh, the model, and how to report.
meshing = options.together(
    level,
    extraction,
    finishing,
    _shape_source.checkpoint,
    options.threads,
    options.overwrite,
    options.json_lines,
    options.quiet,
)


def meshing_of(given: dict[str, Any]) -> Meshing:
    """Take the options of `extraction` and `finishing` out of a command's.

    Raises:
        UsageError: a resolution above 1024 without --force, or a colouring that is not known.
    """
    from ppr.exports.mesh.extract import Extraction
    from ppr.exports.mesh.meshing import Finish, Meshing, expected_cost

    if not given.pop("force") and given["resolution"] > MAX_RESOLUTION:
        values, memory = expected_cost(given["resolution"])
        raise UsageError(
            f"--resolution {given['resolution']}: about {values / 1e6:.0f} million values and {memory / 1e9:.0f} GB of memory",
            hint=f"at most {MAX_RESOLUTION}, or give --force",
        )
    finish = Finish(**{field.name: given.pop(field.name) for field in dataclasses.fields(Finish)})
    if given["keep"] is None:
        del given["keep"]
    names = ("resolution", "mode", "refine", "seed_grid", "soft", "keep")
    return Meshing(Extraction(**{name: given.pop(name) for name in names if name in given}), finish)


def make(chain: Callable[..., Made], *arguments: Any, **settings: Any) -> Made:
    """Call a `Meshing`, or its `of_function`, and show meanwhile what the field is asked for; says what is doubtful about the mesh."""
    with output.progress("extract", None) as advance:
        made = chain(*arguments, progress=lambda what, points: advance(description=f"{what}: {points:,} points"), **settings)
    if made.record["clipped"]:
        output.note("warning: the surface leaves the box; it was closed on the wall")
    return made
