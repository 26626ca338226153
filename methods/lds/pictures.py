"""Pictures of a learned graph: its nodes and pairs, and how its probabilities are distributed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ..common.drawing import figures
from ..common.drawing.figures import PALETTE
from ..common.reading.pairs import PairGraph

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NODES = 2000
MAX_PAIRS = 20_000
#: Of classes; from the eleventh on, where the colours begin again, the shape changes.
SHAPES = ("o", "s", "^", "D", "v", "P")
_LEGEND_CLASSES = 24
_NAME_LENGTH = 28
_BINS = np.linspace(0, 1, 26)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True)
class _Part:
    """What is drawn of a graph: rows of the nodes, and pairs among them counted by place in `rows`."""

    rows: Integers
    graph: PairGraph
    title: str


def draw_graph(
    graph: PairGraph, predicted: Integers, labels: Integers, classes: Sequence[str], path: Path, *, seed: int = 0, overwrite: bool = True
) -> None:
    """Draw the graph to a png: fill = predicted class, ring = known label, width of a line = probability.

    At most 2,000 nodes are drawn, those with a label first and the rest at random, and the 20,000 most probable pairs between them; the
    title says of how many. Nodes without a pair lie in rows below. The same arguments give the same picture.

    Args:
        predicted: int64 [N], indices of `classes`.
        labels: int64 [N]; -1 where unknown.

    Raises:
        UsageError: the file exists already and shall not be overwritten.
        PprError: the folder cannot be written.
        ValueError: not one label and one prediction a node.
    """
    from matplotlib.collections import LineCollection

    if predicted.shape != (graph.nodes,) or labels.shape != (graph.nodes,):
        raise ValueError(f"predictions {predicted.shape} and labels {labels.shape} for {graph.nodes} nodes")
    part = _part(graph.above(0), labels, seed)
    pairs, place = part.graph, _layout(part.graph, seed)
    figure = figures.new(10, 7.5)
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal", adjustable="datalim")
    axes.set_title(part.title, fontsize=10)
    order = np.argsort(pairs.prob, kind="stable")  # the probable ones on top
    lines = place[np.stack([pairs.first, pairs.second], axis=1)[order]]
    thickest = float(np.clip(60 / np.sqrt(max(len(pairs), 1)), 0.6, 2.5))
    alpha = float(np.clip(12 / np.sqrt(max(len(pairs), 1)), 0.12, 0.6))
    axes.add_collection(LineCollection(list(lines), linewidths=thickest * pairs.prob[order], colors=figures.INK, alpha=alpha, zorder=1))
    size = float(np.clip(9000 / max(len(part.rows), 1), 10, 70))
    _draw_nodes(axes, place, predicted[part.rows], labels[part.rows], size)
    _legend(figure, predicted[part.rows], labels[part.rows], classes, thickest)
    figures.save(figure, path, dpi=150, overwrite=overwrite)


def _part(graph: PairGraph, labels: Integers, seed: int) -> _Part:
    """The nodes and pairs to draw, and a title that says which."""
    rows, which = np.arange(graph.nodes), ""
    if graph.nodes > MAX_NODES:
        generator = np.random.default_rng(seed)
        known, others = (generator.permutation(np.flatnonzero(chosen)) for chosen in (labels >= 0, labels < 0))
        rows = np.sort(np.concatenate([known, others])[:MAX_NODES])
        which = f" ({min(len(known), MAX_NODES):,} labelled, the others at random)"
    place = np.full(graph.nodes, -1, np.int64)
    place[rows] = np.arange(len(rows))
    first, second = place[graph.first], place[graph.second]
    drawn = np.flatnonzero((first >= 0) & (second >= 0))
    between, strongest = len(drawn), ""
    if between > MAX_PAIRS:
        drawn = np.sort(drawn[np.argsort(-graph.prob[drawn], kind="stable")[:MAX_PAIRS]])
        strongest = f" (most probable of {between:,} between them)"
    nodes = f"{len(rows):,} of {graph.nodes:,} nodes" if len(rows) < graph.nodes else f"all {graph.nodes:,} nodes"
    pairs = (
        f"{len(drawn):,} of {len(graph):,} pairs" if len(drawn) < len(graph) else f"all {len(graph):,} pairs" if len(graph) else "no pairs"
    )
    part = PairGraph(len(rows), first[drawn], second[drawn], graph.prob[drawn])
    alone = len(rows) - len(np.unique(np.concatenate([part.first, part.second])))
    below = f"\n{alone:,} nodes without a drawn pair in rows below" if alone else ""
    return _Part(rows, part, f"{nodes}{which}, {pairs}{strongest}{below}")


def _layout(graph: PairGraph, seed: int) -> Floats:
    """Places [N, 2]: nodes with a pair where forces between them balance, the others in rows below."""
    place = np.zeros((graph.nodes, 2))
    joined = np.unique(np.concatenate([graph.first, graph.second]))
    if len(joined):
        first, second = (np.searchsorted(joined, ends) for ends in (graph.first, graph.second))
        place[joined] = _forces(PairGraph(len(joined), first, second, graph.prob), seed)
    alone = np.setdiff1d(np.arange(graph.nodes), joined)
    columns = max(25, int(np.sqrt(4 * len(alone))))
    left, right = (place[joined, 0].min(), place[joined, 0].max()) if len(joined) else (-1.0, 1.0)
    step = (right - left) / columns
    row, column = np.divmod(np.arange(len(alone)), columns)
    bottom = place[joined, 1].min() if len(joined) else 0.0
    place[alone] = np.stack([left + (column + 0.5) * step, bottom - (row + 2) * step], axis=1)
    return place


def _forces(graph: PairGraph, seed: int) -> Floats:
    """The energy of Fruchterman and Reingold's forces made small, starting from the eigenvectors; every node has a pair."""
    import networkx as nx

    start = _eigenvectors(graph, seed)
    drawn = nx.Graph()
    drawn.add_nodes_from(range(graph.nodes))
    drawn.add_weighted_edges_from(zip(graph.first.tolist(), graph.second.tolist(), graph.prob.tolist(), strict=True))
    # An iteration takes (nodes squared); from the eigenvectors, large graphs need few.
    iterations = int(np.clip(50_000 / graph.nodes, 25, 200))
    found = nx.spring_layout(drawn, pos=dict(enumerate(start)), iterations=iterations, seed=seed, method="energy")
    place = np.array([found[node] for node in range(graph.nodes)])
    place -= place.mean(axis=0)
    _values, axes = np.linalg.eigh(place.T @ place)
    return place @ axes[:, ::-1]  # the longest extent lies flat, as the picture does


