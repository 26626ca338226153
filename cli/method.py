"""What a method says about itself, and which methods there are: those of this package and those that other packages add."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from .lazy import LazyGroup

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

#: The methods of this package, in the order shown; the one line that registers a method. Each is a folder here that holds METHOD.
METHODS = ("saliency", "imnet", "lds", "codedmarl")
#: The entry points by which another package adds methods: NAME = "package.that.holds:METHOD".
ENTRY_POINTS = "ppr.methods"


@dataclass(frozen=True)
class Method:
    """A paper as a group of commands. Help, `ppr list`, `ppr doctor`, completion and the tests over all methods read this, nothing else.

    Args:
        name: of the group, `ppr NAME`.
        package: where its commands lie, the `__name__` of the package that holds the record.
        title, published, url: of the paper.
        line: what `ppr --help` says of it.
        help: what its own help begins with.
        verbs: its commands, each with its line of help, in the order shown. VERB is the command VERB of the module PACKAGE.VERB, but for
            `config`, which lies beside `train`.
        examples: command lines at the end of its help.
        extra: the optional extra that its commands cannot do without.
        elsewhere: "module:attribute" below the package of verbs that lie somewhere else, because their names are taken.
    """

    name: str
    package: str
    title: str
    published: str
    url: str
    line: str
    help: str
    verbs: Mapping[str, str]
    examples: Sequence[str]
    extra: str | None = None
    elsewhere: Mapping[str, str] = field(default_factory=dict)

    def place(self, verb: str) -> str:
        """Where a verb's command is, as "module:attribute"."""
        module = "train" if verb == "config" else verb
        return f"{self.package}.{self.elsewhere.get(verb, f'{module}:{verb}')}"

    def group(self) -> LazyGroup:
        """`ppr NAME`."""
        shown = "\n\n\b\n".join((self.help, "\n".join(self.examples)))
        return LazyGroup(self.name, help=shown, table={verb: (self.place(verb), line) for verb, line in self.verbs.items()})


def methods() -> list[Method]:
    """All of them: this package's, then those of others by name, without those that cannot be used."""
    return [_own(name) for name in METHODS] + list(outside().methods.values())


def find(name: str) -> Method | None:
    """The method of a name."""
    return _own(name) if name in METHODS else outside().methods.get(name)


@dataclass(frozen=True)
class Outside:
    """What other packages add: methods by name, and of those that cannot be used why."""

    methods: dict[str, Method] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)


@cache
def outside() -> Outside:
    """The methods of other packages. Somebody else's fault is noted in `broken`, and never raised."""
    found = Outside()
    if not _announced():
        return found
    from importlib.metadata import entry_points

    for entry in sorted(entry_points(group=ENTRY_POINTS), key=lambda entry: entry.name):
        try:
            found.methods[entry.name] = _loaded(entry, found.methods)
        except (Exception, SystemExit) as error:  # other people's code, which may do anything
            first = (str(error).splitlines() or [""])[0][:160]
            found.broken[entry.name] = f"{entry.value}: {first if isinstance(error, _Unusable) else f'{type(error).__name__}: {first}'}"
    return found


def complain() -> None:
    """A line of warning for each method of another package that cannot be used."""
    from . import output

    for name, reason in outside().broken.items():
        output.note(f"warning: the method '{name}' of another package cannot be used ({reason})")


def _own(name: str) -> Method:
    return importlib.import_module(f"{__package__}.{name}").METHOD


class _Unusable(Exception):
    """Why something that an entry point names is no method."""


def _loaded(entry: EntryPoint, before: Mapping[str, Method]) -> Method:
    if entry.name in (*METHODS, *before):
        raise _Unusable(f"the name '{entry.name}' is taken")
    method = entry.load()
    if not isinstance(method, Method):
        raise _Unusable(f"a {type(method).__name__}, not a Method")
    if method.name != entry.name:
        raise _Unusable(f"calls itself '{method.name}', not '{entry.name}'")
    return method


def _announced() -> bool:
    """Whether an installed package mentions the entry points at all.

    Asking `importlib.metadata` costs 35 ms among 140 packages, looking into their files 5 ms; most people have no such package.
    """
    for folder in {Path(entry or ".") for entry in sys.path}:
        for file in folder.glob("*-info/entry_points.txt"):
            with contextlib.suppress(OSError):
                if ENTRY_POINTS.encode() in file.read_bytes():
                    return True
    return False
