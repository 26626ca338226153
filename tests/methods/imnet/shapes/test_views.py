"""Rendering agrees with marching along the rays, and whatever a user gives becomes a 128 x 128 view with an empty background of 0."""

from __future__ import annotations

import io
import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from ppr.methods.common.errors import PprError
from ppr.methods.imnet import naive
from ppr.methods.imnet.data import BUNDLED
from ppr.methods.imnet.shapes.boxes import BoxUnion, load_boxes
from ppr.methods.imnet.shapes.views import (
    AMBIENT,
    DIFFUSE,
    DISTANCE,
    ELEVATIONS,
    HALF_FIELD,
    LIGHT,
    SIDE,
    Camera,
    cast_boxes,
    centre_crop,
    load_view,
    pixel_centres,
    random_view,
    render_boxes,
)


@pytest.fixture(scope="module")
def chairs():
    table = load_boxes(BUNDLED)
    return [table[row] for row in range(0, len(table), 250)]


def cuboid(centre, half):
    """One axis-parallel box, not normalised."""
    matrix = np.diag(1 / np.asarray(half, np.float32))[None]
    return BoxUnion(matrix, -(matrix @ np.asarray(centre, np.float32)))


def turned(shape, azimuth):
    """The shape turned about y, +z towards +x."""
    c, s = np.cos(np.radians(azimuth)), np.sin(np.radians(azimuth))
    return shape.transformed(np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]]), np.zeros(3))


def test_the_depth_is_where_a_march_along_the_ray_enters_the_shape(chairs):
    size, step = 24, 1e-3
    distances = np.arange(DISTANCE - 0.6, DISTANCE + 0.6, step)
    rng = np.random.default_rng(0)
    for shape in chairs:
        camera = Camera.around(*random_view(rng))
        depth, _brightness = cast_boxes(shape, camera, size)
        marched = naive.entry_depth(shape, camera, size, distances)
        # A ray through less than a step of an edge is hit by the test and missed by the march, never the other way round.
        hit, marched_hit = np.isfinite(depth), np.isfinite(marched)
        assert not (marched_hit & ~hit).any()
        assert (hit & ~marched_hit).sum() <= 3
        both = hit & marched_hit
        late = marched[both] - depth[both]
        assert late.min() > -1e-5
        assert (late > step + 1e-5).sum() <= 3
        assert hit.sum() > 50


def test_a_cube_seen_from_the_front_has_the_size_depth_and_brightness_that_geometry_gives():
    half = 0.25
    depth, brightness = cast_boxes(cuboid([0, 0, 0], [half] * 3), Camera.around(0, 0), SIDE)
    edge = half / (DISTANCE - half) / (HALF_FIELD / DISTANCE)
    inside = np.abs(pixel_centres(SIDE)) < edge
    expected = inside[:, None] & inside
    np.testing.assert_array_equal(np.isfinite(depth), expected)
    np.testing.assert_allclose(depth[expected], DISTANCE - half, rtol=1e-5)
    np.testing.assert_allclose(brightness[expected], AMBIENT + DIFFUSE * LIGHT[2] / np.linalg.norm(LIGHT), rtol=1e-5)
    assert (brightness[~expected] == 1).all()


@pytest.mark.parametrize(
    ("centre", "azimuth", "side"),
    [
        ([0.3, 0, 0], 0, "right"),
        ([0.3, 0, 0], 180, "left"),
        ([0, 0, 0.3], 90, "left"),
        ([0, 0, 0.3], 270, "right"),
        ([0, 0.3, 0], 57, "top"),
        ([0, -0.3, 0], 57, "bottom"),
    ],
)
def test_which_way_the_camera_looks(centre, azimuth, side):
    rows, columns = np.nonzero(render_boxes(cuboid(centre, [0.05] * 3), azimuth, 10) < 255)
    middle = SIDE / 2
    where = {"left": columns.max() < middle, "right": columns.min() > middle, "top": rows.max() < middle, "bottom": rows.min() > middle}
    assert where[side]
    assert sum(where.values()) == 1


def test_the_nearer_of_two_boxes_hides_the_other():
    near, far = cuboid([0, 0, 0.3], [0.1, 0.1, 0.02]), cuboid([0, 0, -0.3], [0.05, 0.05, 0.02])
    both = BoxUnion(np.concatenate([far.matrix, near.matrix]), np.concatenate([far.offset, near.offset]))
    camera = Camera.around(0, 0)
    np.testing.assert_array_equal(cast_boxes(both, camera, 64)[0], cast_boxes(near, camera, 64)[0])
    depth, _brightness = cast_boxes(both, Camera.around(180, 0), 64)
    assert len(np.unique(np.round(depth[np.isfinite(depth)], 4))) == 2


@settings(max_examples=15, deadline=None)
@given(azimuth=st.floats(0, 360), elevation=st.floats(-40, 60), turn=st.floats(0, 360))
def test_turning_shape_and_camera_together_changes_nothing(chairs, azimuth, elevation, turn):
    before = render_boxes(chairs[3], azimuth, elevation, 48).astype(int)
    after = render_boxes(turned(chairs[3], turn), azimuth + turn, elevation, 48).astype(int)
    assert (np.abs(before - after) > 1).mean() < 0.01  # rounding moves single pixels at edges


def test_a_chair_fills_most_of_the_picture_and_stays_inside(chairs):
    rng = np.random.default_rng(1)
    for shape in chairs:
        picture = render_boxes(shape, *random_view(rng))
        assert picture.shape == (SIDE, SIDE)
        assert picture.dtype == np.uint8
        rows, columns = np.nonzero(picture < 255)
        assert max(np.ptp(rows), np.ptp(columns)) > 0.6 * SIDE
        border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
        assert (border == 255).all()
        assert picture[picture < 255].max() <= np.ceil(255 * (AMBIENT + DIFFUSE))
        assert len(np.unique(picture)) >= 3