def _eigenvectors(graph: PairGraph, seed: int) -> Floats:
    """A first guess of the places [N, 2]: leading eigenvectors of the random walk, and a little noise, which parts nodes on one spot."""
    from scipy.sparse.linalg import ArpackError, eigsh

    generator = np.random.default_rng(seed)
    noise = generator.normal(0, 1, (graph.nodes, 2))
    if graph.nodes < 6:
        return noise
    ends = np.concatenate([graph.first, graph.second]), np.concatenate([graph.second, graph.first])
    adjacency = scipy.sparse.csr_array((np.tile(graph.prob.astype(np.float64), 2), ends), shape=(graph.nodes,) * 2)
    scale = scipy.sparse.diags_array(1 / np.sqrt(adjacency.sum(axis=1)))
    try:
        _values, vectors = eigsh(scale @ adjacency @ scale, k=3, which="LA", v0=generator.random(graph.nodes), tol=1e-3)
    except ArpackError:  # no convergence, which a graph of many parts may have: the forces find places from anywhere
        return noise
    guess = scale @ vectors[:, :2]
    return guess / np.abs(guess).max(axis=0) + 0.02 * noise


def _style(number: int) -> tuple[str, str]:
    """Colour and shape of a class."""
    return figures.colour(number), SHAPES[number // len(PALETTE) % len(SHAPES)]


def _draw_nodes(axes: Axes, place: Floats, predicted: Integers, labels: Integers, size: float) -> None:
    """Rings of known labels with a gap to the fill, so that a ring is seen on a fill of its own colour."""
    width = np.sqrt(size) / 6
    for number in np.unique(labels[labels >= 0]).tolist():
        colour, shape = _style(number)
        x, y = place[labels == number].T
        axes.scatter(x, y, s=1.9 * size, marker=shape, facecolors="white", edgecolors=colour, linewidths=width, zorder=2)
    for number in np.unique(predicted).tolist():
        colour, shape = _style(number)
        for known in (False, True):
            x, y = place[(predicted == number) & ((labels >= 0) == known)].T
            axes.scatter(x, y, s=(0.75 if known else 1) * size, c=colour, marker=shape, edgecolors="white", linewidths=0.3, zorder=3)


def _legend(figure: Figure, predicted: Integers, labels: Integers, classes: Sequence[str], thickest: float) -> None:
    from matplotlib.lines import Line2D

    numbers = np.unique(np.concatenate([predicted, labels[labels >= 0]])).tolist()
    entries: list[tuple[Artist, str]] = []
    for number in numbers[:_LEGEND_CLASSES]:
        colour, shape = _style(number)
        entries.append((Line2D([], [], linestyle="", markersize=7, color=colour, marker=shape), _short(classes[number])))
    if len(numbers) > _LEGEND_CLASSES:
        entries.append((Line2D([], [], linestyle=""), f"and {len(numbers) - _LEGEND_CLASSES} more"))
    ring: dict[str, Any] = {"linestyle": "", "marker": "o", "color": figures.INK}
    entries.append((Line2D([], [], linestyle=""), ""))
    entries.append((Line2D([], [], markersize=6, **ring), "fill: predicted class"))
    if (labels >= 0).any():
        entries.append((Line2D([], [], markersize=8, markerfacecolor="white", markeredgewidth=1.5, **ring), "ring: known label"))
    for prob in (1.0, 0.5, 0.1):
        entries.append((Line2D([], [], color=figures.INK, linewidth=max(thickest * prob, 0.1)), f"pair of probability {prob:g}"))
    figures.legend(figure, entries, loc="outside right center")


def _short(name: str) -> str:
    name = " ".join(name.split())
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH - 1]}…"


