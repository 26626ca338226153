"""`ppr list`: the papers, their verbs, and whether what they need is installed."""

from __future__ import annotations

from typing import Any

import click

from .. import options, output
from ..method import complain, methods


@click.command("list")
@options.json_lines
@options.quiet
def list_methods(as_json: bool) -> None:
    """The papers, their verbs, and whether their extras are installed."""
    from . import extras

    complain()
    rows: list[dict[str, Any]] = []
    for method in methods():
        row: dict[str, Any] = {"method": method.name, "paper": method.title, "published": method.published, "url": method.url}
        row |= {"verbs": list(method.verbs) if as_json else " ".join(method.verbs)}
        row |= {"extra": method.extra, "installed": method.extra is None or extras.installed(method.extra)}
        rows.append(row)
    output.table(rows, as_json=as_json)
    missing = sorted({str(row["extra"]) for row in rows if not row["installed"]})
    if missing:
        output.note(f"not installed: pip install 'ppr[{','.join(missing)}]'")
