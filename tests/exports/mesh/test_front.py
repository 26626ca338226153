"""Which cells extraction finds and how many values it asks for: following the surface, against asking everywhere and MISE."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.exports.mesh.extract import EmptyFieldError, Extraction, extract
from ppr.exports.mesh.front import seed_axis
from ppr.exports.mesh.lattice import KeyMap, Lattice
from ppr.exports.mesh.marching import CORNERS

from ..fields import LEVEL0, Points, ball, box, boxes_field, chair, corner_values, mixed_cells, torus, union, waves


def test_every_part_that_holds_a_seed_corner_is_found():
    """Balls, each around one seed corner: whichever crossings the front starts from, the others are looked at as well."""
    places = (np.stack(np.meshgrid(*[np.arange(-7, 8, 3)] * 2 + [np.arange(-7, 0, 3)], indexing="ij"), axis=-1).reshape(-1, 3)) / 16
    result = extract(union(*[ball(0.02, tuple(place)) for place in places]), replace(LEVEL0, seed_grid=16))
    assert result.stats.components == len(places) == 75


def test_thin_bars_in_opposite_corners_are_found_by_a_grid_as_fine_as_they_are():
    thick = 2 / 128
    bars = union(
        box((-0.45, -0.43, -0.43), (0.2, -0.43 + thick, -0.43 + thick)), box((0.43, 0.43, -0.3), (0.43 + thick, 0.43 + thick, 0.4))
    )
    fine = extract(bars, replace(LEVEL0, seed_grid=64))
    assert fine.stats.components == 2
    assert fine.stats.watertight
    assert fine.stats.smallest_feature == pytest.approx(thick)
    assert extract(bars, replace(LEVEL0, seed_grid=32)).stats.smallest_feature == pytest.approx(1 / 32)


@pytest.mark.parametrize(
    ("field", "level"),
    [
        *[(chair(seed), 0.0) for seed in range(10)],
        *[(waves(seed), 0.7) for seed in range(8)],
        (torus, -0.02),
        (ball(0.31), 0.0),
        (ball(0.4), 0.1),
    ],
)
def test_following_the_surface_finds_what_asking_everywhere_finds(field, level):
    """Same active cells and same vertices, checked on cells against NumPy and on vertices against scikit-image."""
    wanted = Extraction(resolution=64, level=level, keep="all")
    sparse, dense = extract(field, wanted), extract(field, replace(wanted, mode="dense"))
    assert np.array_equal(dense.cells, mixed_cells(corner_values(field, 64), level))
    assert dense.stats.queries == 65**3
    assert np.array_equal(sparse.cells, dense.cells)
    assert np.abs(sparse.mesh.vertices - dense.mesh.vertices).max() <= 1e-6
    assert np.array_equal(sparse.mesh.faces, dense.mesh.faces)
    assert sparse.stats.watertight
    assert sparse.stats.queries < dense.stats.queries


@pytest.mark.parametrize("seed", range(3))
def test_the_front_asks_for_little_more_than_it_must(seed):
    """At most 1.2 times the corners of the active cells, besides the seed grid; and each corner once."""
    asked: list[np.ndarray] = []
    field = chair(seed)

    def listening(p: Points) -> np.ndarray:
        asked.append(p.copy())
        return field(p)

    result = extract(listening, replace(LEVEL0, refine=0))
    cells = result.cells
    corners = np.unique((cells[:, None] + CORNERS).reshape(-1, 3), axis=0)
    assert result.stats.queries <= 1.2 * len(corners) + 33**3
    points = np.concatenate(asked)
    assert len(points) == result.stats.queries == len(np.unique(points, axis=0))
    assert result.stats.queries < 129**3 / 25


@pytest.mark.slow
def test_a_thin_legged_chair_keeps_its_legs_where_mise_loses_cells():
    field = chair(1)
    found = {mode: extract(field, replace(LEVEL0, resolution=128, mode=mode, keep="all")) for mode in ("sparse", "mise")}
    truth = {tuple(cell) for cell in mixed_cells(corner_values(field, 128), 0.0)}
    assert {tuple(cell) for cell in found["sparse"].cells} == truth
    kept = {tuple(cell) for cell in found["mise"].cells}
    assert len(truth - kept) > 0.01 * len(truth)
    assert len(kept - truth) < 0.01 * len(truth)  # the walls in which its legs end, if anything
    assert found["mise"].stats.watertight
    assert found["mise"].stats.queries > found["sparse"].stats.queries


def test_mise_is_exact_where_nothing_falls_between_its_corners():
    settings_ = replace(LEVEL0, resolution=128)
    mise, sparse = (extract(ball(), replace(settings_, mode=mode)) for mode in ("mise", "sparse"))
    assert np.array_equal(mise.cells, sparse.cells)
    assert np.array_equal(mise.mesh.vertices, sparse.mesh.vertices)
    clipped = extract(ball(0.3, (0.4, 0, 0)), replace(settings_, mode="mise"))
    assert clipped.stats.clipped
    assert clipped.stats.watertight


def test_a_soft_centre_leads_to_a_part_that_no_seed_corner_hits():
    blob = ball(0.06, (1 / 8, 1 / 8, 1 / 8))  # in the middle of a seed cell
    settings_ = replace(LEVEL0, resolution=64, seed_grid=4)
    with pytest.raises(EmptyFieldError):
        extract(blob, settings_)
    result = extract(blob, replace(settings_, soft=-0.2))
    assert result.stats.watertight
    assert np.array_equal(result.cells, extract(blob, replace(settings_, seed_grid=64)).cells)


@given(st.integers(2, 1100), st.integers(1, 300))
def test_seed_corners_are_corners_evenly_spread(resolution, seed_grid):
    axis = seed_axis(resolution, seed_grid)
    assert (axis[0], axis[-1]) == (0, resolution)
    assert len(axis) == min(resolution, seed_grid) + 1
    assert set(np.diff(axis)) <= {resolution // (len(axis) - 1), -(-resolution // (len(axis) - 1))}


@given(st.integers(2, 300), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_key_map_reads_what_was_written_last(resolution, seed):
    rng = np.random.default_rng(seed)
    lattice = Lattice(resolution, -0.5, 0.5)
    stored = KeyMap(lattice, np.float32, np.nan)
    expected: dict[int, float] = {}
    for _step in range(4):
        indices = rng.integers(-1, resolution + 2, (50, 3))
        keys = np.unique(lattice.keys(indices))
        assert np.array_equal(np.unique(lattice.indices(keys), axis=0), np.unique(indices, axis=0))
        values = rng.random(len(keys), np.float32)
        stored[keys] = values
        expected |= dict(zip(keys.tolist(), values.tolist(), strict=True))
    assert stored[np.array(list(expected))].tolist() == list(expected.values())
    others = lattice.keys(rng.integers(-1, resolution + 2, (100, 3)))
    others = others[~np.isin(others, list(expected))]
    assert np.isnan(stored[others]).all()


MEMORY = """
import numpy as np
from ppr.exports.mesh.extract import Extraction, extract
from ppr.methods.common.measuring.memory import peak_memory
stats = extract(lambda p: np.float32(0.3) - np.sqrt(np.einsum("ni,ni->n", p, p)), Extraction(level=0.0, resolution=512, refine=1)).stats
print(stats.watertight, stats.cells, round(peak_memory()))
"""


@pytest.mark.slow
def test_512_fits_into_two_gigabytes():
    answer = subprocess.run([sys.executable, "-c", MEMORY], capture_output=True, text=True, check=True).stdout.split()
    assert answer[0] == "True"
    assert int(answer[1]) == pytest.approx(1.5 * 4 * np.pi * (0.3 * 512) ** 2, rel=0.02)
    assert 100 < int(answer[2]) < 2000


def test_real_chairs_meet_the_budget():
    """Box chairs of GRASS at 128: at least 28 times fewer values than dense, on average over eight."""
    path = Path(__file__).parents[4] / "shared/data/imnet/grass_chair_boxes.npz"
    if not path.is_file():
        pytest.skip("no real chairs")
    data = np.load(path)
    queries = []
    for row in range(0, 2220, 278):
        boxes = data["boxes"][row, : data["n"][row]].astype(np.float64)
        queries.append(extract(boxes_field(boxes), replace(LEVEL0, refine=0)).stats.queries)
    assert 129**3 / np.mean(queries) >= 28
