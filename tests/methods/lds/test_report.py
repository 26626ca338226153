"""The summary: means over seeds, and a sentence that is honest in each case."""

from __future__ import annotations

import math

import pytest

from ppr.methods.lds.report import rows, summarise, verdict


def methods(**accuracies: float) -> dict[str, dict[str, float]]:
    return {name.replace("_", "-"): {"accuracy": value, "std": 0.0, "macro_f1": value} for name, value in accuracies.items()}


@pytest.mark.parametrize(
    ("accuracies", "sentence"),
    [
        ({"lds": 95.5, "rbf_svm": 95.0, "mlp": 90.0}, "LDS is ahead of the best baseline (rbf-svm) by 0.5 points"),
        ({"lds": 95.0, "rbf_svm": 95.0, "mlp": 90.0}, "LDS is as good as the best baseline (rbf-svm)"),
        (
            {"lds": 93.0, "rbf_svm": 95.0, "mlp": 93.5, "gcn": 90.0},
            "LDS is behind rbf-svm by 2.0, mlp by 0.5 points: use that, or give more rows to val and es",
        ),
        ({"lds": 93.0}, "no baselines were trained"),
        ({"lds": math.nan}, "there are no test rows: nothing says how good the predictions are but the early-stopping rows"),
        (
            {"lds": math.nan, "mlp": math.nan},
            "there are no test rows: nothing says how good the predictions are but the early-stopping rows",
        ),
    ],
)
def test_the_verdict(accuracies, sentence):
    assert verdict(methods(**accuracies)) == sentence


def report(lds: float, mlp: float) -> dict[str, object]:
    return {"scores": {"lds": {"accuracy": lds, "macro_f1": lds / 2}, "mlp": {"accuracy": mlp, "macro_f1": mlp}}}


def test_seeds_are_averaged_and_the_best_method_comes_first():
    summary = summarise([report(0.9, 0.95), report(0.8, 0.95)], "wine")
    assert summary["methods"]["lds"] == pytest.approx({"accuracy": 85, "std": 5, "macro_f1": 42.5})
    table = rows(summary)
    assert [row["method"] for row in table] == ["mlp", "lds"]
    assert table[1] == {"method": "lds", "accuracy %": 85.0, "std": 5.0, "macro F1 %": 42.5}
    assert "std" not in rows(summarise([report(0.9, 0.95)], "wine"))[0]


def test_several_seeds_tell_how_sure_the_difference_is():
    """Seed by seed LDS is 5, 7 and 6 points behind: mean -6, deviation 1, and t for two degrees of freedom is 4.303."""
    summary = summarise([report(0.9, 0.95), report(0.8, 0.87), report(0.7, 0.76)], "wine")
    assert summary["ahead"]["mlp"] == pytest.approx({"mean": -6, "interval": 4.303 / math.sqrt(3)}, rel=1e-3)
    assert summary["verdict"].endswith("; seed by seed -6.0 ± 2.5 to mlp")
    assert "ahead" not in summarise([report(0.9, 0.95)], "wine")
    assert "ahead" not in summarise([report(math.nan, math.nan)] * 2, "wine")
    assert "ahead" not in summarise([{"scores": {"mlp": {"accuracy": 0.5, "macro_f1": 0.5}}}] * 2, "wine")
