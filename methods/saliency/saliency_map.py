"""A saliency map: what a network found in one image."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

STRETCH_FLOOR = 0.05  # a map whose values span less holds no object, and stretching it would make one out of noise
OBJECT_PEAK = 0.5  # no pixel above it: no object
OBJECT_CONFIDENCE = 0.35  # mean |2p - 1| over the pixels called object; below it the network is guessing
LARGE = 1 << 22  # pixels from which a mask is upsampled in 16 bits


@dataclass(frozen=True)
class Summary:
    """Numbers about the object of an image.

    Args:
        width, height: of the image, in pixels.
        object: whether there is one.
        coverage: percent of the image.
        box: [left, top, right, bottom] in pixels of the image, right and bottom exclusive; None when no pixel is above the threshold.
        centroid: [x, y] in pixels of the image, or None.
        confidence: the mean of |2p - 1| over the object's pixels, 0 without one.
    """

    width: int
    height: int
    object: bool
    coverage: float
    box: list[int] | None
    centroid: list[float] | None
    confidence: float


@dataclass(frozen=True)
class Saliency:
    """A saliency map and the size of the image it belongs to.

    Shapes:
        probability (h, w) float32 in [0, 1], at the network's resolution.
    """

    probability: np.ndarray
    width: int
    height: int

    def fine(self, *, stretch: bool = False) -> np.ndarray:
        """(H, W) float32 in [0, 1] at the image's size, bilinear; min-max stretched first if `stretch`."""
        small = self.stretched() if stretch else self.probability
        return cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_LINEAR)

    def mask(self, *, stretch: bool = False) -> np.ndarray:
        """(H, W) uint8 at the image's size: round(255 p), min-max stretched first if `stretch` and there is something to stretch."""
        if self.width * self.height <= LARGE:
            return np.rint(self.fine(stretch=stretch) * np.float32(255)).astype(np.uint8)
        # 16 bits instead of 32 halve the memory of a large map and still round to the right 8-bit level.
        small = self.stretched() if stretch else self.probability
        deep = np.rint(small * np.float32(65280)).astype(np.uint16)
        full16 = cv2.resize(deep, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        mask = np.empty(full16.shape, np.uint8)
        for top in range(0, self.height, 512):
            mask[top : top + 512] = ((full16[top : top + 512] + np.uint16(128)) >> 8).astype(np.uint8)  # type: ignore[operator]
        return mask

    def stretched(self) -> np.ndarray:
        """The map with its values stretched to [0, 1], unless they span less than 0.05: that is no object but noise."""
        low, high = float(self.probability.min()), float(self.probability.max())
        return self.probability if high - low < STRETCH_FLOOR else (self.probability - low) / np.float32(high - low)

    def summary(self, threshold: float = 0.5) -> Summary:
        """Numbers about the object, whose pixels are those above `threshold`."""
        probability = self.probability
        inside = probability > threshold
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        found = rows.size > 0
        confidence = float(np.abs(2 * probability[inside] - 1).mean()) if found else 0.0
        box = centroid = None
        if found:
            h, w = probability.shape
            x, y = self.width / w, self.height / h
            box = [
                int(columns[0] * x),
                int(rows[0] * y),
                min(self.width, round((columns[-1] + 1) * x)),
                min(self.height, round((rows[-1] + 1) * y)),
            ]
            weights = probability * inside
            total = float(weights.sum())
            cy = float((weights.sum(1) @ np.arange(0.5, h)) / total) * y
            cx = float((weights.sum(0) @ np.arange(0.5, w)) / total) * x
            centroid = [round(cx, 1), round(cy, 1)]
        return Summary(
            self.width,
            self.height,
            object=bool(found and probability.max() > OBJECT_PEAK and confidence >= OBJECT_CONFIDENCE),
            coverage=round(100 * float(inside.mean()), 2),
            box=box,
            centroid=centroid,
            confidence=round(confidence, 4),
        )
