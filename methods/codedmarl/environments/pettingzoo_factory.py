"""Functions that make parallel environments of PettingZoo, named as module:function."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable
from typing import Any

from ...common.errors import UsageError, missing_extra

#: Makes an instance; the argument says whether pictures of it will be asked for.
Build = Callable[[bool], Any]

_EXTRA = ("gymnasium", "mpe2", "pettingzoo")


def factory(name: str) -> Build:
    """The function that module:function names, ready to be called for each instance.

    Raises:
        UsageError: not of that form, not importable, not callable.
        PprError: pettingzoo or gymnasium is not installed.
    """
    require("pettingzoo", "gymnasium")
    module, _, function = name.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), function)):
        raise UsageError(f"'{name}' does not name a function", hint="write module:function, for example mpe2.simple_spread_v3:parallel_env")
    try:
        home = importlib.import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        require(*(package for package in _EXTRA if missing.split(".")[0] == package))
        if not f"{module}.".startswith(f"{missing}."):
            raise UsageError(f"{name}: {module} needs the package '{missing}'", hint=f"pip install {missing.split('.')[0]}") from error
        raise UsageError(
            f"{name}: there is no module '{module}'", hint="a file of this folder is found with PYTHONPATH=. before the command"
        ) from error
    except Exception as error:
        raise UsageError(f"{name}: importing '{module}' failed ({brief(error)})") from error
    if not hasattr(home, function):
        raise UsageError(f"{name}: the module '{module}' has no '{function}'")
    found = getattr(home, function)
    if not callable(found):
        raise UsageError(f"{name}: not a function that makes an environment, but of type {type(found).__name__}")
    return lambda drawable: _called(name, found, drawable)


def require(*packages: str) -> None:
    """Raise PprError unless these packages of the extra `marl` are installed."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            raise missing_extra(package, "marl")


def brief(error: Exception) -> str:
    """Kind and first line of an error."""
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"


def _called(name: str, function: Callable[..., Any], drawable: bool) -> Any:
    """A new parallel environment.

    Raises:
        UsageError: the function fails, or makes something else.
    """
    from pettingzoo import AECEnv, ParallelEnv

    try:
        known = inspect.signature(function).parameters.values()
        takes_mode = any(parameter.name == "render_mode" or parameter.kind is parameter.VAR_KEYWORD for parameter in known)
    except ValueError:
        takes_mode = False
    try:
        made = function(render_mode="rgb_array") if drawable and takes_mode else function()
    except Exception as error:
        raise UsageError(f"{name}: making the environment failed ({brief(error)})") from error
    if isinstance(made, AECEnv):
        raise UsageError(f"{name}: makes an environment whose agents act in turn", hint="wrap it with pettingzoo.utils.aec_to_parallel")
    if not isinstance(made, ParallelEnv):
        raise UsageError(f"{name}: makes a {type(made).__name__}, not a parallel environment of PettingZoo")
    return made
