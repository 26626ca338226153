"""How a surface is cut out of a field and finished: the options that every verb with meshes has, and the work behind them."""

from __future__ import annotations

import contextlib
import dataclasses
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ppr.methods.common.errors import UsageError

from .. import options, output

if TYPE_CHECKING:
    from ppr.exports.mesh import Extracted, Normals
    from ppr.methods.common.meshes import Mesh
    from ppr.methods.imnet.field import CodeField

F = TypeVar("F", bound=Callable[..., Any])
MAX_RESOLUTION = 1024


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


def extraction(command: F) -> F:
    """Options that say how the surface is found."""
    bundle: tuple[Callable[[F], F], ...] = (
        click.option("--force", is_flag=True, help="Allow resolutions above 1024."),
        click.option("--keep", type=KeepParameter(), default=None, help="Components to keep. [default: above 0.001 of the volume]"),
        click.option("--soft", type=float, default=None, metavar="VALUE", help="Also look for parts where only this value is reached."),
        click.option(
            "--seed-grid",
            type=click.IntRange(1, 512),
            default=32,
            show_default=True,
            metavar="N",
            help="Coarse cells a side to begin with.",
        ),
        click.option(
            "--refine", type=click.IntRange(0, 20), default=3, show_default=True, help="Rounds that move vertices onto the surface."
        ),
        click.option(
            "--extract", "mode", type=click.Choice(["sparse", "dense", "mise"]), default="sparse", show_default=True, help="Extractor."
        ),
        click.option("--resolution", "-r", type=click.IntRange(16), default=128, show_default=True, help="Cells a side."),
    )
    for option in bundle:
        command = option(command)
    return command


def finishing(command: F) -> F:
    """Options that say what becomes of the mesh."""
    bundle: tuple[Callable[[F], F], ...] = (
        click.option("--color", metavar="HOW", default=None, help="Vertex colours: normal, height, or #rrggbb."),
        click.option("--on-floor", is_flag=True, help="Put the lowest point at height 0."),
        click.option("--center", is_flag=True, help="Put the bounding box's middle at the origin."),
        click.option("--scale", type=click.FloatRange(0, min_open=True), default=None, metavar="METRES", help="Longest side."),
        click.option("--up", type=click.Choice(["y", "z"]), default="y", show_default=True, help="Axis that points upwards."),
        click.option("--smooth", type=click.IntRange(0, 1000), default=0, metavar="N", help="Rounds of Taubin smoothing (needs open3d)."),
        click.option("--faces", type=click.IntRange(4), default=None, metavar="N", help="Decimate to about N triangles (needs open3d)."),
        click.option("--normals/--no-normals", default=True, show_default=True, help="Vertex normals from the field's gradient."),
    )
    for option in bundle:
        command = option(command)
    return command


mesh_format = click.option(
    "--format", type=click.Choice(["obj", "ply", "stl", "off", "glb"]), default="obj", show_default=True, help="Of the meshes."
)
level = click.option(
    "--level", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.5, show_default=True, help="Occupancy on the surface."
)


def meshing(command: F) -> F:
    """All options between a code and its finished mesh."""
    return level(extraction(finishing(command)))


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
            from ppr.exports.mesh_files import check_color

            check_color(given["color"])
        return cls(**{field.name: given.pop(field.name) for field in dataclasses.fields(cls)})

    def __call__(self, mesh: Mesh) -> Mesh:
        from ppr.exports.mesh_files import colorize, decimate, place, smooth

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
            corners = 6 * (resolution / 256) ** 2 * 65e3  # a chair has about 65,000 active cells at 256^3; they grow with the square
            raise UsageError(
                f"--resolution {resolution}: about {corners / 1e6:.0f} million values and {corners * 400 / 1e9:.0f} GB of memory",
                hint=f"at most {MAX_RESOLUTION}, or give --force",
            )
        names = ("mode", "refine", "seed_grid", "soft", "keep")
        return cls(resolution=resolution, finish=Finish.of(given), **{name: given.pop(name) for name in names})

    def extract(self, field: Any, *, level: float, normals: Normals | None = None, box: tuple[float, float] = (-0.5, 0.5)) -> Extracted:
        """The surface of any field at a level in the field's own units."""
        from ppr.exports.mesh import Extraction, extract

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
                field, settings, normals=normals, progress=lambda what, points: advance(description=f"{what}: {points:,} points")
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


def extract_code(surfacing: Surfacing, field: CodeField, probability: float) -> Extracted:
    """The surface of a code where its occupancy is `probability`; an empty field's values are named as occupancies.

    Raises:
        EmptyFieldError: there is no surface at that level.
    """
    from ppr.exports.mesh import EmptyFieldError

    decoder = field.decoder
    normals = (lambda points: -field.gradient(points)) if surfacing.finish.normals else None
    try:
        return surfacing.extract(field, level=decoder.value_of(probability), normals=normals)
    except EmptyFieldError as error:
        raise error.shown_as(decoder.probability_of) from error


def finished(finish: Finish, mesh: Mesh, statistics: dict[str, Any]) -> tuple[Mesh, dict[str, Any]]:
    """Finish a mesh and bring the statistics that describe it up to date."""
    from ppr.methods.common.meshes import report

    mesh = finish(mesh)
    found = report(mesh)
    names = ("vertices", "faces", "watertight", "volume", "components", "bounds")
    return mesh, statistics | {name: getattr(found, name) for name in names}


def write_outputs(
    mesh: Mesh, statistics: dict[str, Any], outs: Sequence[Path], preview: Path | None, *, up: str, overwrite: bool
) -> dict[str, Any]:
    """Write a mesh to every path (`-` is ply on stdout) and its picture; returns the record of it."""
    from ppr.exports.mesh_files import mesh_bytes, write_mesh

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
    from ppr.exports.preview import views

    save_picture(views(mesh, up=up), path, overwrite=overwrite)  # type: ignore[arg-type]


def save_picture(picture: Any, path: Path, *, overwrite: bool) -> None:
    """Write a Pillow image, whole or not at all.

    Raises:
        UsageError: a suffix that is no picture format, or a file that exists.
    """
    from ppr.methods.common.files import atomic_path

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
    from ppr.exports.mesh_files import WRITERS
    from ppr.methods.common.files import refuse_existing

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


@contextlib.contextmanager
def cpu_threads(threads: int | None) -> Iterator[None]:
    """Limit the cores that the NumPy decoder uses."""
    from ppr.methods.imnet import field

    with field.limited(threads) if threads else contextlib.nullcontext():
        yield


out = click.option(
    "--out", "-o", "outs", type=options.PATH, multiple=True, help="obj, ply, stl, off or glb; repeatable; '-' is ply on stdout."
)
preview = click.option("--preview", type=options.PATH, default=None, metavar="FILE.png", help="Also a picture of three views.")
