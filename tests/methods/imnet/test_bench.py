"""What the bench counts, by extractors and a clock that are made up; and the three runtimes on a small decoder."""

from __future__ import annotations

import numpy as np
import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.imnet import bench
from ppr.methods.imnet.bench import Found, Shape, compare, exact_chairs, missing, runtimes

CELLS = np.stack(np.meshgrid(*[np.arange(-1, 3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)
SHAPES = [Shape(lambda points: points[:, 0], 0.0)] * 2


class Machine:
    """Extractors that find some of the cells, by a clock that only they move on."""

    def __init__(self):
        self.now, self.advanced = 0.0, 0

    def __call__(self):
        return self.now

    def extractor(self, queries, found, seconds):
        def extract(_shape):
            self.now += seconds
            return Found(queries, found)

        return extract

    def advance(self):
        self.advanced += 1


def refuse(_shape):
    raise UsageError("too many corners")


def test_costs_are_means_and_ratios_to_sparse():
    machine = Machine()
    extractors = {
        "dense": machine.extractor(1000, CELLS, 6.0),
        "sparse": machine.extractor(100, CELLS[8:], 2.0),
        "mise": machine.extractor(300, CELLS[::2], 3.0),
    }
    costs = {cost.mode: cost for cost in compare(SHAPES, extractors, machine.advance, clock=machine)}
    assert machine.advanced == 6
    assert [(cost.queries, cost.queries_ratio) for cost in costs.values()] == [(1000, 10), (100, 1), (300, 3)]
    assert [(cost.seconds, cost.seconds_ratio) for cost in costs.values()] == [(6, 3), (2, 1), (3, 1.5)]
    assert [(cost.cells, cost.missed) for cost in costs.values()] == [(64, 0), (56, 8 / 64), (32, 32 / 64)]


def test_an_extractor_that_refuses_is_left_out_and_named(caplog):
    machine = Machine()
    extractors = {"dense": refuse, "sparse": machine.extractor(100, CELLS, 2.0), "mise": machine.extractor(50, CELLS[:16], 1.0)}
    costs = compare(SHAPES, extractors, machine.advance, clock=machine)
    assert [(cost.mode, cost.missed) for cost in costs] == [("sparse", 0), ("mise", 0.75)], "sparse is the truth then"
    assert machine.advanced == 6
    assert [record.getMessage() for record in caplog.records] == ["dense is left out: too many corners"]
    with pytest.raises(PprError, match="no extractor can work"):
        compare(SHAPES, {"dense": refuse}, clock=machine)


def test_without_sparse_the_first_is_what_others_are_compared_with():
    machine = Machine()
    costs = compare(SHAPES, {"mise": machine.extractor(50, CELLS, 1.0), "dense": machine.extractor(100, CELLS, 4.0)}, clock=machine)
    assert [cost.seconds_ratio for cost in costs] == [1, 4]


def test_cells_are_told_apart_also_those_of_padding():
    rng = np.random.default_rng(0)
    truth = np.unique(rng.integers(-1, 1025, (500, 3)), axis=0)
    assert missing(truth, truth) == 0
    assert missing(truth[100:], truth) == 100
    assert missing(truth[:, ::-1], truth) == sum(tuple(cell) not in set(map(tuple, truth[:, ::-1])) for cell in truth)


def test_exact_chairs_are_spread_over_the_bundled_ones():
    shapes = exact_chairs(3)
    assert len(shapes) == 3
    inside = np.zeros((1, 3), np.float32)
    assert len({float(shape.field(inside)[0]) for shape in shapes}) > 1


def test_every_runtime_is_given_all_points(monkeypatch):
    """With a clock that ticks once a call, each takes a tick a round; what is asked of them is the same."""
    monkeypatch.setattr(bench, "POINTS", 20_000)
    asked = {"numpy": 0, "torch": 0, "onnxruntime": 0}

    class Model:
        bank = type("Bank", (), {"codes": np.ones((2, 4), np.float32)})

        def field(self, _code):
            return lambda points: asked.__setitem__("numpy", asked["numpy"] + len(points))

    def decoder(points, codes):
        assert points.ndim == 3 and codes.shape == (1, 4)
        asked["torch"] += points.shape[1]

    class Session:
        def run(self, _names, feed):
            asked["onnxruntime"] += len(feed["points"])

    ticks = iter(range(1000))
    speeds = runtimes(Model(), decoder, Session(), 1, clock=lambda: next(ticks))
    assert set(asked.values()) == {5 * 20_000}
    assert [(speed.runtime, speed.points_per_second, speed.ratio) for speed in speeds] == [(name, 20_000, 1) for name in asked]
