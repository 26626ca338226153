"""Durations, sizes and rates with units, as options."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import click

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*", re.ASCII)
_LARGEST = 1e15


class Quantity(click.ParamType):
    """A number with a unit.

    Args:
        name: what the help calls it.
        units: what a unit multiplies the number by; the first ones are named in messages.
        plain: the unit of a number without one; None insists on a unit.
        positive: whether 0 is refused.
        example: shown in messages.
    """

    def __init__(self, name: str, units: Mapping[str, float], *, plain: str | None, positive: bool = False, example: str) -> None:
        self.name, self._units, self._plain, self._positive, self._example = name, units, plain, positive, example

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> float:
        if isinstance(value, (int, float)):
            return float(value)
        found = _NUMBER.fullmatch(value)
        if not found:
            return self.fail(f"'{value}' is not a number with a unit, such as {self._example}")
        unit = found[2] or self._plain
        if unit is None:
            return self.fail(f"'{value}' lacks its unit, as in {self._example}")
        if unit not in self._units:
            return self.fail(f"'{value}': unknown unit '{unit}'; known are {', '.join(list(self._units)[:9])}")
        number = float(found[1]) * self._units[unit]
        if number < 0 or (self._positive and not number):
            return self.fail(f"'{value}' is not {'above' if self._positive else 'at least'} 0")
        return number if number <= _LARGEST else self.fail(f"'{value}' is beyond all measure")


_BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "KB": 1e3}
_BITS = {"bit": 1 / 8, "kbit": 1e3 / 8, "Mbit": 1e6 / 8, "Gbit": 1e9 / 8}
_BITS_A_SECOND = {name + per: value for per in ("", "/s") for name, value in _BITS.items()}
_SHORT = {name.replace("bit", "bps"): value for name, value in _BITS.items()}

#: Seconds.
DURATION = Quantity(
    "TIME",
    {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9},
    plain="s",
    example="20ms or 1.5s",
)
#: Seconds above 0.
POSITIVE_DURATION = Quantity("TIME", DURATION._units, plain="s", positive=True, example="20ms or 1.5s")
#: Bytes.
SIZE = Quantity("SIZE", _BYTES, plain="B", example="156kB")
#: Bytes a second; bits are what links are named by.
RATE = Quantity(
    "RATE",
    _BITS_A_SECOND | _SHORT | {f"{name}/s": value for name, value in _BYTES.items()},
    plain=None,
    positive=True,
    example="1Gbit or 125MB/s",
)
