"""Files about an evaluation: rows an image, precision-recall curve, the worst images."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..common.drawing import figures
from ..common.reading.files import atomic_open, atomic_path, csv_text
from . import pictures
from .evaluate import STRETCHED, Evaluation
from .metrics import RAW, THRESHOLDS

FILES = ("metrics.json", "images.csv", "pr.csv", "pr.png", "worst.png")


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
    figures.save(pictures.curves(evaluation), folder / "pr.png")
    if evaluation.worst:
        with atomic_path(folder / "worst.png") as temporary:
            pictures.worst_sheet(evaluation.worst).save(temporary)
    return [folder / name for name in FILES if name != "worst.png" or evaluation.worst]


def _images_csv(evaluation: Evaluation) -> str:
    rows = ({key: f"{value:.6f}" if isinstance(value, float) else value for key, value in row.items()} for row in evaluation.rows)
    return csv_text(rows, list(evaluation.rows[0]))


def _pr_csv(evaluation: Evaluation) -> str:
    columns = [
        (kind, quantity) for kind in (STRETCHED, RAW) if kind in evaluation.totals for quantity in ("precision", "recall", "f_curve")
    ]
    curves = [evaluation.totals[kind].curve(quantity) for kind, quantity in columns]
    lines = [",".join(["threshold", *(f"{kind}_{quantity.removesuffix('_curve')}" for kind, quantity in columns)])]
    for index in range(THRESHOLDS):
        lines.append(",".join([str(THRESHOLDS - 1 - index), *(f"{curve[index]:.6f}" for curve in curves)]))
    return "\n".join(lines) + "\n"