def draw_histogram(prob: NDArray[np.float32], start_prob: NDArray[np.float32], path: Path, *, overwrite: bool = True) -> None:
    """Draw to a png how many pairs have which probability, on a logarithmic scale: those of the start graph, and the new ones.

    Pairs at 0 are no bars, since nearly all are there; how many pairs of the start graph ended there is written above its panel.

    Args:
        prob: float32 [P] in [0, 1], learned.
        start_prob: float32 [P], of the same pairs at the start; above 0 for those of the start graph.

    Raises:
        UsageError: the file exists already and shall not be overwritten.
        PprError: the folder cannot be written.
        ValueError: lengths that differ.
    """
    from matplotlib.ticker import FuncFormatter

    if prob.shape != start_prob.shape:
        raise ValueError(f"{prob.shape} probabilities and {start_prob.shape} at the start")
    started, positive = start_prob > 0, prob > 0
    removed = int((started & ~positive).sum())
    panels = (
        (started, f"{int(started.sum()):,} pairs of the start graph, {removed:,} of them now at 0", PALETTE[0]),
        (~started, f"{int((~started & positive).sum()):,} new pairs", PALETTE[1]),
    )
    figure = figures.new(6.4, 5)
    upper = figure.add_subplot(2, 1, 1)
    for axes, (chosen, title, colour) in zip((upper, figure.add_subplot(2, 1, 2, sharex=upper, sharey=upper)), panels, strict=True):
        axes.hist(prob[chosen & positive], bins=list(_BINS), color=colour, edgecolor="white", linewidth=0.5)
        axes.set_ylabel("pairs")
        figures.title(axes, title)
        figures.tidy(axes, grid="y")
    axes.set_xlabel("probability θ")
    upper.tick_params(labelbottom=False)
    upper.set_xlim(0, 1)
    tallest = max(np.histogram(prob[chosen & positive], _BINS)[0].max() for chosen, _title, _colour in panels)
    upper.set_ylim(0.7, 1.5 * max(tallest, 7))
    upper.set_yscale("log")  # after the limits: where nothing is counted, it would complain about its own
    upper.yaxis.set_major_formatter(FuncFormatter(lambda count, _position: f"{count:,.0f}"))
    figures.save(figure, path, dpi=150, overwrite=overwrite)
