"""How alike two shapes are, and how good a set of generated ones is. Definitions are in the docstrings; `DEFINITIONS` prints them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.floating]
THRESHOLD = 0.01  # of the F-score, as a share of the bounding-box diagonal (which is 1 in this data)

DEFINITIONS = {
    "iou": "occupied by both / occupied by either, over the 64^3 voxel centres",
    "mse": "mean squared difference of predicted occupancy and 0/1 label over the 64^3 voxel centres",
    "chamfer": "mean squared distance to the nearest point of the other surface, summed over both directions (unit: diagonal squared)",
    "normals": "mean |cosine| between a point's normal and that of the nearest point of the other surface, both directions averaged",
    "fscore": "harmonic mean of the shares of points within 1 % of the diagonal of the other surface",
    "coverage": "share of the reference shapes that are the nearest (by Chamfer distance) of at least one generated shape",
    "mmd": "mean over the reference shapes of the smallest Chamfer distance to a generated shape",
}


@dataclass(frozen=True)
class Surface:
    """Points on a surface and their unit normals, float [n, 3] each."""

    points: Float
    normals: Float


def iou(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union of two occupancies; 1 for two empty ones."""
    union = np.count_nonzero(a | b)
    return float(np.count_nonzero(a & b) / union) if union else 1.0


def surface_metrics(found: Surface, truth: Surface) -> dict[str, float]:
    """Chamfer distance, normal consistency and F-score of two sampled surfaces (see `DEFINITIONS`)."""
    from scipy.spatial import cKDTree

    there, nearest_truth = cKDTree(truth.points).query(found.points)
    back, nearest_found = cKDTree(found.points).query(truth.points)
    cosines = np.abs((found.normals * truth.normals[nearest_truth]).sum(1)).mean()
    cosines_back = np.abs((truth.normals * found.normals[nearest_found]).sum(1)).mean()
    precision, recall = float((there < THRESHOLD).mean()), float((back < THRESHOLD).mean())
    return {
        "chamfer": float((there**2).mean() + (back**2).mean()),
        "normals": float((cosines + cosines_back) / 2),
        "fscore": 2 * precision * recall / (precision + recall) if precision + recall else 0.0,
    }


def chamfer(a: Float, b: Float) -> float:
    """Chamfer distance of two point sets (see `DEFINITIONS`)."""
    from scipy.spatial import cKDTree

    there, back = cKDTree(b).query(a)[0], cKDTree(a).query(b)[0]
    return float((there**2).mean() + (back**2).mean())


def chamfer_table(a: Sequence[Float], b: Sequence[Float]) -> NDArray[np.float64]:
    """Chamfer distances of all pairs, float64 [len(a), len(b)]."""
    from scipy.spatial import cKDTree

    trees_a, trees_b = [cKDTree(points) for points in a], [cKDTree(points) for points in b]
    table = np.empty((len(a), len(b)))
    for i, (points, tree) in enumerate(zip(a, trees_a, strict=True)):
        for j, (others, other_tree) in enumerate(zip(b, trees_b, strict=True)):
            table[i, j] = (other_tree.query(points)[0] ** 2).mean() + (tree.query(others)[0] ** 2).mean()
    return table


def coverage_and_mmd(table: NDArray[np.float64]) -> dict[str, float]:
    """Coverage and minimum matching distance from the distances [generated, reference] (Achlioptas et al. 2018)."""
    return {"coverage": len(np.unique(table.argmin(1))) / table.shape[1], "mmd": float(table.min(0).mean())}


def mean_pairwise(table: NDArray[np.float64]) -> float:
    """Mean of the off-diagonal entries of a symmetric table of distances."""
    count = len(table)
    return float((table.sum() - np.trace(table)) / (count * (count - 1))) if count > 1 else 0.0


def nearest_by_iou(query: NDArray[np.bool_], packed: NDArray[np.uint8]) -> tuple[int, float]:
    """The most similar of many occupancies and its IoU: the retrieval baseline.

    Args:
        query: bool [n].
        packed: `np.packbits` of the others, uint8 [m, n / 8].
    """
    own = np.packbits(query)
    scores = np.empty(len(packed))
    for start in range(0, len(packed), 256):  # rows at a time, which bounds the memory
        rows = packed[start : start + 256]
        union = np.bitwise_count(rows | own).sum(1, dtype=np.int64)
        scores[start : start + 256] = np.bitwise_count(rows & own).sum(1, dtype=np.int64) / np.maximum(union, 1)
    best = int(scores.argmax())
    return best, float(scores[best])
