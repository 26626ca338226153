"""Options of the commands that let trained agents play."""

from __future__ import annotations

import click

from .. import options

play_options = options.together(
    click.option("--sampled", is_flag=True, help="Draw actions as in training. [default: those without noise]"),
    click.option(
        "--env",
        default=None,
        metavar="NAME",
        help="Another environment with the same agents; to be given for module:function, which it imports.",
    ),
    options.seed,
)
