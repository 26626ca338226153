"""A deformed or recombined chair is what it is said to be, and stays a chair."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.methods.imnet import naive
from ppr.methods.imnet.shapes.boxes import BoxUnion
from ppr.methods.imnet.shapes.deformation import Deformation, recombine

from .some_boxes import cube_points, one_box, random_rows

seeds = st.integers(0, 2**32 - 1)
lengths, factors = st.floats(0.4, 1.2), st.floats(0.8, 1.25)


@settings(max_examples=20, deadline=None)
@given(seed=seeds)
def test_a_deformed_shape_is_an_affine_image_that_is_normalised_again(seed):
    rng = np.random.default_rng(seed)
    rows, points = random_rows(rng), cube_points(rng)
    shape = BoxUnion.from_rows(rows)
    deformed = Deformation(thickness=0.0)(shape, rng)
    before, after = (each.corners.reshape(-1, 3).astype(np.float64) for each in (shape, deformed))
    solution, *_ = np.linalg.lstsq(np.c_[before, np.ones(len(before))], after)
    np.testing.assert_allclose(np.c_[before, np.ones(len(before))] @ solution, after, atol=1e-4)
    assert np.linalg.norm(after.max(0) - after.min(0)) == pytest.approx(1, abs=1e-4)
    distance = naive.outside_by(rows, points)
    clear = np.abs(distance) > 1e-3
    mapped = (np.c_[points, np.ones(len(points))] @ solution).astype(np.float32)
    np.testing.assert_array_equal(deformed.occupancy(mapped)[clear], distance[clear] < 0)


def test_deformation_makes_all_boards_thicker_or_all_thinner_by_one_factor():
    shape = one_box((0.4, 0.3, 0.1)).normalised()
    factors = set()
    for seed in range(20):
        deformed = Deformation(stretch=0.0, shear=0.0)(shape, np.random.default_rng(seed))
        old, new = shape.half_lengths()[0], deformed.half_lengths()[0]
        ratio = (new / new[0]) / (old / old[0])  # the longest side keeps its length before normalising
        assert ratio[1] == pytest.approx(ratio[2], rel=1e-4)
        assert np.exp(-0.351) < ratio[1] < np.exp(0.351)
        factors.add(round(float(ratio[1]), 4))
    assert len(factors) > 15


def test_deformed_shapes_follow_the_seed():
    shape = BoxUnion.from_rows(random_rows(np.random.default_rng(0)))
    first, again, other = (Deformation()(shape, np.random.default_rng(seed)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first.matrix, again.matrix)
    assert not np.allclose(first.matrix, other.matrix)


def chair(legs: float, back: float, width: float) -> BoxUnion:
    """A seat at height 0 to 0.1, two legs of a length below it and a back of a height above it."""
    upright = [1, 0, 0, 0, 1, 0]
    seat = [0, 0.05, 0, width, 0.1, 1, *upright]
    feet = [[side * width / 2.5, -legs / 2, 0, 0.1, legs, 0.1, *upright] for side in (-1, 1)]
    return BoxUnion.from_rows(np.array([seat, *feet, [0, 0.1 + back / 2, -0.45, width, back, 0.1, *upright]]))


@settings(max_examples=20, deadline=None)
@given(legs=lengths, back=lengths, other=st.floats(0.6, 1.4), above=factors, below=factors)
def test_a_recombined_chair_has_one_chairs_back_on_the_others_legs(legs, back, other, above, below):
    joined = recombine(chair(0.7, back, 1.0), chair(legs, 0.6, other), (above, below))
    assert joined is not None
    low, high = (extent[:, 1] for extent in joined.extents())
    seat, rest, *feet = range(4)  # the top's boxes come first
    # The legs were stretched with their seat, by the geometric mean of its two sides.
    heights = np.array([above * 0.1, above * back, below * legs / np.sqrt(other)])
    np.testing.assert_allclose((high - low) * heights[0] / (high - low)[seat], heights[[0, 1, 2, 2]], rtol=1e-3)
    np.testing.assert_allclose(low[seat], high[feet], atol=1e-5)
    np.testing.assert_allclose(low[rest], high[seat], atol=1e-5)


def test_nothing_is_recombined_without_a_seat_and_legs():
    stick = BoxUnion.from_rows(np.array([[0, 0, 0, 0.1, 1, 0.1, 1, 0, 0, 0, 1, 0]]))
    assert recombine(chair(0.7, 0.5, 1.0), stick) is None
    assert recombine(stick, chair(0.7, 0.5, 1.0)) is None
