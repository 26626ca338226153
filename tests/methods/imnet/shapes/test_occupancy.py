"""Inside and outside of meshes: solids whose inside is known, and surfaces that have none."""

from __future__ import annotations

import logging
import sys
from dataclasses import replace

import numpy as np
import pytest

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.meshes import Mesh, read_mesh
from ppr.methods.imnet import naive
from ppr.methods.imnet.shapes import occupancy
from ppr.methods.imnet.shapes.occupancy import check, flood, mesh_occupancy, normalise, voxelise, winding_numbers

CORNERS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)], float)
SIDES = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
TRIANGLES = np.array([[side[i] for i in corners] for side in SIDES for corners in ((0, 1, 2), (0, 2, 3))])


def box(half=(1.0, 2.0, 3.0), centre=(0.0, 0.0, 0.0)) -> Mesh:
    return Mesh(CORNERS * half + np.array(centre), TRIANGLES)


def joined(*meshes: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(np.concatenate([m.vertices for m in meshes]), np.concatenate([m.faces + s for m, s in zip(meshes, starts, strict=True)]))


def sphere() -> Mesh:
    import trimesh

    ball = trimesh.creation.icosphere(4)
    return Mesh(np.array(ball.vertices), np.array(ball.faces))


def centres(side: int) -> np.ndarray:
    axis = (np.arange(side) + 0.5) / side - 0.5
    return np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1)


def test_normalising_centres_the_box_and_makes_its_diagonal_one():
    mesh = normalise(replace(box(centre=(7, -3, 100)), vertices=np.vstack([box(centre=(7, -3, 100)).vertices, [[1e6, 0, 0]]])))
    used = mesh.vertices[:8]
    np.testing.assert_allclose(used.min(0), -used.max(0), atol=1e-12)
    assert np.linalg.norm(np.ptp(used, axis=0)) == pytest.approx(1)
    np.testing.assert_allclose(np.ptp(used, axis=0) * np.sqrt(14), [1, 2, 3])


@pytest.mark.parametrize(
    ("mesh", "part"),
    [
        (Mesh(CORNERS, np.zeros((0, 3), np.int64)), "has no faces"),
        (Mesh(CORNERS * 0, TRIANGLES), "the same point"),
        (Mesh(CORNERS * np.nan, TRIANGLES), "not finite"),
    ],
)
def test_what_has_no_size_is_refused(mesh, part):
    with pytest.raises(PprError, match=part):
        normalise(mesh)


@pytest.mark.parametrize("side", [64, 128])
def test_a_box_is_exact(side):
    mesh = normalise(box())
    solid = voxelise(mesh, side)
    expected = (np.abs(centres(side)) < np.array([1, 2, 3]) / np.sqrt(14) / 2).all(-1)
    np.testing.assert_array_equal(solid.occupied, expected)
    assert solid.ambiguous == 0
    check(solid, "box", strict=True)


def test_a_sphere_has_its_volume_and_points_agree_with_the_radius():
    mesh = normalise(sphere())
    radius = 0.5 / np.sqrt(3)
    solid = voxelise(mesh, 64)
    assert solid.occupied.mean() == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.01)
    points = np.random.default_rng(0).uniform(-0.5, 0.5, (20_000, 3))
    distance = np.linalg.norm(points, axis=1)
    clear = np.abs(distance - radius) > 0.002  # the facets lie at most that far inside the sphere
    np.testing.assert_array_equal(mesh_occupancy(mesh, points)[clear], (distance < radius)[clear])
    assert winding_numbers(mesh, np.empty((0, 3))).shape == (0,)


def test_winding_numbers_are_sums_of_solid_angles():
    """Of a closed box, of one that lacks a face, and of two that overlap: whole numbers and others."""
    whole = normalise(box())
    for mesh in (whole, replace(whole, faces=whole.faces[2:]), normalise(joined(box(), box((1, 1, 1), (0.5, 0.3, 0.1))))):
        points = np.random.default_rng(1).uniform(-0.5, 0.5, (200, 3))
        expected = naive.winding_numbers(mesh, points)
        np.testing.assert_allclose(winding_numbers(mesh, points), expected, atol=0.003)
        np.testing.assert_array_equal(mesh_occupancy(mesh, points), np.abs(expected) > 0.5)
        assert 0.02 < (np.abs(expected) > 0.5).mean() < 0.6


