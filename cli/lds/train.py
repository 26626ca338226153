"""`ppr lds train` and `ppr lds config`."""

from __future__ import annotations

import click

from .. import verbs
from ._inputs import GRAPH, METHOD, TABLE, TYPED
from ._session import Training, baselines_option

train = verbs.train(
    "lds",
    f"{TABLE} {GRAPH} {METHOD}",
    typed=TYPED,
    own=(click.argument("table", required=False), baselines_option),
    training=Training,
    doc="""Learn from TABLE which rows belong together, and predict the labels that are missing.

    TABLE is a .csv, .tsv, .parquet or .npz file, '-' for csv on standard input, or wine, cancer, digits (bundled), cora, citeseer, pubmed.
    Where every row has a label, a part is held out and scored, LDS beside the usual baselines.

    \b
    ppr lds train patients.csv --label diagnosis --id patient --out runs/patients
    ppr lds train wine --seeds 5 --out runs/wine
    ppr lds train cora --keep-edges 0.5 --tau 5 --out runs/cora
    """,
)
config = verbs.config("lds")
