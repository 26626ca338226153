"""What came out, beside the baselines: a row a method over all seeds, and a plain sentence on who won."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..common.measuring.seeds import paired_difference


def summarise(reports: list[dict[str, Any]], table: str) -> dict[str, Any]:
    """All seeds together: mean and standard deviation of each method's test accuracy and F1, in percent, and a sentence about them.

    Of several seeds, `ahead` says by how many points LDS is more accurate than each baseline on the same splits, with its 95 % interval.
    """
    methods, accuracies = {}, {}
    for name in reports[0]["scores"]:
        accuracy, f1 = (np.array([report["scores"][name][key] for report in reports]) * 100 for key in ("accuracy", "macro_f1"))
        methods[name] = {"accuracy": float(accuracy.mean()), "std": float(accuracy.std()), "macro_f1": float(f1.mean())}
        accuracies[name] = accuracy
    summary: dict[str, Any] = {"table": table, "methods": methods, "verdict": verdict(methods), "seeds": reports}
    others = accuracies.keys() - {"lds"}
    if len(reports) > 1 and others and not np.isnan(methods.get("lds", {}).get("accuracy", np.nan)):
        ahead = {name: paired_difference(accuracies["lds"], accuracies[name]) for name in methods if name in others}
        best = max(ahead, key=lambda name: methods[name]["accuracy"])
        summary["ahead"] = {name: {"mean": found.mean, "interval": found.interval} for name, found in ahead.items()}
        summary["verdict"] += f"; seed by seed {ahead[best].mean:+.1f} ± {ahead[best].interval:.1f} to {best}"
    return summary


def verdict(methods: dict[str, dict[str, float]]) -> str:
    """One honest sentence: by how much LDS is ahead of the best baseline, or behind which."""
    others = {name: row["accuracy"] for name, row in methods.items() if name != "lds"}
    if "lds" not in methods:
        best = max(others, key=lambda name: others[name])
        return f"{best} is the best baseline"
    own = methods["lds"]["accuracy"]
    if np.isnan(own):
        return "there are no test rows: nothing says how good the predictions are but the early-stopping rows"
    if not others:
        return "no baselines were trained"
    better = {name: value for name, value in others.items() if value > own}
    best = max(others, key=lambda name: others[name])
    if better:
        listed = ", ".join(f"{name} by {value - own:.1f}" for name, value in sorted(better.items(), key=lambda item: -item[1]))
        return f"LDS is behind {listed} points: use that, or give more rows to val and es"
    if others[best] == own:
        return f"LDS is as good as the best baseline ({best})"
    return f"LDS is ahead of the best baseline ({best}) by {own - others[best]:.1f} points"


def rows(summary: dict[str, Any]) -> list[dict[str, Any]]:
    """A row a method for a table, the best first."""
    several = len(summary["seeds"]) > 1
    found = [
        {
            "method": name,
            "accuracy %": round(row["accuracy"], 2),
            **({"std": round(row["std"], 2)} if several else {}),
            "macro F1 %": round(row["macro_f1"], 2),
        }
        for name, row in summary["methods"].items()
    ]
    return sorted(found, key=lambda row: -row["accuracy %"] if row["accuracy %"] == row["accuracy %"] else 0)
