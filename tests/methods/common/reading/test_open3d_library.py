"""What is said where open3d cannot be imported."""

from __future__ import annotations

import builtins

import pytest

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.open3d_library import import_open3d


@pytest.mark.parametrize(
    ("error", "message", "hint"),
    [
        (ImportError("libusb-1.0.so.0: cannot open shared object file"), "libusb-1.0", "apt-get install libusb-1.0-0"),
        (ImportError("libGL.so.1: cannot open shared object file"), "libGL", "apt-get install libgl1"),
        (ModuleNotFoundError("No module named 'open3d'", name="open3d"), "'open3d'", "pip install"),
        (ImportError("undefined symbol: x"), "undefined symbol", "reinstall"),
    ],
)
def test_what_open3d_misses_is_named(monkeypatch, error, message, hint):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name == "open3d":
            raise error
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(PprError, match=message) as caught:
        import_open3d()
    assert hint in caught.value.hint
