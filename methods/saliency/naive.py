"""The obvious slow forms of what was made fast: loops over pixels and thresholds, in float64. Only tests call them.

The measures are written from their papers. What the package computes with is PySODMetrics, which counts by histograms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .metrics import BETA2, BOUNDARY_SHARE, THRESHOLDS
from .pairs.check import MAX_BITS

EPS = float(np.finfo(np.float64).eps)


def precision_recall_f(values: np.ndarray, truth: np.ndarray) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Precision, recall and F (Achanta et al. 2009) of the 8-bit map cut at 255, 254, ..., 0.

    Shapes:
        values (H, W) float in [0, 1], truth (H, W) bool -> (256,) each.
    """
    rows = []
    for found in _cuts(values):
        hits = float((found & truth).sum())
        precision, recall = hits / max(found.sum(), 1), hits / max(truth.sum(), 1)
        rows.append((precision, recall, f_measure(precision, recall)))
    precisions, recalls, fs = np.array(rows).T
    return precisions, recalls, fs


def f_measure(precision: float, recall: float) -> float:
    """(1 + b) P R / (b P + R), b = 0.3; 0 where both are."""
    bottom = BETA2 * precision + recall
    return (1 + BETA2) * precision * recall / bottom if bottom else 0.0


def adaptive_f(values: np.ndarray, truth: np.ndarray) -> float:
    """F of the map cut at twice its mean."""
    found = values >= min(2 * values.mean(), 1)
    hits = float((found & truth).sum())
    return f_measure(hits / max(found.sum(), 1), hits / truth.sum())


def e_curve(values: np.ndarray, truth: np.ndarray) -> NDArray[np.float64]:
    """Enhanced alignment (Fan et al., IJCAI 2018) of the map cut at 255, 254, ..., 0: how each pixel's deviations from the means agree."""
    scores = []
    for found in _cuts(values):
        if not truth.any():
            enhanced = 1.0 - found
        elif truth.all():
            enhanced = found.astype(float)
        else:
            ours, theirs = found - found.mean(), truth - truth.mean()
            alignment = 2 * ours * theirs / (ours**2 + theirs**2 + EPS)
            enhanced = (1 + alignment) ** 2 / 4
        scores.append(enhanced.sum() / (truth.size - 1 + EPS))
    return np.array(scores)


def _cuts(values: np.ndarray) -> list[np.ndarray]:
    levels = (values * 255).astype(np.uint8)
    return [levels >= threshold for threshold in range(THRESHOLDS - 1, -1, -1)]


def s_measure(values: np.ndarray, truth: np.ndarray) -> float:
    """Structure measure (Fan et al., ICCV 2017): half how object and ground look as wholes, half SSIM of the parts around the centroid."""
    share = truth.mean()
    if share in (0, 1):
        return float(1 - values.mean()) if share == 0 else float(values.mean())
    whole = share * _likeness(values[truth]) + (1 - share) * _likeness(1 - values[~truth])
    rows, columns = np.nonzero(truth)
    y, x = (round(float(place.mean())) + 1 for place in (rows, columns))
    parts = 0.0
    for part in (np.s_[:y, :x], np.s_[:y, x:], np.s_[y:, :x], np.s_[y:, x:]):
        if truth[part].size:
            parts += truth[part].size / truth.size * _ssim(values[part], truth[part].astype(float))
    return max(0.0, 0.5 * whole + 0.5 * parts)


def _likeness(values: np.ndarray) -> float:
    mean = float(values.mean())
    return 2 * mean / (mean**2 + 1 + float(values.std(ddof=1)) + EPS)


def _ssim(ours: np.ndarray, theirs: np.ndarray) -> float:
    x, y, count = ours.mean(), theirs.mean(), ours.size - 1
    spread, other = ((ours - x) ** 2).sum() / count, ((theirs - y) ** 2).sum() / count
    together = ((ours - x) * (theirs - y)).sum() / count
    top, bottom = 4 * x * y * together, (x**2 + y**2) * (spread + other)
    if top:
        return float(top / (bottom + EPS))
    return 1.0 if bottom == 0 else 0.0


def weighted_f(values: np.ndarray, truth: np.ndarray) -> float:
    """Weighted F (Margolin et al., CVPR 2014): errors beside others of their kind weigh less, errors far from the object more. b = 1."""
    error = np.abs(truth - values)
    object_pixels = np.argwhere(truth)
    nearest = np.array([object_pixels[((object_pixels - place) ** 2).sum(1).argmin()] for place in np.ndindex(truth.shape)])
    nearest = nearest.reshape(*truth.shape, 2)
    distance = np.sqrt(((np.moveaxis(np.indices(truth.shape), 0, -1) - nearest) ** 2).sum(-1))
    spread = error[nearest[..., 0], nearest[..., 1]]  # outside the object: the error of its nearest pixel
    mean = np.zeros(truth.shape)
    kernel = np.exp(-(np.arange(-3, 4)[:, None] ** 2 + np.arange(-3, 4) ** 2) / (2 * 5**2))
    padded = np.pad(spread, 3)
    for y, x in np.ndindex(truth.shape):
        mean[y, x] = (padded[y : y + 7, x : x + 7] * kernel).sum() / kernel.sum()
    weighted = np.where(truth, np.minimum(error, mean), error) * np.where(truth, 1, 2 - np.exp(np.log(0.5) / 5 * distance))
    hits = truth.sum() - weighted[truth].sum()
    recall, precision = 1 - weighted[truth].mean(), hits / (EPS + hits + weighted[~truth].sum())
    return float(2 * recall * precision / (EPS + recall + precision))


