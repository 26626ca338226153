"""What a person would look at: the inside of the network on one photo, the curves of an evaluation, and its worst images."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import TwoSlopeNorm
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from PIL import Image

from ..common.drawing import figures, sheets
from ..common.errors import PprError
from ..common.reading import images
from .evaluate import STRETCHED, TILE, Evaluation, Worst
from .metrics import RAW, THRESHOLDS

if TYPE_CHECKING:
    from .levels import LevelView  # which imports torch

SHOWN = 640  # longest side of the photograph in the figure of the levels
GAP = 10  # pixels between pictures


def inside(rgb: np.ndarray, found: np.ndarray, levels: Sequence[LevelView], title: str) -> Figure:
    """The photograph and the final map, and for every level its map S, attention A and residual R, coarsest first.

    Shapes:
        rgb (H, W, 3) uint8, found (H, W) uint8, the final map.
    """
    photo, final = images.reduced(rgb, SHOWN), images.reduced(found, SHOWN)
    aspect = photo.shape[1] / photo.shape[0]
    height = 2.4 / max(aspect, 0.6)
    figure = figures.new(2.4 * (len(levels) + 1) + 0.8, 3 * height + 1.2)
    figure.suptitle(title, fontsize=10, parse_math=False)
    grid: list[list[Axes]] = figure.subplots(3, len(levels) + 1, squeeze=False).tolist()
    for row in grid:
        for axes in row:
            axes.set_axis_off()
    _show(grid[0][0], photo, "input", aspect)
    _show(grid[1][0], final, "final map", aspect, cmap="gray", vmin=0, vmax=255)
    grid[2][0].text(0.5, 0.5, "S = U + R\nA = sigmoid(−U)\nU: the coarser S,\nresized", ha="center", va="center", fontsize=9)
    limit = max((float(np.percentile(np.abs(level.residual), 99.5)) for level in levels if level.residual is not None), default=0.0) or 1.0
    for column, level in enumerate(levels, start=1):
        label = f"{level.number} (stride {level.stride})"
        _show(grid[0][column], level.saliency, f"S{label}", aspect, cmap="gray", vmin=0, vmax=1)
        if level.attention is None or level.residual is None:
            continue
        attention = _show(grid[1][column], level.attention, f"A{label}", aspect, cmap="gray", vmin=0, vmax=1)
        residual = _show(grid[2][column], level.residual, f"R{label}", aspect, cmap="RdBu_r", norm=TwoSlopeNorm(0, -limit, limit))
    if len(levels) > 1:
        figure.colorbar(attention, ax=grid[1], label="attention", shrink=0.8)
        figure.colorbar(residual, ax=grid[2], label="residual (logit)", shrink=0.8)
    return figure


def _show(axes: Axes, picture: np.ndarray, title: str, aspect: float, **style: Any) -> AxesImage:
    """Draw a map of any resolution in the photograph's proportions."""
    axes.set_axis_on()
    axes.set_title(title, fontsize=9)
    axes.set_xticks([])
    axes.set_yticks([])
    return axes.imshow(picture, extent=(0, aspect, 0, 1), interpolation="nearest", **style)


def curves(evaluation: Evaluation) -> Figure:
    """Precision over recall, and F over the threshold; the coarser levels too where they were measured."""
    figure = figures.new(9, 4)
    curve, threshold = figure.subplots(1, 2)
    over_recall, over_threshold = [], []
    for number, (name, totals) in enumerate(evaluation.totals.items()):
        style: dict[str, Any] = {"linestyle": "-" if name == STRETCHED else "--" if name == RAW else ":", "color": figures.colour(number)}
        (line,) = curve.plot(totals.curve("recall"), totals.curve("precision"), **style)
        over_recall.append((line, f"{name}, MAE {totals.mean('mae'):.3f}"))
        (line,) = threshold.plot(np.arange(THRESHOLDS)[::-1], totals.curve("f_curve"), **style)
        over_threshold.append((line, f"{name}, max F {totals.metrics()['max_f']:.3f}"))
    curve.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    threshold.set(xlabel="threshold of the 8-bit map", ylabel="F (β² = 0.3)", xlim=(0, 255), ylim=(0, 1.02))
    for axes, entries in ((curve, over_recall), (threshold, over_threshold)):
        figures.tidy(axes)
        figures.legend(axes, entries, loc="lower left")
    figure.suptitle(f"{evaluation.images} images", fontsize=10)
    return figure


def worst_sheet(worst: list[Worst]) -> Image.Image:
    """Rows of image, truth and found map, each with its name and MAE below, worst first."""
    return sheets.contact_sheet([_strip(entry) for entry in worst], 1, [f"{entry.name}  MAE {entry.mae:.3f}" for entry in worst])


def _strip(entry: Worst) -> Image.Image:
    """Image (grey where there is none to be had), truth and found map side by side."""
    height, width = entry.truth.shape
    photo: np.ndarray = np.full((height, width, 3), 200, np.uint8)
    if entry.image is not None:
        with contextlib.suppress(PprError):  # ready-made maps are scored without their images, which may be damaged
            photo = cv2.resize(images.decode(entry.image.read(), str(entry.image)).rgb, (width, height), interpolation=cv2.INTER_AREA)
    tiles = [sheets.framed(Image.fromarray(picture), TILE, height) for picture in (photo, entry.truth, entry.found)]
    return sheets.contact_sheet(tiles, 3, gap=GAP)
