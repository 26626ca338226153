"""What is measured is what the definitions say: against brute force and tables made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ppr.methods.imnet import metrics, naive


def random_surface(rng, points):
    normals = rng.standard_normal(points.shape)
    return metrics.Surface(points, normals / np.linalg.norm(normals, axis=1, keepdims=True))


@pytest.mark.parametrize("jitter", [0.0, 0.006, 0.5])
def test_surface_metrics_are_those_of_all_pairs(jitter):
    rng = np.random.default_rng(0)
    points = rng.random((40, 3))
    a, b = random_surface(rng, points), random_surface(rng, points[:30] + rng.normal(0, jitter, (30, 3)))
    expected = naive.surface_metrics(a, b)
    if jitter == 0.006:
        assert 0.1 < expected["fscore"] < 0.9
    assert metrics.surface_metrics(a, b) == pytest.approx(expected)
    assert metrics.chamfer(a.points, b.points) == pytest.approx(expected["chamfer"])


def test_a_surface_equals_itself_and_its_inside():
    rng = np.random.default_rng(0)
    surface = random_surface(rng, rng.random((50, 3)))
    turned = metrics.Surface(surface.points, -surface.normals)
    assert metrics.surface_metrics(surface, turned) == pytest.approx({"chamfer": 0, "normals": 1, "fscore": 1})


def test_the_table_holds_the_distances_of_all_pairs():
    rng = np.random.default_rng(0)
    a, b = [rng.random((20, 3)) for _ in range(3)], [rng.random((25, 3)) for _ in range(4)]
    table = metrics.chamfer_table(a, b)
    np.testing.assert_allclose(table, [[metrics.chamfer(one, other) for other in b] for one in a])
    np.testing.assert_allclose(np.diag(metrics.chamfer_table(a, a)), 0)


def test_iou_is_common_over_all():
    a, b = np.zeros((4, 4), bool), np.zeros((4, 4), bool)
    a[:2], b[1:] = True, True
    assert metrics.iou(a, b) == 4 / 16
    assert metrics.iou(a, a) == 1
    assert metrics.iou(a, ~a) == 0
    assert metrics.iou(np.zeros(3, bool), np.zeros(3, bool)) == 1


def test_retrieval_finds_the_most_similar():
    rng = np.random.default_rng(0)
    known = rng.random((600, 512)) < rng.uniform(0.02, 0.6, (600, 1))
    for row in (3, 270, 599):
        query = known[row] ^ (rng.random(512) < 0.05)
        assert metrics.nearest_by_iou(query, np.packbits(known, axis=1)) == pytest.approx(naive.nearest_by_iou(query, known))
        assert metrics.nearest_by_iou(query, np.packbits(known, axis=1))[0] == row


def test_coverage_counts_references_and_mmd_is_their_mean_distance():
    table = np.array([[1, 2, 9], [0.5, 3, 9], [4, 1, 9.5], [6, 5, 8]])  # generated x reference
    found = metrics.coverage_and_mmd(table)
    assert found["coverage"] == pytest.approx(2 / 3)  # the third is nobody's nearest
    assert found["mmd"] == pytest.approx((0.5 + 1 + 8) / 3)


def test_the_mean_of_pairs_leaves_the_diagonal_out():
    assert metrics.mean_pairwise(np.array([[0, 1, 2], [1, 0, 6], [2, 6, 0]])) == 3
    assert metrics.mean_pairwise(np.array([[0.0]])) == 0
