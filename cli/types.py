"""What people type as one word and commands take as a value: lists, sizes, durations and rates with units."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import click

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(.*?)\s*", re.ASCII)
_LARGEST = 1e15


class _Typed(click.ParamType):
    """A type whose name is what the help shows, in lower case where that is typed."""

    def get_metavar(self, *_about: Any, **_more: Any) -> str:
        return self.name


class Numbers(_Typed):
    """Numbers separated by commas: "1,2,4".

    Args:
        item: what each is, with its bounds.
        name: what the help calls them.
    """

    def __init__(self, item: click.IntRange | click.FloatRange, name: str = "N") -> None:
        self.name, self._item = f"{name},…", item

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> list[Any]:
        if isinstance(value, list):
            return value
        try:
            numbers = [_number(self._item, part) for part in value.split(",")]
        except ValueError:
            return self.fail(f"'{value}' is not a list of numbers separated by commas", parameter, context)
        return [self._item.convert(number, parameter, context) for number in numbers]


def _number(range: click.IntRange | click.FloatRange, text: str) -> Any:
    """The number that a text is, not yet compared with the range.

    Raises:
        ValueError: it is none.
    """
    return int(text) if isinstance(range, click.IntRange) else float(text)


class Words(_Typed):
    """Words separated by commas, of a choice if there is one.

    Args:
        choices: what they may be.
        name: what the help calls them where they may be anything.
    """

    def __init__(self, choices: Sequence[str] = (), name: str = "WORD") -> None:
        self.name, self._choices = f"{'|'.join(choices) or name},…", choices

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> list[str]:
        if isinstance(value, list):
            return value
        words = [part.strip() for part in value.split(",") if part.strip()]
        wrong = [word for word in words if self._choices and word not in self._choices]
        if wrong or not words:
            known = f"none of {', '.join(self._choices)}" if self._choices else "no list of words separated by commas"
            return self.fail(f"'{wrong[0] if wrong else value}' is {known}", parameter, context)
        return words


class NumberOr(_Typed):
    """A number, or a word that stands for something else: "all", "native", "512".

    Args:
        words: the words, and what the command gets for each.
        number: what a number may be.
        name: what the help calls the number, and messages with an example.
    """

    def __init__(
        self, words: Mapping[str, Any], number: click.IntRange | click.FloatRange, name: str = "N", example: str = "a number"
    ) -> None:
        self.name, self._words, self._number, self._example = "|".join([*words, name]), words, number, example

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> Any:
        if not isinstance(value, str) or value in self._words:
            return self._words.get(value, value)
        try:
            number = _number(self._number, value)
        except ValueError:
            return self.fail(f"'{value}' is neither {', '.join(self._words)} nor {self._example}", parameter, context)
        return self._number.convert(number, parameter, context)


class Size(_Typed):
    """Width and height in pixels: "300x400".

    Args:
        least, most: of each of them.
    """

    name = "WxH"

    def __init__(self, least: int, most: int) -> None:
        self._least, self._most = least, most

    def convert(self, value: Any, parameter: click.Parameter | None, context: click.Context | None) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d{1,6})[xX](\d{1,6})", value, re.ASCII)
        sides = (int(found[1]), int(found[2])) if found else (0, 0)
        if not all(self._least <= side <= self._most for side in sides):
            self.fail(f"'{value}' is not a size such as 1280x720, each side from {self._least} to {self._most} pixels", parameter, context)
        return sides


class Model(_Typed):
    """A model: the name of one that comes along, a checkpoint, or a run directory, which means its best checkpoint.

    The text is left as it is; what it means is found by the method (`methods/common/running/embedded.py`).

    Args:
        name: what the help calls it, where a method has no names or takes something else too.
    """

    def __init__(self, name: str = "NAME|FILE|RUN") -> None:
        self.name = name

    def convert(self, value: Any, _parameter: click.Parameter | None, _context: click.Context | None) -> str:
        return str(value)


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


_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0, "h": 3600.0, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9, "m": 60.0}
_BYTES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30, "KB": 1e3}
_BITS = {"bit": 1 / 8, "kbit": 1e3 / 8, "Mbit": 1e6 / 8, "Gbit": 1e9 / 8}
_BITS_A_SECOND = {name + per: value for per in ("", "/s") for name, value in _BITS.items()}
_SHORT = {name.replace("bit", "bps"): value for name, value in _BITS.items()}

#: Seconds.
DURATION = Quantity("TIME", _SECONDS, plain="s", example="20ms or 1.5s")
#: Seconds above 0.
POSITIVE_DURATION = Quantity("TIME", _SECONDS, plain="s", positive=True, example="20ms or 1.5s")
#: Minutes above 0.
MINUTES = Quantity("TIME", {"m": 1.0, "s": 1 / 60, "h": 60.0, "min": 1.0}, plain="m", positive=True, example="90s, 10m or 1.5h")
#: Bytes.
BYTES = Quantity("SIZE", _BYTES, plain="B", example="156kB")
#: Bytes a second; bits are what links are named by.
RATE = Quantity(
    "RATE",
    _BITS_A_SECOND | _SHORT | {f"{name}/s": value for name, value in _BYTES.items()},
    plain=None,
    positive=True,
    example="1Gbit or 125MB/s",
)
