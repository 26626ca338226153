"""The faster of two measurements counts, each setting beside torch with the same size and threads."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ppr.methods.common.errors import UsageError
from ppr.methods.common.measuring.timing import Spent, Timing
from ppr.methods.saliency import bench
from ppr.methods.saliency.bench import Setting, compare, measure


def test_milliseconds_are_medians_of_the_stages(monkeypatch):
    stages = {
        "decode": Timing((0.001, 0.003, 0.002)),
        "pre": Timing((0.0005,)),
        "net": Timing(tuple(0.001 * number for number in range(1, 22))),
        "post": Timing((0.004,)),
    }
    monkeypatch.setattr(bench, "in_fresh_process", lambda *_given: Spent(("CPU", stages), 1.0, 123.4))
    found = measure(Setting("ras-mobile", "onnx", 256, 2), seconds=1)
    assert (found.provider, found.net_p50, found.net_p95, found.fps) == ("CPU", 11, 20, round(1000 / 11, 1))
    assert (found.decode, found.pre, found.post, found.whole, found.peak_mb) == (2, 0.5, 4, 17.5, 123)


def test_one_disturbance_spoils_no_row(monkeypatch):
    times = {("torch", 64): [20.0, 10.0], ("onnx", 64): [4.0, 50.0], ("onnx", 96): [8.0, 9.0]}
    order = []

    def measured(setting, *, seconds):
        order.append((setting.backend, setting.size, seconds))
        return replace(TEMPLATE, backend=setting.backend, size=setting.size, net_p50=times[setting.backend, setting.size].pop(0))

    monkeypatch.setattr(bench, "measure", measured)
    settings = [Setting("ras-mobile", backend, size, 1) for backend, size in list(times)]
    found = compare(settings, seconds=6)
    assert order == [(setting.backend, setting.size, 3) for setting in settings] * 2, "in turns"
    assert [(one.measurement.net_p50, one.vs_torch) for one in found] == [(10, 1), (4, 2.5), (8, None)]


TEMPLATE = bench.Measurement("", 0, 1, "CPU", 0, 0, 0, 0, 0, 0, 0, None)


def test_errors_of_a_setting_arrive():
    with pytest.raises(UsageError, match="not a device"):
        measure(Setting("ras-mobile", "onnx", 64, 1, "gpu"), seconds=0.1)
