"""Voxel grids: binvox files, pooling, resampling and filling."""

from __future__ import annotations

import logging

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ppr.methods.common.errors import PprError
from ppr.methods.imnet import naive
from ppr.methods.imnet.shapes.voxels import VoxelGrid, fill_holes, max_pool, read_binvox, resample, solid_grid, to_side, write_binvox

HEADER = b"#binvox 1\ndim 2 2 2\ntranslate 0 0 0\nscale 1\ndata\n"


def cubes(side: int) -> st.SearchStrategy[np.ndarray]:
    return arrays(bool, (side,) * 3)


@pytest.mark.parametrize("chair", [1, 2, 3])
def test_the_official_binvox_files_filled_are_the_official_voxels(imnet_data, chair):
    """Acceptance check 6. The authors' HDF5 has the hollows of the binvox files filled, which checks the order of axes and the filling."""
    filled, added = fill_holes(read_binvox(imnet_data / f"official_sample_chair_{chair}.binvox").occupied)
    with h5py.File(imnet_data / "official_samplechair_vox.hdf5") as file:
        np.testing.assert_array_equal(filled, file["voxels"][chair - 1, ..., 0])
    assert 0.1 < added < 0.5


@settings(max_examples=25, deadline=None)
@given(grid=st.integers(1, 9).flatmap(cubes).filter(np.any))
def test_binvox_round_trip(tmp_path_factory, grid):
    path = tmp_path_factory.mktemp("binvox") / "grid.binvox"
    write_binvox(path, VoxelGrid(grid, (0.25, -1.5, 3.0), 2.5))
    back = read_binvox(path)
    np.testing.assert_array_equal(back.occupied, grid)
    assert (back.translate, back.scale) == ((0.25, -1.5, 3.0), 2.5)


def test_binvox_runs_go_along_y_then_z_then_x(tmp_path):
    """Runs written by hand: the first two voxels of the file are (0, 0, 0) and (0, 1, 0)."""
    path = tmp_path / "grid.binvox"
    path.write_bytes(HEADER + bytes([0, 1, 1, 1, 0, 3, 1, 1, 0, 2]))
    assert np.argwhere(read_binvox(path).occupied).tolist() == [[0, 1, 0], [1, 1, 0]]


def test_long_runs_are_cut_into_bytes(tmp_path):
    grid = np.zeros((16, 16, 16), bool)
    grid[15, 15, 15] = True
    write_binvox(tmp_path / "grid.binvox", VoxelGrid(grid))
    runs = (tmp_path / "grid.binvox").read_bytes().partition(b"data\n")[2]
    assert sum(runs[1::2]) == 4096
    assert runs[0::2].count(1) == 1


def test_a_box_of_unequal_sides_gets_a_margin(tmp_path, caplog):
    path = tmp_path / "flat.binvox"
    path.write_bytes(HEADER.replace(b"dim 2 2 2", b"dim 4 1 2") + bytes([1, 8]))
    with caplog.at_level(logging.WARNING, logger="ppr"):
        grid = read_binvox(path).occupied
    assert grid.shape == (4, 4, 4)
    assert sorted(set(np.argwhere(grid)[:, 1].tolist())) == [1]
    assert grid.sum() == 8
    assert "4 x 1 x 2 voxels, padded to a cube of 4^3" in caplog.text


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"", "does not begin with"),
        (b"solid cube\n", "does not begin with"),
        (HEADER.removesuffix(b"data\n"), "no line 'data'"),
        (b"#binvox 1\n" + b"x" * 10_000, "no line 'data'"),
        (HEADER + bytes([1, 7]), "hold 7 voxels, the header says 8"),
        (HEADER + bytes([1, 9]), "hold 9 voxels"),
        (HEADER + bytes([1, 4, 0]), "runs hold"),
        (HEADER + bytes([1, 8, 0]), "runs hold"),
        (HEADER + bytes(40), "too many"),
        (HEADER + bytes([0, 8]), "the voxel grid is empty"),
        (HEADER.replace(b"dim 2 2 2", b"dim -2 2 2") + bytes([1, 8]), "a grid of -2 x 2 x 2"),
        (HEADER.replace(b"dim 2 2 2", b"dim 0 2 2"), "a grid of 0 x 2 x 2"),
        (HEADER.replace(b"dim 2 2 2", b"dim 100000 100000 100000"), "a grid of 100000 x"),
        (HEADER.replace(b"dim 2 2 2", b"dim 2 2"), "a grid of 2 x 2 voxels"),
        (HEADER.replace(b"dim 2 2 2", b"dim two 2 2"), "'dim two 2 2' cannot be understood"),
        (HEADER.replace(b"scale 1", b"scale nan") + bytes([1, 8]), "not a finite number"),
    ],
)
def test_bad_binvox_files_are_refused(tmp_path, content, part):
    path = tmp_path / "bad.binvox"
    path.write_bytes(content)
    with pytest.raises(PprError, match=r".*") as caught:
        read_binvox(path)
    assert part in caught.value.message
    assert caught.value.message.startswith(str(path))


