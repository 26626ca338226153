"""Triangle meshes: read them from files, weld, judge, clean and sample them. Needs neither torch nor open3d; trimesh only to read."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import PprError, UsageError
from .topology import Edges, connected, fans

SUFFIXES = (".obj", ".off", ".ply", ".stl", ".glb")
MAX_FILE_BYTES = 1 << 30

#: "largest", "all", or the smallest fraction of the volume that a component must have to stay.
Keep = Literal["largest", "all"] | float

#: Vertices closer than this fraction of the bounding-box diagonal are one vertex.
_WELD = 1e-8


@dataclass(frozen=True)
class Mesh:
    """Triangles with shared vertices.

    Attributes:
        vertices: float32 or float64 (V, 3).
        faces: int64 (F, 3) vertex numbers, counter-clockwise as seen from outside.
        normals: float (V, 3) of length 1, or None.
        colors: uint8 (V, 3 or 4) sRGB, or None.
    """

    vertices: NDArray[np.floating[Any]]
    faces: NDArray[np.int64]
    normals: NDArray[np.floating[Any]] | None = None
    colors: NDArray[np.uint8] | None = None

    @property
    def corners(self) -> NDArray[np.float64]:
        """float64 (F, 3, 3) the positions of every triangle's corners."""
        return self.vertices.astype(np.float64)[self.faces]

    def with_faces(self, faces: NDArray[np.int64]) -> Mesh:
        """Other triangles over the same vertices, less the vertices that none of them uses."""
        used = np.zeros(len(self.vertices), np.bool_)
        used[faces] = True
        number = np.cumsum(used) - 1
        normals = None if self.normals is None else self.normals[used]
        colors = None if self.colors is None else self.colors[used]
        return Mesh(self.vertices[used], number[faces], normals, colors)


@dataclass(frozen=True)
class MeshReport:
    """What a mesh is like.

    Attributes:
        vertices, faces: their numbers; vertices that no face uses do not count.
        watertight: every edge belongs to exactly two faces, which run along it in opposite directions.
        manifold: no edge belongs to more than two faces, and the faces around every vertex form one fan.
        components: parts that share no vertex.
        euler: vertices - edges + faces; 2 for a sphere, 0 for a torus.
        volume: signed, in cubed units; positive where faces look outward. Meaningful for watertight meshes.
        area: in squared units.
        bounds: (lowest x, y, z), (highest x, y, z).
    """

    vertices: int
    faces: int
    watertight: bool
    manifold: bool
    components: int
    euler: int
    volume: float
    area: float
    bounds: tuple[tuple[float, ...], tuple[float, ...]]


