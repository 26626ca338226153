"""What the installed package says it needs: its required distributions and its extras, read from its own metadata."""

from __future__ import annotations

import importlib.metadata
from dataclasses import dataclass
from functools import cache

from packaging.requirements import Requirement


@dataclass(frozen=True)
class Needed:
    """A distribution that ppr needs: what is installed of it (or None), and whether that satisfies the range."""

    name: str
    range: str
    installed: str | None

    @property
    def satisfied(self) -> bool:
        return self.installed is not None and Requirement(f"{self.name}{self.range}").specifier.contains(self.installed, prereleases=True)


def required() -> list[Needed]:
    """The distributions ppr cannot do without on this platform."""
    return [_needed(item) for item in _requirements() if item.marker is None or item.marker.evaluate({"extra": ""})]


def extras() -> dict[str, list[Needed]]:
    """Every extra and what it needs beyond the required distributions; `all`, which only names the others, is left out."""
    core = {item.name for item in required()}
    names = importlib.metadata.metadata("ppr").get_all("Provides-Extra") or []
    found = {}
    for extra in names:
        items = [item for item in _requirements() if item.marker is not None and item.marker.evaluate({"extra": extra})]
        own = [_needed(item) for item in items if item.name not in core]
        if all(item.name != "ppr" for item in own):
            found[extra] = own
    return found


def installed(extra: str) -> bool:
    """Whether everything an extra needs is there."""
    return all(item.satisfied for item in extras()[extra])


def version(distribution: str) -> str | None:
    """Installed version of a distribution."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


@cache
def _requirements() -> tuple[Requirement, ...]:
    return tuple(Requirement(line) for line in importlib.metadata.requires("ppr") or [])


def _needed(item: Requirement) -> Needed:
    return Needed(item.name, str(item.specifier), version(item.name))
