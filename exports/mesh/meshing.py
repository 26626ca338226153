"""From an implicit field to what a person keeps of it, in one call: extract, finish, put into place, colour, write, take pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from ppr.methods.common.errors import UsageError
from ppr.methods.common.reading.files import refuse_existing
from ppr.methods.common.reading.meshes import Mesh, bounds, report, volume

from .extract import EmptyFieldError, Extracted, Extraction, extract, field_normals
from .files import WRITERS, Up, check_color, colorize, decimate, mesh_bytes, place, smooth, write_mesh
from .lattice import Field, Floats, Progress

#: What a surface takes for each square of `resolution`, with default settings. Fitted to a sphere of radius 0.3 (at 128, 256, 512, 1024)
#: and a chair of a trained network (128, 256, 512), whose meshes were written, too: 6.2 to 6.6 values besides those of the seed grid, and a
#: peak of memory that lay 1,380 to 1,900 bytes above that of extracting at 32.
VALUES_PER_SQUARE, BYTES_PER_SQUARE = 6.5, 1650
SEED_VALUES = 33**3


class OccupancyField(Protocol):
    """A field whose values stand for probabilities of being inside, and that knows its gradient."""

    def __call__(self, points: Floats, /) -> Floats:
        """Values float32 [n] at points float32 [n, 3]."""

    def gradient(self, points: Floats, /) -> Floats:
        """Gradients float32 [n, 3]."""

    def values_and_gradients(self, points: Floats, /) -> tuple[Floats, Floats]:
        """Both, for less than asking twice."""

    def value_of(self, probability: float, /) -> float:
        """The value that stands for a probability."""

    def probability_of(self, value: float, /) -> float:
        """The probability that a value stands for."""


@dataclass(frozen=True, kw_only=True)
class Finish:
    """What becomes of an extracted mesh.

    Attributes:
        normals: give it the field's normals.
        faces: about so many triangles are left of it.
        smooth: rounds of Taubin's smoothing.
        up, scale, center, on_floor: where it is put, see `place`.
        color: how its vertices are coloured, see `colorize`.
    """

    normals: bool = True
    faces: int | None = None
    smooth: int = 0
    up: Up = "y"
    scale: float | None = None
    center: bool = False
    on_floor: bool = False
    color: str | None = None

    def __post_init__(self) -> None:
        if self.color is not None:
            check_color(self.color)

    def __call__(self, mesh: Mesh) -> Mesh:
        mesh = smooth(mesh, self.smooth)
        if self.faces is not None:
            mesh = decimate(mesh, self.faces)
        mesh = place(mesh, up=self.up, scale=self.scale, center=self.center, on_floor=self.on_floor)
        return colorize(mesh, self.color, self.up) if self.color else mesh


@dataclass(frozen=True)
class Outputs:
    """Where a mesh goes.

    Attributes:
        meshes: files in the formats of their suffixes.
        preview: a picture of three views.
        stream: gets the mesh as ply.
    """

    meshes: Sequence[Path] = ()
    preview: Path | None = None
    stream: BinaryIO | None = None
    overwrite: bool = False

    def check(self) -> None:
        """Refuse before any work what could not be written after it.

        Raises:
            UsageError: unknown suffixes, or files that exist.
        """
        for path in self.meshes:
            if path.suffix.lower().removeprefix(".") not in WRITERS:
                raise UsageError(f"--out {path}: '{path.suffix}' is no mesh format known here", hint=f"one of: {', '.join(WRITERS)}")
            refuse_existing(path, overwrite=self.overwrite)
        if self.preview is not None:
            from ppr.methods.common.drawing.pictures import check_picture

            check_picture(self.preview)
            refuse_existing(self.preview, overwrite=self.overwrite)

    def write(self, mesh: Mesh, up: Up) -> None:
        """Write each file whole or not at all."""
        if self.stream is not None:
            self.stream.write(mesh_bytes(mesh, "ply"))
        for path in self.meshes:
            write_mesh(path, mesh, overwrite=self.overwrite)
        if self.preview is not None:
            from ppr.methods.common.drawing.pictures import save_picture

            from .preview import views

            save_picture(views(mesh, up=up), self.preview, overwrite=self.overwrite)


@dataclass(frozen=True)
class Made:
    """A finished mesh, and what there is to say of it: name, files, what its extraction cost, what it is like."""

    mesh: Mesh
    record: dict[str, Any]


@dataclass(frozen=True)
class Meshing:
    """All that lies between a field and its files.

    Args:
        extraction: how the surface is found; its level is the field's to say.
        finish: what becomes of it.
    """

    extraction: Extraction = field(default_factory=Extraction)
    finish: Finish = field(default_factory=Finish)

    def __call__(
        self, shape: OccupancyField, name: str, outputs: Outputs = Outputs(), *, probability: float = 0.5, progress: Progress | None = None
    ) -> Made:
        """The surface of a shape, where its occupancy is `probability`; values are told as occupancies, too.

        Raises:
            EmptyFieldError: there is no surface at that level.
            UsageError, PprError: as `extract`, and what cannot be written.
        """

        def together(points: Floats) -> tuple[Floats, Floats]:
            values, gradients = shape.values_and_gradients(points)
            return values, -gradients

        settings = dataclasses.replace(self.extraction, level=shape.value_of(probability))
        normals = (lambda points: -shape.gradient(points)) if self.finish.normals else None
        try:
            extracted = extract(shape, settings, normals=normals, together=together, progress=progress)
        except EmptyFieldError as error:
            raise error.shown_as(shape.probability_of) from error
        low, high = (shape.probability_of(value) for value in (extracted.stats.min_value, extracted.stats.max_value))
        return self._made(extracted, name, outputs, {"level": probability, "max_value": high, "min_value": low})

    def of_function(self, function: Field, name: str, outputs: Outputs = Outputs(), *, progress: Progress | None = None) -> Made:
        """The same of any function, at the level and in the box of `extraction`; normals come from its differences.

        Raises:
            EmptyFieldError, UsageError, PprError: as for a shape.
        """
        low, high = self.extraction.box
        step = (high - low) / self.extraction.resolution / 4
        normals = (lambda points: field_normals(function, points, step)) if self.finish.normals else None
        extracted = extract(function, self.extraction, normals=normals, progress=progress)
        return self._made(extracted, name, outputs, {"level": self.extraction.level})

    def _made(self, extracted: Extracted, name: str, outputs: Outputs, shown: dict[str, Any]) -> Made:
        """Finish and write an extracted mesh; `shown` replaces what its statistics say in the field's units."""
        mesh = self.finish(extracted.mesh)
        outputs.write(mesh, self.finish.up)
        record = {"files": [str(path) for path in outputs.meshes], "name": name} | dataclasses.asdict(extracted.stats)
        record |= described(mesh, extracted.mesh) | shown
        return Made(mesh, record | ({"preview": str(outputs.preview)} if outputs.preview is not None else {}))


def described(mesh: Mesh, extracted: Mesh) -> dict[str, Any]:
    """What the finish changed of what was counted of an extracted mesh."""
    if mesh.faces is extracted.faces:  # put into place and coloured at most: the rest still holds
        return {"volume": volume(mesh), "bounds": bounds(mesh)}
    found = report(mesh)
    names = ("vertices", "faces", "watertight", "volume", "components", "bounds")
    return {name: getattr(found, name) for name in names}


def expected_cost(resolution: int) -> tuple[int, int]:
    """Values asked for and bytes of memory, beside the program's own, of a typical surface; both grow with its area in cells."""
    return round(SEED_VALUES + VALUES_PER_SQUARE * resolution**2), BYTES_PER_SQUARE * resolution**2
