"""Functions of somebody's that make an environment, and what is said where they do not."""

from __future__ import annotations

import sys

import pytest

pytest.importorskip("pettingzoo")

from ppr.methods.codedmarl.environments import make
from ppr.methods.common.errors import PprError, UsageError

from .crossing import Crossing


def raising(error):
    def function():
        raise error

    return function


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (5, "not a function that makes an environment, but of type int"),
        (dict, "makes a dict, not a parallel environment"),
        (raising(RuntimeError("no display\nat all")), r"making the environment failed \(RuntimeError: no display\)"),
    ],
)
def test_functions_that_make_no_environment(named, function, message):
    with pytest.raises(UsageError, match=message):
        make(named(function))


def test_agents_that_act_in_turn_are_told_from_parallel_ones():
    pytest.importorskip("mpe2")
    with pytest.raises(UsageError, match="act in turn") as caught:
        make("mpe2.simple_spread_v3:env")
    assert "aec_to_parallel" in caught.value.hint


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module_anywhere:env", "there is no module 'no_such_module_anywhere'"),
        ("json.no_such:env", "there is no module 'json.no_such'"),
        ("json:env", "has no 'env'"),
        (":env", "does not name a function"),
        ("json:", "does not name a function"),
        ("json:a b", "does not name a function"),
        ("pettingzoo.mpe:env", "importing 'pettingzoo.mpe' failed"),
    ],
)
def test_names_that_lead_nowhere(name, message):
    with pytest.raises(UsageError, match=message):
        make(name)


def test_a_module_that_needs_another_one(tmp_path, monkeypatch):
    (tmp_path / "needy_environment.py").write_text("import no_such_module_anywhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(UsageError, match="needs the package 'no_such_module_anywhere'"):
        make("needy_environment:env")


@pytest.mark.parametrize(
    ("package", "name", "backend"),
    [
        ("pettingzoo", "crossing:function", "batched"),
        ("mpe2", "simple_spread", "mpe2"),
        ("mpe2", "mpe2.simple_spread_v3:parallel_env", "batched"),
    ],
)
def test_a_missing_package_names_the_extra(named, monkeypatch, package, name, backend):
    named(Crossing)
    for loaded in [module for module in sys.modules if module.split(".")[0] == package]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PprError, match=f"'{package}', which is not installed") as caught:
        make(name, backend=backend)
    assert caught.value.hint == "pip install 'ppr[marl]'"
