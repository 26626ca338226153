"""Pictures of meshes by a small software rasteriser: no display, no graphics driver, only NumPy and Pillow."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ppr.methods.common.drawing.sheets import contact_sheet
from ppr.methods.common.errors import UsageError
from ppr.methods.common.reading.meshes import Mesh

from .extract import vertex_normals
from .files import NEUTRAL

Doubles = NDArray[np.floating[Any]]

#: Distance of the eye in radii of the mesh's bounding sphere: mild perspective.
_DISTANCE = 5.0
_SUPERSAMPLING = 2
#: Triangle rows and pixels handled at once.
_CHUNK = 1 << 21
_NOTHING = np.uint64(2**64 - 1)
#: Directions to the lights as seen by the viewer (right, up, towards the eye), and their strengths.
_LIGHTS = (((-0.45, 0.65, 0.6), 0.62), ((0.8, 0.1, 0.35), 0.22))
#: Light from all around, and how much more of it comes from above.
_AMBIENT, _SKY = 0.38, 0.10
#: Cosine between a face and the mean around its corner below which an edge there is sharp (about 40 degrees).
_SHARP = 0.77


@dataclass(frozen=True)
class _Projected:
    """A mesh as the camera sees it.

    Attributes:
        screen: float64 (V, 2) pixel coordinates, x to the right and y down.
        nearness: float64 (V,) 1 / distance from the eye plane; it is linear on the screen.
        turn: float64 (3, 3) rows are the viewer's right, up and towards-the-eye.
        up: the axis that points up.
    """

    screen: Doubles
    nearness: Doubles
    turn: Doubles
    up: int


def render(
    mesh: Mesh,
    size: int = 512,
    azimuth: float = 35,
    elevation: float = 20,
    up: Literal["y", "z"] = "y",
    background: Literal["white", "transparent"] = "white",
) -> Image.Image:
    """A picture of a mesh that fills the square.

    Args:
        size: side in pixels.
        azimuth: degrees the camera has walked to its right around the mesh; at 0 it looks from +z (from -y if z is up), x to the right.
        elevation: degrees above the horizon.

    Returns:
        an RGB image, or RGBA with a transparent background.
    """
    if not 1 <= size <= 8192:
        raise UsageError(f"a picture of {size} pixels a side cannot be made", hint="1 to 8192")
    side = size * _SUPERSAMPLING
    pixels = np.zeros((side * side, 4))
    if len(mesh.faces):
        seen = _project(mesh, side, azimuth, elevation, up)
        face = _nearest_faces(seen, mesh.faces, side)
        covered = np.flatnonzero(face >= 0)
        pixels[covered, :3] = _shaded(mesh, seen, face[covered], covered, side)
        pixels[covered, 3] = 1
    # Averaged with colours weighted by coverage, so that no dark or white seam stays around the silhouette.
    blocks = pixels.reshape(size, _SUPERSAMPLING, size, _SUPERSAMPLING, 4).mean(axis=(1, 3))
    color, alpha = blocks[..., :3], blocks[..., 3:]
    if background == "white":
        return Image.fromarray(np.rint(255 * (color + 1 - alpha)).astype(np.uint8))
    return Image.fromarray(np.rint(255 * np.concatenate([color / np.where(alpha > 0, alpha, 1), alpha], axis=2)).astype(np.uint8))


def views(mesh: Mesh, size: int = 512, up: Literal["y", "z"] = "y") -> Image.Image:
    """Three views side by side: from the front right, from the side, from behind and above."""
    return contact_sheet([render(mesh, size, azimuth, elevation, up) for azimuth, elevation in ((35, 20), (90, 5), (215, 40))], 3)


def _project(mesh: Mesh, side: int, azimuth: float, elevation: float, up: str) -> _Projected:
    vertices = mesh.vertices.astype(np.float64)
    used = vertices[np.unique(mesh.faces)]
    middle = (used.min(axis=0) + used.max(axis=0)) / 2
    a, e = math.radians(azimuth), math.radians(elevation)
    turn = np.array(
        [
            [math.cos(a), 0, -math.sin(a)],
            [-math.sin(a) * math.sin(e), math.cos(e), -math.cos(a) * math.sin(e)],
            [math.sin(a) * math.cos(e), math.sin(e), math.cos(a) * math.cos(e)],
        ]
    )
    if up == "z":
        turn = turn @ np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])
    radius = float(np.linalg.norm(used - middle, axis=1).max()) or 1.0
    seen = (vertices - middle) / radius @ turn.T
    nearness = 1 / (_DISTANCE - seen[:, 2])
    flat = seen[:, :2] * nearness[:, None]
    shown = flat[np.unique(mesh.faces)]
    low, high = shown.min(axis=0), shown.max(axis=0)
    scale = 0.9 * side / (float((high - low).max()) or 1.0)
    screen = (flat - (low + high) / 2) * scale * (1, -1) + side / 2
    return _Projected(screen, nearness, turn, "xyz".index(up))


def _nearest_faces(seen: _Projected, faces: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """int64 (side * side,) the face that each pixel shows, or -1.

    A z-buffer: the distance in the upper half of an integer and the face in the lower, so that the smallest number is the nearest face.
    """
    buffer = np.full(side * side, _NOTHING)
    corners = seen.screen[faces]
    first = np.ceil(corners[..., 1].min(axis=1) - 0.5).astype(np.int64).clip(0, side)
    rows = (np.floor(corners[..., 1].max(axis=1) - 0.5).astype(np.int64) + 1).clip(0, side) - first
    near, far = seen.nearness.max(), seen.nearness.min()
    planes = _planes(corners, ((near - seen.nearness) / ((near - far) or 1.0))[faces])
    for part in _chunks(np.maximum(rows, 0)):
        face, offset = _expanded(rows[part].clip(0))
        face += part.start
        y = first[face] + offset
        left, right = _spans(corners[face], y + 0.5)
        start = np.ceil(left - 0.5).astype(np.int64).clip(0, side)
        width = (np.floor(right - 0.5).astype(np.int64) + 1).clip(0, side) - start
        for piece in _chunks(np.maximum(width, 0)):
            span, along = _expanded(width[piece].clip(0))
            span += piece.start
            x, which = start[span] + along, face[span]
            row = y[span]
            depth = (planes[0, which] + planes[1, which] * (x + 0.5) + planes[2, which] * (row + 0.5)).clip(0, 1)
            key = ((depth * (2**32 - 2)).astype(np.uint64) << np.uint64(32)) | which.astype(np.uint64)
            np.minimum.at(buffer, row * side + x, key)
    return np.where(buffer == _NOTHING, -1, (buffer & np.uint64(2**32 - 1)).astype(np.int64))


def _planes(corners: Doubles, values: Doubles) -> Doubles:
    """(3, n) coefficients c + gx x + gy y of what is linear over triangles (n, 3, 2) with values (n, 3) at their corners."""
    a, b, c = np.moveaxis(corners, 1, 0)
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    du, dv = (values[:, 1:] - values[:, :1]).T
    area = _area(ux, uy, vx, vy)
    gx, gy = (du * vy - dv * uy) / area, (dv * ux - du * vx) / area
    return np.stack([values[:, 0] - gx * a[:, 0] - gy * a[:, 1], gx, gy])


def _area(ux: Doubles, uy: Doubles, vx: Doubles, vy: Doubles) -> Doubles:
    """Doubled signed area between two sides, or infinity where a triangle is seen edge-on, so that what is divided by it is constant."""
    area = ux * vy - uy * vx
    return np.where(np.abs(area) > 1e-12, area, np.inf)


def _chunks(counts: NDArray[np.int64]) -> list[slice]:
    """Cut a list of counts into runs of at most about `_CHUNK` in sum."""
    if not len(counts):
        return []
    number = np.cumsum(counts) // _CHUNK
    starts = np.flatnonzero(np.diff(number, prepend=-1)).tolist()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], len(counts)], strict=True)]


def _expanded(counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For [2, 0, 3]: which entry [0, 0, 2, 2, 2], and its how manieth [0, 1, 0, 1, 2]."""
    which = np.repeat(np.arange(len(counts)), counts)
    return which, np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)


