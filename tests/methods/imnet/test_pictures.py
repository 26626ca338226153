"""The plane in which a bank is drawn: its axes, and which shape a cell shows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.methods.imnet.infer import Predictor
from ppr.methods.imnet.pictures import grid, principal_plane


def test_positions_are_those_of_the_covariance_eigenvectors():
    codes = np.random.default_rng(0).normal(0, 1, (40, 6)).astype(np.float32) * [5, 0.1, 3, 1, 0.5, 0.2] + 7
    plane = principal_plane(codes)
    sizes, vectors = np.linalg.eigh(np.cov(codes.T.astype(np.float64)))
    for axis in range(2):
        expected = (codes - codes.mean(0)) @ vectors[:, -1 - axis]
        assert np.abs(plane.positions[:, axis] @ expected) == pytest.approx(np.square(expected).sum(), rel=1e-6)
        assert plane.explained[axis] == pytest.approx(sizes[-1 - axis] / sizes.sum(), rel=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_an_axis_points_to_where_its_largest_loading_is_positive(seed):
    codes = np.random.default_rng(seed).normal(0, 1, (30, 5))
    loadings = (codes - codes.mean(axis=0)).T @ principal_plane(codes).positions
    assert (loadings[np.abs(loadings).argmax(axis=0), [0, 1]] > 0).all()


def test_variants_of_one_base_lie_nearer_to_each_other_than_to_others():
    bank = Predictor.load("chairs").bank
    base = np.array([name.split("v")[0] for name in bank.names])
    places = principal_plane(bank.codes).positions
    distances = np.linalg.norm(places[:, None] - places, axis=2)
    same = base[:, None] == base
    own = np.where(same & ~np.eye(len(base), dtype=bool), distances, np.nan)
    assert np.nanmean(own) < 0.5 * distances[~same].mean()
    centres = np.stack([places[base == one].mean(axis=0) for one in np.unique(base)])
    to_own = np.linalg.norm(places - centres[np.unique(base, return_inverse=True)[1]], axis=1)
    to_others = np.linalg.norm(places[:, None] - centres, axis=2).mean(axis=1)
    assert (to_own < to_others).mean() > 0.95


@given(st.integers(1, 60), st.integers(1, 12), st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_every_occupied_cell_shows_the_shape_nearest_to_its_middle(count, across, seed):
    positions = np.random.default_rng(seed).normal(0, (3, 1), (count, 2))
    laid = grid(positions, across)
    assert max(laid.rows, laid.columns) == (across if count > 1 else 1)
    low, high = positions.min(axis=0), positions.max(axis=0)
    side = (high - low).max() / across or 1.0
    corner = (low + high) / 2 - np.array([laid.columns, laid.rows]) * side / 2
    inside: dict[tuple[int, int], list[int]] = {}
    for shape, (x, y) in enumerate((positions - corner) / side):
        cell = laid.rows - 1 - min(int(y), laid.rows - 1), min(int(x), laid.columns - 1)
        inside.setdefault(cell, []).append(shape)
    assert set(laid.shapes) == set(inside)
    for (row, column), shape in laid.shapes.items():
        middle = corner + np.array([column + 0.5, laid.rows - row - 0.5]) * side
        distance = np.linalg.norm(positions[inside[row, column]] - middle, axis=1).min()
        assert np.linalg.norm(positions[shape] - middle) == pytest.approx(distance)


@pytest.mark.parametrize("codes", [np.ones((1, 4)), np.ones((5, 4)), np.arange(3.0)[:, None]])
def test_codes_that_span_no_plane_have_a_place(codes):
    plane = principal_plane(codes)
    assert plane.positions.shape == (len(codes), 2)
    assert np.isfinite(plane.positions).all() and np.isfinite(plane.explained).all()
    assert grid(plane.positions, 4).rows == 1
