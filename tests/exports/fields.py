"""Implicit functions to extract, and independent ways to what extraction should find in them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ppr.exports.mesh.extract import Extraction
from ppr.exports.mesh.marching import CORNERS

Points = np.ndarray
Field = Callable[[Points], np.ndarray]
LEVEL0 = Extraction(level=0.0)


def ball(radius: float = 0.3, centre: tuple[float, float, float] = (0, 0, 0)) -> Field:
    middle = np.array(centre, np.float32)
    return lambda p: radius - np.sqrt(np.square(p - middle).sum(axis=1))


def torus(p: Points) -> np.ndarray:
    return np.float32(0.1) - np.hypot(np.hypot(p[:, 0], p[:, 1]) - np.float32(0.27), p[:, 2])


def union(*fields: Field) -> Field:
    return lambda p: np.max([field(p) for field in fields], axis=0)


def box(low: tuple[float, ...], high: tuple[float, ...]) -> Field:
    middle, half = (np.array([low, high], np.float32) * [[0.5], [0.5]]).sum(axis=0), (np.array(high) - low).astype(np.float32) / 2

    def inside(p: Points) -> np.ndarray:
        q = np.abs(p - middle.astype(np.float32)) - half
        return -(np.minimum(q.max(axis=1), 0) + np.linalg.norm(np.maximum(q, 0), axis=1))

    return inside


def chair(seed: int) -> Field:
    """A seat, a back of solid or slats, and four thin legs; diagonal about 1, y up."""
    rng = np.random.default_rng(seed)
    w, d, seat, leg = rng.uniform(0.17, 0.24), rng.uniform(0.16, 0.22), rng.uniform(-0.1, 0.02), rng.uniform(0.008, 0.02)
    parts = [box((-w, seat, -d), (w, seat + rng.uniform(0.015, 0.05), d))]
    parts += [box((x - leg, -0.38, z - leg), (x + leg, seat, z + leg)) for x in (-w + leg, w - leg) for z in (-d + leg, d - leg)]
    slats = rng.integers(1, 6)
    edges = np.linspace(-w, w, 2 * slats)
    parts += [box((edges[2 * i], seat, -d), (edges[2 * i + 1], 0.36, -d + 0.02)) for i in range(slats)]
    return union(*parts, box((-w, 0.33, -d), (w, 0.38, -d + 0.025)))


def waves(seed: int) -> Field:
    """A random smooth field that reaches the walls of the box in places."""
    rng = np.random.default_rng(seed)
    frequencies = rng.normal(0, 5, (12, 3)).astype(np.float32)
    phases, heights = rng.uniform(0, 6.3, 12).astype(np.float32), rng.uniform(0.2, 1, 12).astype(np.float32)
    return lambda p: np.cos(p @ frequencies.T + phases) @ heights


def noise(seed: int, resolution: int, share: float = 0.5) -> Field:
    """An independent value at every corner of a lattice over the default box."""
    values = np.random.default_rng(seed).random((resolution + 1,) * 3, np.float32) + np.float32(share - 0.5)
    return lambda p: values[tuple(np.rint((p.astype(np.float64) + 0.5) * resolution).astype(int).T)]


def corner_values(field: Field, resolution: int) -> np.ndarray:
    """The field at all corners, with a layer of padding: an independent way to the dense grid."""
    axis = np.float64(-0.5) + np.arange(resolution + 1) / resolution
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), axis=-1).reshape(-1, 3).astype(np.float32)
    return np.pad(field(grid).reshape((resolution + 1,) * 3), 1, constant_values=-np.inf)


def mixed_cells(values: np.ndarray, level: float) -> np.ndarray:
    inside = values > level
    side = len(values) - 1
    around = np.stack([inside[tuple(slice(o, o + side) for o in offset)] for offset in CORNERS])
    return np.stack(np.nonzero(around.any(axis=0) & ~around.all(axis=0)), axis=1) - 1


def boxes_field(boxes: np.ndarray) -> Field:
    """A union of oriented boxes, float64 (boxes, 12) as GRASS stores them, with a diagonal of 1."""
    centre, half = boxes[:, :3], boxes[:, 3:6] / 2
    first = boxes[:, 6:9] / np.linalg.norm(boxes[:, 6:9], axis=1, keepdims=True)
    second = boxes[:, 9:12] - np.einsum("bi,bi->b", boxes[:, 9:12], first)[:, None] * first
    second /= np.linalg.norm(second, axis=1, keepdims=True)
    axes = np.stack([first, second, np.cross(first, second)], axis=1)
    reach = np.einsum("bi,bij->bj", half, np.abs(axes))
    low, high = (centre - reach).min(axis=0), (centre + reach).max(axis=0)
    size = np.linalg.norm(high - low)
    centre, half = ((centre - (low + high) / 2) / size).astype(np.float32), (half / size).astype(np.float32)
    turned = axes.astype(np.float32)

    def field(p: Points) -> np.ndarray:
        best = np.full(len(p), -np.inf, np.float32)
        for c, h, axes_ in zip(centre, half, turned, strict=True):
            q = np.abs((p - c) @ axes_.T) - h
            np.maximum(best, -(np.minimum(q.max(axis=1), 0) + np.linalg.norm(np.maximum(q, 0), axis=1)), out=best)
        return best

    return field
