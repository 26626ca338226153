"""Pictures of a plan and of a simulation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..common.reading.files import atomic_path
from .planning.heat_map import HeatMap
from .planning.plan import Option, Plan, seconds
from .planning.simulate import Iteration

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Okabe and Ito's colours, which people with any colour vision tell apart.
COLOURS = {
    "uncoded": "#999999",
    "replication": "#56B4E9",
    "ldpc": "#0072B2",
    "mds": "#D55E00",
    "random-sparse": "#E69F00",
    "balanced": "#009E73",
    "multi": "#CC79A7",
    "file": "#F0E442",
}
WIDE = 5  # longest over shortest time from which an axis is logarithmic
CLEARLY = 0.9  # of a wait
MOST_NUMBERS = 140  # cells of a heat map that still have their wait written in


def draw_plan(plan: Plan, heat: HeatMap, path: Path, *, overwrite: bool = True) -> None:
    """Draw to a png the expected wait of every code (with its 95th percentile), and the best code over stragglers and delay.

    The best is that of the codes with one share a learner; a dot says where sending every update by itself would be clearly faster.

    Raises:
        UsageError: the file exists already and shall not be overwritten.
        PprError: the folder cannot be written.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13.5, 6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.45))
    _draw_waits(left, plan)
    _draw_best(right, heat)
    figure.suptitle(_situation(plan), x=0.01, ha="left", fontsize=12)
    _save(figure, path, overwrite=overwrite)


def _draw_waits(axes: Axes, plan: Plan) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    shown = plan.shown()
    place = np.arange(len(shown))
    waits, p95 = (np.array([getattr(one.estimate, name) for one in shown]) for name in ("mean", "p95"))
    widest = float(max(waits.max(), p95.max())) or 1.0
    axes.barh(place, waits, color=[COLOURS[one.code.family] for one in shown], height=0.62)
    axes.plot(p95, place, linestyle="", marker="|", markersize=18, markeredgewidth=2, color="black")
    for row, (wait, late) in enumerate(zip(waits.tolist(), p95.tolist(), strict=True)):
        # Behind the mark where it is near, so that they do not cover each other.
        edge = late if wait <= late < wait + 0.2 * widest else wait
        axes.text(edge + 0.02 * widest, row, seconds(wait), va="center", fontsize=9)
    axes.set_yticks(place, [_name(one) for one in shown])
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * widest)
    axes.set_xlabel("wait of an iteration, seconds")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    mark = Line2D([], [], linestyle="", marker="|", markersize=12, markeredgewidth=2, color="black", label="95th percentile")
    axes.legend(
        handles=[Patch(color="#777777", label="expected"), mark],
        loc="lower left",
        bbox_to_anchor=(0.0, 1.0),
        ncols=2,
        frameon=False,
        fontsize=9,
    )


def _name(option: Option) -> str:
    label = option.label if len(option.label) <= 24 else f"{option.label[:23]}…"
    return f"{label}\nmax row {option.code.max_weight}, survives {'?' if option.tolerance is None else option.tolerance}"


def _situation(plan: Plan) -> str:
    kind = plan.situation.stragglers
    late = {
        "none": "no stragglers",
        "fixed": f"{kind.stragglers} stragglers of {seconds(kind.delay)}",
        "bernoulli": f"late by {seconds(kind.delay)} with chance {kind.share:g}",
        "exp": f"exponential, {seconds(kind.delay)} an update",
        "pareto": f"Pareto, {seconds(kind.delay)} an update, index {kind.shape:g}",
        "trace": f"trace {kind.trace.path.name}" if kind.trace is not None else "",
    }[kind.model]
    learners = max(one.code.learners for one in plan.options)
    return f"N = {learners}, M = {plan.best.code.agents}, update {seconds(plan.situation.update_time)}; {late}"


