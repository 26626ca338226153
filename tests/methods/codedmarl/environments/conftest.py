"""Functions that can be imported by a name."""

from __future__ import annotations

import sys
import types

import pytest


@pytest.fixture
def named(monkeypatch):
    """Makes a function importable: named(function) -> "crossing:function"."""

    def name(function):
        module = types.ModuleType("crossing")
        module.function = function
        monkeypatch.setitem(sys.modules, "crossing", module)
        return "crossing:function"

    return name
