"""Vertices on their edges: near to the level for few values, and normals that come along with the last of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import brentq

from ppr.exports.mesh.crossings import CrossedEdges, cross
from ppr.exports.mesh.extract import extract
from ppr.exports.mesh.lattice import Lattice, Sampler
from ppr.methods.common.errors import PprError

from ..fields import LEVEL0, Field, Points, ball, waves

LINE = Lattice(2, 0.0, 2.0)  # the edge from the origin along x has world coordinates 0 to 1


def crossing(along: Field, rounds: int) -> tuple[float, int]:
    """Where a function of x crosses 0 between x = 0 and 1, and how many values that took."""
    sampler = Sampler(lambda points: along(points[:, 0]).astype(np.float32), 100)
    first, last = along(np.array([0.0, 1.0]))
    edge = CrossedEdges(np.zeros((1, 3), np.int64), np.zeros(1, np.int64), np.array([first]), np.array([last]))
    t, _normals = cross(LINE, edge, 0.0, sampler, rounds)
    return float(t[0]), sampler.asked.get("refine", 0)


def blurred(radius: float, steep: float) -> Field:
    """Logit-like: steep at the surface, flat away from it."""
    return lambda p: np.tanh(steep * (np.float32(radius) - np.linalg.norm(p, axis=1))).astype(np.float32)


@given(root=st.floats(0.01, 0.99), steep=st.floats(0.1, 60), bend=st.floats(-0.9, 3), sign=st.sampled_from([-1, 1]))
@settings(max_examples=200, deadline=None)
def test_a_crossing_is_that_of_an_independent_solver(root, steep, bend, sign):
    def along(x: Points) -> Points:
        return sign * (np.tanh(steep * (x - root)) + bend * np.maximum(x - root, 0) * steep / 60)

    found, asked = crossing(along, 40)
    assert abs(found - brentq(lambda x: float(along(np.array(x))), 0, 1, xtol=1e-12)) < 2e-3
    assert asked <= 14


@given(root=st.floats(0.001, 0.999), sign=st.sampled_from([-1, 1]))
def test_a_step_without_slope_is_found_by_halves_and_thirds(root, sign):
    found, asked = crossing(lambda x: np.where(x > root, 1.0, -1.0) * sign, 9)
    assert abs(found - root) <= 2.0**-8
    assert asked <= 9


@pytest.mark.parametrize("low", [1e-12, 1e-3, 1.0])
def test_a_crossing_stays_between_its_ends(low):
    """However unequal the values at both ends are; and no two vertices around a corner meet."""
    found, _asked = crossing(lambda x: np.where(x < 0.5, -low, 1e3), 3)
    assert 0 < found < 1


@pytest.mark.parametrize(("field", "most"), [(ball(), 1.5), (blurred(0.3, 60), 1.9), (waves(3), 1.3)])
def test_refining_asks_for_few_values_a_vertex(field, most):
    result = extract(field, replace(LEVEL0, resolution=96, keep="all"))
    settled = extract(field, replace(LEVEL0, resolution=96, keep="all", refine=12))
    assert result.stats.refine_queries <= most * result.stats.vertices
    assert settled.stats.refine_queries <= 1.1 * result.stats.refine_queries  # three rounds are enough for nearly all
    vertices = settled.mesh.vertices[np.abs(settled.mesh.vertices).max(axis=1) < 0.5].astype(np.float32)
    assert np.quantile(np.abs(field(vertices)), 0.99) < 1e-4


class Watched:
    """A field that can give its normals with the values, and counts what it is asked for."""

    def __init__(self, field: Field, gradient: Field) -> None:
        self.field, self.gradient = field, gradient
        self.values, self.normals, self.both = 0, 0, 0

    def __call__(self, points: Points) -> Points:
        self.values += len(points)
        return self.field(points)

    def normals_alone(self, points: Points) -> Points:
        self.normals += len(points)
        return -self.gradient(points)

    def together(self, points: Points) -> tuple[Points, Points]:
        self.both += len(points)
        return self.field(points), -self.gradient(points)


@pytest.fixture
def watched() -> Watched:
    """A blurred ball that leaves the box on one side; its gradient points to its centre."""
    centre = np.array([0.3, 0, 0], np.float32)
    field = blurred(0.3, 150)
    return Watched(lambda p: field(p - centre), lambda p: 3 * (centre - p))


def test_normals_come_along_with_the_values_that_move_the_vertices(watched):
    wanted = replace(LEVEL0, resolution=96, refine=6)
    result = extract(watched, wanted, normals=watched.normals_alone, together=watched.together)
    stats, on_field = result.stats, result.mesh.vertices[:, 0] < 0.5
    assert watched.values + watched.both == stats.queries + stats.refine_queries
    assert watched.both + watched.normals == stats.normal_queries
    assert watched.normals < 0.5 * on_field.sum()
    assert stats.normal_queries < 1.1 * on_field.sum()  # hardly a vertex is asked for its normal twice


@pytest.mark.parametrize("refine", [1, 2, 3, 6])
def test_normals_are_those_of_the_vertices_wherever_they_were_asked_for(watched, refine):
    """What was asked for at a place that the vertex then left by more than 0.02 of a cell is asked for again."""
    result = extract(watched, replace(LEVEL0, resolution=96, refine=refine), normals=watched.normals_alone, together=watched.together)
    on_field = result.mesh.vertices[:, 0] < 0.5
    outward = result.mesh.vertices - [0.3, 0, 0]
    distances = np.linalg.norm(outward, axis=1, keepdims=True)
    assert np.abs(result.mesh.normals - outward / distances)[on_field].max() < 0.02 / 96 / distances[on_field].min() + 1e-6
    flat = ~on_field & (np.linalg.norm(result.mesh.vertices[:, 1:], axis=1) < 0.2)
    assert flat.any()
    assert np.allclose(result.mesh.normals[flat], [1, 0, 0], atol=1e-6)


@pytest.mark.parametrize("refine", [0, 1, 3, 8])
def test_vertices_are_the_same_with_normals_and_without(watched, refine):
    wanted = replace(LEVEL0, resolution=64, refine=refine)
    without = extract(watched, wanted)
    with_both = extract(watched, wanted, normals=watched.normals_alone, together=watched.together)
    assert np.array_equal(without.mesh.vertices, with_both.mesh.vertices)
    assert np.array_equal(without.mesh.faces, with_both.mesh.faces)
    assert without.stats.refine_queries == with_both.stats.refine_queries
    assert without.mesh.normals is None
    assert np.allclose(np.linalg.norm(with_both.mesh.normals, axis=1), 1)


def test_normals_of_another_shape_are_refused(watched):
    with pytest.raises(PprError, match=r"normals of shape \(\d+, 2\) for points of shape \(\d+, 3\)"):
        extract(watched, LEVEL0, normals=watched.normals_alone, together=lambda p: (watched(p), p[:, :2]))
    with pytest.raises(PprError, match=r"normals of shape \(\d+, 2\)"):
        extract(watched, LEVEL0, normals=lambda p: p[:, :2])


def test_values_that_come_with_normals_are_checked_too(watched):
    with pytest.raises(PprError, match="the field is nan"):
        extract(watched, LEVEL0, normals=watched.normals_alone, together=lambda p: (np.full(len(p), np.nan), p))
