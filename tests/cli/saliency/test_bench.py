"""`ppr saliency bench`: it measures what it says, and refuses nonsense."""

from __future__ import annotations

import pytest


@pytest.mark.slow
def test_a_row_for_every_setting(ppr):
    answer = ppr("saliency", "bench", "--size", "64", "--threads", "1", "--seconds", "0.2", "--json")
    assert answer.code == 0, answer.err
    rows = answer.records
    assert [(row["backend"], row["size"]) for row in rows] == [("torch", 64), ("onnx", 64)]
    for row in rows:
        assert 0 < row["net_p50"] <= row["net_p95"]
        assert abs(row["fps"] - 1000 / row["net_p50"]) < 0.02 * row["fps"]
        assert row["whole"] >= row["net_p50"]
        assert row["peak_mb"] > 50
    assert rows[0]["vs torch"] == 1
    assert rows[1]["vs torch"] == pytest.approx(rows[0]["net_p50"] / rows[1]["net_p50"], abs=0.02)


def test_wrong_numbers(ppr):
    answer = ppr("saliency", "bench", "--size", "256,big")
    assert (answer.code, "not a list of numbers" in answer.err) == (2, True)
