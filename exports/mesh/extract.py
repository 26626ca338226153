"""From an implicit field to a closed triangle mesh: the level set of any function of points."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.meshes import Keep, Mesh, bounds, is_watertight, keep_components, volume

from .dense import scan
from .front import Cells, follow, seed_axis
from .lattice import Field, FieldWithNormals, Floats, Lattice, Progress, Sampler, checked_normals
from .mise import subdivide
from .surface import Surface, polygonise

#: Points float32 (n, 3) on the surface -> outward normals float (n, 3), of any length.
Normals = Callable[[Floats], NDArray[np.floating[Any]]]
Mode = Literal["sparse", "dense", "mise"]


class EmptyFieldError(PprError):
    """The field does not cross the level: there is no surface.

    Args:
        level, low, high: the level, and the smallest and largest value seen, in the field's units.
        advice: what else could help besides another level.
    """

    exit_code = 3

    def __init__(self, level: float, low: float, high: float, advice: str = "") -> None:
        self.level, self.low, self.high, self.advice = level, low, high, advice
        if low > level:
            what = f"is above the level {level:.9g} everywhere: its minimum is {low:.9g}"
        else:
            what = f"never rises above the level {level:.9g}: its maximum is {high:.9g}"
        if low == high:
            hint = "the field is constant: check the weights and the code it was made from"
        else:
            hint = f"try --level {_between(low, high)}{advice}"
        super().__init__(f"the field {what}; there is no surface", hint=hint)

    def shown_as(self, unit: Callable[[float], float]) -> EmptyFieldError:
        """The same error in other units, for a field whose user thinks in those."""
        return EmptyFieldError(unit(self.level), unit(self.low), unit(self.high), self.advice)


@dataclass(frozen=True, kw_only=True)
class Extraction:
    """How to turn a field into a mesh.

    Attributes:
        resolution: cells a side of the box, 2 to 4096.
        level: the value on the surface, in the field's units; larger values are inside.
        mode: `sparse` follows the surface from a coarse grid, `dense` asks everywhere, `mise` is the scheme of Occupancy Networks.
        seed_grid: cells a side of the coarse grid that `sparse` and `mise` begin with, 1 to 512.
        refine: rounds of moving every vertex onto the level, one value a vertex and round at most; 0 interpolates linearly.
        soft: ask `sparse` to look at the centre of coarse cells whose corners reach above this value but not above the level, too.
        box: world coordinates of the walls, the same along x, y and z. Everything beyond counts as outside.
        batch: points the field is asked for at once.
        keep: components that stay, see `keep_components`.
    """

    resolution: int = 128
    level: float = 0.5
    mode: Mode = "sparse"
    seed_grid: int = 32
    refine: int = 3
    soft: float | None = None
    box: tuple[float, float] = (-0.5, 0.5)
    batch: int = 8192
    keep: Keep = 0.001

    def __post_init__(self) -> None:
        if not 2 <= self.resolution <= 4096:
            raise UsageError(f"resolution {self.resolution} is not between 2 and 4096")
        if not 1 <= self.seed_grid <= 512:
            raise UsageError(f"seed grid {self.seed_grid} is not between 1 and 512")
        if self.batch < 1 or self.refine < 0:
            raise UsageError(f"a batch of {self.batch} or {self.refine} rounds of refinement make no sense")
        if not (math.isfinite(self.level) and -math.inf < self.box[0] < self.box[1] < math.inf):
            raise UsageError(f"level {self.level} and box {self.box} must be finite, and the box must have a size")
        if self.mode not in ("sparse", "dense", "mise"):
            raise UsageError(f"no extraction mode '{self.mode}'", hint="one of: sparse, dense, mise")
        if self.keep not in ("largest", "all") and not (isinstance(self.keep, (int, float)) and 0 <= self.keep <= 1):
            raise UsageError(f"cannot keep '{self.keep}' of the components", hint="largest, all, or a share of the volume from 0 to 1")


@dataclass(frozen=True)
class ExtractionStats:
    """What an extraction cost and gave.

    Attributes:
        queries: corner values asked for, those of `seed_queries` among them.
        seed_queries: for the coarse grid and the bisection from it to the surface.
        refine_queries: values asked for to move vertices onto the level.
        normal_queries: points that normals were asked for; with `together`, most of them are among the `refine_queries`.
        cells: active cells; `waves` the rounds of growth they took.
        vertices, faces, watertight, volume, components, bounds: of the mesh, after dropping `dropped` components.
        clipped: the surface leaves the box and was closed on its wall.
        smallest_feature: thickness in world units of a part that no seed corner can miss.
        max_value, min_value: of all values seen.
    """

    mode: str
    resolution: int
    queries: int
    seed_queries: int
    refine_queries: int
    normal_queries: int
    cells: int
    waves: int
    vertices: int
    faces: int
    watertight: bool
    volume: float
    components: int
    dropped: int
    bounds: tuple[tuple[float, ...], tuple[float, ...]]
    clipped: bool
    smallest_feature: float
    max_value: float
    min_value: float
    seconds: float


@dataclass(frozen=True)
class Extracted:
    """A mesh, how it came about, and int64 (n, 3) indices of the active cells in order; those of padding cells are -1 or the resolution."""

    mesh: Mesh
    stats: ExtractionStats
    cells: NDArray[np.int64]


def extract(
    field: Field,
    settings: Extraction,
    *,
    normals: Normals | None = None,
    together: FieldWithNormals | None = None,
    progress: Progress | None = None,
) -> Extracted:
    """The surface where a field crosses a level, closed and outward oriented.

    Args:
        field: float32 (n, 3) points in world coordinates -> float32 (n,) values.
        normals: gives the mesh normals; on the walls of the box they come from the faces instead. See `field_normals`.
        together: gives values and normals at once. With it the last value that moves a vertex brings the normal along, and `normals`
            is asked only where none did. The vertices are the same with and without.
        progress: told what is being asked for, and how many points so far.

    Raises:
        EmptyFieldError: the field is nowhere above the level, or everywhere, as far as it was asked.
        PprError: the field answers with another shape, or with NaN or infinity.
        UsageError: a mode cannot work at this resolution.
    """
    began = time.perf_counter()
    settings = dataclasses.replace(settings, level=float(np.float32(settings.level)))  # compared with float32 values everywhere
    lattice = Lattice(settings.resolution, *settings.box)
    sampler = Sampler(field, settings.batch, progress, together if normals else None)
    axis = seed_axis(settings.resolution, settings.resolution if settings.mode == "dense" else settings.seed_grid)
    cells = _active_cells(lattice, sampler, settings, axis)
    if not len(cells.keys) or sampler.smallest > settings.level:
        raise _no_surface(sampler, settings)
    surface = polygonise(lattice, cells, settings.level, sampler, settings.refine)
    mesh = _with_normals(surface, normals, sampler) if normals else Mesh(surface.vertices, surface.faces)
    cleaned = keep_components(mesh, settings.keep)
    seeds = sampler.asked.get("seed", 0)
    stats = ExtractionStats(
        mode=settings.mode,
        resolution=settings.resolution,
        queries=seeds + sampler.asked.get("front", 0),
        seed_queries=seeds,
        refine_queries=sampler.asked.get("refine", 0),
        normal_queries=sampler.asked.get("normals", 0),
        cells=len(cells.keys),
        waves=cells.waves,
        vertices=len(cleaned.mesh.vertices),
        faces=len(cleaned.mesh.faces),
        watertight=is_watertight(cleaned.mesh),
        volume=volume(cleaned.mesh),
        components=cleaned.components,
        dropped=cleaned.dropped,
        bounds=bounds(cleaned.mesh),
        clipped=bool(surface.on_wall.any()),
        smallest_feature=float(np.diff(axis).max()) * lattice.step,
        max_value=sampler.largest,
        min_value=sampler.smallest,
        seconds=time.perf_counter() - began,
    )
    return Extracted(cleaned.mesh, stats, lattice.indices(cells.keys))


def field_normals(field: Field, points: Floats, h: float) -> NDArray[np.float32]:
    """Outward unit normals float32 (n, 3) from central differences of the field, six values a point; zero where it is flat.

    Args:
        h: half the distance between the two values that are compared, in world units.
    """
    gradient = np.empty((len(points), 3), np.float32)
    for axis in range(3):
        step = np.zeros(3, np.float32)
        step[axis] = h
        gradient[:, axis] = field(points + step) - field(points - step)
    return _unit(-gradient)


def vertex_normals(mesh: Mesh) -> NDArray[np.float64]:
    """Outward unit normals float64 (V, 3) of the vertices: those of their faces, weighted by the angle each face has there."""
    corners = mesh.corners
    sides = _unit(np.roll(corners, -1, axis=1) - corners)
    angles = np.arccos(np.clip(-np.einsum("fci,fci->fc", sides, np.roll(sides, 1, axis=1)), -1, 1))
    facing = _unit(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]))
    weighted = (facing[:, None] * angles[..., None]).reshape(-1, 3)
    at = mesh.faces.reshape(-1)
    return _unit(np.stack([np.bincount(at, weighted[:, axis], len(mesh.vertices)) for axis in range(3)], axis=1))


def _active_cells(lattice: Lattice, sampler: Sampler, settings: Extraction, axis: NDArray[np.int64]) -> Cells:
    if settings.mode == "dense":
        return scan(lattice, sampler, settings.level)
    if settings.mode == "mise":
        return subdivide(lattice, sampler, settings.level, settings.seed_grid)
    return follow(lattice, sampler, settings.level, axis, settings.soft)


def _no_surface(sampler: Sampler, settings: Extraction) -> EmptyFieldError:
    advice = "" if settings.mode == "dense" else f", or a --seed-grid finer than {settings.seed_grid}"
    return EmptyFieldError(settings.level, sampler.smallest, sampler.largest, advice)


def _between(low: float, high: float) -> str:
    """The middle of two numbers, written as short as keeps it between them."""
    middle = (low + high) / 2
    return next((text for digits in range(2, 17) if low < float(text := f"{middle:.{digits}g}") < high), repr(middle))


def _with_normals(surface: Surface, normals: Normals, sampler: Sampler) -> Mesh:
    mesh = Mesh(surface.vertices, surface.faces)
    directions = surface.normals.copy()
    missing = np.flatnonzero(np.isnan(directions).any(axis=1) & ~surface.on_wall)
    points = surface.vertices[missing].astype(np.float32)
    for start in range(0, len(points), sampler.batch):
        part = points[start : start + sampler.batch]
        directions[missing[start : start + sampler.batch]] = checked_normals(part, normals(part))
        sampler.count("normals", len(part))
    directions = _unit(directions)
    # What is no direction, and what belongs to a wall and was not asked for, gets the normal of its faces.
    usable = np.isfinite(directions).all(axis=1) & directions.any(axis=1)
    if not usable.all():
        directions[~usable] = vertex_normals(mesh)[~usable]
    return dataclasses.replace(mesh, normals=directions)


def _unit(vectors: NDArray[Any]) -> NDArray[Any]:
    """Vectors divided by their length; zero stays zero."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return vectors / np.where(lengths > 0, lengths, 1)
