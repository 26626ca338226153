"""`ppr completion`: how a shell completes ppr's commands and options."""

from __future__ import annotations

import os
from pathlib import Path

import click

from .. import options, output

#: Shell -> the line that switches completion on, and the file it belongs into.
SHELLS = {
    "bash": ('eval "$(_PPR_COMPLETE=bash_source ppr)"', "~/.bashrc"),
    "zsh": ('eval "$(_PPR_COMPLETE=zsh_source ppr)"', "~/.zshrc"),
    "fish": ("_PPR_COMPLETE=fish_source ppr | source", "~/.config/fish/completions/ppr.fish"),
}


@click.command()
@click.argument("shell", type=click.Choice(list(SHELLS)), required=False)
@options.quiet
def completion(shell: str | None) -> None:
    """Print the line that makes the Tab key complete ppr's commands in SHELL [default: the one of $SHELL].

    For example: ppr completion bash >> ~/.bashrc
    """
    running = Path(os.environ.get("SHELL", "")).name
    chosen = shell or (running if running in SHELLS else "bash")
    line, file = SHELLS[chosen]
    click.echo(line)
    output.note(f"add this line to {file} (`ppr completion {chosen} >> {file}`) and open a new {chosen}")
