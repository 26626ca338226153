"""How much work something is, told by counting: the same on every machine, however busy it is."""

from __future__ import annotations

import cProfile
from collections.abc import Callable
from typing import Any


def calls(function: Callable[..., Any], *arguments: Any) -> int:
    """How many calls of functions, Python's and built-in ones, a call makes: the number of loops over small things that it goes through."""
    profile = cProfile.Profile()
    profile.runcall(function, *arguments)
    return sum(entry.callcount for entry in profile.getstats())
