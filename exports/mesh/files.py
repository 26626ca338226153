"""Meshes on their way out: put them into place, colour, simplify and smooth them, and write files that other programs open."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.files import atomic_open
from ppr.methods.common.reading.meshes import Mesh, srgb_to_linear
from ppr.methods.common.reading.open3d_library import import_open3d

from .extract import vertex_normals

Up = Literal["y", "z"]

#: A light, slightly warm grey, for meshes without colours of their own.
NEUTRAL = (205, 203, 198)
#: Deep blue over green to yellow, for heights.
_RAMP = np.array([[45, 62, 120], [40, 120, 142], [70, 170, 125], [160, 205, 80], [250, 225, 70]], np.float64)
_LINES = 1 << 14


def write_mesh(path: Path, mesh: Mesh, *, overwrite: bool) -> None:
    """Write a mesh in the format that the suffix names, whole or not at all.

    Raises:
        UsageError: an unknown suffix, or a file that exists already and shall not be overwritten.
        PprError: the folder cannot be written.
    """
    data = mesh_bytes(mesh, path.suffix.lower(), name=str(path))
    with atomic_open(path, overwrite=overwrite) as stream:
        stream.write(data)


def mesh_bytes(mesh: Mesh, format: str, *, name: str = "standard output") -> bytes:
    """A mesh as the contents of an obj, ply, stl, off or glb file (`format` with or without a dot).

    Positions are float32 in the binary formats. Colours: sRGB bytes in ply, sRGB fractions after the position in obj, linear in glb as its
    standard asks; off and stl have none. Normals: obj, ply and glb.

    Raises:
        UsageError: an unknown format, named as that of `name`.
    """
    known = format.removeprefix(".")
    if known not in WRITERS:
        raise UsageError(f"{name}: '{format}' is no mesh format known here", hint=f"one of: {', '.join(WRITERS)}")
    return WRITERS[known](mesh)


def _obj(mesh: Mesh) -> bytes:
    columns = [mesh.vertices] if mesh.colors is None else [mesh.vertices, mesh.colors[:, :3] / 255.0]
    parts = [_lines("v %.9g %.9g %.9g" + " %.4g" * (3 * len(columns) - 3), np.concatenate(columns, axis=1))]
    faces = mesh.faces + 1
    if mesh.normals is None:
        parts.append(_lines("f %d %d %d", faces))
    else:
        parts += [_lines("vn %.5g %.5g %.5g", mesh.normals), _lines("f %d//%d %d//%d %d//%d", np.repeat(faces, 2, axis=1))]
    return b"".join(parts)


def _off(mesh: Mesh) -> bytes:
    header = f"OFF\n{len(mesh.vertices)} {len(mesh.faces)} 0\n".encode()
    return header + _lines("%.9g %.9g %.9g", mesh.vertices) + _lines("3 %d %d %d", mesh.faces)


def _lines(pattern: str, rows: NDArray[Any]) -> bytes:
    """One line a row; formatted thousands at a time, which is several times as fast as line by line."""
    parts = []
    for start in range(0, len(rows), _LINES):
        part = rows[start : start + _LINES]
        parts.append((pattern + "\n") * len(part) % tuple(part.reshape(-1).tolist()))
    return "".join(parts).encode()


def _ply(mesh: Mesh) -> bytes:
    columns: list[tuple[str, str, NDArray[Any]]] = [("<f4", name, mesh.vertices[:, i]) for i, name in enumerate("xyz")]
    if mesh.normals is not None:
        columns += [("<f4", name, mesh.normals[:, i]) for i, name in enumerate(("nx", "ny", "nz"))]
    if mesh.colors is not None:
        columns += [("u1", name, mesh.colors[:, i]) for i, name in enumerate(("red", "green", "blue", "alpha")[: mesh.colors.shape[1]])]
    vertices = np.empty(len(mesh.vertices), np.dtype([(name, kind) for kind, name, _values in columns]))
    for _kind, name, values in columns:
        vertices[name] = values
    faces = np.empty(len(mesh.faces), np.dtype([("count", "u1"), ("corners", "<i4", 3)]))
    faces["count"], faces["corners"] = 3, mesh.faces
    properties = [f"property {'uchar' if kind == 'u1' else 'float'} {name}" for kind, name, _values in columns]
    header = ["ply", "format binary_little_endian 1.0", f"element vertex {len(vertices)}", *properties]
    header += [f"element face {len(faces)}", "property list uchar int vertex_indices", "end_header", ""]
    return "\n".join(header).encode() + vertices.tobytes() + faces.tobytes()


def _stl(mesh: Mesh) -> bytes:
    corners = mesh.corners
    crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    lengths = np.linalg.norm(crosses, axis=1, keepdims=True)
    faces = np.zeros(len(corners), np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attribute", "<u2")]))
    faces["normal"], faces["corners"] = crosses / np.where(lengths > 0, lengths, 1), corners
    return b"binary stl".ljust(80) + np.uint32(len(faces)).astype("<u4").tobytes() + faces.tobytes()


def _glb(mesh: Mesh) -> bytes:
    """One primitive with a rough, non-metallic material: without one, viewers take polished metal, which looks black."""
    import trimesh

    base = (255, 255, 255) if mesh.colors is not None else srgb_to_linear(np.array([NEUTRAL], np.uint8))[0].tolist()
    material = trimesh.visual.material.PBRMaterial(name="surface", baseColorFactor=[*base, 255], metallicFactor=0.0, roughnessFactor=0.8)
    visual = trimesh.visual.TextureVisuals(material=material)
    if mesh.colors is not None:
        opaque = np.full((len(mesh.colors), 4), 255, np.uint8)
        opaque[:, : mesh.colors.shape[1]] = mesh.colors
        visual.vertex_attributes["color"] = srgb_to_linear(opaque)
    shape = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_normals=mesh.normals, visual=visual, process=False)
    scene = trimesh.Scene()
    scene.add_geometry(shape, geom_name="surface")
    return bytes(trimesh.exchange.gltf.export_glb(scene, include_normals=mesh.normals is not None))


WRITERS: dict[str, Callable[[Mesh], bytes]] = {"obj": _obj, "ply": _ply, "stl": _stl, "off": _off, "glb": _glb}


def place(mesh: Mesh, up: Up = "y", scale: float | None = None, center: bool = False, on_floor: bool = False) -> Mesh:
    """Turn, scale and move a mesh whose y axis points up.

    Args:
        up: the axis that points up afterwards; z turns the mesh about x.
        scale: length of the longest side of the bounding box, usually metres.
        center: put the middle of the bounding box at the origin.
        on_floor: put the lowest point at height 0, after centring.
    """
    vertices, normals = mesh.vertices.astype(np.float64), mesh.normals
    if up == "z":
        turn = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
        vertices, normals = vertices @ turn, None if normals is None else normals @ turn
    if scale is not None:
        longest = np.ptp(vertices, axis=0).max()
        if not (scale > 0 and longest > 0):
            raise UsageError(f"cannot scale a mesh of size {longest:g} to {scale:g}")
        vertices *= scale / longest
    if center:
        vertices -= (vertices.min(axis=0) + vertices.max(axis=0)) / 2
    if on_floor:
        height = "xyz".index(up)
        vertices[:, height] -= vertices[:, height].min()
    return dataclasses.replace(mesh, vertices=vertices, normals=normals)


def check_color(by: str) -> None:
    """Refuse a colouring that `colorize` does not know.

    Raises:
        UsageError: neither `normal`, `height` nor `#rrggbb`.
    """
    if by not in ("normal", "height") and not re.fullmatch("#[0-9a-fA-F]{6}", by):
        raise UsageError(f"colour '{by}' is not known", hint="normal, height, or a colour like #c86432")


def colorize(mesh: Mesh, by: str, up: Up = "y") -> Mesh:
    """Colour the vertices by their `normal`, by their `height`, or all the same (`#rrggbb`).

    Raises:
        UsageError: none of these.
    """
    check_color(by)
    if by == "normal":
        normals = mesh.normals if mesh.normals is not None else vertex_normals(mesh)
        colors = np.rint(127.5 + 127.5 * normals)
    elif by == "height":
        height = mesh.vertices[:, "xyz".index(up)].astype(np.float64)
        place = (height - height.min()) / (np.ptp(height) or 1.0) * (len(_RAMP) - 1)
        colors = np.stack([np.interp(place, np.arange(len(_RAMP)), _RAMP[:, channel]) for channel in range(3)], axis=1)
    else:
        colors = np.tile([int(by[i : i + 2], 16) for i in (1, 3, 5)], (len(mesh.vertices), 1))
    return dataclasses.replace(mesh, colors=colors.astype(np.uint8))


def decimate(mesh: Mesh, faces: int) -> Mesh:
    """At most about `faces` triangles by quadric error (Garland and Heckbert 1997, as open3d does it); normals are computed anew.

    Raises:
        UsageError: fewer than 4 faces asked for.
        PprError: open3d cannot be used, or nothing of the mesh is left.
    """
    if faces < 4:
        raise UsageError(f"{faces} faces do not close a surface", hint="at least 4")
    if faces >= len(mesh.faces):
        return mesh
    simplified = _to_open3d(mesh).simplify_quadric_decimation(target_number_of_triangles=faces)
    return _from_open3d(simplified, mesh)


def smooth(mesh: Mesh, iterations: int) -> Mesh:
    """Taubin's smoothing (1995, as open3d does it), which shrinks little; normals are computed anew.

    Raises:
        PprError: open3d cannot be used.
    """
    if iterations <= 0:
        return mesh
    return _from_open3d(_to_open3d(mesh).filter_smooth_taubin(number_of_iterations=iterations), mesh)


def _to_open3d(mesh: Mesh) -> Any:
    open3d = import_open3d()
    vector = open3d.utility.Vector3dVector
    converted = open3d.geometry.TriangleMesh(
        vector(mesh.vertices.astype(np.float64)), open3d.utility.Vector3iVector(mesh.faces.astype(np.int32))
    )
    if mesh.colors is not None:
        converted.vertex_colors = vector(mesh.colors[:, :3] / 255.0)
    return converted


def _from_open3d(converted: Any, original: Mesh) -> Mesh:
    faces = np.asarray(converted.triangles).astype(np.int64)
    if not len(faces):
        raise PprError("nothing of the mesh is left", hint="ask for more faces")
    colors = np.rint(255 * np.clip(np.asarray(converted.vertex_colors), 0, 1)).astype(np.uint8) if converted.has_vertex_colors() else None
    mesh = Mesh(np.array(converted.vertices), faces, colors=colors)
    return mesh if original.normals is None else dataclasses.replace(mesh, normals=vertex_normals(mesh))
