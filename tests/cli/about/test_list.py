"""`ppr list` and what the package's own metadata says about extras."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace

from ppr.cli.about import extras
from ppr.cli.about import list as catalogue
from ppr.cli.method import METHODS, find


def test_every_paper_has_a_command_group_with_verbs(ppr):
    rows = {row["method"]: row for row in ppr("list", "--json").records}
    assert tuple(rows) == METHODS
    assert {"infer", "train", "evaluate", "export"} <= set(rows["saliency"]["verbs"])
    assert rows["saliency"]["url"].endswith("1807.09940")
    assert rows["saliency"]["installed"] is True


def test_the_table_names_paper_and_verbs(ppr):
    answer = ppr("list")
    assert answer.code == 0
    assert "Reverse Attention for Salient Object Detection" in answer.out
    assert "infer stream" in answer.out


def test_an_extra_that_is_missing_is_shown_with_its_remedy(ppr, monkeypatch):
    """`heif` asks for pillow-heif; take it away from what this environment says is installed."""
    genuine = importlib.metadata.version

    def version(name: str) -> str:
        if name == "pillow-heif":
            raise importlib.metadata.PackageNotFoundError(name)
        return genuine(name)

    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setattr(catalogue, "methods", lambda: [replace(find("saliency"), extra="heif")])
    answer = ppr("list", "--json")
    assert answer.records[0]["installed"] is False
    assert answer.err == "not installed: pip install 'ppr[heif]'\n"


def test_required_distributions_are_those_of_this_platform():
    names = [item.name for item in extras.required()]
    assert {"torch", "click", "numpy"} <= set(names)
    assert sum(name.startswith("onnxruntime") for name in names) == 1
    assert "pillow-heif" not in names


def test_extras_leave_out_core_packages_and_the_collection_of_all():
    found = extras.extras()
    assert "all" not in found
    assert [item.name for item in found["heif"]] == ["pillow-heif"]
    assert {"pytest", "hypothesis", "ruff", "mypy"} <= {item.name for item in found["dev"]}


def test_a_version_outside_the_range_does_not_satisfy():
    assert extras.Needed("torch", ">=2.9", "2.13.0+cpu").satisfied
    assert not extras.Needed("torch", ">=2.9", "2.8.1").satisfied
    assert not extras.Needed("torch", "", None).satisfied
