"""The group `ppr lds` and its table of verbs."""

from __future__ import annotations

import click

from ..lazy import LazyGroup

VERBS = {
    "train": ("ppr.cli.lds.train:train", "Learn a graph from a table, predict its missing labels, print the baselines beside it."),
    "repair": ("ppr.cli.lds.repair:repair", "The same from a given, incomplete or noisy graph: which edges were kept, added, removed."),
    "infer": ("ppr.cli.lds.infer:infer", "Predict new rows, or the rows the graph was learned on."),
    "evaluate": ("ppr.cli.lds.evaluate:evaluate", "Scores of a run on its test rows, and of the baselines on the same split."),
    "explain": ("ppr.cli.lds.explain:explain", "A row's learned neighbours, and the prediction without each of them."),
    "graph": ("ppr.cli.lds.graph:graph", "The learned graph as graphml, gexf, csv, npz, json or PyTorch Geometric tensors."),
    "export": ("ppr.cli.lds.export:export", "The GCN as ONNX, with features and graph as inputs."),
    "bench": ("ppr.cli.lds.bench:bench", "Seconds and memory of a hypergradient: factored against dense back-propagation."),
    "config": ("ppr.cli.lds.train:config", "Print the default configuration as commented YAML."),
}


@click.group(cls=LazyGroup, table=VERBS)
def lds() -> None:
    """Learn a graph from a table, and the GCN that uses it (LDS, Franceschi et al., ICML 2019).

    \b
    ppr lds train patients.csv --label diagnosis --out runs/patients   rows with an empty diagnosis are predicted
    ppr lds train wine --out runs/wine                                 a data set that comes along
    ppr lds explain runs/patients --row 17                             why
    ppr lds graph runs/patients --format graphml -o patients.graphml   for Gephi, NetworkX, PyG
    ppr lds repair papers.csv --label topic --graph cites.csv --out runs/papers
    """
