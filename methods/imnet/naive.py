"""What was made fast elsewhere, in its obvious slow form: tests compare with it, nothing else uses it.

The field of a code on concatenated inputs, exact winding numbers, boxes by centre and axes, rays that march, grids voxel by voxel, surfaces
by all pairs, retrieval and distances of codes by plain loops. All in float64.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.reading.meshes import Mesh
from .config import NetworkConfig
from .metrics import THRESHOLD, Surface
from .shapes.boxes import BoxUnion
from .shapes.views import Camera, pixel_centres

Doubles = NDArray[np.float64]
Bool = NDArray[np.bool_]


def field(state: Mapping[str, NDArray[np.floating[Any]]], config: NetworkConfig, points: NDArray[Any], code: NDArray[Any]) -> Doubles:
    """f(p, z) of section 3.1 by building [h | features(p) | z] for every point; points [n, 3], code [z] -> values [n].

    Args:
        state: `linear_<i>.weight|bias` of a decoder.
    """
    values = logits(state, config, points, code)
    if config.output == "sigmoid":
        return 1 / (1 + np.exp(-values))
    if config.output == "clamp":
        return np.maximum(np.minimum(values, 0.01 * values + 0.99), 0.01 * values)
    return values


def logits(state: Mapping[str, NDArray[np.floating[Any]]], config: NetworkConfig, points: NDArray[Any], code: NDArray[Any]) -> Doubles:
    """The field before its last activation."""
    points = points.astype(np.float64)
    columns = [points]
    columns += [np.sin(points * math.pi * 2**k) for k in range(config.octaves)]
    columns += [np.cos(points * math.pi * 2**k) for k in range(config.octaves)]
    inputs = np.concatenate([*columns, np.tile(code.astype(np.float64), (len(points), 1))], axis=1)
    hidden, depth = inputs, len(config.decoder_widths) + 1
    for i in range(1, depth + 1):
        if 1 < i <= config.skips + 1:
            hidden = np.concatenate([hidden, inputs], axis=1)
        hidden = hidden @ state[f"linear_{i}.weight"].T.astype(np.float64) + state[f"linear_{i}.bias"]
        if i < depth:
            hidden = np.where(hidden > 0, hidden, 0.02 * hidden)
    return hidden[:, 0]


def gradient(
    state: Mapping[str, NDArray[np.floating[Any]]], config: NetworkConfig, points: NDArray[Any], code: NDArray[Any], step: float = 1e-6
) -> Doubles:
    """Slope of the logits along each axis by central differences, float64 [n, 3]; wrong where a kink lies within a step."""
    slopes = []
    for axis in np.eye(3) * step:
        ahead, behind = (logits(state, config, points.astype(np.float64) + sign * axis, code) for sign in (1, -1))
        slopes.append((ahead - behind) / (2 * step))
    return np.stack(slopes, axis=1)


def winding_numbers(mesh: Mesh, points: NDArray[Any]) -> Doubles:
    """How often the surface winds around each point [n, 3]: the sum of the triangles' solid angles over 4 pi (Jacobson et al. 2013)."""
    found = np.zeros(len(points))
    for row, point in enumerate(points):
        for a, b, c in mesh.vertices[mesh.faces] - point:
            la, lb, lc = (float(np.linalg.norm(corner)) for corner in (a, b, c))
            numerator = float(a @ np.cross(b, c))
            denominator = la * lb * lc + float(a @ b) * lc + float(b @ c) * la + float(c @ a) * lb
            found[row] += 2 * math.atan2(numerator, denominator) / (4 * math.pi)
    return found


def outside_by(rows: NDArray[Any], points: NDArray[Any]) -> Doubles:
    """How far points are outside a union of boxes, by centres, axes and half lengths: <= 0 is inside; float64 [n].

    Args:
        rows: centre, lengths and two axes [K, 12] as `BoxUnion.from_rows`, the axes orthonormal.
    """
    best = np.full(len(points), np.inf)
    for row in rows.astype(np.float64):
        axes = np.stack([row[6:9], row[9:12], np.cross(row[6:9], row[9:12])])
        along = (points - row[:3]) @ axes.T
        best = np.minimum(best, (np.abs(along) - row[3:6] / 2).max(1))
    return best