def boundary_iou(found: np.ndarray, truth: np.ndarray) -> float:
    """By distances in king's moves to the nearest pixel outside, the image's surroundings included, one pair of pixels at a time.

    Shapes:
        found, truth (H, W) bool.
    """
    width = max(1, round(BOUNDARY_SHARE * math.hypot(*truth.shape)))
    ours, theirs = (mask & _within(mask, width) for mask in (found, truth))
    union = (ours | theirs).sum()
    return float((ours & theirs).sum() / union) if union else 1.0


def _within(mask: np.ndarray, distance: int) -> np.ndarray:
    """Which pixels have one outside the mask no further away than that."""
    height, width = mask.shape
    near = np.zeros(mask.shape, bool)
    for y in range(height):
        for x in range(width):
            window = mask[max(0, y - distance) : y + distance + 1, max(0, x - distance) : x + distance + 1]
            inside = distance <= y < height - distance and distance <= x < width - distance
            near[y, x] = not inside or not window.all()
    return near


def guided(mask: np.ndarray, rgb: np.ndarray, radius: int, epsilon: float = 1e-4) -> NDArray[np.float64]:
    """Guided filter with a colour guide (He, Sun, Tang 2010, eq. 19 to 21): a ridge regression in every window, their means applied.

    Shapes:
        mask (H, W) uint8, rgb (H, W, 3) uint8 -> (H, W) float64, 0 to 255; windows of 2 `radius` + 1 pixels, mirrored at the border.
    """
    height, width = mask.shape
    guide, target = rgb / 255, mask / 255
    rows, columns = (_mirrored(length, radius) for length in (height, width))
    slopes, offsets = np.zeros((height, width, 3)), np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = np.ix_(rows[y : y + 2 * radius + 1], columns[x : x + 2 * radius + 1])
            colours, values = guide[window].reshape(-1, 3), target[window].ravel()
            covariance = np.cov(colours.T, bias=True) + epsilon * np.eye(3)
            together = (colours * values[:, None]).mean(0) - colours.mean(0) * values.mean()
            slopes[y, x] = np.linalg.solve(covariance, together)
            offsets[y, x] = values.mean() - slopes[y, x] @ colours.mean(0)
    filtered = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = np.ix_(rows[y : y + 2 * radius + 1], columns[x : x + 2 * radius + 1])
            filtered[y, x] = slopes[window].reshape(-1, 3).mean(0) @ guide[y, x] + offsets[window].mean()
    return 255 * np.clip(filtered, 0, 1)


def _mirrored(length: int, radius: int) -> np.ndarray:
    """Indices of a line that is continued by its mirror image, the border's pixel twice."""
    return np.pad(np.arange(length), radius, mode="symmetric")


def resized(rgb: np.ndarray, side: int) -> np.ndarray:
    """To side x side by triangle weights as wide as one pixel of the larger grid, columns first, rounded to 8 bits after each axis.

    Shapes:
        (H, W, 3) uint8 -> (side, side, 3) uint8.
    """
    narrow = np.floor(np.einsum("sw,hwc->hsc", _triangles(rgb.shape[1], side), rgb) + 0.5)
    return np.floor(np.einsum("sh,hwc->swc", _triangles(rgb.shape[0], side), narrow) + 0.5).astype(np.uint8)


def _triangles(length: int, side: int) -> NDArray[np.float64]:
    scale = length / side
    centres = (np.arange(side)[:, None] + 0.5) * scale
    weights = np.maximum(0, 1 - np.abs(np.arange(length) + 0.5 - centres) / max(scale, 1))
    return weights / weights.sum(1, keepdims=True)


def blended(front: np.ndarray, behind: np.ndarray, alpha: np.ndarray) -> NDArray[np.float64]:
    """front a + behind (1 - a), not rounded; (H, W, 3) uint8 twice and (H, W) uint8 -> (H, W, 3)."""
    share = alpha[..., None] / 255
    return front * share + behind * (1 - share)


def cleaned(mask: np.ndarray, parts: Sequence[np.ndarray], keep: Sequence[bool]) -> np.ndarray:
    """The mask where the nearest part is one that is kept; a kept one wins where two are as near.

    Shapes:
        mask (H, W) uint8, parts (H, W) bool each.
    """
    result = np.zeros_like(mask)
    for y, x in np.ndindex(mask.shape):
        near = [min(math.hypot(y - row, x - column) for row, column in np.argwhere(part)) for part in parts]
        kept, dropped = (min((d for d, k in zip(near, keep, strict=True) if k == wanted), default=math.inf) for wanted in (True, False))
        result[y, x] = mask[y, x] if kept <= dropped else 0
    return result


def smoothed(values: Sequence[float], alpha: float) -> list[float]:
    """The exponential average over time as one sum: alpha sum_k (1 - alpha)^k v_(t-k), the first value having all weight that is left."""
    return [alpha * sum((1 - alpha) ** k * values[t - k] for k in range(t)) + (1 - alpha) ** t * values[0] for t in range(len(values))]


def close_hashes(first: np.ndarray, second: np.ndarray) -> dict[tuple[int, int], int]:
    """Which hashes differ in at most 4 bits, and in how many; (n, 64) and (m, 64) bool, every pair."""
    found = {}
    for a, ours in enumerate(first):
        for b, theirs in enumerate(second):
            bits = sum(bool(x) != bool(y) for x, y in zip(ours, theirs, strict=True))
            if bits <= MAX_BITS:
                found[a, b] = bits
    return found
