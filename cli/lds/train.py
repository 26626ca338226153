"""`ppr lds train` and `ppr lds config`."""

from __future__ import annotations

from typing import Any

import click

from .. import options
from . import _inputs as inputs
from ._session import run_session


@click.command()
@click.argument("table", required=False)
@inputs.table_options
@inputs.graph_options
@inputs.method_options
def train(table: str | None, **given: Any) -> None:
    """Learn from TABLE which rows belong together, and predict the labels that are missing.

    TABLE is a .csv, .tsv, .parquet or .npz file, '-' for csv on standard input, or wine, cancer, digits (bundled), cora, citeseer, pubmed.
    Where every row has a label, a part is held out and scored, LDS beside the usual baselines.

    \b
    ppr lds train patients.csv --label diagnosis --id patient --out runs/patients
    ppr lds train wine --seeds 5 --out runs/wine
    ppr lds train cora --keep-edges 0.5 --tau 5 --out runs/cora
    """
    run_session(table, given)


@click.command()
@options.quiet
def config() -> None:
    """Print the default training configuration as commented YAML, ready for --config."""
    from ppr.methods.common.config import commented_yaml
    from ppr.methods.lds.config import TrainConfig

    click.echo(commented_yaml(TrainConfig.model_validate({})), nl=False)
