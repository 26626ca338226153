"""A click group whose commands are imported only when they are called."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from ppr.methods.common.errors import PprError, nearest


class LazyGroup(click.Group):
    """Takes a table of name -> (import path "module:attribute", one-line help).

    Showing the group's help and completing its commands read the table alone, which keeps them fast however heavy the commands are.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def lines(self) -> dict[str, str]:
        """The commands' names and their one-line helps, in the order shown."""
        return {name: text for name, (_path, text) in self.table.items()}

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.lines())

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        module, attribute = self.table[name][0].split(":")
        if module.startswith("ppr."):
            return getattr(importlib.import_module(module), attribute)
        try:
            return getattr(importlib.import_module(module), attribute)
        except (Exception, SystemExit) as error:  # somebody else's module: whatever it raises
            raise PprError(
                f"{context.command_path} {name}: {module} cannot be imported ({type(error).__name__}: {error})",
                hint="a fault of the package that brings it; PPR_DEBUG=1 shows where",
            ) from error

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and self.get_command(context, args[0]) is None:
            hint = nearest(args[0], self.lines())
            raise click.UsageError(f"no command '{args[0]}'" + (f" ({hint})" if hint else ""), context)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(self.lines().items()))

    def shell_complete(self, context: click.Context, incomplete: str) -> list[CompletionItem]:
        commands = [CompletionItem(name, help=text) for name, text in self.lines().items() if name.startswith(incomplete)]
        # Not super(), which would import every command for the same two words.
        return commands + click.Command.shell_complete(self, context, incomplete)
