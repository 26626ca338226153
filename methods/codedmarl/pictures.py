"""Pictures of a plan, of a simulation and of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..common.drawing import figures
from .planning.heat_map import HeatMap
from .planning.plan import Option, Plan, seconds
from .planning.simulate import Iteration

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from .bench import Measured

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
    figure = figures.new(13.5, 6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.45))
    _draw_waits(left, plan)
    _draw_best(right, heat)
    figure.suptitle(_situation(plan), x=0.01, ha="left", fontsize=12)
    figures.save(figure, path, overwrite=overwrite)


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
    axes.set_yticks(place, [_name(one) for one in shown], parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.2 * widest)
    axes.set_xlabel("wait of an iteration, seconds")
    figures.tidy(axes, grid="x")
    mark = Line2D([], [], linestyle="", marker="|", markersize=12, markeredgewidth=2, color="black")
    entries = [(Patch(color="#777777"), "expected"), (mark, "95th percentile")]
    figures.legend(axes, entries, loc="lower left", bbox_to_anchor=(0.0, 1.0), ncols=2)


def _name(option: Option) -> str:
    label = option.label if len(option.label) <= 24 else f"{option.label[:23]}…"
    return f"{label}\nmax row {option.code.max_weight}, survives {'?' if option.tolerance is None else option.tolerance}"


def _situation(plan: Plan) -> str:
    kind = plan.situation.stragglers
    late = {
        "none": "no stragglers",
        "fixed": f"{kind.stragglers} stragglers of {seconds(kind.delay)}",
        "bernoulli": f"late by {seconds(kind.delay)} with chance {kind.chance:g}",
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
    text = [[_cell(heat.options[code], wait) for code, wait in zip(*row, strict=True)] for row in zip(best, waits, strict=True)]
    figures.heat_map(
        axes,
        np.array([_pale(family) for family in families])[best],
        [str(count) for count in heat.stragglers],
        [seconds(delay) for delay in heat.delays],
        text=text if best.size <= MOST_NUMBERS else None,
        origin="lower",
    )
    _edges(axes, best)
    rows, columns = np.nonzero(separate < CLEARLY * waits)
    axes.plot(columns + 0.4, rows + 0.36, linestyle="", marker="o", markersize=4, color=COLOURS["multi"])
    axes.set_xlabel("delay of a straggler")
    axes.set_ylabel("stragglers k")
    figures.title(axes, "best code of one share a learner, and its expected wait in seconds")
    there = {families[code] for code in np.unique(best)}
    entries: list[tuple[Patch | Line2D, str]] = [(Patch(color=_pale(family)), family) for family in COLOURS if family in there]
    if len(rows):
        dot = Line2D([], [], linestyle="", marker="o", markersize=5, color=COLOURS["multi"])
        entries.append((dot, f"multi waits at\nleast {1 - CLEARLY:.0%} less"))
    figures.legend(axes, entries, loc="upper left", bbox_to_anchor=(1.0, 1.0))


def _cell(option: Option, wait: float) -> str:
    tolerance = f"s={option.tolerance}\n" if option.code.family == "balanced" else ""
    return f"{tolerance}{_short(wait)}"


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
    figure = figures.new(12, 5)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1))
    lines = []
    for label, (family, iterations) in results.items():
        times = np.sort([one.seconds for one in iterations])
        given_up = sum(not one.decoded for one in iterations)
        fraction = np.arange(1, len(times) + 1) / len(times)
        name = f"{label}, {given_up} given up" if given_up else label
        (line,) = left.step(np.append(times[0], times), np.append(0, fraction), where="post", color=COLOURS[family], linewidth=1.8)
        lines.append((line, name))
    left.axhline(0.95, color="#777777", linewidth=0.8, linestyle=":")
    left.set_xlabel("seconds of an iteration")
    shortest, longest = left.dataLim.x0, left.dataLim.x1
    if 0 < shortest < longest / WIDE:
        left.set_xscale("log")
        left.xaxis.set_major_formatter("{x:g}")
        left.xaxis.set_minor_formatter(lambda x, _position: f"{x:g}" if f"{x:e}"[0] in "235" else "")
    left.set_ylabel("part of the iterations that took at most so long")
    left.set_ylim(0, 1.02)
    figures.tidy(left)
    figures.legend(left, lines, loc="lower right")
    place = np.arange(len(results))
    used, computed = (
        np.array([np.mean([getattr(one, name) for one in iterations]) / agents for _family, iterations in results.values()])
        for name in ("used", "computed")
    )
    right.barh(place, used, color=[COLOURS[family] for family, _iterations in results.values()], height=0.6)
    right.barh(place, np.maximum(computed - used, 0), left=used, color=figures.FAINT, height=0.6)
    right.axvline(1, color="black", linewidth=0.8, linestyle=":")
    right.set_yticks(place, list(results), parse_math=False)
    right.invert_yaxis()
    right.set_xlabel("updates computed for each agent in an iteration")
    figures.title(right, "coloured: in shares that decoding used; grey: wasted")
    figures.tidy(right, grid="x")
    figures.save(figure, path, overwrite=overwrite)


def draw_bench(found: Sequence[Measured], path: Path, *, overwrite: bool = True) -> None:
    """Bars of the median iteration by number of stragglers and code, as in the paper's figures, with the planned seconds as marks.

    Raises:
        UsageError, PprError: as `draw_plan`.
    """
    counts, codes = sorted({one.stragglers for one in found}), list(dict.fromkeys(one.code for one in found))
    at = {(one.code, one.stragglers): one for one in found}
    figure = figures.new(max(6.0, 0.35 * len(found) + 2), 4)
    axes = figure.add_subplot()
    figures.bars(
        axes,
        [f"{count} straggler{'s' * (count != 1)}" for count in counts],
        {code: [at[code, count].median for count in counts] for code in codes},
        marks={code: [at[code, count].planned for count in counts] for code in codes},
        marked="planned",
        colours=COLOURS,
    )
    axes.set_ylabel("seconds an iteration (median)")
    learners, delay = max(one.learners for one in found), max(one.delay for one in found)
    figures.title(axes, f"{learners} learners, {found[0].agents} agents, delay {delay:g} s")
    figures.save(figure, path, overwrite=overwrite)
