"""The comparison that guards every export: it measures what NumPy measures, and refuses what cannot be measured."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch import Tensor

from ppr.exports.parity import Tolerance, compare
from ppr.methods.common.errors import PprError

ANY = Tolerance(math.inf, levels=1 << 62)
SHAPES = arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
NUMBERS = st.floats(-(2.0**99), 2.0**99, width=32)


def pairs(dtype, elements):
    """Two arrays of one shape."""
    return SHAPES.flatmap(lambda shape: st.tuples(*[arrays.arrays(dtype, shape, elements=elements)] * 2))


def compared(found, expected, tolerance=ANY):
    """Compare lists of outputs; as many cases as outputs, in each of which the outputs are the same."""
    names = [f"out{i}" for i in range(len(expected))]
    return compare(lambda _x: found, lambda _x: expected, [[torch.zeros(1)]] * 2, names, tolerance)


def tensors(*values) -> list[Tensor]:
    return [torch.tensor(value) for value in values]


@given(pairs(np.float32, NUMBERS))
def test_the_differences_are_numpys(pair):
    one, other = (array.astype(np.float64) for array in pair)
    difference = np.abs(one - other)
    parity = compared(tensors(pair[0], np.float32(0)), tensors(pair[1], np.float32(0)))
    assert parity.max_difference == difference.max(initial=0)
    assert parity.mean_difference == pytest.approx(difference.mean() if difference.size else 0, rel=1e-12)
    assert (parity.max_levels, parity.cases) == (0, 2)


@example((np.array([1 << 60]), np.array([(1 << 60) + 1])))
@example((np.array([-(1 << 63)]), np.array([0])))
@given(pairs(np.int64, st.integers(-(1 << 63), (1 << 63) - 1)))
def test_integers_must_be_equal(pair):
    """Also those that float64 does not tell apart, or whose difference has no place in int64."""
    if np.array_equal(*pair):
        assert compared(tensors(pair[0]), tensors(pair[1]), Tolerance()).max_levels == 0
    else:
        with pytest.raises(PprError, match="'out0' differs from torch by"):
            compared(tensors(pair[0]), tensors(pair[1]), Tolerance(math.inf))


@given(pairs(np.uint8, st.integers(0, 255)))
def test_grey_levels_are_counted(pair):
    distance = int(np.abs(pair[0].astype(int) - pair[1].astype(int)).max(initial=0))
    assert compared(tensors(pair[0]), tensors(pair[1])).max_levels == distance
    if distance:
        with pytest.raises(PprError, match=f"by {distance}, more than {distance - 1}"):
            compared(tensors(pair[0]), tensors(pair[1]), Tolerance(levels=distance - 1))


@given(
    arrays.arrays(np.float32, arrays.array_shapes(max_side=4), elements=NUMBERS),
    st.sampled_from([math.nan, math.inf, -math.inf]),
    st.sampled_from(["found", "expected", "both"]),
    st.integers(0, 1),
    st.data(),
)
def test_nan_and_infinity_refuse_wherever_they_are(values, poison, side, output, data):
    """Infinity minus infinity is NaN, and NaN is no largest difference of anything: the tolerance here is infinite."""
    found, expected = [np.float32(0.0), np.float32(0.0)], [np.float32(0.0), np.float32(0.0)]
    at = data.draw(st.integers(0, values.size - 1))
    poisoned = values.copy()
    poisoned.flat[at] = poison
    found[output] = poisoned if side != "expected" else values
    expected[output] = poisoned if side != "found" else values
    who = f"'out{output}' holds NaN or infinity where" if side == "found" else f"torch computes NaN or infinity in 'out{output}'"
    with pytest.raises(PprError, match=who):
        compared(tensors(*found), tensors(*expected))


def test_a_difference_in_any_case_counts():
    """The second of three cases, in the second of two outputs."""

    def found(x: Tensor) -> list[Tensor]:
        return [x, x + 0.5 * (x == 1)]

    cases = [[torch.tensor([float(value)])] for value in range(3)]
    parity = compare(found, lambda x: [x, x], cases, ["a", "b"], ANY)
    assert (parity.max_difference, parity.mean_difference) == (0.5, 0.5 / 3)
    with pytest.raises(PprError, match=r"'b' differs from torch by 0\.5, more than 0\.4"):
        compare(found, lambda x: [x, x], cases, ["a", "b"], Tolerance(0.4))
    with pytest.raises(PprError, match=r"'b' differs from torch by 0\.17 on average, more than 0\.1"):
        compare(found, lambda x: [x, x], cases, ["a", "b"], Tolerance(math.inf, average=0.1))


@pytest.mark.parametrize(
    ("found", "expected", "message"),
    [
        ([[1.0, 2.0]], [[[1.0, 2.0]]], r"'out0' has the shape \[2\] where torch has \[1, 2\]"),
        ([[0.0]], [[0.0, 0.0]], r"'out0' has the shape \[1\] where torch has \[2\]"),  # NumPy would broadcast it
        ([1], [1.0], "'out0' is int64 where torch has float32"),
        ([1.0], [1], "'out0' is float32 where torch has int64"),
        ([1.0], [1.0, 2.0], "has 1 outputs where torch has 2 and 2 are named"),
        ([1.0, 2.0], [1.0], "has 2 outputs where torch has 1 and 1 are named"),
    ],
)
def test_other_shapes_kinds_and_numbers_of_outputs(found, expected, message):
    with pytest.raises(PprError, match=message):
        compared(tensors(*found), tensors(*expected))