def _spans(corners: Doubles, y: Doubles) -> tuple[Doubles, Doubles]:
    """From where to where a horizontal line crosses triangles; corners (n, 3, 2), y (n,)."""
    following = np.roll(corners, -1, axis=1)
    rise = following[..., 1] - corners[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (y[:, None] - corners[..., 1]) / rise
        x = corners[..., 0] + t * (following[..., 0] - corners[..., 0])
    hit = (t >= 0) & (t <= 1) & (rise != 0)
    return np.where(hit, x, np.inf).min(axis=1).clip(-1e9, 1e9), np.where(hit, x, -np.inf).max(axis=1).clip(-1e9, 1e9)


def _barycentric(corners: Doubles, x: Doubles, y: Doubles) -> Doubles:
    """(n, 3) weights of the corners (n, 3, 2) at points (x, y); a triangle seen edge-on has its first corner."""
    a, b, c = np.moveaxis(corners, 1, 0)
    (ux, uy), (vx, vy) = (b - a).T, (c - a).T
    px, py = x - a[:, 0], y - a[:, 1]
    area = _area(ux, uy, vx, vy)
    second, third = (px * vy - py * vx) / area, (ux * py - uy * px) / area
    return np.stack([1 - second - third, second, third], axis=1)


def _shaded(mesh: Mesh, seen: _Projected, face: NDArray[np.int64], pixel: NDArray[np.int64], side: int) -> Doubles:
    """(n, 3) colours 0 to 1 of the faces at the pixels: two soft lights that move with the viewer, and light from the sky."""
    corners = mesh.faces[face]
    weights = _barycentric(seen.screen[corners], pixel % side + 0.5, pixel // side + 0.5).clip(0, 1) * seen.nearness[corners]
    weights /= weights.sum(axis=1, keepdims=True)  # what is linear in space is not on a screen with perspective
    directions, facing = _corner_normals(mesh)
    normal = np.einsum("nc,nci->ni", weights, directions[face]) @ seen.turn.T
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-300)
    back = ((facing[face] @ seen.turn.T)[:, 2] < 0)[:, None]
    normal *= np.where(back, -1, 1)  # the back of an open surface is lit like its front
    light = _AMBIENT + _SKY * (normal @ seen.turn[:, seen.up])
    for towards, strength in _LIGHTS:
        light += strength * np.clip(normal @ (np.array(towards) / np.linalg.norm(towards)), 0, None)
    colors = np.array(NEUTRAL) if mesh.colors is None else np.einsum("nc,nci->ni", weights, mesh.colors[corners][..., :3])
    return np.clip(colors / 255.0 * light[:, None], 0, 1)


def _corner_normals(mesh: Mesh) -> tuple[Doubles, Doubles]:
    """(F, 3, 3) normals at the corners of faces, and (F, 3) those of the faces.

    Across a sharp edge, the mean of the normals around a vertex belongs to no face; a face there keeps its own.
    """
    corners = mesh.corners
    facing = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    facing /= np.maximum(np.linalg.norm(facing, axis=1, keepdims=True), 1e-300)
    smooth = (mesh.normals if mesh.normals is not None else vertex_normals(mesh)).astype(np.float64)[mesh.faces]
    sharp = np.einsum("fci,fi->fc", smooth, facing) < _SHARP
    return np.where(sharp[..., None], facing[:, None], smooth), facing
