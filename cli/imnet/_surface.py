"""How a surface is cut out of a field and finished: the options that every verb with meshes has, and the work behind them."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from . import _shape_source as shape_source

if TYPE_CHECKING:
    from ppr.exports.mesh.extract import Extracted, Normals
    from ppr.exports.mesh.lattice import FieldWithNormals
    from ppr.methods.common.reading.meshes import Mesh
    from ppr.methods.imnet.models.field import CodeField

MAX_RESOLUTION = 1024
#: What a surface takes for each square of `resolution`, with default settings. Fitted to a sphere of radius 0.3 (at 128, 256, 512, 1024)
#: and the embedded chair (128, 256, 512), whose meshes were written, too: 6.2 to 6.6 values besides those of the seed grid, and a peak
#: of memory that lay 1,380 to 1,900 bytes above that of extracting at 32.
VALUES_PER_SQUARE, BYTES_PER_SQUARE = 6.5, 1650
SEED_VALUES = 33**3


class KeepParameter(click.ParamType):
    """`largest`, `all`, or the smallest share of the volume that a component must have to stay."""

    name = "largest|all|SHARE"

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> Any:
        if value in ("largest", "all"):
            return value
        try:
            share = float(value)
        except ValueError:
            self.fail(f"'{value}' is neither largest, all, nor a share such as 0.001")
        return share if 0 <= share <= 1 else self.fail(f"{share} is not between 0 and 1")


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
    click.option("--keep", type=KeepParameter(), default=None, help="Components to keep. [default: above 0.001 of the volume]"),
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
    shape_source.checkpoint,
    options.threads,
    options.overwrite,
    options.json_lines,
    options.quiet,
)


@dataclass(frozen=True)
class Finish:
    """What becomes of an extracted mesh."""

    normals: bool = True
    faces: int | None = None
    smooth: int = 0
    up: str = "y"
    scale: float | None = None
    center: bool = False
    on_floor: bool = False
    color: str | None = None

    @classmethod
    def of(cls, given: dict[str, Any]) -> Finish:
        """Take this class's options out of a command's.

        Raises:
            UsageError: a colouring that is not known.
        """
        if given["color"] is not None:
            from ppr.exports.mesh.files import check_color

            check_color(given["color"])
        return cls(**{field.name: given.pop(field.name) for field in dataclasses.fields(cls)})

    def __call__(self, mesh: Mesh) -> Mesh:
        from ppr.exports.mesh.files import colorize, decimate, place, smooth

        mesh = smooth(mesh, self.smooth)
        if self.faces is not None:
            mesh = decimate(mesh, self.faces)
        mesh = place(mesh, up=self.up, scale=self.scale, center=self.center, on_floor=self.on_floor)  # type: ignore[arg-type]
        return colorize(mesh, self.color, self.up) if self.color else mesh  # type: ignore[arg-type]


@dataclass(frozen=True)
class Surfacing:
    """Everything between a field and a finished mesh."""

    resolution: int
    mode: str
    refine: int
    seed_grid: int
    soft: float | None
    keep: Any
    finish: Finish

    @classmethod
    def of(cls, given: dict[str, Any]) -> Surfacing:
        """Take the options of `extraction` and `finishing` out of a command's.

        Raises:
            UsageError: a resolution above 1024 without --force.
        """
        resolution = given.pop("resolution")
        if not given.pop("force") and resolution > MAX_RESOLUTION:
            values, memory = expected_cost(resolution)
            raise UsageError(
                f"--resolution {resolution}: about {values / 1e6:.0f} million values and {memory / 1e9:.0f} GB of memory",
                hint=f"at most {MAX_RESOLUTION}, or give --force",
            )
        names = ("mode", "refine", "seed_grid", "soft", "keep")
        return cls(resolution=resolution, finish=Finish.of(given), **{name: given.pop(name) for name in names})

    def extract(
        self,
        field: Any,
        *,
        level: float,
        normals: Normals | None = None,
        together: FieldWithNormals | None = None,
        box: tuple[float, float] = (-0.5, 0.5),
    ) -> Extracted:
        """The surface of any field at a level in the field's own units."""
        from ppr.exports.mesh.extract import Extraction, extract

        settings = Extraction(
            resolution=self.resolution,
            level=level,
            mode=self.mode,  # type: ignore[arg-type]
            seed_grid=self.seed_grid,
            refine=self.refine,
            soft=self.soft,
            box=box,
            keep=0.001 if self.keep is None else self.keep,
        )
        with output.progress("extract", None) as advance:
            extracted = extract(
                field,
                settings,
                normals=normals,
                together=together,
                progress=lambda what, points: advance(description=f"{what}: {points:,} points"),
            )
        if extracted.stats.clipped:
            output.note("warning: the surface leaves the box; it was closed on the wall")
        return extracted

    def of_code(self, field: CodeField, probability: float) -> tuple[Mesh, dict[str, Any]]:
        """The finished mesh of a code, and what it took.

        Raises:
            EmptyFieldError: there is no surface at that level.
        """
        extracted = extract_code(self, field, probability)
        decoder = field.decoder
        statistics = dataclasses.asdict(extracted.stats)
        statistics |= {"level": probability}
        statistics |= {name: decoder.probability_of(statistics[name]) for name in ("max_value", "min_value")}
        return finished(self.finish, extracted.mesh, statistics)


def expected_cost(resolution: int) -> tuple[int, int]:
    """Values asked for and bytes of memory, beside the program's own, of a typical surface; both grow with its area in cells."""
    return round(SEED_VALUES + VALUES_PER_SQUARE * resolution**2), BYTES_PER_SQUARE * resolution**2


def extract_code(surfacing: Surfacing, field: CodeField, probability: float) -> Extracted:
    """The surface of a code where its occupancy is `probability`; an empty field's values are named as occupancies.

    Raises:
        EmptyFieldError: there is no surface at that level.
    """
    from ppr.exports.mesh.extract import EmptyFieldError

    decoder = field.decoder

    def together(points: Any) -> tuple[Any, Any]:
        values, gradients = field.values_and_gradients(points)
        return values, -gradients

    normals = (lambda points: -field.gradient(points)) if surfacing.finish.normals else None
    try:
        return surfacing.extract(field, level=decoder.value_of(probability), normals=normals, together=together)
    except EmptyFieldError as error:
        raise error.shown_as(decoder.probability_of) from error


def finished(finish: Finish, mesh: Mesh, statistics: dict[str, Any]) -> tuple[Mesh, dict[str, Any]]:
    """Finish a mesh and bring the statistics that describe it up to date."""
    from ppr.methods.common.reading.meshes import bounds, report, volume

    done = finish(mesh)
    if done.faces is mesh.faces:  # put into place and coloured at most: what was counted of it still holds
        return done, statistics | {"volume": volume(done), "bounds": bounds(done)}
    found = report(done)
    names = ("vertices", "faces", "watertight", "volume", "components", "bounds")
    return done, statistics | {name: getattr(found, name) for name in names}


@contextlib.contextmanager
def cpu_threads(threads: int | None) -> Iterator[None]:
    """Limit the cores that the NumPy decoder uses."""
    from ppr.methods.imnet.models import field

    with field.limited(threads) if threads else contextlib.nullcontext():
        yield
