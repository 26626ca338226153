"""Fields to meshes: closed whatever the field, with vertices on the level, and clear about what has no surface."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from skimage.measure import marching_cubes

from ppr.exports.mesh.extract import EmptyFieldError, Extraction, extract, field_normals, vertex_normals
from ppr.exports.mesh.files import write_mesh
from ppr.exports.mesh.marching import CORNERS
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.meshes import read_mesh, report, weld

from ..fields import LEVEL0, Points, ball, box, chair, corner_values, noise, torus, union, waves


def test_a_sphere_is_round():
    result = extract(ball(), LEVEL0)
    error = np.abs(np.linalg.norm(result.mesh.vertices, axis=1) - 0.3)
    assert error.max() < 1e-5
    stats = result.stats
    assert (stats.watertight, stats.components, stats.clipped, stats.dropped) == (True, 1, False, 0)
    assert stats.volume == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=1e-3)
    assert report(result.mesh).euler == 2
    assert report(result.mesh).manifold
    rough = extract(ball(), replace(LEVEL0, refine=0))
    assert 1e-5 < np.abs(np.linalg.norm(rough.mesh.vertices, axis=1) - 0.3).max() < 5e-4
    assert rough.stats.refine_queries == 0
    assert rough.stats.queries == stats.queries


def test_a_torus_has_a_hole_and_two_balls_are_two():
    assert report(extract(torus, LEVEL0).mesh).euler == 0
    two = extract(union(ball(0.15, (0.25, 0, 0)), ball(0.15, (-0.25, 0, 0))), LEVEL0)
    assert two.stats.components == 2
    assert two.stats.watertight
    assert two.stats.volume == pytest.approx(2 * 4 / 3 * np.pi * 0.15**3, rel=2e-3)


def test_a_hollow_in_a_full_box_has_the_box_around_it():
    result = extract(lambda p: -ball(0.2)(p), replace(LEVEL0, resolution=32))
    assert result.stats.components == 2
    assert result.stats.clipped
    assert result.stats.watertight
    assert result.stats.volume == pytest.approx(1 - 4 / 3 * np.pi * 0.2**3, rel=2e-3)


@pytest.mark.parametrize("centre", [(0.4, 0, 0), (-0.4, 0.45, 0), (0.45, -0.45, 0.45), (0, 0, -0.5)])
def test_what_leaves_the_box_is_closed_on_its_wall_and_flagged(centre):
    result = extract(ball(0.3, centre), replace(LEVEL0, resolution=48))
    assert result.stats.clipped
    assert result.stats.watertight
    assert report(result.mesh).manifold
    assert np.abs(result.mesh.vertices).max() == 0.5
    welded = weld(result.mesh)  # nothing coincides along the edges of the box
    assert (len(welded.vertices), len(welded.faces)) == (result.stats.vertices, result.stats.faces)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (200_000, 3)).astype(np.float32)
    assert result.stats.volume == pytest.approx((ball(0.3, centre)(points) > 0).mean(), rel=0.03)


@pytest.mark.parametrize(("field", "level"), [(chair(3), 0.0), (waves(2), 0.7), (torus, 0.01)])
def test_unrefined_vertices_are_those_of_scikit_image(field, level):
    values = corner_values(field, 48)
    theirs, _faces, _normals, _values = marching_cubes(np.maximum(values, -1e3)[1:-1, 1:-1, 1:-1], level, method="lorensen")
    theirs = theirs / 48 - 0.5
    ours = extract(field, Extraction(resolution=48, level=level, refine=0, mode="dense", keep="all")).mesh.vertices
    ours = ours[np.abs(ours).max(axis=1) < 0.5]  # theirs is open at the walls
    theirs = np.unique(np.round(theirs[np.abs(theirs).max(axis=1) < 0.5], 5), axis=0)
    assert len(ours) == pytest.approx(len(theirs), abs=5)
    assert cKDTree(theirs).query(ours)[0].max() < 2e-5
    assert cKDTree(ours).query(theirs)[0].max() < 2e-5


@given(seed=st.integers(0, 2**32 - 1), share=st.floats(0.2, 0.8), refine=st.integers(0, 1))
@settings(max_examples=25, deadline=None)
def test_noise_gives_a_closed_surface_without_shared_edges(seed, share, refine):
    """All 256 configurations next to each other, up to the walls: no edge has other than two faces, and every vertex one fan."""
    result = extract(noise(seed, 12, share), Extraction(resolution=12, keep="all", refine=refine))
    found = report(result.mesh)
    assert found.watertight
    assert found.manifold


def test_noise_meets_all_configurations():
    inside = corner_values(noise(0, 32), 32) > 0.5
    around = np.stack([inside[tuple(slice(o, o + 34) for o in offset)] for offset in CORNERS], axis=-1)
    assert len(np.unique(np.packbits(around, axis=-1))) == 256
    assert report(extract(noise(0, 32), Extraction(resolution=32, keep="all")).mesh).manifold


@pytest.mark.parametrize("steep", [5.0, 60.0, 400.0])
def test_refined_vertices_lie_on_the_level_of_blurred_and_clamped_fields(steep):
    """Occupancy networks saturate within a cell: linear interpolation is poor there, three values more are not."""

    def occupancy(p: Points) -> np.ndarray:
        y = steep * (np.float32(0.3) - np.linalg.norm(p, axis=1)) + np.float32(0.5)
        return np.maximum(np.minimum(y, 0.01 * y + np.float32(0.99)), 0.01 * y).astype(np.float32)

    errors = []
    for refine in (0, 3, 8):
        vertices = extract(occupancy, Extraction(resolution=64, refine=refine)).mesh.vertices
        errors.append(np.abs(np.linalg.norm(vertices, axis=1) - 0.3).max())
    assert errors[1] < 0.35 * errors[0]
    assert errors[2] < 1e-5


def test_a_level_off_the_middle_of_a_blurred_step_is_found():
    """Plain regula falsi keeps one end for ever where the field is flat on one side only."""

    def field(p: Points) -> np.ndarray:
        return 0.5 + 0.5 * np.tanh(120 * (np.float32(0.3) - np.linalg.norm(p, axis=1)) + 1)

    level = 0.5 + 0.5 * np.tanh(1)
    vertices = extract(field, Extraction(resolution=64, level=level, refine=4)).mesh.vertices
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.3).max() < 5e-6


def test_a_step_is_bisected():
    """A hard 0/1 field offers no slope: each round halves the uncertainty."""
    vertices = extract(lambda p: (np.linalg.norm(p, axis=1) < 0.3).astype(np.float32), Extraction(resolution=32, refine=10)).mesh.vertices
    assert np.abs(np.linalg.norm(vertices, axis=1) - 0.3).max() < 2 / 32 / 2**9


def test_a_surface_through_grid_corners_survives_float32(tmp_path):
    """Values that equal the level leave several vertices around one corner; they stay apart in a file, and welding opens nothing."""
    result = extract(lambda p: np.float32(0.25) - np.abs(p).sum(axis=1), replace(LEVEL0, resolution=64))
    assert result.stats.volume == pytest.approx(4 / 3 * 0.25**3, rel=1e-4)
    for suffix in ("stl", "obj", "glb"):
        path = tmp_path / f"box.{suffix}"
        write_mesh(path, result.mesh, overwrite=False)
        back = report(read_mesh(path))
        assert (back.vertices, back.faces, back.watertight) == (result.stats.vertices, result.stats.faces, True)


def test_refining_stops_where_nothing_is_left_to_gain():
    flat = extract(box((-0.3, -0.3, -0.3), (0.31, 0.31, 0.31)), replace(LEVEL0, resolution=50, refine=10))
    assert flat.stats.refine_queries < 1.5 * flat.stats.vertices


@pytest.mark.parametrize("resolution", [5, 16, 31, 50, 100])
def test_any_resolution_and_box_work(resolution):
    result = extract(ball(0.6, (1, 1, 1)), Extraction(resolution=resolution, level=0.0, box=(0.0, 2.0)))
    assert result.stats.watertight
    assert result.stats.volume == pytest.approx(4 / 3 * np.pi * 0.6**3, rel=3 / resolution)


def test_nothing_inside_names_the_maximum_and_a_level_that_works():
    field = ball(0.3)
    with pytest.raises(EmptyFieldError, match=r"level 0\.5: its maximum is 0\.3") as caught:
        extract(field, Extraction(resolution=32))
    assert caught.value.exit_code == 3
    assert caught.value.hint.endswith(", or a --seed-grid finer than 32")
    level = float(caught.value.hint.split(",")[0].removeprefix("try --level "))
    assert extract(field, Extraction(resolution=32, level=level)).stats.watertight


@pytest.mark.parametrize("mode", ["sparse", "dense", "mise"])
def test_everything_inside_names_the_minimum(mode):
    with pytest.raises(EmptyFieldError, match=r"above the level -1 everywhere: its minimum is -0\.5660"):
        extract(ball(0.3), Extraction(resolution=32, level=-1, mode=mode))
    with pytest.raises(EmptyFieldError, match=r"maximum is 0\.3"):
        extract(ball(0.3), Extraction(resolution=32, level=0.3, mode=mode))


def test_a_constant_field_has_no_better_level():
    with pytest.raises(EmptyFieldError) as caught:
        extract(lambda p: np.zeros(len(p), np.float32), Extraction(resolution=16))
    assert "constant" in caught.value.hint


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_refused(bad):
    def field(p: Points) -> np.ndarray:
        return np.where(p[:, 0] > 0.3, np.float32(bad), ball()(p))

    with pytest.raises(PprError, match=rf"the field is {bad} at \(0\.3.*not finite"):
        extract(field, LEVEL0)


def test_a_wrong_shape_names_both():
    with pytest.raises(PprError, match=r"shape \(8192, 3\) with values of shape \(8192, 1\), not \(8192,\)"):
        extract(lambda p: np.zeros((len(p), 1), np.float32), LEVEL0)


def test_impossible_settings_are_usage_errors():
    with pytest.raises(UsageError, match=r"1,076,890,625 corners \(4\.0 GiB"):
        extract(ball(), replace(LEVEL0, mode="dense", resolution=1024))
    with pytest.raises(UsageError, match="only by doubling"):
        extract(ball(), replace(LEVEL0, mode="mise", resolution=96))
    for wrong in (
        {"resolution": 1},
        {"box": (1.0, 1.0)},
        {"level": np.nan},
        {"mode": "octree"},
        {"batch": 0},
        {"keep": "most"},
        {"keep": 2.0},
    ):
        with pytest.raises(UsageError):
            Extraction(**wrong)


def test_stats_are_json_and_count_what_was_asked():
    calls: dict[str, int] = {}
    asked = 0

    def field(p: Points) -> np.ndarray:
        nonlocal asked
        assert p.dtype == np.float32
        assert len(p) <= 1000
        asked += len(p)
        return ball()(p)

    result = extract(field, replace(LEVEL0, batch=1000), normals=lambda p: p, progress=calls.__setitem__)
    stats = json.loads(json.dumps(asdict(result.stats)))
    assert stats["queries"] + stats["refine_queries"] == asked
    assert stats["normal_queries"] == stats["vertices"] == len(result.mesh.vertices)
    assert calls == {
        "seed": stats["seed_queries"],
        "front": stats["queries"] - stats["seed_queries"],
        "refine": stats["refine_queries"],
        "normals": stats["normal_queries"],
    }
    assert stats["cells"] == len(result.cells)
    assert stats["max_value"] == pytest.approx(0.3)


def test_normals_point_outward():
    field = ball(0.3, (0.3, 0, 0))
    result = extract(field, LEVEL0, normals=lambda p: field_normals(field, p, 1e-3))
    mesh = result.mesh
    outward = mesh.vertices - [0.3, 0, 0]
    outward /= np.linalg.norm(outward, axis=1, keepdims=True)
    wall = mesh.vertices[:, 0] == 0.5
    assert np.abs(mesh.normals - outward)[~wall].max() < 2e-3
    flat = wall & (np.linalg.norm(mesh.vertices[:, 1:], axis=1) < 0.2)
    assert flat.any()
    assert np.allclose(mesh.normals[flat], [1, 0, 0], atol=1e-6)
    geometric = vertex_normals(mesh)
    assert np.einsum("vi,vi->v", geometric, outward)[~wall].min() > 0.7
    assert np.allclose(np.linalg.norm(geometric, axis=1), 1)
