"""From a network's soft, low-resolution map to the mask a user wants: sharper edges, a threshold, fewer and cleaner parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from ...common.errors import UsageError

GUIDE_SIDE = 512  # longer side at which the guided filter's coefficients are computed
WORK_PIXELS = 1 << 21  # refinement works on at most 2 megapixels; its result is a soft map that scales up well


@dataclass(frozen=True)
class Refinement:
    """What to do to a map, in this order.

    Args:
        edges: `guided` aligns edges with the photo's by a guided filter; `grabcut` cuts the photo along its own colours.
        threshold: None leaves the map soft; a number in (0, 1), "adaptive" (twice the mean, as in the saliency literature) or "otsu".
        largest: keep the largest connected part only.
        min_area: drop parts smaller than this share of the image.
        feather: soften the edge by a Gaussian of this many pixels.
    """

    edges: Literal["none", "guided", "grabcut"] = "none"
    threshold: float | str | None = None
    largest: bool = False
    min_area: float = 0.0
    feather: float = 0.0

    @property
    def needed(self) -> bool:
        return self != Refinement()


def parse_threshold(text: str | None) -> float | str | None:
    """`adaptive`, `otsu`, or a number between 0 and 1.

    Raises:
        UsageError: anything else.
    """
    if text is None or text in ("adaptive", "otsu"):
        return text
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise UsageError(f"--threshold {text}: not a threshold", hint="a number between 0 and 1, adaptive, or otsu")
    return value


def refine(mask: np.ndarray, rgb: np.ndarray, how: Refinement) -> np.ndarray:
    """Apply a refinement.

    Shapes:
        mask (H, W) uint8, rgb (H, W, 3) uint8 -> (H, W) uint8.
    """
    if how.edges != "none":
        mask = _at_working_size(mask, rgb, guided if how.edges == "guided" else grabcut)
    if how.threshold is not None:
        mask = binarise(mask, how.threshold)
    if how.largest or how.min_area > 0:
        mask = clean(mask, largest=how.largest, min_area=how.min_area)
    if how.feather > 0:
        mask = cv2.GaussianBlur(mask, (0, 0), how.feather)
    return mask


def binarise(mask: np.ndarray, threshold: float | str) -> np.ndarray:
    """(H, W) uint8 -> {0, 255}. An empty map stays empty whatever the rule."""
    if threshold == "otsu":
        level = cv2.threshold(mask, 0, 255, cv2.THRESH_OTSU)[0] if mask.max() > mask.min() else 127
    elif threshold == "adaptive":
        level = min(2 * float(mask.mean()), 254)
    else:
        level = 255 * float(threshold)
    # Both rules follow the map's own values; where these are all small there is no object to find.
    if isinstance(threshold, str) and mask.max() < 64:
        return np.zeros_like(mask)
    return np.where(mask > level, 255, 0).astype(np.uint8)


def clean(mask: np.ndarray, *, largest: bool, min_area: float) -> np.ndarray:
    """Set the connected parts (of values above 127, 8-neighbours) that are not wanted to 0, with the soft rim around them."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 127).astype(np.uint8), connectivity=8)
    areas = stats[1:, cv2.CC_STAT_AREA]
    if count <= 1:
        return mask
    keep = areas >= min_area * mask.size
    if largest:
        keep &= np.arange(count - 1) == int(areas.argmax())
    wanted = np.concatenate([[False], keep])[labels].astype(np.uint8)
    # A soft rim belongs to the part it surrounds: whatever can be reached from a kept part through values above 0 stays.
    near_kept = cv2.distanceTransform(1 - wanted, cv2.DIST_L2, 3) if wanted.any() else np.full(mask.shape, np.inf, np.float32)
    dropped = np.concatenate([[False], ~keep])[labels].astype(np.uint8)
    near_dropped = cv2.distanceTransform(1 - dropped, cv2.DIST_L2, 3) if dropped.any() else np.full(mask.shape, np.inf, np.float32)
    return np.where(near_kept <= near_dropped, mask, 0).astype(np.uint8)


def guided(mask: np.ndarray, rgb: np.ndarray, radius_share: float = 0.03, epsilon: float = 1e-4) -> np.ndarray:
    """Guided filter with the photo's colours as the guide (He, Sun, Tang 2010; sub-sampled as in He, Sun 2015).

    In every window the map is fitted as an affine function of colour. The coefficients are smooth, so they are computed on a small copy
    and applied to the photo at full size.
    """
    height, width = mask.shape
    shrink = min(1.0, GUIDE_SIDE / max(height, width))
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    guide = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    target = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    window = 2 * max(2, round(radius_share * max(size))) + 1

    def mean(x: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(x, -1, (window, window), borderType=cv2.BORDER_REFLECT)

    guide_mean, target_mean = mean(guide), mean(target)
    r, g, b = cv2.split(guide)
    mr, mg, mb = cv2.split(guide_mean)
    rr, gg, bb = mean(r * r) - mr * mr + epsilon, mean(g * g) - mg * mg + epsilon, mean(b * b) - mb * mb + epsilon
    rg, rb, gb = mean(r * g) - mr * mg, mean(r * b) - mr * mb, mean(g * b) - mg * mb
    cr, cg, cb = (mean(c * target) - m * target_mean for c, m in ((r, mr), (g, mg), (b, mb)))
    # The 3x3 covariance matrix is inverted by cofactors, for all windows at once.
    irr, irg, irb = gg * bb - gb * gb, gb * rb - rg * bb, rg * gb - gg * rb
    igg, igb, ibb = rr * bb - rb * rb, rb * rg - rr * gb, rr * gg - rg * rg
    determinant = irr * rr + irg * rg + irb * rb
    slopes = (
        cv2.merge([irr * cr + irg * cg + irb * cb, irg * cr + igg * cg + igb * cb, irb * cr + igb * cg + ibb * cb]) / determinant[..., None]
    )
    offset = target_mean - (slopes * guide_mean).sum(2)
    slopes, offset = (cv2.resize(mean(x), (width, height), interpolation=cv2.INTER_LINEAR) for x in (slopes, offset))
    return np.rint(255 * np.clip(np.einsum("hwc,hwc->hw", slopes, rgb) / 255 + offset, 0, 1)).astype(np.uint8)


def grabcut(mask: np.ndarray, rgb: np.ndarray, iterations: int = 3) -> np.ndarray:
    """GrabCut (Rother et al. 2004) seeded with the map: object above .9, background below .05.

    A map with only one of the two is returned as it is.
    """
    labels = np.where(mask > 127, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[mask > 230] = cv2.GC_FGD
    labels[mask < 13] = cv2.GC_BGD
    inside = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if not inside.any() or inside.all():
        return mask
    models = np.zeros((2, 1, 65), np.float64)
    cv2.setRNGSeed(0)
    cv2.grabCut(cv2.cvtColor(rgb, cv2.COLOR_RGB2BGR), labels, (0, 0, 1, 1), models[0], models[1], iterations, cv2.GC_INIT_WITH_MASK)
    found = np.where((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    return cv2.GaussianBlur(found, (0, 0), 0.8)


def _at_working_size(mask: np.ndarray, rgb: np.ndarray, method) -> np.ndarray:  # type: ignore[no-untyped-def]
    height, width = mask.shape
    shrink = (WORK_PIXELS / (height * width)) ** 0.5
    if shrink >= 1:
        return method(mask, rgb)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    small = method(cv2.resize(mask, size, interpolation=cv2.INTER_AREA), cv2.resize(rgb, size, interpolation=cv2.INTER_AREA))
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
