"""The case table: closed, outward, and with no side that four triangles could share."""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.exports.mesh import marching
from ppr.exports.mesh.marching import CORNERS, EDGE_CORNERS, case_table, configurations, triangulate
from ppr.methods.common.reading.meshes import Mesh, report

from ...counting import calls


def triangles(case: int) -> np.ndarray:
    table = case_table()
    return table.triangles[table.starts[case] : table.starts[case + 1]]


def test_the_table_builds_at_once():
    case_table.cache_clear()
    assert calls(case_table) < 40_000  # some ten milliseconds


def test_every_crossed_edge_is_used_and_no_other():
    for case in range(256):
        flags = case >> EDGE_CORNERS & 1
        crossed = set(np.flatnonzero(flags[:, 0] != flags[:, 1]).tolist())
        assert set(triangles(case).reshape(-1).tolist()) == crossed


def test_one_inside_corner_gives_one_triangle_that_looks_away_from_it():
    middles = CORNERS[EDGE_CORNERS].mean(axis=1)
    for corner in range(8):
        (triangle,) = triangles(1 << corner)
        a, b, c = middles[triangle]
        assert np.dot(np.cross(b - a, c - a), np.array([0.5, 0.5, 0.5]) - CORNERS[corner]) > 0


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_neighbours_draw_the_same_segments_on_their_common_face_in_opposite_directions(axis):
    """For all 2^12 sign patterns of two cells side by side: what one leaves open on the shared face, the other closes."""
    low = [c for c in range(8) if not c >> axis & 1]
    shared = {e: e2 for e, e2 in itertools.product(range(12), repeat=2) if _on_face(e, axis, 1) and _moved(e, axis) == e2}
    for face in range(16):
        segments = {}
        for side in (0, 1):
            found = set()
            for rest in range(16):
                case = sum((face >> i & 1) << (c | 1 << axis if side == 0 else c) for i, c in enumerate(low))
                case |= sum((rest >> i & 1) << (c if side == 0 else c | 1 << axis) for i, c in enumerate(low))
                found.add(frozenset(_open_sides(case, axis, 1 - side, shared)))
            assert len(found) == 1, "the segments depend on corners that are not on the face"
            segments[side] = next(iter(found))
        assert segments[0] == {(b, a) for a, b in segments[1]}


def _on_face(edge: int, axis: int, side: int) -> bool:
    return all(int(c) >> axis & 1 == side for c in EDGE_CORNERS[edge])


def _moved(edge: int, axis: int) -> int:
    """The edge of the lower face that an edge of the upper face lies on, one cell further."""
    lower = {int(c) & ~(1 << axis) for c in EDGE_CORNERS[edge]}
    return next(e for e in range(12) if set(EDGE_CORNERS[e].tolist()) == lower)


def _open_sides(case: int, axis: int, side: int, shared: dict[int, int]) -> set[tuple[int, int]]:
    """Directed sides of a cell's triangles that lie in a face and belong to one triangle only, by the edges of the lower face."""
    sides = [(int(t[i]), int(t[(i + 1) % 3])) for t in triangles(case) for i in range(3)]
    edges = {e: shared[e] if side else e for e in range(12) if _on_face(e, axis, side)}
    return {(edges[a], edges[b]) for a, b in sides if a in edges and b in edges and (b, a) not in sides}


def test_no_diagonal_lies_in_a_face():
    for case in range(256):
        sides = Counter(frozenset((int(t[i]), int(t[(i + 1) % 3]))) for t in triangles(case) for i in range(3))
        assert max(sides.values(), default=1) <= 2
        for side, count in sides.items():
            assert count == 1 or side not in marching._COPLANAR


@given(st.lists(st.integers(0, 255), min_size=1, max_size=40))
@settings(max_examples=30, deadline=None)
def test_triangulating_many_cells_is_triangulating_each(cases):
    edge_vertices = np.arange(12 * len(cases)).reshape(-1, 12)
    expected = [row[triangles(case)] for case, row in zip(cases, edge_vertices, strict=True)]
    assert np.array_equal(triangulate(np.array(cases, np.uint8), edge_vertices), np.concatenate(expected))


def test_configurations_number_the_corners():
    inside = np.arange(256)[:, None] >> np.arange(8) & 1 == 1
    assert np.array_equal(configurations(inside), np.arange(256))


def test_a_lone_inside_corner_is_wrapped_in_an_octahedron():
    """Eight cells around one corner, glued by hand: a closed surface with the volume of the octahedron."""
    faces, positions = [], []
    for cell in CORNERS - 1:
        case = 1 << int(((cell == -1) * (1, 2, 4)).sum())
        positions.append(cell + CORNERS[EDGE_CORNERS].mean(axis=1))
        faces.append(triangles(case) + 12 * len(faces))
    places, which = np.unique(np.concatenate(positions), axis=0, return_inverse=True)
    found = report(Mesh(places, which[np.concatenate(faces)]))
    assert found.watertight
    assert found.euler == 2
    assert found.volume == pytest.approx(4 / 3 * 0.5**3)