@settings(max_examples=30, deadline=None)
@given(grid=cubes(12), factor=st.sampled_from([1, 2, 3, 4, 6, 12]))
def test_a_coarse_voxel_is_occupied_if_any_fine_one_is(grid, factor):
    coarse = max_pool(grid, factor)
    np.testing.assert_array_equal(coarse, naive.max_pool(grid, factor))


@settings(max_examples=30, deadline=None)
@given(grid=st.integers(1, 13).flatmap(cubes), side=st.integers(1, 13))
def test_resampling_twice_is_resampling_once(grid, side):
    once = to_side(grid, side)
    assert once.shape == (side,) * 3
    np.testing.assert_array_equal(to_side(once, side), once)
    if side % len(grid) == 0:
        np.testing.assert_array_equal(to_side(once, len(grid)), grid)


def test_resampling_to_another_side_takes_the_voxel_at_the_centre():
    """6 from 4: centres at (i + .5) * 4 / 6 = .33, 1, 1.67, 2.33, 3, 3.67."""
    grid = np.zeros((4, 4, 4), bool)
    grid[1] = True
    assert to_side(grid, 6)[:, 0, 0].tolist() == [False, True, True, False, False, False]


def test_resampling_says_what_it_does(caplog):
    grid = np.zeros((96, 96, 96), bool)
    grid[40:60, 40:60, 40:60] = True
    with caplog.at_level(logging.INFO, logger="ppr"):
        assert resample(VoxelGrid(grid), 64).side == 64
        resample(VoxelGrid(to_side(grid, 128)), 64)
    assert "96^3 resampled to 64^3 (nearest)" in caplog.text
    assert "128^3 resampled to 64^3 (max-pool)" in caplog.text


def test_what_vanishes_in_resampling_is_refused():
    grid = np.zeros((9, 9, 9), bool)
    grid[0, 0, 0] = True
    with pytest.raises(PprError, match="is empty at 4"):
        resample(VoxelGrid(grid), 4)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), density=st.floats(0.3, 0.9))
def test_what_is_filled_cannot_be_walked_to(seed, density):
    grid = np.random.default_rng(seed).random((7, 7, 7)) < density
    np.testing.assert_array_equal(fill_holes(grid)[0], naive.fill_holes(grid))


def test_filling_a_shell_gives_the_ball_and_leaves_an_open_bowl(stool):
    x, y, z = np.indices((32, 32, 32)) - 15.5
    radius = np.sqrt(x**2 + y**2 + z**2)
    ball, shell = radius < 12, (radius < 12) & (radius > 9)
    filled, added = fill_holes(shell)
    np.testing.assert_array_equal(filled, ball)
    assert added == pytest.approx((ball.sum() - shell.sum()) / shell.sum())
    bowl = shell & (y < 6)
    filled, added = fill_holes(bowl)
    np.testing.assert_array_equal(filled, bowl)
    assert added == 0
    assert fill_holes(stool)[0].sum() - stool.sum() == 4 * 2 * 3


def test_a_shape_at_the_border_does_not_enclose_the_rest():
    """A wall from side to side cuts the outside in two; both parts stay empty."""
    wall = np.zeros((8, 8, 8), bool)
    wall[4] = True
    np.testing.assert_array_equal(fill_holes(wall)[0], wall)


def test_an_empty_grid_is_refused():
    with pytest.raises(PprError, match=r"here: the voxel grid is empty"):
        solid_grid(np.zeros((4, 4, 4), bool), "here")
