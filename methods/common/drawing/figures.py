"""Figures with one look, without a display and without pyplot's global state: curves, bands, bars, heat maps, confusion matrices."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.legend import Legend
from numpy.typing import ArrayLike, NDArray

from ..errors import UsageError
from ..measuring.seeds import mean_interval
from ..reading.files import atomic_path

#: Okabe and Ito's colours, which people with any colour vision tell apart, and two of Tol's.
PALETTE = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#000000", "#882255", "#999999")
INK, FAINT = "#555555", "#CCCCCC"
SMALL, NORMAL = 9, 10  # font sizes
DPI = 130
#: What a format would write of the machine and the moment; without it the same figure is the same file.
_METADATA: dict[str, dict[str, Any]] = {
    "png": {"Software": None},
    "pdf": {"Creator": None, "Producer": None, "CreationDate": None},
    "svg": {"Creator": None, "Date": None},
}

Line: TypeAlias = tuple[ArrayLike, ArrayLike]


def new(width: float, height: float) -> Figure:
    """An empty figure, inches."""
    return Figure(figsize=(width, height), layout="constrained")


def panels(count: int, *, columns: int = 4, width: float = 3.2, height: float = 2.6) -> tuple[Figure, list[Axes]]:
    """A figure of so many axes in rows, inches each."""
    columns = min(columns, count)
    rows = -(-count // columns)
    figure = new(width * columns, height * rows)
    return figure, [figure.add_subplot(rows, columns, number) for number in range(1, count + 1)]


def save(figure: Figure, path: Path, *, dpi: int = DPI, overwrite: bool = True) -> None:
    """Write the figure in the format its suffix says, whole or not at all; the same figure gives the same file.

    Raises:
        UsageError: a format that cannot be drawn, or a file that exists and shall not be overwritten.
        PprError: the folder cannot be written.
    """
    kind, known = path.suffix.lower().removeprefix("."), figure.canvas.get_supported_filetypes()
    if kind not in known:
        raise UsageError(f"{path}: '{path.suffix}' is no format of a figure", hint=f"one of: {', '.join(sorted(known))}")
    with atomic_path(path, overwrite=overwrite) as temporary:
        _write(figure, temporary, kind, dpi)


def png(figure: Figure, *, dpi: int = DPI) -> bytes:
    """The figure as a PNG, to be put into a page."""
    stream = io.BytesIO()
    _write(figure, stream, "png", dpi)
    return stream.getvalue()


def _write(figure: Figure, target: Path | io.BytesIO, kind: str, dpi: int) -> None:
    import matplotlib

    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": "ppr"}):
        warnings.filterwarnings("ignore", message="Glyph .* missing")  # names in scripts that the font lacks
        figure.savefig(target, dpi=dpi, format=kind, metadata=_METADATA.get(kind))


def tidy(axes: Axes, *, grid: Literal["x", "y", "both"] = "both") -> None:
    """The look of every plot: no box, and pale lines below what is drawn."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.3)
    axes.set_axisbelow(True)


def title(axes: Axes, text: str) -> None:
    """Above, from the left; taken literally."""
    axes.set_title(text, fontsize=NORMAL, loc="left", parse_math=False)


def legend(of: Axes | Figure, entries: Sequence[tuple[Artist, str]], **place: Any) -> Legend:
    """A legend of these names, taken literally: matplotlib would leave out one that begins with "_", and read "$" as a formula.

    Args:
        place: as matplotlib's.
    """
    made = of.legend([handle for handle, _name in entries], [" "] * len(entries), **{"edgecolor": "none", "fontsize": SMALL, **place})
    for text, (_handle, name) in zip(made.get_texts(), entries, strict=True):
        text.set_parse_math(False)
        text.set_text(name)
    return made


def colour(number: int) -> str:
    """Of the line, bar or class of that number."""
    return PALETTE[number % len(PALETTE)]


def curves(axes: Axes, lines: Mapping[str, Line], **style: Any) -> None:
    """Lines by name, x and y [n] each; a legend where there are several.

    Args:
        style: as `Axes.plot`'s.
    """
    drawn = [
        (axes.plot(*line, **{"color": colour(number), "linewidth": 1.5, **style})[0], name)
        for number, (name, line) in enumerate(lines.items())
    ]
    tidy(axes)
    if len(drawn) > 1:
        legend(axes, drawn)


