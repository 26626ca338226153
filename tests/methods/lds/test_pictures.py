"""Pictures show what they say, are the same every time, and hold no more than can be drawn in a moment."""

from __future__ import annotations

import matplotlib.colors
import matplotlib.figure
import numpy as np
import pytest
from PIL import Image

from ppr.methods.common.drawing.figures import PALETTE
from ppr.methods.common.errors import UsageError
from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.lds import pictures
from ppr.methods.lds.learning.neighbours import knn_graph
from ppr.methods.lds.pictures import draw_graph, draw_histogram


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, in order."""
    saved = []
    save = matplotlib.figure.Figure.savefig

    def noted(figure, *arguments, **options):
        saved.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(matplotlib.figure.Figure, "savefig", noted)
    return saved


def random_graph(nodes, pairs, seed=0):
    rng = np.random.default_rng(seed)
    return PairGraph.build(nodes, *rng.integers(0, nodes, (2, pairs)), 1 - rng.random(pairs))


def unlabelled(nodes):
    return np.full(nodes, -1)


def wine():
    from sklearn.datasets import load_wine

    data = load_wine()
    features = ((data.data - data.data.mean(0)) / data.data.std(0)).astype(np.float32)
    return knn_graph(features, 10, "cosine", seed=0)[0], data.target.astype(np.int64)


def pixels_of(path, colour):
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    return int((np.abs(pixels - 255 * np.array(matplotlib.colors.to_rgb(colour))).max(axis=2) < 12).sum())


def nodes_of(figure):
    """Places, face colours and ring colours of what is scattered."""
    found = [(part.get_offsets(), part.get_facecolor(), part.get_edgecolor()) for part in figure.axes[0].collections[1:]]
    rings = [(places, edge[0]) for places, face, edge in found if matplotlib.colors.to_hex(face[0]) == "#ffffff"]
    fills = [(places, face[0]) for places, face, _edge in found if matplotlib.colors.to_hex(face[0]) != "#ffffff"]
    return [
        {tuple(place): matplotlib.colors.to_hex(colour).upper() for places, colour in part for place in places} for part in (fills, rings)
    ]


def test_fill_is_the_prediction_and_ring_the_label(tmp_path, figures):
    """Two joined nodes: the left one is predicted as class 1 and known to be of class 2; of the other nothing is known."""
    graph = PairGraph.build(2, [0], [1], [0.5])
    draw_graph(graph, np.array([1, 0]), np.array([2, -1]), ["a", "b", "c"], tmp_path / "g.png")
    fills, rings = nodes_of(figures[0])
    assert sorted(fills.values()) == sorted([PALETTE[1], PALETTE[0]])
    ((place, colour),) = rings.items()
    assert (colour, fills[place]) == (PALETTE[2], PALETTE[1])
    assert pixels_of(tmp_path / "g.png", PALETTE[2]) > 50
    assert {"a", "b", "c", "ring: known label"} <= {text.get_text() for text in figures[0].legends[0].get_texts()}


def test_a_line_joins_each_pair_as_wide_as_it_is_probable(tmp_path, figures):
    graph = PairGraph.build(4, [0, 1, 2, 0], [1, 2, 3, 3], [0.2, 0.8, 0.4, 0.0])
    draw_graph(graph, np.arange(4), unlabelled(4), list("abcd"), tmp_path / "g.png")
    lines = figures[0].axes[0].collections[0]
    fills, _rings = nodes_of(figures[0])
    owner = {place: PALETTE.index(colour) for place, colour in fills.items()}
    drawn = {
        frozenset(owner[tuple(end)] for end in path.vertices): width
        for path, width in zip(lines.get_paths(), lines.get_linewidths(), strict=True)
    }
    assert set(drawn) == {frozenset({0, 1}), frozenset({1, 2}), frozenset({2, 3})}
    assert drawn[frozenset({1, 2})] == pytest.approx(4 * drawn[frozenset({0, 1})])
    assert figures[0].axes[0].get_title() == "all 4 nodes, all 3 pairs"


def test_classes_lie_apart(tmp_path, figures):
    """On real data, nodes lie nearer to the middle of their own class than to that of another."""
    graph, labels = wine()
    draw_graph(graph, labels, unlabelled(len(labels)), ["0", "1", "2"], tmp_path / "g.png")
    places = [part.get_offsets() for part in figures[0].axes[0].collections[1:] if len(part.get_offsets())]
    middles = np.stack([part.mean(axis=0) for part in places])
    right = sum(int((np.linalg.norm(part[:, None] - middles, axis=2).argmin(axis=1) == at).sum()) for at, part in enumerate(places))
    assert right > 0.9 * len(labels)
    spread = np.concatenate(places).std(axis=0)
    assert spread[0] >= spread[1], "the picture is wider than high"


def test_the_same_arguments_give_the_same_picture(tmp_path):
    graph, labels = wine()
    for name in ("a.png", "b.png"):
        draw_graph(graph, labels, labels, ["0", "1", "2"], tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_of_a_large_graph_the_labelled_nodes_and_the_probable_pairs_are_drawn(tmp_path, figures, monkeypatch):
    assert (pictures.MAX_NODES, pictures.MAX_PAIRS) == (2000, 20_000), "what is drawn in seconds and can still be seen"
    monkeypatch.setattr(pictures, "MAX_NODES", 200)
    monkeypatch.setattr(pictures, "MAX_PAIRS", 2000)
    nodes = 230
    graph, labels = random_graph(nodes, 6000), unlabelled(nodes)
    labels[-40:] = 1
    draw_graph(graph, np.zeros(nodes, np.int64), labels, ["a", "b"], tmp_path / "g.png")
    fills, rings = nodes_of(figures[0])
    lines = figures[0].axes[0].collections[0]
    assert (len(fills), len(rings), len(lines.get_paths())) == (200, 40, 2000)
    title = figures[0].axes[0].get_title()
    assert title.startswith("200 of 230 nodes (40 labelled, the others at random), 2,000 of ")
    widths = lines.get_linewidths()
    assert min(widths) > 0.3 * max(widths), "half of the pairs between them are left out: the least probable"


def test_nodes_without_a_pair_lie_below(tmp_path, figures):
    draw_graph(PairGraph.build(40, [0, 1], [1, 2]), np.r_[0, 0, 0, np.ones(37, int)], unlabelled(40), ["a", "b"], tmp_path / "g.png")
    fills, _rings = nodes_of(figures[0])
    assert len(fills) == 40
    heights = [{place[1] for place, colour in fills.items() if colour == PALETTE[number]} for number in (0, 1)]
    assert max(heights[1]) < min(heights[0])
    assert "37 nodes without a drawn pair" in figures[0].axes[0].get_title()


@pytest.mark.filterwarnings("error::UserWarning")
@pytest.mark.parametrize("nodes", [0, 1, 2, 3, 5, 6, 7])
def test_small_graphs(tmp_path, nodes):
    for name, pairs in (("none", 0), ("chain", max(nodes - 1, 0))):
        graph = PairGraph.build(nodes, np.arange(pairs), np.arange(1, pairs + 1))
        draw_graph(graph, np.arange(nodes), np.arange(nodes), list("abcdefg"), tmp_path / f"{name}.png")
        with Image.open(tmp_path / f"{name}.png") as image:
            assert image.size == (1500, 1125)


@pytest.mark.filterwarnings("error::UserWarning")
def test_odd_names_of_classes(tmp_path, figures):
    """What matplotlib would leave out, read as a formula or find no letters for; and more classes than a legend holds."""
    names = ["_hidden", "$x^", "薔薇", "a\nb", "x" * 60, *map(str, range(60))]
    draw_graph(random_graph(65, 100), np.arange(65), unlabelled(65), names, tmp_path / "g.png")
    shown = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert shown[:4] == ["_hidden", "$x^", "薔薇", "a b"]
    assert len(shown[4]) < 30
    assert "and 41 more" in shown


def test_the_histogram_counts_start_and_new_pairs_apart(tmp_path, figures):
    prob = np.float32([0, 0.5, 0.99, 1, 1, 0, 0.01, 0.3, 0.3])
    start = np.float32([1, 1, 0.4, 1, 1, 0, 0, 0, 0])
    draw_histogram(prob, start, tmp_path / "h.png")
    upper, lower = figures[0].axes
    counts = [{round(bar.get_x(), 2): bar.get_height() for bar in axes.patches if bar.get_height()} for axes in (upper, lower)]
    assert counts == [{0.48: 1, 0.96: 3}, {0.0: 1, 0.28: 2}]
    assert upper.get_title(loc="left") == "5 pairs of the start graph, 1 of them now at 0"
    assert lower.get_title(loc="left") == "3 new pairs"
    assert upper.get_yscale() == lower.get_yscale() == "log"
    assert pixels_of(tmp_path / "h.png", PALETTE[0]) > 100
    assert pixels_of(tmp_path / "h.png", PALETTE[1]) > 100


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_histogram_of_nothing(tmp_path):
    draw_histogram(np.zeros(0, np.float32), np.zeros(0, np.float32), tmp_path / "h.png")
    with Image.open(tmp_path / "h.png") as image:
        assert image.width > 500


def test_existing_pictures_and_wrong_lengths(tmp_path):
    path = tmp_path / "g.png"
    path.write_text("mine")
    graph = PairGraph.build(2, [0], [1])
    with pytest.raises(UsageError, match="exists already"):
        draw_graph(graph, np.zeros(2, np.int64), unlabelled(2), ["a"], path, overwrite=False)
    with pytest.raises(UsageError, match="exists already"):
        draw_histogram(graph.prob, graph.prob, path, overwrite=False)
    assert path.read_text() == "mine"
    with pytest.raises(ValueError, match="for 2 nodes"):
        draw_graph(graph, np.zeros(3, np.int64), unlabelled(2), ["a"], path)
    with pytest.raises(ValueError, match="at the start"):
        draw_histogram(graph.prob, np.zeros(3, np.float32), path)
    assert list(tmp_path.iterdir()) == [path]
