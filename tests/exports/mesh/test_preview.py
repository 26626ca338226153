"""Pictures: the right way round, the nearest in front, and in no time."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh
from PIL import Image

from ppr.exports.mesh.files import colorize
from ppr.exports.mesh.preview import render, views
from ppr.methods.common.errors import UsageError
from ppr.methods.common.reading.meshes import Mesh

from ...counting import calls


def shape(made: trimesh.Trimesh, offset: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    return Mesh(np.array(made.vertices) + offset, np.array(made.faces, np.int64))


def scene(*parts: tuple[Mesh, str]) -> Mesh:
    """Coloured parts in one mesh."""
    colored = [colorize(mesh, color) for mesh, color in parts]
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in colored)])
    return Mesh(
        np.concatenate([mesh.vertices for mesh in colored]),
        np.concatenate([mesh.faces + start for mesh, start in zip(colored, starts, strict=False)]),
        colors=np.concatenate([mesh.colors for mesh in colored]),
    )


def ball(*centre: float, radius: float = 0.2) -> Mesh:
    return shape(trimesh.creation.icosphere(2, radius), centre)


RED, GREEN, BLUE = "#ff0000", "#00ff00", "#0000ff"


def where(image: Image.Image, channel: int) -> tuple[float, float]:
    """Mean (right, up) of what is coloured, from -1 to 1."""
    pixels = np.asarray(image).astype(int)
    mask = pixels[..., channel] > 80 + np.delete(pixels, channel, axis=2)[..., :2].max(axis=2)
    rows, columns = np.nonzero(mask)
    assert len(rows)
    return columns.mean() / image.width * 2 - 1, 1 - rows.mean() / image.height * 2


@pytest.mark.parametrize(
    ("up", "azimuth", "right_above"),
    [("y", 0, (1, 1, 0)), ("y", 90, (0, 1, -1)), ("y", 180, (-1, 1, 0)), ("z", 0, (1, 0, 1)), ("z", 90, (0, 1, 1))],
)
def test_orientation(up, azimuth, right_above):
    """Seen from +z, what lies at +x, +y is right above the middle; and so on around, and with z up."""
    there = np.array(right_above) * 1.0
    mesh = scene((ball(*there), RED), (ball(*-there), GREEN))
    image = render(mesh, 128, azimuth=azimuth, elevation=0, up=up)
    right, above = where(image, 0)
    assert right > 0.4
    assert above > 0.4
    right, above = where(image, 1)
    assert right < -0.4
    assert above < -0.4


def test_the_camera_looks_down_from_above():
    mesh = scene((ball(0, 0, 1), RED), (ball(0, 0, -1), GREEN))
    image = render(mesh, 128, azimuth=0, elevation=60)
    assert where(image, 0)[1] < -0.3  # what is near lies lower in the picture
    assert where(image, 1)[1] > 0.3


@pytest.mark.parametrize("order", [1, -1])
def test_the_nearer_one_hides_the_other_whatever_the_order(order):
    parts = [(ball(0, 0, 0.5, radius=0.3), RED), (ball(0, 0, -0.5, radius=0.3), BLUE)][::order]
    image = np.asarray(render(scene(*parts), 64, azimuth=0, elevation=0)).astype(int)
    assert image[32, 32, 0] > image[32, 32, 2] + 80
    behind = np.asarray(render(scene(*parts), 64, azimuth=180, elevation=0)).astype(int)
    assert behind[32, 32, 2] > behind[32, 32, 0] + 80


def test_coverage_is_that_of_the_silhouette():
    """A disc of 0.9 times the side; a square seen straight on has the same width as height."""
    alpha = np.asarray(render(shape(trimesh.creation.icosphere(4)), 200, background="transparent"))[..., 3] / 255
    assert alpha.mean() == pytest.approx(np.pi * 0.45**2, rel=0.01)
    assert 0 < np.count_nonzero((alpha > 0) & (alpha < 1)) < 2500  # smooth only along the edge
    square = np.asarray(render(shape(trimesh.creation.box()), 200, azimuth=0, elevation=0, background="transparent"))[..., 3]
    rows, columns = np.nonzero(square == 255)
    assert np.ptp(rows) == np.ptp(columns) == pytest.approx(180, abs=2)
    assert len(rows) == (np.ptp(rows) + 1) ** 2


def test_fine_and_coarse_triangles_cover_the_same():
    coarse = trimesh.creation.box()
    fine = coarse.subdivide().subdivide().subdivide().subdivide().subdivide()
    pictures = [np.asarray(render(shape(made), 96, background="transparent")).astype(int) for made in (coarse, fine)]
    assert np.abs(pictures[0][..., 3] - pictures[1][..., 3]).max() <= 64  # one sample of four on the outline
    inner = (pictures[0][..., 3] == 255) & (pictures[1][..., 3] == 255)
    assert np.abs(pictures[0] - pictures[1])[inner].mean() < 1


def test_what_faces_the_light_is_brighter_and_backs_are_lit():
    box = np.asarray(render(shape(trimesh.creation.box()), 96)).astype(int).sum(axis=2)
    assert box[20, 48] > box[60, 30] + 40  # the top against a side
    sheet = Mesh(np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]]), np.array([[0, 1, 2], [0, 2, 3]]))
    front, back = (np.asarray(render(sheet, 32, azimuth=azimuth, elevation=0))[16, 16].astype(int) for azimuth in (0, 180))
    assert np.array_equal(front, back)
    assert front.min() > 100


def test_smooth_shapes_are_smooth_and_boxes_have_edges():
    sphere = np.asarray(render(shape(trimesh.creation.icosphere(3)), 128)).astype(int)[..., 0]
    assert np.abs(np.diff(sphere[40:88, 40:88], axis=1)).max() <= 6
    box = np.asarray(render(shape(trimesh.creation.box()), 128)).astype(int)[..., 0]
    assert len(np.unique(box[70:100, 30:60])) <= 2  # a side is one shade


def test_nothing_and_edge_on_triangles_give_a_picture():
    empty = Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))
    assert np.asarray(render(empty, 16)).min() == 255
    flat = Mesh(np.array([[0.0, 0, 0], [0, 1, 0], [0, 0, 1]]), np.array([[0, 1, 2]]))
    render(flat, 16, azimuth=0, elevation=0)
    render(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 16)
    with pytest.raises(UsageError):
        render(flat, 0)


def test_forty_thousand_faces_take_no_more_calls_than_four_hundred():
    """Nothing is done face by face, so a large mesh takes less than a second."""
    found = []
    for sections in ((16, 12), (160, 125)):
        mesh = shape(trimesh.creation.torus(1.0, 0.35, major_sections=sections[0], minor_sections=sections[1]))
        assert len(mesh.faces) == 2 * sections[0] * sections[1]
        assert render(mesh, 512).size == (512, 512)
        found.append(calls(render, mesh, 512))
    assert found[1] < 1.5 * found[0]


def test_three_views_lie_side_by_side():
    assert views(ball(0, 0, 0), 32).size == (96, 32)
