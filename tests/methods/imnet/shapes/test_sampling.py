"""The two schemes of sampling: which sets of points are legal, and that they are what the authors' data are."""

from __future__ import annotations

import numpy as np
import pytest

from ppr.methods.imnet import naive
from ppr.methods.imnet.shapes.hdf5 import read_shapes
from ppr.methods.imnet.shapes.sampling import LIMITS, Samples, improved_samples, paper_samples, sample, varies
from ppr.methods.imnet.shapes.voxels import max_pool, to_side


def assert_legal(drawn: Samples, occupied: np.ndarray, count: int) -> None:
    """As many points as asked for, all distinct, with the values of the grid that they index."""
    assert (drawn.points.shape, drawn.points.dtype) == ((count, 3), np.uint8)
    assert (drawn.values.shape, drawn.values.dtype) == ((count, 1), np.uint8)
    assert len(np.unique(drawn.points, axis=0)) == count
    np.testing.assert_array_equal(drawn.values[:, 0], occupied[tuple(drawn.points.T)])


def near_surface(occupied: np.ndarray) -> np.ndarray:
    """Voxels whose 7^3 neighbourhood is not constant, three layers from the border."""
    near = np.zeros_like(occupied)
    near[3:-3, 3:-3, 3:-3] = naive.varies(occupied, 3)[3:-3, 3:-3, 3:-3]
    return near


def chosen(drawn: Samples, side: int) -> np.ndarray:
    grid = np.zeros((side,) * 3, bool)
    grid[tuple(drawn.points.T)] = True
    return grid


@pytest.mark.parametrize("chair", [0, 1, 2])
def test_the_authors_own_samples_are_legal_by_the_same_rules(imnet_data, chair):
    """Where candidates near the surface fit into the limit, the authors have all of them, and so has this sampler."""
    shapes = read_shapes(imnet_data / "official_samplechair_vox.hdf5")
    voxels = shapes.voxels([chair])[0].astype(bool)
    ours = sample(voxels, "paper", seed=5)
    for level, limit in LIMITS["paper"].items():
        occupied = max_pool(voxels, 64 // level)
        theirs = Samples(shapes.points(level, [chair])[0], shapes.values(level, [chair])[0])
        near = near_surface(occupied)
        for drawn in (ours[level], theirs):
            assert_legal(drawn, occupied, limit)
            if near.sum() <= limit:
                assert chosen(drawn, level)[near].all()
    assert shapes.unit(64) == 64


def test_paper_points_cover_everything_near_the_surface(stool):
    drawn = sample(stool, "paper", seed=0)
    for level in (16, 32, 64):
        occupied = max_pool(stool, 64 // level)
        assert_legal(drawn[level], occupied, LIMITS["paper"][level])
        near = near_surface(occupied)
        assert near.sum() <= LIMITS["paper"][level]
        assert chosen(drawn[level], level)[near].all()


def test_paper_points_thin_out_to_a_lattice_that_prefers_the_inside():
    """More candidates than the limit: every block of 2^3 with a candidate gives a point, an occupied one if it has one."""
    occupied = np.random.default_rng(3).random((32, 32, 32)) < 0.05
    near = near_surface(occupied)
    limit = 5000
    assert near.sum() > limit
    drawn = paper_samples(occupied, limit, np.random.default_rng(0))
    assert_legal(drawn, occupied, limit)
    points = chosen(drawn, 32)
    assert max_pool(points & near, 2)[max_pool(near, 2)].all()
    assert max_pool(points & occupied, 2)[max_pool(near & occupied, 2)].all()


def test_improved_points_have_the_label_of_their_cell(stool):
    source = to_side(stool, 256)
    drawn = sample(stool, "improved", seed=0)
    for level, limit in LIMITS["improved"].items():
        assert_legal(drawn[level], source, limit)
        cells = drawn[level].points // (256 // level)
        assert len(np.unique(cells, axis=0)) == limit
        labels = max_pool(source, 256 // level)
        np.testing.assert_array_equal(drawn[level].values[:, 0], labels[tuple(cells.T)])


def test_improved_points_visit_all_cells_at_the_surface(stool):
    """All of them where they are fewer than the points; else the sub-lattice of every fourth cell comes first."""
    source = to_side(stool, 256)
    drawn = sample(stool, "improved", seed=0)
    for level, limit in LIMITS["improved"].items():
        surface = varies(max_pool(source, 256 // level), 1)
        visited = np.zeros_like(surface)
        visited[tuple((drawn[level].points // (256 // level)).T)] = True
        if surface.sum() <= limit:
            assert visited[surface].all()
    few = improved_samples(source, 32, 500, np.random.default_rng(0))
    surface = varies(max_pool(source, 8), 1)
    cells = few.points // 8
    assert surface[tuple(cells.T)].all()
    assert np.count_nonzero(surface[::4, ::4, ::4]) == np.count_nonzero((cells % 4 == 0).all(1))


def test_inside_voxels_of_a_cell_are_equally_likely():
    """One cell of 4^3 with 3 inside voxels, drawn 600 times: each about 200 times (within 5 standard deviations)."""
    source = np.zeros((64, 64, 64), bool)
    inside = [(20, 21, 22), (22, 20, 23), (23, 23, 20)]
    source[tuple(np.transpose(inside))] = True
    counts = dict.fromkeys(inside, 0)
    for seed in range(600):
        drawn = improved_samples(source, 16, 27, np.random.default_rng(seed))
        (point,) = drawn.points[drawn.values[:, 0] == 1]
        counts[tuple(point.tolist())] += 1
    assert all(abs(count - 200) < 5 * np.sqrt(600 * 2 / 9) for count in counts.values())


def test_a_shape_at_the_border_gets_points_at_the_border():
    source = np.zeros((256, 256, 256), bool)
    source[:, :32, :] = True
    cells = sample(source, "improved", seed=0)[16].points // 16
    assert (cells == 0).any()
    assert varies(max_pool(source, 16), 1)[0, 0, 0]


@pytest.mark.parametrize("scheme", ["paper", "improved"])
def test_the_seed_fixes_the_points(stool, scheme):
    first, again, other = (sample(stool, scheme, seed) for seed in (1, 1, 2))
    for level in (32, 64):
        np.testing.assert_array_equal(first[level].points, again[level].points)
        assert (first[level].points != other[level].points).any()


@pytest.mark.parametrize("reach", [1, 3])
def test_where_a_grid_varies_is_where_its_neighbourhoods_do(reach):
    """Also at the border, where everything beyond counts as empty."""
    grid = np.zeros((20, 20, 20), bool)
    grid[:9, :10, 8:] = True
    grid[12, 3, 4] = True
    found = varies(grid, reach)
    np.testing.assert_array_equal(found, naive.varies(grid, reach))
    assert 0 < found.mean() < 1