def test_cells_that_are_skipped_have_the_value_that_they_would_get():
    """The subdivision agrees with asking at every voxel, for a shape with thin parts."""
    legs = [box((0.03, 1, 0.03), (x, 0, z)) for x in (-0.9, 0.9) for z in (-0.8, 0.8)]
    mesh = normalise(joined(box((1, 0.02, 0.9), (0, 1, 0)), *legs))
    occupied = voxelise(mesh, 64).occupied
    np.testing.assert_array_equal(occupied.ravel(), mesh_occupancy(mesh, centres(64).reshape(-1, 3)))
    assert 0 < occupied.mean() < 0.05


def test_overlapping_parts_join_and_hollows_stay():
    apart = normalise(joined(box((1, 1, 1)), box((1, 1, 1), (0.7, 0.4, 0.2))))
    assert mesh_occupancy(apart, apart.vertices.mean(0)[None]).all()
    assert voxelise(apart, 64).ambiguous == 0
    inner = box((0.5, 0.5, 0.5))
    hollow = normalise(joined(box((1, 1, 1)), replace(inner, faces=inner.faces[:, ::-1])))
    solid = voxelise(hollow, 64)
    assert not solid.occupied[32, 32, 32]
    assert solid.occupied.mean() == pytest.approx((1 - 1 / 8) / np.sqrt(3) ** 3, rel=0.1)
    assert flood(hollow, 64).occupied[32, 32, 32]


def test_a_mesh_that_looks_inwards_is_the_same_solid():
    mesh = normalise(box())
    inward = replace(mesh, faces=mesh.faces[:, ::-1])
    np.testing.assert_array_equal(voxelise(inward, 64).occupied, voxelise(mesh, 64).occupied)
    assert voxelise(inward, 64).ambiguous == 0


def test_parts_that_look_different_ways_are_noticed():
    turned = box((1, 1, 1), (0.7, 0.4, 0.2))
    mesh = normalise(joined(box((1, 1, 1)), replace(turned, faces=turned.faces[:, ::-1])))
    assert voxelise(mesh, 64).ambiguous > 0.1
    assert flood(mesh, 64).occupied[32, 32, 32]


def test_an_open_box_warns_and_strict_refuses(caplog):
    mesh = normalise(box((1, 1, 1)))
    solid = voxelise(replace(mesh, faces=mesh.faces[2:]), 64)
    assert solid.doubtful
    with caplog.at_level(logging.WARNING, logger="ppr"):
        check(solid, "box.obj", strict=False)
    assert f"box.obj: inside and outside are ambiguous for {100 * solid.ambiguous:.1f} %" in caplog.text
    with pytest.raises(PprError, match=r"box\.obj: inside and outside are ambiguous"):
        check(solid, "box.obj", strict=True)


def test_a_sheet_has_no_inside():
    sheet = normalise(Mesh(CORNERS * (1, 1, 0), np.array([[0, 2, 4], [4, 2, 6]])))
    with pytest.raises(PprError, match="no point is inside"):
        check(voxelise(sheet, 64), "sheet", strict=False)


def test_a_flood_reaches_neither_the_inside_nor_the_surface():
    """The filled shell contains the solid, and nothing farther from it than half the diagonal of a voxel."""
    mesh = normalise(box())
    flooded = flood(mesh, 64).occupied
    outside = np.maximum(np.abs(centres(64)) - np.array([1, 2, 3]) / np.sqrt(14) / 2, 0)
    distance = np.linalg.norm(outside, axis=-1)
    assert flooded[distance == 0].all()
    assert not flooded[distance > np.sqrt(3) / 128 * 1.01].any()


def test_spot_is_closed_after_welding(imnet_data):
    mesh = normalise(read_mesh(imnet_data / "spot.obj"))
    solid = voxelise(mesh, 64)
    assert solid.ambiguous == 0
    corners = mesh.vertices[mesh.faces]
    volume = np.einsum("fi,fi->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert solid.occupied.mean() == pytest.approx(volume, rel=0.01)


def test_suzanne_is_open(imnet_data):
    solid = voxelise(normalise(read_mesh(imnet_data / "suzanne_open.obj")), 64)
    assert 0.01 < solid.ambiguous < 0.1
    with pytest.raises(PprError, match="ambiguous"):
        check(solid, "suzanne_open.obj", strict=True)


@pytest.mark.parametrize("side", [4, 8, 100])
def test_sides_that_cells_do_not_divide_are_a_mistake(side):
    with pytest.raises(ValueError, match="not a multiple"):
        voxelise(normalise(box()), side)


def test_without_libigl_its_own_package_is_named(monkeypatch):
    """It is a requirement of ppr, so no extra brings it."""
    monkeypatch.setitem(sys.modules, "igl", None)
    with pytest.raises(PprError, match=r"libigl.*cannot be imported") as caught:
        occupancy.mesh_occupancy(box(), np.zeros((1, 3)))
    assert caught.value.hint == "pip install libigl"