def bands(axes: Axes, x: ArrayLike, runs: Mapping[str, NDArray[np.floating]]) -> None:
    """The mean over seeds of values [seeds, n] at x [n], and the 95 % interval of that mean (Student's t) as a band; none for one seed."""
    drawn = []
    for number, (name, values) in enumerate(runs.items()):
        mean, half = mean_interval(values)
        drawn.append((axes.plot(x, mean, color=colour(number), linewidth=1.5)[0], f"{name} ({len(values)} seed{'s' * (len(values) > 1)})"))
        axes.fill_between(np.asarray(x), mean - half, mean + half, color=colour(number), alpha=0.2, linewidth=0)
    tidy(axes)
    legend(axes, drawn)


def bars(
    axes: Axes,
    groups: Sequence[str],
    series: Mapping[str, Sequence[float]],
    *,
    marks: Mapping[str, Sequence[float]] | None = None,
    marked: str = "",
    intervals: Mapping[str, Sequence[float]] | None = None,
    colours: Mapping[str, str] | None = None,
) -> None:
    """A bar a series in each group; NaN leaves its place empty.

    Args:
        series: by name, a value a group.
        marks: by name, a value a group to be compared with, drawn as a line across the bar and called `marked` in the legend.
        intervals: by name, half widths of confidence intervals.
    """
    width, drawn = 0.8 / len(series), []
    for place, (name, values) in enumerate(series.items()):
        where = np.arange(len(groups)) + (place - (len(series) - 1) / 2) * width
        errors = intervals[name] if intervals else None
        shade = (colours or {}).get(name, colour(place))
        drawn.append((axes.bar(where, values, 0.92 * width, color=shade, yerr=errors, error_kw={"capsize": 3, "ecolor": INK}), name))
        if marks:
            half = 0.46 * width
            across = axes.hlines(marks[name], where - half, where + half, color="black", linewidth=1.5)
    axes.set_xticks(range(len(groups)), groups, parse_math=False)
    tidy(axes, grid="y")
    entries: list[tuple[Any, str]] = [*drawn, (across, marked)] if marks else list(drawn)
    if len(entries) > 1:
        legend(axes, entries)


def heat_map(
    axes: Axes,
    values: NDArray[np.floating],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    text: Sequence[Sequence[str]] | None = None,
    **style: Any,
) -> AxesImage:
    """Values [rows, columns] as shades, the first row on top, with `text` in the cells.

    Args:
        style: as `Axes.imshow`'s; also colours [rows, columns, 3] instead of values.
    """
    shown = axes.imshow(values, **{"aspect": "auto", "interpolation": "nearest", "cmap": "Blues", **style})
    axes.set_xticks(range(len(columns)), columns, parse_math=False)
    axes.set_yticks(range(len(rows)), rows, parse_math=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for row, words in enumerate(text or ()):
        for column, word in enumerate(words):
            axes.text(
                column, row, word, ha="center", va="center", fontsize=8, color=_readable(shown, values[row, column]), parse_math=False
            )
    return shown


def confusion(axes: Axes, counts: NDArray[np.integer], classes: Sequence[str]) -> None:
    """How often a class [rows] was taken for which [columns]: the count in each cell, shaded by its share of the row."""
    totals = counts.sum(1, keepdims=True)
    shares = np.divide(counts, totals, out=np.zeros(counts.shape), where=totals > 0)
    text = [[f"{count:,}" if count else "" for count in row] for row in counts.tolist()]
    heat_map(axes, shares, classes, classes, text=text, vmin=0, vmax=1, aspect="equal")
    if max(map(len, classes)) > 3 and len(classes) > 3:
        axes.tick_params(axis="x", labelrotation=45)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")


def _readable(shown: AxesImage, value: Any) -> str:
    """Black or white, whichever stands out from a cell's shade."""
    shade = value if np.ndim(value) else shown.to_rgba(np.array([value]))[0]
    light = float(np.asarray(shade)[:3] @ (0.299, 0.587, 0.114))
    return "black" if light > 0.5 or math.isnan(light) else "white"
