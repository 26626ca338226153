"""`ppr codedmarl config`."""

from __future__ import annotations

import click

from .. import options


@click.command()
@click.option("--preset", default=None, metavar="NAME", help="demo: a few minutes on two cores; paper: the paper's settings.")
@options.quiet
def config(preset: str | None) -> None:
    """Print the default training configuration as commented YAML, ready for --config.

    \b
    ppr codedmarl config --preset demo > demo.yaml
    """
    from ppr.methods.codedmarl.config import TrainConfig
    from ppr.methods.codedmarl.config import preset as values_of
    from ppr.methods.common.config import commented_yaml, load_config

    click.echo(commented_yaml(load_config(TrainConfig, base=values_of(preset) if preset else None)), nl=False)