def entry_depth(shape: BoxUnion, camera: Camera, size: int, distances: Doubles) -> Doubles:
    """The first of ascending distances at which each pixel's ray is inside the shape, infinite if at none; float64 [size, size]."""
    depth = np.full((size, size), np.inf)
    centres = pixel_centres(size).astype(np.float64)
    for row, column in itertools.product(range(size), repeat=2):
        direction = camera.forward + centres[column] * camera.right - centres[row] * camera.up
        inside = shape.occupancy((camera.position + distances[:, None] * direction).astype(np.float32))
        if inside.any():
            depth[row, column] = distances[inside.argmax()]
    return depth


def max_pool(occupied: Bool, factor: int) -> Bool:
    """A coarse voxel is occupied if any of the fine ones in it is."""
    coarse = np.zeros([side // factor for side in occupied.shape], bool)
    for voxel in np.argwhere(occupied):
        coarse[tuple(voxel // factor)] = True
    return coarse


def fill_holes(occupied: Bool) -> Bool:
    """All but the empty voxels that a walk through faces of empty voxels reaches from outside."""
    padded = np.pad(occupied, 1)
    reached, waiting = np.zeros_like(padded), [(0, 0, 0)]
    reached[0, 0, 0] = True
    while waiting:
        x, y, z = waiting.pop()
        for near in ((x - 1, y, z), (x + 1, y, z), (x, y - 1, z), (x, y + 1, z), (x, y, z - 1), (x, y, z + 1)):
            inside = all(0 <= place < side for place, side in zip(near, padded.shape, strict=True))
            if inside and not padded[near] and not reached[near]:
                reached[near] = True
                waiting.append(near)
    return ~reached[1:-1, 1:-1, 1:-1]


def varies(occupied: Bool, reach: int) -> Bool:
    """Where the voxels up to `reach` away along each axis are not all alike; everything outside the grid counts as empty."""
    padded, size, found = np.pad(occupied, reach), 2 * reach + 1, np.zeros_like(occupied)
    for x, y, z in np.ndindex(occupied.shape):
        around = padded[x : x + size, y : y + size, z : z + size]
        found[x, y, z] = around.any() and not around.all()
    return found


def surface_metrics(found: Surface, truth: Surface) -> dict[str, float]:
    """Chamfer distance, normal consistency and F-score by looking at all pairs of points (see `metrics.DEFINITIONS`)."""
    squared, cosines, within = [], [], []
    for one, other in ((found, truth), (truth, found)):
        distances, alike = [], []
        for point, normal in zip(one.points, one.normals, strict=True):
            to_all = [math.dist(point, there) for there in other.points]
            nearest = to_all.index(min(to_all))
            distances.append(to_all[nearest])
            alike.append(abs(float(normal @ other.normals[nearest])))
        squared.append(sum(d * d for d in distances) / len(distances))
        cosines.append(sum(alike) / len(alike))
        within.append(sum(d < THRESHOLD for d in distances) / len(distances))
    fscore = 2 * within[0] * within[1] / (within[0] + within[1]) if sum(within) else 0.0
    return {"chamfer": sum(squared), "normals": sum(cosines) / 2, "fscore": fscore}


def nearest_by_iou(query: Bool, known: Sequence[Bool]) -> tuple[int, float]:
    """The most similar of many occupancies, and its IoU."""
    scores = [float((query & other).sum() / (query | other).sum()) for other in known]
    return scores.index(max(scores)), max(scores)


def prior_diagnostics(codes: NDArray[Any], samples: NDArray[Any]) -> dict[str, float]:
    """`prior.prior_diagnostics` of codes that are all different, distance by distance."""

    def mean_pairwise(rows: NDArray[Any]) -> float:
        return float(np.mean([np.linalg.norm(a - b) for a, b in itertools.combinations(rows, 2)]))

    nearest = np.mean([min(np.linalg.norm(sample - code) for code in codes) for sample in samples])
    own = np.mean([min(np.linalg.norm(code - other) for j, other in enumerate(codes) if j != i) for i, code in enumerate(codes)])
    return {
        "pairwise_ratio": mean_pairwise(samples) / mean_pairwise(codes),
        "nearest_ratio": float(nearest / own),
        "exact": float(sum(any((sample == code).all() for code in codes) for sample in samples)),
    }
