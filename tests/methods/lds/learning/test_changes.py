"""What learning did to a graph: every pair in one of three groups, and all of them in the file."""

from __future__ import annotations

import csv
from dataclasses import replace

import numpy as np
import pytest

from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.lds.learning.changes import changes, write_changes

START = PairGraph.build(48, [0, 0, 1, 5], [1, 3, 2, 6], [1, 1, 1, 0.2])
LEARNED = PairGraph.build(48, [0, 0, 0, 5, 7], [1, 3, 6, 6, 8], [0.9, 0.1, 0.7, 0.8, 0.3])


@pytest.fixture(scope="module")
def found(model):
    """Labels are row modulo 3; row 1 is unlabelled."""
    labels = np.arange(48) % 3
    labels[1] = -1
    one = replace(model, start=START, graph=LEARNED, labels=labels)
    return changes(one, 0.5), one


def test_pairs_are_kept_added_or_removed(found):
    record = dict(zip(zip(found[0].first.tolist(), found[0].second.tolist(), strict=True), found[0].status.tolist(), strict=True))
    assert record == {(0, 1): "kept", (0, 3): "removed", (1, 2): "removed", (0, 6): "added", (5, 6): "added"}
    assert np.round(found[0].before, 3).tolist() == [1, 1, 0, 1, np.float32(0.2).round(3)]
    assert np.round(found[0].after, 3).tolist() == np.float32([0.9, 0.1, 0.7, 0, 0.8]).round(3).tolist()


def test_the_counts_and_the_homophily(found):
    """Of edges with two labels: before 0-3 alone, which is equal; after 0-6, which is, and 5-6, which is not, by their probabilities."""
    counts = found[0].counts()
    assert {key: counts[key] for key in ("kept", "added", "removed")} == {"kept": 1, "added": 2, "removed": 2}
    assert counts["homophily_before"] == 1
    assert counts["homophily_after"] == pytest.approx(0.7 / 1.5, abs=1e-6)


def test_the_file_has_the_removed_ones_first(found, tmp_path):
    write_changes(*found, tmp_path / "changes.csv")
    with (tmp_path / "changes.csv").open() as stream:
        rows = list(csv.DictReader(stream))
    assert [row["status"] for row in rows] == ["removed", "removed", "added", "added", "kept"]
    assert rows[0] == {"source": "r0", "target": "r3", "before": "1.0", "after": "0.1", "status": "removed"}


def test_a_graph_without_edges_changes_nothing(model, tmp_path):
    empty = PairGraph.build(48, [], [])
    one = replace(model, start=empty, graph=empty)
    nothing = changes(one, 0.5)
    counts = nothing.counts()
    assert (counts["kept"], counts["added"], counts["removed"]) == (0, 0, 0)
    assert np.isnan(counts["homophily_after"])
    write_changes(nothing, one, tmp_path / "changes.csv")
    assert (tmp_path / "changes.csv").read_text() == "source,target,before,after,status\n"