def read_mesh(path: Path) -> Mesh:
    """Read and weld a mesh; the parts of a scene are put into their places and joined.

    Vertex colours are kept. Normals are not: seams that are welded here have several.

    Raises:
        UsageError: a suffix other than obj, off, ply, stl or glb.
        PprError: absent, empty, damaged or without triangles; positions that are not numbers; larger than 1 GiB.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"{path}: '{path.suffix}' is no mesh format known here", hint=f"one of: {', '.join(s[1:] for s in SUFFIXES)}")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})") from error
    if size > MAX_FILE_BYTES:
        raise PprError(f"{path}: larger than {MAX_FILE_BYTES >> 30} GiB", hint="decimate it first")
    if size == 0:
        raise PprError(f"{path}: the file is empty")
    mesh = _checked(path, _loaded(path, suffix))
    if suffix == ".glb" and mesh.colors is not None:
        mesh = dataclasses.replace(mesh, colors=linear_to_srgb(mesh.colors))
    return weld(mesh)


def _loaded(path: Path, suffix: str) -> Mesh:
    import trimesh

    try:
        with path.open("rb") as stream:  # no name, so that nothing a file mentions is looked for beside it
            scene = trimesh.load_scene(stream, file_type=suffix[1:], process=False, skip_materials=True)
        loaded = scene.to_mesh()
        colors = np.array(loaded.visual.vertex_colors, np.uint8) if loaded.visual.kind == "vertex" else None
        return Mesh(np.array(loaded.vertices, np.float64), np.array(loaded.faces, np.int64), colors=colors)
    except Exception as error:  # the loaders answer damaged files with whatever goes wrong in them
        reason = (str(error).splitlines() or [""])[0][:120]
        raise PprError(
            f"{path}: not a {suffix[1:]} mesh that can be read ({type(error).__name__}{': ' if reason else ''}{reason})",
            hint="is the file whole, and of the format its name says?",
        ) from error


def _checked(path: Path, mesh: Mesh) -> Mesh:
    if mesh.faces.size == 0:
        raise PprError(f"{path}: has no triangles", hint="a point cloud has no inside; reconstruct a surface first")
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise PprError(f"{path}: a face names vertex {mesh.faces.max() + 1} of {len(mesh.vertices)}", hint="is the file whole?")
    bad = np.count_nonzero(~np.isfinite(mesh.vertices[np.unique(mesh.faces)]).all(axis=1))
    if bad:
        raise PprError(f"{path}: {bad:,} vertices are not at finite positions")
    return mesh


def weld(mesh: Mesh, tolerance: float = _WELD) -> Mesh:
    """Make one vertex of all at the same position, and drop triangles that lose a side by that.

    Args:
        tolerance: positions are compared after rounding to this fraction of the bounding-box diagonal.
    """
    mesh = mesh.with_faces(mesh.faces)
    origin = mesh.vertices.min(axis=0)
    cell = float(np.linalg.norm(mesh.vertices.max(axis=0) - origin)) * tolerance or 1.0
    x, y, z = np.rint((mesh.vertices - origin) / cell).astype(np.int64).T
    order = np.lexsort((z, y, x))
    first = np.ones(len(order), np.bool_)
    first[1:] = (np.diff(x[order]) != 0) | (np.diff(y[order]) != 0) | (np.diff(z[order]) != 0)
    merged = np.empty(len(order), np.int64)
    # The first of equals stays, so that a mesh without doubles keeps its order.
    merged[order] = np.minimum.reduceat(order, np.flatnonzero(first))[np.cumsum(first) - 1]
    faces = merged[mesh.faces]
    return mesh.with_faces(faces[(faces != np.roll(faces, 1, axis=1)).all(axis=1)])


@dataclass(frozen=True)
class Cleaned:
    """A mesh of `components` parts, after `dropped` others were removed."""

    mesh: Mesh
    components: int
    dropped: int


def report(mesh: Mesh) -> MeshReport:
    """Count and measure a mesh. An empty one has bounds of zeros."""
    edges = Edges.of(mesh.faces)
    used = np.unique(mesh.faces)
    corners = mesh.corners
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return MeshReport(
        vertices=len(used),
        faces=len(mesh.faces),
        watertight=edges.closed,
        manifold=bool((edges.faces <= 2).all()) and fans(mesh.faces, edges) == len(used),
        components=len(np.unique(_vertex_parts(mesh)[used])),
        euler=len(used) - len(edges.faces) + len(mesh.faces),
        volume=volume(mesh),
        area=float(np.linalg.norm(crosses, axis=1).sum()) / 2,
        bounds=bounds(mesh),
    )


def is_watertight(mesh: Mesh) -> bool:
    """Whether every edge belongs to exactly two faces, which run along it in opposite directions."""
    return Edges.of(mesh.faces).closed


def volume(mesh: Mesh) -> float:
    """What a closed mesh encloses; negative if its faces look inward."""
    if not len(mesh.faces):
        return 0.0
    vertices = mesh.vertices.astype(np.float64) - mesh.vertices[mesh.faces[0, 0]]  # near the origin nothing is lost to cancellation
    a, b, c = (vertices[mesh.faces[:, corner]] for corner in range(3))
    return float(np.einsum("fi,fi->", a, np.cross(b, c))) / 6


def bounds(mesh: Mesh) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Lowest and highest x, y, z of the vertices that faces use."""
    places = mesh.vertices[mesh.faces.reshape(-1)] if len(mesh.faces) else np.zeros((1, 3))
    return tuple(places.min(axis=0).tolist()), tuple(places.max(axis=0).tolist())