def test_supersampling_is_the_mean_of_a_finer_picture(chairs):
    fine = render_boxes(chairs[0], 30, 27, 64).astype(float)
    np.testing.assert_allclose(render_boxes(chairs[0], 30, 27, 32, supersample=2), fine.reshape(32, 2, 32, 2).mean((1, 3)), atol=1.01)


def test_random_views_cover_the_range_and_repeat_by_seed():
    rng = np.random.default_rng(5)
    drawn = np.array([random_view(rng) for _ in range(500)])
    assert drawn.min(0)[0] < 10
    assert drawn.max(0)[0] > 350
    assert (drawn[:, 1] >= ELEVATIONS[0]).all()
    assert (drawn[:, 1] <= ELEVATIONS[1]).all()
    assert random_view(np.random.default_rng(5)) == tuple(drawn[0])


def png(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def disc(size, background=255, value=60):
    """A dark disc in the middle."""
    y, x = np.mgrid[: size[1], : size[0]]
    inside = (x - size[0] / 2) ** 2 + (y - size[1] / 2) ** 2 < (0.3 * min(size)) ** 2
    return Image.fromarray(np.where(inside, value, background).astype(np.uint8))


def test_a_rendered_view_is_read_back_unchanged(chairs, tmp_path):
    picture = render_boxes(chairs[0], 40, 28)
    file = tmp_path / "view.png"
    Image.fromarray(picture).save(file)
    expected = (1 - picture.astype(np.float32) / 255)[None]
    for source in (file, file.read_bytes(), Image.open(file), Image.fromarray(picture).convert("RGB")):
        view = load_view(source)
        assert view.dtype == np.float32
        np.testing.assert_array_equal(view, expected)


@pytest.mark.parametrize("size", [(128, 128), (500, 300), (37, 90), (1, 1000), (3000, 2)])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P"])
def test_any_size_and_mode_becomes_a_view(size, mode, caplog):
    image = disc(size) if min(size) > 10 else Image.new("L", size, 60)
    view = load_view(png(image.convert(mode)))
    assert view.shape == (1, SIDE, SIDE)
    assert view.min() >= 0
    assert view.max() == pytest.approx(1 - 60 / 255, abs=0.02)
    assert view[0, 0, 0] == 0


def test_a_wide_picture_keeps_its_proportions():
    view = load_view(disc((400, 200)))[0]
    rows, columns = np.nonzero(view > 0.4)
    assert abs(np.ptp(rows) - np.ptp(columns)) <= 1
    assert abs(np.ptp(rows) + 1 - 0.6 * 64) <= 2
    assert abs(rows.mean() - 63.5) < 1
    assert abs(columns.mean() - 63.5) < 1


@pytest.mark.parametrize("as_file", [True, False])
def test_transparency_is_composited_on_white(as_file):
    grey = np.asarray(disc((128, 128)))
    rgba = np.dstack([np.where(grey < 255, grey, 0)] * 3 + [np.where(grey < 255, 255, 0).astype(np.uint8)])
    image = Image.fromarray(rgba.astype(np.uint8), "RGBA")
    np.testing.assert_array_equal(load_view(png(image) if as_file else image)[0], 1 - grey.astype(np.float32) / 255)


def test_of_a_3d_r2n2_rendering_the_middle_is_taken():
    pixels = np.full((137, 137), 255, np.uint8)
    pixels[4 : 4 + 128, 4 : 4 + 128] = 100
    cropped = centre_crop(pixels)
    assert cropped.shape == (128, 128)
    assert (cropped == 100).all()
    pixels[60:80, 60:90] = 0
    np.testing.assert_array_equal(load_view(Image.fromarray(pixels))[0] == 1, centre_crop(pixels) == 0)


@pytest.mark.parametrize(("background", "warned"), [(255, False), (240, False), (180, True), (0, True)])
def test_a_background_that_is_not_white_is_warned_about(background, warned, caplog):
    with caplog.at_level(logging.WARNING, logger="ppr"):
        load_view(disc((128, 128), background, value=90), "chair.png")
    assert ("chair.png: the background is not near white" in caplog.text) == warned


def test_an_object_that_touches_one_edge_is_no_coloured_background(caplog):
    pixels = np.full((128, 128), 255, np.uint8)
    pixels[60:, 20:100] = 80
    with caplog.at_level(logging.WARNING, logger="ppr"):
        load_view(Image.fromarray(pixels))
    assert not caplog.records


@pytest.mark.parametrize("grey", [0, 130, 255])
def test_a_blank_picture_is_refused(grey):
    with pytest.raises(PprError, match=r"x\.png: a blank picture"):
        load_view(png(Image.new("RGB", (200, 200), (grey,) * 3)), "x.png")


def test_files_that_are_no_images_are_refused_by_name(tmp_path):
    with pytest.raises(PprError, match="not an image"):
        load_view(b"no image at all", "x.png")
    with pytest.raises(PprError, match="damaged or truncated"):
        load_view(png(disc((200, 200)))[:300], "x.png")
    empty = tmp_path / "empty.png"
    empty.touch()
    with pytest.raises(PprError, match=r"empty\.png: empty file"):
        load_view(empty)
    with pytest.raises(PprError, match=r"absent\.png: cannot be read"):
        load_view(tmp_path / "absent.png")
