"""Commands of `ppr lds`."""

from __future__ import annotations

from ..method import Method

METHOD = Method(
    "lds",
    __name__,
    title="Learning Discrete Structures for Graph Neural Networks",
    published="Franceschi et al., ICML 2019",
    url="https://arxiv.org/abs/1903.11960",
    line="LDS: a graph learned from a table, with the GCN that uses it; repair of given graphs.",
    help="Learn a graph from a table, and the GCN that uses it (LDS, Franceschi et al., ICML 2019).",
    verbs={
        "train": "Learn a graph from a table, predict its missing labels, print the baselines beside it.",
        "repair": "The same from a given, incomplete or noisy graph: which edges were kept, added, removed.",
        "infer": "Predict new rows, or the rows the graph was learned on.",
        "evaluate": "Scores of a run on its test rows, and of the baselines on the same split.",
        "explain": "A row's learned neighbours, and the prediction without each of them.",
        "graph": "The learned graph as graphml, gexf, csv, npz, json or PyTorch Geometric tensors.",
        "export": "The GCN as ONNX, with features and graph as inputs.",
        "bench": "Seconds and memory of a hypergradient: factored against dense back-propagation.",
        "config": "Print the default configuration as commented YAML.",
    },
    examples=[
        "ppr lds train patients.csv --label diagnosis --out runs/patients   rows with an empty diagnosis are predicted",
        "ppr lds train wine --out runs/wine                                 a data set that comes along",
        "ppr lds explain runs/patients --row 17                             why",
        "ppr lds graph runs/patients --format graphml -o patients.graphml   for Gephi, NetworkX, PyG",
        "ppr lds repair papers.csv --label topic --graph cites.csv --out runs/papers",
    ],
)
