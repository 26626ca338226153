"""What is timed: the same segment in three ways, and that memory and pairs are counted."""

from __future__ import annotations

import pytest

from ppr.methods.lds import bench
from ppr.methods.lds.bench import KINDS, Case, Cost, compare, cost_here, synthetic


def test_the_random_table_has_coras_density():
    features, labels, classes, graph = synthetic(500, 100)
    assert features.nnz == pytest.approx(0.0127 * 500 * 100, rel=0.01)
    assert labels.min() == 0 and labels.max() == classes - 1 == 6
    assert 900 < len(graph) <= 1000


def test_each_way_is_timed_on_the_pairs_it_learns():
    """In this process; `measure` does the same in a new one, for the memory's sake."""
    case = Case(*synthetic(450, 20), tau=2, candidates=3, threads=1)
    costs = {kind: cost_here(case, kind, 1) for kind in KINDS}
    assert costs["all"].pairs == costs["dense"].pairs == 450 * 449 // 2 > costs["candidates"].pairs > len(case.graph)
    assert all(cost.seconds > 0 and cost.megabytes >= 0 for cost in costs.values())


def test_kinds_are_compared_with_the_candidates(monkeypatch):
    costs = {"candidates": Cost(0.5, 10.0, 5), "all": Cost(1.0, 40.0, 9), "dense": Cost(4.0, 80.0, 9)}
    shown = []
    monkeypatch.setattr(bench, "measure", lambda _case, kind, repeats: costs[kind])
    found = compare(None, 3, lambda: shown.append(None))
    assert [(one.kind, one.seconds_ratio, one.megabytes_ratio) for one in found] == [("candidates", 1, 1), ("all", 2, 4), ("dense", 8, 8)]
    assert len(shown) == 3
    costs["candidates"] = Cost(0.5, 0.0, 5)
    assert [one.megabytes_ratio for one in compare(None, 3)] == [None, None, None]
