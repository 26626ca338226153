"""Figures show what they are given, say names as they are, and are the same file every time."""

from __future__ import annotations

import io
import warnings

import matplotlib.colors
import numpy as np
import pytest
from PIL import Image

from ppr.methods.common.drawing import figures
from ppr.methods.common.errors import UsageError
from ppr.methods.common.measuring.seeds import Estimate


@pytest.fixture
def axes():
    figure = figures.new(4, 3)
    return figure.add_subplot()


def legend_of(axes):
    return [text.get_text() for text in axes.get_legend().get_texts()]


@pytest.mark.parametrize(("suffix", "start"), [(".png", b"\x89PNG"), (".pdf", b"%PDF"), (".svg", b"<?xml"), (".JPG", b"\xff\xd8")])
def test_the_suffix_is_the_format_and_the_same_figure_the_same_file(tmp_path, suffix, start):
    paths = [tmp_path / f"{name}{suffix}" for name in "ab"]
    for path in paths:
        figure = figures.new(4, 3)
        figure.add_subplot().plot([0, 1], [1, 0])
        figures.save(figure, path)
    one, other = (path.read_bytes() for path in paths)
    assert one == other and one.startswith(start)
    with pytest.raises(UsageError, match="exists already"):
        figures.save(figure, paths[0], overwrite=False)


def test_a_format_that_cannot_be_drawn(tmp_path, axes):
    for name in ("plot.xyz", "plot"):
        with pytest.raises(UsageError, match="no format of a figure") as caught:
            figures.save(axes.figure, tmp_path / name)
        assert "png" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_a_figure_that_fails_leaves_nothing(tmp_path, axes, monkeypatch):
    def fails(*_given, **_named):
        raise RuntimeError

    monkeypatch.setattr(axes.figure, "savefig", fails)
    with pytest.raises(RuntimeError):
        figures.save(axes.figure, tmp_path / "plot.png")
    assert list(tmp_path.iterdir()) == []


def test_a_png_for_a_page_has_its_size(axes):
    with Image.open(io.BytesIO(figures.png(axes.figure, dpi=50))) as image:
        assert image.size == (200, 150)


def test_names_are_taken_literally(tmp_path, axes):
    """Neither left out nor read as formulas, and no warning about letters that the font lacks."""
    names = ["_private", "$x", "価格", "plain"]
    figures.curves(axes, {name: ([0, 1], [0, number]) for number, name in enumerate(names)})
    assert legend_of(axes) == names
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figures.save(axes.figure, tmp_path / "names.png")


def test_curves(axes):
    figures.curves(axes, {"a": ([1, 2], [3, 4]), "b": ([1, 3], [5, 6])}, marker=".")
    assert [line.get_xydata().tolist() for line in axes.lines] == [[[1, 3], [2, 4]], [[1, 5], [3, 6]]]
    assert [line.get_color() for line in axes.lines] == list(figures.PALETTE[:2])
    other = figures.new(2, 2).add_subplot()
    figures.curves(other, {"alone": ([1, 2], [3, 4])})
    assert other.get_legend() is None


def test_a_band_is_the_interval_of_the_mean(axes):
    values = np.random.default_rng(0).normal(0, 1, (5, 3))
    figures.bands(axes, [0, 1, 2], {"ours": values, "once": values[:1]})
    assert legend_of(axes) == ["ours (5 seeds)", "once (1 seed)"]
    np.testing.assert_allclose(axes.lines[0].get_ydata(), values.mean(0))
    edge = axes.collections[0].get_paths()[0].vertices
    for column in range(3):
        expected = Estimate.of(values[:, column])
        at = edge[edge[:, 0] == column, 1]
        assert (at.min(), at.max()) == pytest.approx((expected.mean - expected.interval, expected.mean + expected.interval))


def test_bars_stand_side_by_side_with_their_marks(axes):
    figures.bars(
        axes,
        ["0 late", "1 late"],
        {"coded": [1, 2], "uncoded": [3, 4]},
        marks={"coded": [1.5, 2.5], "uncoded": [3.5, 4.5]},
        marked="planned",
        intervals={"coded": [0.1, 0.2], "uncoded": [0.3, 0.4]},
        colours={"coded": "#123456"},
    )
    coded, uncoded = (container for container in axes.containers if hasattr(container, "patches"))
    assert [bar.get_height() for bar in (*coded, *uncoded)] == [1, 2, 3, 4]
    assert matplotlib.colors.to_hex(coded[0].get_facecolor()) == "#123456"
    assert coded[0].get_x() + coded[0].get_width() < uncoded[0].get_x() < coded[1].get_x()
    marks = [path.vertices for part in axes.collections for path in part.get_paths()]
    middle = [(float(ends[:, 0].mean()), float(ends[0, 1])) for ends in marks]
    assert (pytest.approx(0.2), 3.5) in middle and (pytest.approx(0.8), 2.5) in middle
    assert legend_of(axes) == ["coded", "uncoded", "planned"]


def test_the_cells_of_a_heat_map_can_be_read(axes):
    figures.heat_map(axes, np.array([[0.0, 1.0]]), ["row"], ["low", "high"], text=[["white", "dark"]])
    assert [(text.get_text(), text.get_color(), text.get_position()) for text in axes.texts] == [
        ("white", "black", (0, 0)),
        ("dark", "white", (1, 0)),
    ]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["low", "high"]


def test_a_heat_map_of_colours(axes):
    cells = np.array([[[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]]])
    figures.heat_map(axes, cells, ["row"], ["a", "b"], text=[["x", "y"]])
    assert [text.get_color() for text in axes.texts] == ["black", "white"]


def test_a_confusion_shades_shares_and_writes_counts(axes):
    counts = np.array([[9, 1, 0], [0, 2000, 0], [0, 0, 0]])
    figures.confusion(axes, counts, ["cat", "dog", "_none"])
    np.testing.assert_allclose(axes.images[0].get_array(), [[0.9, 0.1, 0], [0, 1, 0], [0, 0, 0]])
    assert {text.get_position(): text.get_text() for text in axes.texts if text.get_text()} == {(0, 0): "9", (1, 0): "1", (1, 1): "2,000"}
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted", "true")
    assert [label.get_text() for label in axes.get_yticklabels()] == ["cat", "dog", "_none"]


def test_panels_lie_in_rows():
    figure, axes = figures.panels(5, columns=4, width=3, height=2)
    assert len(axes) == 5
    assert figure.get_size_inches().tolist() == [12, 4]
    assert [one.get_subplotspec().rowspan.start for one in axes] == [0, 0, 0, 0, 1]
