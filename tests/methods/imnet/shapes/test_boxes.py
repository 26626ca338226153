"""Box unions: exact membership, the maps they are closed under, samples around their surface, and tables read with distrust."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.methods.common.errors import PprError
from ppr.methods.imnet import naive
from ppr.methods.imnet.data import BUNDLED
from ppr.methods.imnet.shapes.boxes import MIN_LENGTH, MIN_THICKNESS, BoxSet, BoxUnion, load_boxes, sample_points

from .some_boxes import cube_points, one_box, random_rows

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=30, deadline=None)
@given(seed=seeds)
def test_a_point_is_inside_where_it_is_within_half_of_every_length(seed):
    rng = np.random.default_rng(seed)
    rows, points = random_rows(rng), cube_points(rng)
    distance = naive.outside_by(rows, points)
    clear = np.abs(distance) > 1e-5
    np.testing.assert_array_equal(BoxUnion.from_rows(rows).occupancy(points)[clear], distance[clear] < 0)
    assert clear.mean() > 0.99


@settings(max_examples=30, deadline=None)
@given(seed=seeds, resolution=st.integers(1, 40))
def test_voxels_are_the_occupancy_of_their_centres(seed, resolution):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, lengths=(0.01, 0.7))
    axis = (np.arange(resolution) + 0.5) / resolution - 0.5
    centres = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    distance = naive.outside_by(rows, centres)
    clear = np.abs(distance) > 1e-5
    voxels = BoxUnion.from_rows(rows).voxels(resolution)
    assert voxels.shape == (resolution,) * 3
    np.testing.assert_array_equal(voxels.reshape(-1)[clear], distance[clear] < 0)


def test_dilated_voxels_are_those_of_boxes_that_are_thicker_on_each_side():
    rows = random_rows(np.random.default_rng(3))
    thicker = rows.copy()
    thicker[:, 3:6] += 2 * 0.013
    plain, dilated = (BoxUnion.from_rows(rows).voxels(48, dilate=amount) for amount in (0.0, 0.013))
    assert (dilated & ~plain).any()
    np.testing.assert_array_equal(dilated, BoxUnion.from_rows(thicker).voxels(48))


def test_boxes_that_reach_out_of_the_cube_are_cut_at_its_walls():
    assert one_box((3, 3, 3)).voxels(8).all()
    assert not one_box((0.2, 0.2, 0.2), (2, 0, 0)).voxels(8).any()


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_a_normalised_shape_has_a_diagonal_of_one_about_the_middle(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng)
    rows[:, :6] *= 7
    rows[:, :3] += 3
    corners = BoxUnion.from_rows(rows).normalised().corners.reshape(-1, 3)
    low, high = corners.min(0), corners.max(0)
    assert np.linalg.norm(high - low) == pytest.approx(1, abs=1e-4)
    np.testing.assert_allclose(low + high, 0, atol=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_a_transformed_shape_contains_just_the_mapped_points(seed):
    rng = np.random.default_rng(seed)
    rows, points = random_rows(rng), cube_points(rng)
    linear, shift = np.eye(3) + rng.uniform(-0.25, 0.25, (3, 3)), rng.uniform(-1, 1, 3)
    linear[2] *= rng.choice([-1, 1])
    distance = naive.outside_by(rows, points)
    clear = np.abs(distance) > 1e-4
    mapped = (points @ linear.T + shift).astype(np.float32)
    moved = BoxUnion.from_rows(rows).transformed(linear, shift)
    np.testing.assert_array_equal(moved.occupancy(mapped)[clear], distance[clear] < 0)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_a_thickened_shape_has_the_least_thickness_and_loses_nothing(seed):
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, lengths=(0.002, 0.2))
    shape, points = BoxUnion.from_rows(rows), cube_points(rng)
    thick = shape.thickened(0.06)
    assert thick.half_lengths().min() >= 0.03 * (1 - 1e-5)
    np.testing.assert_allclose(thick.half_lengths(), np.maximum(rows[:, 3:6] / 2, 0.03), rtol=1e-4)
    assert thick.occupancy(points)[naive.outside_by(rows, points) < -1e-5].all()
    np.testing.assert_allclose(thick.corners.mean(1), rows[:, :3], atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_depth_is_positive_just_inside(seed):
    rng = np.random.default_rng(seed)
    rows, points = random_rows(rng), cube_points(rng)
    shape = BoxUnion.from_rows(rows)
    depth = shape.depth(points)
    clear = np.abs(depth) > 1e-5
    np.testing.assert_array_equal((depth > 0)[clear], shape.occupancy(points)[clear])
    np.testing.assert_allclose(shape.depth(rows[:, :3].astype(np.float32)).clip(max=1), 1, atol=1e-5)  # at the centres


def test_triangles_look_outwards_and_enclose_the_boxes():
    shape = one_box((0.4, 0.3, 0.2), (0.1, -0.2, 0.05))
    a, b, c = shape.triangles().astype(np.float64).transpose(1, 0, 2)
    volume = np.einsum("ni,ni->", a, np.cross(b, c)) / 6
    assert volume == pytest.approx(0.4 * 0.3 * 0.2, rel=1e-5)


def test_labels_are_the_occupancy_of_the_points():
    rng = np.random.default_rng(0)
    shapes = [BoxUnion.from_rows(random_rows(rng)).normalised() for _ in range(3)]
    points, labels = sample_points(shapes, 500, rng)
    assert points.shape == (3, 500, 3)
    assert points.dtype == labels.dtype == np.float32
    assert np.abs(points).max() <= 0.5
    for shape, its_points, its_labels in zip(shapes, points, labels, strict=True):
        np.testing.assert_array_equal(its_labels, shape.occupancy(its_points))
        assert 0.1 < its_labels.mean() < 0.9


@pytest.mark.parametrize("near", [0.0, 0.5, 1.0])
def test_the_near_share_lies_around_the_surface(near):
    lengths = np.array([0.5, 0.3, 0.2])
    points, _labels = sample_points([one_box(tuple(lengths))], 8000, np.random.default_rng(0), near=near, spread=0.002)
    beyond = np.abs(points[0]) - lengths / 2
    distance = np.where((beyond > 0).any(1), np.linalg.norm(beyond.clip(0), axis=1), -beyond.max(1))
    shell = 0.016 * 2 * (0.5 * 0.3 + 0.3 * 0.2 + 0.2 * 0.5)  # the share of the cube that is that close by chance
    assert (distance < 0.008).mean() == pytest.approx(near + (1 - near) * shell, abs=0.012)


def test_near_points_are_on_both_sides_and_on_every_face():
    lengths = np.array([0.5, 0.3, 0.2])
    points, labels = sample_points([one_box(tuple(lengths))], 8000, np.random.default_rng(0), near=1.0, spread=0.002)
    assert labels.mean() == pytest.approx(0.5, abs=0.05)
    relative = points[0] / (lengths / 2)
    face = np.abs(relative).argmax(1)
    areas = lengths.prod() / lengths
    for axis in range(3):
        for sign in (-1, 1):
            share = ((face == axis) & (np.sign(relative[:, axis]) == sign)).mean()
            assert share == pytest.approx(areas[axis] / areas.sum() / 2, abs=0.02)


def test_rows_without_direction_or_thickness_are_dropped():
    rows = random_rows(np.random.default_rng(0), 4)
    rows[1, 9:12] = 0
    rows[2, 4] = MIN_LENGTH / 2
    shape = BoxUnion.from_rows(rows)
    assert len(shape.matrix) == 2
    np.testing.assert_allclose(shape.corners.mean(1), rows[[0, 3], :3], atol=1e-5)


def test_the_bundled_chairs_are_normal_and_never_thinner_than_a_voxel():
    table = load_boxes(BUNDLED)
    assert len(table) == 2220
    for index in range(0, len(table), 97):
        shape = table[index]
        corners = shape.corners.reshape(-1, 3)
        assert np.isfinite(corners).all()
        assert np.linalg.norm(corners.max(0) - corners.min(0)) == pytest.approx(1, abs=2 * MIN_THICKNESS)
        assert 2 * shape.half_lengths().min() >= MIN_THICKNESS * (1 - 1e-4)


def test_names_are_unique_and_tell_the_base():
    table = load_boxes(BUNDLED)
    names = [table.name(index) for index in range(len(table))]
    assert len(set(names)) == len(table)
    assert [name.split("v")[0] for name in names] == [f"b{base:03d}" for base in table.base]


def test_a_base_is_never_in_both_splits():
    base = np.random.default_rng(0).integers(0, 30, 200)
    table = BoxSet(np.zeros((200, 1, 12), np.float32), np.ones(200, np.int64), base)
    train, held_out = table.split()
    assert sorted([*train, *held_out]) == list(range(200))
    assert set(base[held_out]) == {3, 13, 23}
    assert not set(base[train]) & set(base[held_out])


def table_arrays(**changes):
    rows = random_rows(np.random.default_rng(0), 6).astype(np.float32).reshape(2, 3, 12)
    return {"boxes": rows, "n": np.array([3, 2]), "base": np.array([0, 3])} | changes


def test_a_table_comes_back_as_it_was_written(tmp_path):
    arrays = table_arrays()
    np.savez(tmp_path / "t.npz", **arrays)
    table = load_boxes(tmp_path / "t.npz")
    np.testing.assert_array_equal(table.boxes, arrays["boxes"])
    assert (table.count.tolist(), table.base.tolist()) == ([3, 2], [0, 3])
    expected = BoxUnion.from_rows(arrays["boxes"][1, :2]).normalised().thickened(MIN_THICKNESS)
    np.testing.assert_array_equal(table[1].matrix, expected.matrix)


@pytest.mark.parametrize(
    "changes",
    [
        {"boxes": np.zeros((2, 3, 11), np.float32)},
        {"boxes": np.zeros((2, 36), np.float32)},
        {"boxes": np.zeros((0, 3, 12), np.float32), "n": np.zeros(0, int), "base": np.zeros(0, int)},
        {"n": np.array([3, 2, 1])},
        {"base": np.array([0])},
        {"n": np.array(3), "base": np.array(3)},
        {"n": np.array([0, 2])},
        {"n": np.array([3, 4])},
        {"boxes": np.full((2, 3, 12), np.nan, np.float32)},
        {"boxes": np.full((2, 3, 12), np.inf, np.float32)},
        {"boxes": np.full((2, 3, 12), "one")},
    ],
)
def test_arrays_that_do_not_belong_together_are_refused(tmp_path, changes):
    np.savez(tmp_path / "bad.npz", **table_arrays(**changes))
    with pytest.raises(PprError, match=r"bad\.npz"):
        load_boxes(tmp_path / "bad.npz")


@pytest.mark.parametrize("missing", ["boxes", "n", "base"])
def test_a_missing_array_is_refused(tmp_path, missing):
    arrays = table_arrays()
    del arrays[missing]
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(PprError, match="not a table of boxes"):
        load_boxes(tmp_path / "bad.npz")


@pytest.mark.parametrize("kind", ["absent", "empty", "text", "pickle", "npy", "truncated", "damaged"])
def test_what_is_no_table_is_refused(tmp_path, kind):
    path = tmp_path / "bad.npz"
    np.savez_compressed(tmp_path / "good.npz", **table_arrays())
    content = (tmp_path / "good.npz").read_bytes()
    if kind == "npy":
        with path.open("wb") as stream:
            np.save(stream, np.zeros(3))
    elif kind != "absent":
        middle = len(content) // 3
        damaged = content[:middle] + bytes(byte ^ 0x5A for byte in content[middle : middle + 40]) + content[middle + 40 :]
        path.write_bytes(
            {"empty": b"", "text": b"boxes", "pickle": pickle.dumps([1, 2]), "truncated": content[:-40], "damaged": damaged}[kind]
        )
    with pytest.raises(PprError, match=r"bad\.npz"):
        load_boxes(path)


class Trap:
    """Raises when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise RuntimeError('unpickled')",))


def test_objects_are_never_unpickled(tmp_path):
    np.savez(tmp_path / "bad.npz", **table_arrays(boxes=np.array([Trap()], dtype=object)))
    with pytest.raises(PprError, match="'boxes' holds pickled"):
        load_boxes(tmp_path / "bad.npz")