def _draw_best(axes: Axes, heat: HeatMap) -> None:
    """The family as colour, the tolerance and the wait as text, an edge where the best code changes."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    best = heat.best(separate=False)
    waits, separate = heat.wait_of(best), heat.wait_of(heat.best(separate=True))
    families = [one.code.family for one in heat.options]
    axes.imshow(np.array([_pale(family) for family in families])[best], aspect="auto", origin="lower", interpolation="nearest")
    if best.size <= MOST_NUMBERS:
        for (row, column), code in np.ndenumerate(best):
            tolerance = f"s={heat.options[int(code)].tolerance}\n" if families[code] == "balanced" else ""
            axes.text(column, row, f"{tolerance}{_short(float(waits[row, column]))}", ha="center", va="center", fontsize=8)
    _edges(axes, best)
    rows, columns = np.nonzero(separate < CLEARLY * waits)
    axes.plot(columns + 0.4, rows + 0.36, linestyle="", marker="o", markersize=4, color=COLOURS["multi"])
    axes.set_xticks(range(len(heat.delays)), [seconds(delay) for delay in heat.delays])
    axes.set_yticks(range(len(heat.stragglers)), [str(count) for count in heat.stragglers])
    axes.set_xlabel("delay of a straggler")
    axes.set_ylabel("stragglers k")
    axes.set_title("best code of one share a learner, and its expected wait in seconds", fontsize=10, loc="left")
    there = {families[code] for code in np.unique(best)}
    handles: list[Patch | Line2D] = [Patch(color=_pale(family), label=family) for family in COLOURS if family in there]
    if len(rows):
        label = f"multi waits at\nleast {1 - CLEARLY:.0%} less"
        handles.append(Line2D([], [], linestyle="", marker="o", markersize=5, color=COLOURS["multi"], label=label))
    axes.legend(handles=handles, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False, fontsize=9)


def _pale(family: str) -> tuple[float, float, float]:
    """A family's colour, light enough for black text."""
    from matplotlib.colors import to_rgb

    red, green, blue = (1 - 0.62 * (1 - part) for part in to_rgb(COLOURS[family]))
    return red, green, blue


def _edges(axes: Axes, best: NDArray[np.int64]) -> None:
    from matplotlib.collections import LineCollection

    across = np.argwhere(best[1:] != best[:-1]).tolist()
    along = np.argwhere(best[:, 1:] != best[:, :-1]).tolist()
    lines = [[(column - 0.5, row + 0.5), (column + 0.5, row + 0.5)] for row, column in across]
    lines += [[(column + 0.5, row - 0.5), (column + 0.5, row + 0.5)] for row, column in along]
    axes.add_collection(LineCollection(lines, colors="white", linewidths=2.5))


def _short(value: float) -> str:
    return f"{value:.3f}".lstrip("0") if value < 1 else f"{value:.3g}"


def draw_simulation(results: Mapping[str, tuple[str, Sequence[Iteration]]], agents: int, path: Path, *, overwrite: bool = True) -> None:
    """Draw to a png how long iterations took with each code, and what became of the updates.

    Args:
        results: of every code's label, its family and its iterations.

    Raises:
        UsageError, PprError: as `draw_plan`.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 5), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    for label, (family, iterations) in results.items():
        times = np.sort([one.seconds for one in iterations])
        given_up = sum(not one.decoded for one in iterations)
        share = np.arange(1, len(times) + 1) / len(times)
        name = f"{label}, {given_up} given up" if given_up else label
        left.step(np.append(times[0], times), np.append(0, share), where="post", color=COLOURS[family], label=name, linewidth=1.8)
    left.axhline(0.95, color="#777777", linewidth=0.8, linestyle=":")
    left.set_xlabel("seconds of an iteration")
    shortest, longest = left.dataLim.x0, left.dataLim.x1
    if 0 < shortest < longest / WIDE:
        left.set_xscale("log")
        left.xaxis.set_major_formatter("{x:g}")
        left.xaxis.set_minor_formatter(lambda x, _position: f"{x:g}" if f"{x:e}"[0] in "235" else "")
    left.set_ylabel("share of the iterations that took at most so long")
    left.set_ylim(0, 1.02)
    left.grid(alpha=0.3)
    left.legend(frameon=False, fontsize=9, loc="lower right")
    place = np.arange(len(results))
    used, computed = (
        np.array([np.mean([getattr(one, name) for one in iterations]) / agents for _family, iterations in results.values()])
        for name in ("used", "computed")
    )
    right.barh(
        place,
        used,
        color=[COLOURS[family] for label, (family, _) in results.items()],
        height=0.6,
        label="in shares that decoding used",
    )
    right.barh(place, np.maximum(computed - used, 0), left=used, color="#cccccc", height=0.6, label="wasted")
    right.axvline(1, color="black", linewidth=0.8, linestyle=":")
    right.set_yticks(place, list(results))
    right.invert_yaxis()
    right.set_xlabel("updates computed for each agent in an iteration")
    right.set_title("coloured: in shares that decoding used; grey: wasted", fontsize=10, loc="left")
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path, overwrite=overwrite)


def _save(figure: Figure, path: Path, *, overwrite: bool) -> None:
    with atomic_path(path, overwrite=overwrite) as temporary:
        figure.savefig(temporary, dpi=130, format="png", metadata={"Software": None})
