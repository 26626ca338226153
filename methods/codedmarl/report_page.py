"""The report of a run as one HTML file that needs nothing else, with its pictures inside."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..common.drawing import figures
from ..common.reading.files import atomic_open
from .report import OUTCOMES, Recorded, RunReport, learner_rows, phase_rows, sentences

COLOURS = {
    "used": "#2b7a3f",
    "late": "#9ec9a8",
    "duplicate": "#c8dccd",
    "corrupt": "#8e44ad",
    "abandoned": "#e0b040",
    "dropped": "#b07aa1",
    "lost": "#c0392b",
}
WIDTH = 8.5  # inches of a picture
SHOWN = 400  # iterations in the picture of outcomes; of longer runs the last ones
STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .2rem .7rem; text-align: right; border-bottom: 1px solid #ddd }
th { border-bottom: 2px solid #888 } img { max-width: 100% } code { background: #f3f3f3 } .slow { color: #b03020; font-weight: bold }
"""


def write_page(recorded: Recorded, report: RunReport, path: Path, *, overwrite: bool = False) -> None:
    """Write the page.

    Raises:
        UsageError: the file exists and `overwrite` is False.
    """
    name = html.escape(str(recorded.path))
    pictures = "".join(
        f'<h2>{title}</h2><img alt="{title}" src="data:image/png;base64,{base64.b64encode(image).decode()}">\n'
        for title, image in (
            ("Where the time went", time_picture(recorded)),
            ("Seconds of complete shares", learner_picture(recorded)),
            ("What became of every answer", outcome_picture(recorded)),
        )
    )
    said = "".join(f"<li>{html.escape(line)}</li>" for line in sentences(report))
    settings = [{"setting": key, "value": "" if value is None else str(value)} for key, value in report.config.items()]
    head = f'<meta charset="utf-8"><title>Learners of {name}</title><style>{STYLE}</style>'
    text = (
        f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n<h1>Learners of {name}</h1>\n<ul>{said}</ul>\n'
        f"<h2>Parts of an iteration, seconds</h2>\n{table(phase_rows(report))}\n"
        f"<h2>Learners</h2>\n{table(learner_rows(report))}\n"
        "<p>slowdown: median time over that of all shares with as many updates; p95: the same of its slowest twentieth.</p>\n"
        f"{pictures}<h2>Configuration</h2>\n{table(settings)}\n</body></html>\n"
    )
    with atomic_open(path, overwrite=overwrite) as stream:
        stream.write(text.encode())


def table(rows: Sequence[dict[str, Any]]) -> str:
    """An HTML table, everything escaped."""
    if not rows:
        return "<p>none</p>"
    head = "".join(f"<th>{html.escape(key)}</th>" for key in rows[0])
    body = "".join(
        f"<tr{' class=slow' if row.get('') else ''}>"
        + "".join(f"<td>{html.escape(cell(value))}</td>" for value in row.values())
        + "</tr>\n"
        for row in rows
    )
    return f"<table><tr>{head}</tr>\n{body}</table>"


def cell(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def time_picture(recorded: Recorded) -> bytes:
    """Parts of every iteration, stacked."""
    figure = figures.new(WIDTH, 2.6)
    axes, metrics = figure.add_subplot(), recorded.metrics
    parts = ["rollout", "broadcast", "wait", "decode", "apply"]
    colours = figures.PALETTE[: len(parts)]
    areas = axes.stackplot(metrics.epoch, *(metrics[part] for part in parts), colors=colours, step="mid", linewidth=0)
    axes.set_xlabel("iteration")
    axes.set_ylabel("seconds")
    axes.set_ylim(0, 1.1 * float(np.percentile(metrics.seconds, 99)))
    figures.tidy(axes, grid="y")
    figures.legend(axes, list(zip(areas, parts, strict=True)), ncols=len(parts), loc="upper right")
    return figures.png(figure, dpi=110)


def learner_picture(recorded: Recorded) -> bytes:
    """The distribution of each learner's seconds, divided by the updates of the share."""
    figure = figures.new(WIDTH, 2.6)
    axes = figure.add_subplot()
    complete = recorded.shares[recorded.shares.seconds.notna()]
    groups = [(learner, (own.seconds / own.weight).to_numpy()) for learner, own in complete.groupby("learner")]
    if groups:
        axes.boxplot([values for _learner, values in groups], positions=[learner for learner, _values in groups], widths=0.6, sym=".")
        axes.set_yscale("log")
    places = np.linspace(0, recorded.code.learners - 1, min(recorded.code.learners, 20)).round().astype(int)
    axes.set_xticks(places, [str(place) for place in places])
    axes.set_xlabel("learner")
    axes.set_ylabel("seconds an update")
    figures.tidy(axes, grid="y")
    return figures.png(figure, dpi=110)


def outcome_picture(recorded: Recorded) -> bytes:
    """A row a learner, a column an iteration."""
    from matplotlib.colors import BoundaryNorm, ListedColormap
    from matplotlib.patches import Patch

    figure = figures.new(WIDTH, max(1.5, min(6.0, 0.16 * recorded.code.learners + 1.0)))
    axes = figure.add_subplot()
    shares = recorded.shares
    last = int(shares.iteration.max()) if len(shares) else 0
    first = max(0, last - SHOWN + 1)
    grid = np.full((recorded.code.learners, last - first + 1), -1)
    shown = shares[shares.iteration >= first]
    # Of several answers in an iteration (single updates) the worst is seen.
    for rank, outcome in enumerate(OUTCOMES):
        rows = shown[shown.outcome == outcome]
        grid[rows.learner, rows.iteration - first] = rank
    colours = ["white", *(COLOURS[outcome] for outcome in OUTCOMES)]
    norm = BoundaryNorm(np.arange(-1.5, len(OUTCOMES)), len(colours))
    axes.imshow(
        grid,
        aspect="auto",
        interpolation="nearest",
        cmap=ListedColormap(colours),
        norm=norm,
        extent=(first, last + 1, len(grid) - 0.5, -0.5),
    )
    axes.set_xlabel("iteration")
    axes.set_ylabel("learner")
    there = [outcome for rank, outcome in enumerate(OUTCOMES) if (grid == rank).any()]
    entries = [(Patch(color=COLOURS[outcome]), outcome) for outcome in there]
    figures.legend(axes, entries, ncols=7, loc="lower left", bbox_to_anchor=(0, 1))
    return figures.png(figure, dpi=110)
