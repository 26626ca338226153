"""A package of somebody else adds a method by an entry point; a broken one breaks nothing but itself."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from ppr.cli import method
from ppr.cli.method import ENTRY_POINTS, METHODS, Method

RECORD = """
from ppr.cli.method import Method

METHOD = Method(
    "toy",
    __name__,
    title="A Toy",
    published="Nobody, 2020",
    url="https://example.org",
    line="Toy: says what it is given.",
    help="One verb that says a word.",
    verbs={"say": "Say WORD.", "gone": "A verb whose module is not there."},
    examples=["ppr toy say hello"],
)
"""
SAY = """
import click


@click.command()
@click.argument("word")
def say(word: str) -> None:
    click.echo(word)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Installs a package `toy_paper` as far as Python is concerned: a module and what an installer would note down of it."""
    site = tmp_path / "site"

    def make(entry: str = "toy = toy_paper:METHOD", record: str = RECORD) -> Path:
        package, info = site / "toy_paper", site / "toy_paper-1.0.dist-info"
        for folder in (package, info):
            folder.mkdir(parents=True)
        (package / "__init__.py").write_text(record)
        (package / "say.py").write_text(SAY)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-paper\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[{ENTRY_POINTS}]\n{entry}\n")
        monkeypatch.syspath_prepend(site)
        method.outside.cache_clear()
        return site

    yield make
    method.outside.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "toy_paper"]:
        del sys.modules[name]


def test_a_method_of_another_package_is_one_like_the_others(ppr, install):
    install()
    assert ppr("toy", "say", "hello").out == "hello\n"
    answer = ppr("--help")
    assert "  toy         Toy: says what it is given." in answer.out.splitlines()
    assert answer.err == ""
    assert ppr("toy", "--help").out.endswith("  gone  A verb whose module is not there.\n")
    (row,) = [row for row in ppr("list", "--json").records if row["method"] == "toy"]
    assert (row["paper"], row["verbs"], row["installed"]) == ("A Toy", ["say", "gone"], True)
    (check,) = [check for check in ppr("doctor", "--json").records[0]["checks"] if check["name"] == "ppr toy"]
    assert check["status"] == "ok" and "toy_paper" in check["found"]
    assert "did you mean 'toy'?" in ppr("tooy").err


def test_it_comes_after_those_of_this_package_and_is_completed(ppr_process, install, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(install()), *sys.path]))
    assert [found.name for found in method.methods()] == [*METHODS, "toy"]
    monkeypatch.setenv("_PPR_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "ppr to")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert ppr_process().out == "plain,toy\n"


@pytest.mark.parametrize(
    ("entry", "record", "reason"),
    [
        ("toy = toy_paper:METHOD", "import no_such_module", "no_such_module"),
        ("toy = toy_paper:METHOD", "raise SystemExit('leaving')", "leaving"),
        ("toy = toy_paper:OTHER", RECORD, "OTHER"),
        ("toy = toy_paper:METHOD", "METHOD = {}", "a dict, not a Method"),
        ("other = toy_paper:METHOD", RECORD, "calls itself 'toy', not 'other'"),
        ("lds = toy_paper:METHOD", RECORD, "the name 'lds' is taken"),
    ],
)
def test_a_broken_one_costs_one_line_that_names_it(ppr, install, entry, record, reason):
    install(entry, record)
    name = entry.split(" ")[0]
    answer = ppr("--help")
    (warning,) = answer.err.splitlines()
    assert answer.code == 0 and "  saliency  " in answer.out and "toy_paper" not in answer.out
    assert warning.startswith(f"warning: the method '{name}' of another package cannot be used (toy_paper:") and reason in warning
    assert ppr("list").err.splitlines() == [warning]
    assert ppr("lds", "--help").err == ""
    (check,) = [check for check in ppr("doctor", "--json").records[0]["checks"] if reason in check["found"]]
    assert check["status"] == "note" and check["hint"]
    if name != "lds":
        called = ppr(name, "say", "hello")
        assert called.code == 2 and reason in called.err


def test_a_verb_that_cannot_be_imported_is_no_traceback(ppr, install):
    install()
    answer = ppr("toy", "gone")
    assert answer.code == 1
    assert answer.err.startswith("Error: ppr toy gone: toy_paper.gone cannot be imported (ModuleNotFoundError")
    assert len(answer.err.splitlines()) == 2


def test_the_commands_about_ppr_go_before_a_method_of_their_name(ppr, install):
    install("info = toy_paper:METHOD", RECORD.replace('"toy"', '"info"'))
    assert ppr("info", "--help").out.startswith("Usage: ppr info [OPTIONS] FILE")
    assert ppr("--help").out.count("\n  info  ") == 1


def test_without_such_a_package_the_metadata_of_others_are_not_read(monkeypatch):
    """They take longer than everything else that `ppr --help` does."""
    method.outside.cache_clear()
    monkeypatch.delitem(sys.modules, "importlib.metadata", raising=False)
    monkeypatch.setattr("importlib.metadata.entry_points", None)
    assert method.outside() == method.Outside()


def test_where_a_verb_lies():
    record = Method("toy", "toy_paper", "", "", "", "", "", {}, [], elsewhere={"import": "import_official:import_official"})
    assert record.place("infer") == "toy_paper.infer:infer"
    assert record.place("config") == "toy_paper.train:config"
    assert record.place("import") == "toy_paper.import_official:import_official"
