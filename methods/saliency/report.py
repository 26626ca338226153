"""Files about an evaluation: rows an image, precision-recall curve, the worst images."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from ..common.drawing import figures, sheets
from ..common.errors import PprError
from ..common.reading import images
from ..common.reading.files import atomic_open, atomic_path
from .evaluate import STRETCHED, TILE, Evaluation, Worst
from .metrics import RAW, THRESHOLDS

FILES = ("metrics.json", "images.csv", "pr.csv", "pr.png", "worst.png")
GAP = 10  # pixels between pictures


def write_report(folder: Path, evaluation: Evaluation, record: Mapping[str, Any]) -> list[Path]:
    """Write metrics.json (`record`), images.csv, pr.csv, pr.png and, where worst images were kept, worst.png.

    Files of these names are replaced.

    Raises:
        PprError: the folder cannot be written.
    """
    text = {
        "metrics.json": json.dumps(record, indent=2, ensure_ascii=False) + "\n",
        "images.csv": _images_csv(evaluation),
        "pr.csv": _pr_csv(evaluation),
    }
    for name, content in text.items():
        with atomic_open(folder / name) as stream:
            stream.write(content.encode())
    figures.save(draw_pr(evaluation), folder / "pr.png")
    if evaluation.worst:
        with atomic_path(folder / "worst.png") as temporary:
            contact_sheet(evaluation.worst).save(temporary)
    return [folder / name for name in FILES if name != "worst.png" or evaluation.worst]


def _images_csv(evaluation: Evaluation) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, evaluation.rows[0].keys(), lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: f"{value:.6f}" if isinstance(value, float) else value for key, value in row.items()} for row in evaluation.rows)
    return text.getvalue()


def _pr_csv(evaluation: Evaluation) -> str:
    columns = [
        (kind, quantity) for kind in (STRETCHED, RAW) if kind in evaluation.totals for quantity in ("precision", "recall", "f_curve")
    ]
    curves = [evaluation.totals[kind].curve(quantity) for kind, quantity in columns]
    lines = [",".join(["threshold", *(f"{kind}_{quantity.removesuffix('_curve')}" for kind, quantity in columns)])]
    for index in range(THRESHOLDS):
        lines.append(",".join([str(THRESHOLDS - 1 - index), *(f"{curve[index]:.6f}" for curve in curves)]))
    return "\n".join(lines) + "\n"


def draw_pr(evaluation: Evaluation) -> Figure:
    """Precision over recall, and F over the threshold; the coarser levels too where they were measured."""
    figure = figures.new(9, 4)
    curve, threshold = figure.subplots(1, 2)
    curves, thresholds = [], []
    for number, (name, totals) in enumerate(evaluation.totals.items()):
        style: dict[str, Any] = {"linestyle": "-" if name == STRETCHED else "--" if name == RAW else ":", "color": figures.colour(number)}
        (line,) = curve.plot(totals.curve("recall"), totals.curve("precision"), **style)
        curves.append((line, f"{name}, MAE {totals.mean('mae'):.3f}"))
        (line,) = threshold.plot(np.arange(THRESHOLDS)[::-1], totals.curve("f_curve"), **style)
        thresholds.append((line, f"{name}, max F {totals.metrics()['max_f']:.3f}"))
    curve.set(xlabel="recall", ylabel="precision", xlim=(0, 1), ylim=(0, 1.02))
    threshold.set(xlabel="threshold of the 8-bit map", ylabel="F (β² = 0.3)", xlim=(0, 255), ylim=(0, 1.02))
    for axes, entries in ((curve, curves), (threshold, thresholds)):
        figures.tidy(axes)
        figures.legend(axes, entries, loc="lower left")
    figure.suptitle(f"{evaluation.images} images", fontsize=10)
    return figure


def contact_sheet(worst: list[Worst]) -> Image.Image:
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
