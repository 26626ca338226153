"""A click group whose commands are imported only when they are called."""

from __future__ import annotations

import importlib
from typing import Any

import click

from ppr.methods.common.errors import nearest


class LazyGroup(click.Group):
    """Takes a table of name -> (import path "module:attribute", one-line help).

    Showing the group's help reads the table alone, which keeps `ppr --help` fast however heavy the commands are.
    """

    def __init__(self, *args: Any, table: dict[str, tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.table)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name not in self.table:
            return None
        module, attribute = self.table[name][0].split(":")
        return getattr(importlib.import_module(module), attribute)

    def resolve_command(self, context: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
        if args and not args[0].startswith("-") and args[0] not in self.table:
            hint = nearest(args[0], self.table)
            raise click.UsageError(f"no command '{args[0]}'" + (f" ({hint})" if hint else ""), context)
        return super().resolve_command(context, args)

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_path, text) in self.table.items()])