def _vertex_parts(mesh: Mesh) -> NDArray[np.int32]:
    """(V,) number of the component that each vertex belongs to."""
    a, b, c = mesh.faces.T
    return connected(np.concatenate([a, b]), np.concatenate([b, c]), len(mesh.vertices))


def _face_parts(mesh: Mesh) -> tuple[int, NDArray[np.intp]]:
    """How many components there are, and (F,) the number of each face's."""
    numbers, part = np.unique(_vertex_parts(mesh)[mesh.faces[:, 0]], return_inverse=True)
    return len(numbers), part


def component_volumes(mesh: Mesh) -> NDArray[np.float64]:
    """Volume of each component, float64 (components,); negative where faces look inward.

    A component that is not closed counts with the volume it would span from the middle of its corners.
    """
    _count, part = _face_parts(mesh)
    corners = mesh.corners
    sizes = np.bincount(part)
    middles = np.stack([np.bincount(part, corners.mean(axis=1)[:, axis]) for axis in range(3)], axis=1) / sizes[:, None]
    corners -= middles[part][:, None]
    signed = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    return np.bincount(part, signed).astype(np.float64)


def keep_components(mesh: Mesh, keep: Keep = 0.001) -> Cleaned:
    """Drop small components, by `component_volumes`.

    The walls of a hollow are components of their own: dropping them fills it.

    Args:
        keep: "largest" by volume, "all", or the least fraction of the volume of all components together.
    """
    count, part = _face_parts(mesh)
    if keep == "all" or count < 2:
        return Cleaned(mesh, count, 0)
    volumes = np.abs(component_volumes(mesh))
    kept = np.arange(count) == volumes.argmax() if isinstance(keep, str) else volumes >= keep * volumes.sum()
    return Cleaned(mesh.with_faces(mesh.faces[kept[part]]), int(np.count_nonzero(kept)), int(np.count_nonzero(~kept)))


def sample_surface(mesh: Mesh, count: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points spread evenly over the surface, and the normals of the faces they lie on; both float64 (count, 3).

    Raises:
        PprError: the surface has no area.
    """
    corners = mesh.corners
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    doubled = np.linalg.norm(crosses, axis=1)
    if not doubled.sum() > 0:
        raise PprError("a mesh without area cannot be sampled")
    generator = np.random.default_rng(seed)
    face = generator.choice(len(doubled), count, p=doubled / doubled.sum())
    u, v = generator.random((2, count, 1))
    over = u + v > 1
    u, v = np.where(over, 1 - u, u), np.where(over, 1 - v, v)
    a, b, c = np.moveaxis(corners[face], 1, 0)
    return a + u * (b - a) + v * (c - a), crosses[face] / doubled[face, None]


def srgb_to_linear(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Colours as people mix them -> as light adds up, which is how glTF stores vertex colours; alpha, if any, stays."""
    x = colors / 255.0
    return _recoded(colors, np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4))


def linear_to_srgb(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The inverse of `srgb_to_linear`, up to rounding."""
    x = colors / 255.0
    return _recoded(colors, np.where(x <= 0.0031308, x * 12.92, 1.055 * x ** (1 / 2.4) - 0.055))


def _recoded(colors: NDArray[np.uint8], values: NDArray[np.float64]) -> NDArray[np.uint8]:
    recoded = np.rint(255 * values).astype(np.uint8)
    recoded[:, 3:] = colors[:, 3:]
    return recoded
