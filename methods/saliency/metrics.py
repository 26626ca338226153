"""The field's measures of a saliency map against its mask, by PySODMetrics, and boundary IoU, which the toolkit lacks.

The toolkit stretches every map to the full range before it scores it, as the papers' evaluation code did. A nearly empty map is
thereby stretched into noise; `stretch=False` scores the map as it is.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
import py_sod_metrics as sod

BETA2 = 0.3  # weight of precision in F (Achanta et al. 2009), used by every saliency paper
BOUNDARY_SHARE = 0.02  # width of the boundary band as a share of the image diagonal (Cheng et al. 2021)
THRESHOLDS = 256
RAW = "raw"  # the name under which a map is scored without stretching


@dataclass(frozen=True)
class ImageScores:
    """One map against its mask.

    Shapes:
        precision, recall, f_curve, e_curve (256,) float64, at the thresholds 255, 254, ..., 0 of the 8-bit map.

    `empty` says that the mask holds no object. Precision, recall, F and IoU then have no meaning, and are NaN.
    """

    empty: bool
    mae: float
    s: float
    weighted_f: float
    adaptive_f: float
    iou: float
    boundary_iou: float
    precision: np.ndarray
    recall: np.ndarray
    f_curve: np.ndarray
    e_curve: np.ndarray


def score(saliency: np.ndarray, mask: np.ndarray, *, stretch: bool = True) -> ImageScores:
    """Score one map.

    Args:
        saliency: the 8-bit map.
        mask: the ground truth; object where > 127.
        stretch: min-max stretch the map first, as the toolkit does.

    Shapes:
        saliency, mask (H, W) uint8.

    Raises:
        ValueError: the shapes differ.
    """
    truth = mask > 127
    values = _scaled(saliency, stretch=stretch)
    toolkit = {
        "mae": sod.MAE(),
        "s": sod.Smeasure(),
        "e": sod.Emeasure(),
        "wf": sod.WeightedFmeasure(),
        "f": sod.FmeasureV2(
            {
                "f": sod.FmeasureHandler(with_dynamic=True, with_adaptive=True, beta=BETA2),
                "p": sod.PrecisionHandler(with_dynamic=True, with_adaptive=False),
                "r": sod.RecallHandler(with_dynamic=True, with_adaptive=False),
                "iou": sod.IOUHandler(with_dynamic=False, with_adaptive=False, with_binary=True),
            }
        ),
    }
    for measure in toolkit.values():
        measure.step(values, truth, normalize=False)
    mae, s = float(toolkit["mae"].get_results()["mae"]), float(toolkit["s"].get_results()["sm"])
    e_curve = toolkit["e"].get_results()["em"]["curve"]
    empty = not bool(truth.any())
    if empty:
        nan, nothing = float("nan"), np.full(THRESHOLDS, np.nan)
        return ImageScores(empty, mae, s, nan, nan, nan, nan, precision=nothing, recall=nothing, f_curve=nothing, e_curve=e_curve)
    overlap = toolkit["f"].get_results()
    return ImageScores(
        empty,
        mae,
        s,
        weighted_f=float(toolkit["wf"].get_results()["wfm"]),
        adaptive_f=float(overlap["f"]["adaptive"]),
        iou=float(overlap["iou"]["binary"]),
        boundary_iou=boundary_iou(values > 0.5, truth),
        precision=overlap["p"]["dynamic"],
        recall=overlap["r"]["dynamic"],
        f_curve=overlap["f"]["dynamic"],
        e_curve=e_curve,
    )


def score_all(maps: dict[str, np.ndarray], mask: np.ndarray, raw: str | None) -> dict[str, ImageScores]:
    """Score several maps of one image, stretched; the map named `raw` a second time as it is, under the name "raw".

    A plain function of plain arrays, so that a process pool can run it.
    """
    scores = {name: score(saliency, mask) for name, saliency in maps.items()}
    if raw is not None:
        scores[RAW] = score(maps[raw], mask, stretch=False)
    return scores


def _scaled(saliency: np.ndarray, *, stretch: bool) -> np.ndarray:
    """(H, W) uint8 -> (H, W) float64 in [0, 1], by the same operations as the toolkit's `prepare_data`."""
    values = saliency / 255
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if stretch and high > low else values


def boundary_iou(found: np.ndarray, truth: np.ndarray) -> float:
    """IoU of the inner boundary bands of two masks (Cheng et al., "Boundary IoU", CVPR 2021).

    A band holds the pixels of a mask within 2 % of the image diagonal of its contour; the image border counts as contour.

    Shapes:
        found, truth (H, W) bool -> float in [0, 1]; 1 where both are empty.
    """
    bands = [_boundary(found), _boundary(truth)]
    union = np.count_nonzero(bands[0] | bands[1])
    return np.count_nonzero(bands[0] & bands[1]) / union if union else 1.0


def _boundary(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    distance = max(1, round(BOUNDARY_SHARE * float(np.hypot(height, width))))
    padded = cv2.copyMakeBorder(mask.astype(np.uint8), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    inside = cv2.erode(padded, np.ones((3, 3), np.uint8), iterations=distance)[1:-1, 1:-1]
    return mask & (inside == 0)


@dataclass
class Totals:
    """Sums over the images of a data set, from which its metrics follow; its size does not grow with the set."""

    images: int = 0
    empty: int = 0
    sums: dict[str, float] = field(
        default_factory=lambda: dict.fromkeys(("mae", "s", "weighted_f", "adaptive_f", "iou", "boundary_iou"), 0.0)
    )
    curves: dict[str, np.ndarray] = field(
        default_factory=lambda: {name: np.zeros(THRESHOLDS) for name in ("precision", "recall", "f_curve", "e_curve")}
    )

    def add(self, scores: ImageScores) -> None:
        self.images += 1
        self.empty += scores.empty
        for sums in (self.sums, self.curves):
            for name in sums:
                if not scores.empty or name in ("mae", "s", "e_curve"):
                    sums[name] += getattr(scores, name)

    def mean(self, name: str) -> float:
        return self.sums[name] / self._count(name)

    def curve(self, name: str) -> np.ndarray:
        """The mean over images of `precision`, `recall`, `f_curve` or `e_curve`, (256,) float64, at the thresholds 255 to 0."""
        return self.curves[name] / self._count(name)

    def _count(self, name: str) -> float:
        # An empty set has no mean: NaN, not a division by zero.
        return (self.images if name in ("mae", "s", "e_curve") else self.images - self.empty) or float("nan")

    def metrics(self) -> dict[str, float]:
        """Every metric by its short name; those of F and IoU are NaN where no mask holds an object.

        Max and mean F (and E) are taken over the thresholds of the mean curve, as the field does, not averaged over the images.
        """
        f, e = self.curve("f_curve"), self.curve("e_curve")
        return {
            "mae": self.mean("mae"),
            "max_f": float(f.max()),
            "mean_f": float(f.mean()),
            "adaptive_f": self.mean("adaptive_f"),
            "weighted_f": self.mean("weighted_f"),
            "s": self.mean("s"),
            "max_e": float(e.max()),
            "mean_e": float(e.mean()),
            "iou": self.mean("iou"),
            "boundary_iou": self.mean("boundary_iou"),
        }


#: How the metrics are printed, in this order.
LABELS = {
    "mae": "MAE",
    "max_f": "max F",
    "mean_f": "mean F",
    "adaptive_f": "adaptive F",
    "weighted_f": "weighted F",
    "s": "S",
    "max_e": "max E",
    "mean_e": "mean E",
    "iou": "IoU at 0.5",
    "boundary_iou": "boundary IoU",
}
