"""From a configuration to models: seeds, resuming them, thinned graphs, and where the data come from."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ppr.methods.common.errors import UsageError
from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.common.running.run import Run
from ppr.methods.lds.data import load_table, split_of, thinned
from ppr.methods.lds.train import train, train_seed

from .conftest import clusters, quick


def test_every_seed_has_a_folder_and_a_split_of_its_own(run):
    config = quick(seeds=2, seed=5, outer_iterations=1)
    run.start(config)
    found = train(config, run, table=clusters())
    assert [one.seed for one in found] == [5, 6]
    assert [one.run.path.name for one in found] == ["seed-5", "seed-6"]
    assert found[0].split.train.tolist() != found[1].split.train.tolist()
    assert found[0].model.meta.config["seed"] == 5
    alone = Run(run.path / "alone")
    alone.start(quick(seed=6, outer_iterations=1))
    (single,) = train(quick(seed=6, outer_iterations=1), alone, table=clusters())
    np.testing.assert_array_equal(single.model.graph.prob, found[1].model.graph.prob)


def test_finished_seeds_are_not_trained_again(run, monkeypatch):
    config = quick(seeds=2, outer_iterations=1)
    run.start(config)
    first = train_seed(config, 1, run, clusters(), resume=False)  # the second one was never begun
    before = first.run.best.stat().st_mtime_ns
    again = train(config, run, resume=True, table=clusters())
    assert first.run.best.stat().st_mtime_ns == before
    assert [one.seed for one in again] == [1, 2]
    np.testing.assert_array_equal(again[0].model.graph.prob, first.model.graph.prob)


def test_edges_are_kept_by_the_published_draw():
    graph = PairGraph.build(100, np.arange(99), np.arange(1, 100))
    kept = thinned(graph, 0.25, 3)
    assert kept.first.tolist() == np.flatnonzero(np.random.RandomState(3).rand(99) < 0.25).tolist()
    assert thinned(graph, 1.0, 3) is graph and thinned(None, 0.5, 3) is None


def test_a_table_with_its_graph_is_learned_from_what_was_kept(run):
    table = replace(clusters(), graph=PairGraph.build(48, np.arange(47), np.arange(1, 48)))
    config = quick(keep_edges=0.5, outer_iterations=1)
    run.start(config)
    (one,) = train(config, run, table=table)
    assert one.model.start.first.tolist() == thinned(table.graph, 0.5, 1).first.tolist()
    assert len(one.table.graph) == len(one.model.start) < 47


def test_edges_of_no_graph_cannot_be_kept():
    with pytest.raises(UsageError, match=r"--keep-edges 0\.5: there is no graph"):
        load_table(quick(data="wine", keep_edges=0.5))


def test_a_split_is_the_papers_unless_sizes_are_given():
    table = load_table(quick(data="wine"))
    assert [len(getattr(split_of(table, quick(), 1), part)) for part in ("train", "val", "es", "test")] == [10, 10, 10, 148]
    own = split_of(table, quick(train=0.5, val=0.25, es=0.25), 1)
    assert [len(getattr(own, part)) for part in ("train", "val", "es", "test")] == [89, 45, 44, 0]
    with pytest.raises(UsageError, match="--val is missing"):
        split_of(table, quick(train=20), 1)


def test_a_split_without_test_rows_trains_and_scores_nothing(run):
    table = clusters()
    config = quick(train=24, val=12, es=12, outer_iterations=1)
    run.start(config)
    (one,) = train(config, run, table=table)
    assert len(one.split.test) == 0 and not one.split.rest(48).size
    assert set(one.model.meta.metrics) == {"es_accuracy", "es_loss"}
