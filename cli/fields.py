"""Options made from the fields of a configuration: type, bounds, choices, default and help are the field's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import click

from . import types

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

    from ppr.methods.common.config import BaseConfig


@dataclass(frozen=True)
class As:
    """How a field is typed, as far as its own name and type do not say it.

    Args:
        flags: instead of the field's name, "--size" or "--stragglers -k".
        metavar: what the help calls the value.
        type: what reads the value, where a person types something else than the field holds ("90s" for minutes).
        help: instead of the field's description and default.
    """

    flags: str = ""
    metavar: str | None = None
    type: click.ParamType | None = None
    help: str | None = None


def field_options(cls: type[BaseConfig], names: str, typed: Mapping[str, As] | None = None) -> list[Callable[[Any], Any]]:
    """An option for each of the fields named, in this order; the command gets its value under the field's name, None if it was not given.

    Args:
        names: separated by blanks.
        typed: what is special about some of them.
    """
    return [_option(name, cls.model_fields[name], (typed or {}).get(name, As())) for name in names.split()]


def field_choices(cls: type[BaseConfig], name: str) -> Sequence[str]:
    """The words that a field's value is one of."""
    kind = _kind(cls.model_fields[name].annotation, ())
    assert isinstance(kind, click.Choice)
    return kind.choices


def _option(name: str, field: FieldInfo, typed: As) -> Callable[[Any], Any]:
    kind = typed.type or _kind(field.annotation, field.metadata)
    flags = typed.flags.split() or [f"--{name.replace('_', '-')}"]
    default = field.get_default(call_default_factory=True)
    about: dict[str, Any] = {"default": None, "help": typed.help or _help(field.description or "", default), "metavar": typed.metavar}
    if kind is click.BOOL:
        (flag,) = flags
        return click.option(f"{flag}/--no-{flag[2:]}" if default else flag, name, is_flag=True, **about)
    if get_origin(field.annotation) is list and not isinstance(kind, (types.Numbers, types.Words)):
        return click.option(*flags, name, type=kind, multiple=True, callback=_listed, **about)
    return click.option(*flags, name, type=kind, **about)


def _kind(annotation: Any, limits: Sequence[Any]) -> click.ParamType:
    """What reads a field's value: of a list of numbers or of choices all at once, separated by commas, of another list one at a time.

    Raises:
        TypeError: a type that has no form on the command line; such a field is for files and --set.
    """
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _kind(inner[0], [*limits, *inner[1:]])
    if origin in (Union, UnionType):
        return _one_of([item for item in inner if item is not type(None)], limits)
    if origin is list:
        item = _kind(inner[0], [])
        if isinstance(item, (click.IntRange, click.FloatRange)):
            return types.Numbers(item)
        return types.Words(item.choices) if isinstance(item, click.Choice) else item
    if origin is Literal:
        return click.Choice(inner)
    if annotation in (int, float):
        return _range(annotation, limits)
    if annotation in (bool, str):
        return click.BOOL if annotation is bool else click.STRING
    raise TypeError(f"{annotation}: no such value can be typed as an option")


def _one_of(kinds: Sequence[Any], limits: Sequence[Any]) -> click.ParamType:
    """What reads a value of one kind, or either a number or a word."""
    if len(kinds) == 1:
        return _kind(kinds[0], limits)
    number, words = sorted((_kind(kind, limits) for kind in kinds), key=lambda kind: isinstance(kind, click.Choice))
    assert isinstance(words, click.Choice) and isinstance(number, (click.IntRange, click.FloatRange))
    return types.NumberOr({word: word for word in words.choices}, number)


def _range(number: type, limits: Sequence[Any]) -> click.IntRange | click.FloatRange:
    """A number within the bounds that annotations such as Gt(0) and Le(1) give."""
    found = {key: getattr(limit, key) for limit in limits for key in ("ge", "gt", "le", "lt") if getattr(limit, key, None) is not None}
    low, high = found.get("ge", found.get("gt")), found.get("le", found.get("lt"))
    if number is int:
        return click.IntRange(None if low is None else low + ("gt" in found), None if high is None else high - ("lt" in found))
    return click.FloatRange(low, high, min_open="gt" in found, max_open="lt" in found)


def _listed(_context: click.Context, _parameter: click.Parameter, values: Sequence[Any]) -> list[Any] | None:
    """The values of an option that may be repeated."""
    return list(values) or None


def _help(description: str, default: Any) -> str:
    """A description as a sentence, with a capital unless it begins with a name that is typed, and the default if there is one to show."""
    begun = description[:1].upper() + description[1:] if re.match(r"[a-z]+( |$)", description) else description
    text = begun if begun.endswith((".", "…")) or not begun else f"{begun}."
    items = [f"{item:g}" if isinstance(item, float) else str(item) for item in (default if isinstance(default, list) else [default])]
    hidden = default is None or isinstance(default, bool) or not any(items)
    return text if hidden else f"{text} [default: {','.join(items)}]"
