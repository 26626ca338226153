"""What LDS is compared with, on the same split: classifiers without a graph, label spreading, and a GCN on a fixed graph.

All are trained on train labels; hyper-parameters are chosen on the val and es rows, those of a GCN on es. Test labels only give the scores.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from numpy.typing import NDArray

from ..common.errors import UsageError, nearest
from ..common.reading.pairs import PairGraph
from ..common.reading.tables.encoder import Matrix
from .gcn_baseline import train_gcn
from .learning.neighbours import distinct_rows, knn_graph
from .scores import classification_scores
from .tables.table import SplitTable

NEIGHBOURS = (10, 20)  # the official grid, which LDS starts from too
METRICS = ("cosine", "euclidean")

Labels = NDArray[np.int64]
Graphs = dict[tuple[int, str], PairGraph]


@dataclass(frozen=True)
class Scores:
    """How a baseline did on the test rows, in [0, 1]; NaN where there are none.

    Args:
        accuracy: fraction of test rows with the right class.
        macro_f1: mean over classes of F1.
        chosen: hyper-parameters that did best on held-out rows.
    """

    accuracy: float
    macro_f1: float
    chosen: dict[str, Any]


@dataclass(frozen=True)
class _Task(SplitTable):
    """One table, split and seed, and the nearest-neighbour graphs that several baselines have in common."""

    graphs: Graphs

    @property
    def selection(self) -> NDArray[np.int64]:
        """The rows that hyper-parameters are chosen on."""
        return np.concatenate([self.split.val, self.split.es])


Predicted = tuple[Labels, dict[str, Any]]


def run_baselines(data: SplitTable, names: Iterable[str] | None = None) -> dict[str, Scores]:
    """Train the baselines and score them on the test rows; the same arguments give the same numbers.

    Args:
        data: the split has rows in train, val and es.
        names: some of `BASELINES`, or all that apply; `gcn` needs a table with a graph.

    Raises:
        UsageError: an unknown name, or `gcn` for a table without a graph.
    """
    table, split, seed = data.table, data.split, data.seed
    wanted = [name for name in BASELINES if name != "gcn" or table.graph is not None] if names is None else list(names)
    for name in wanted:
        if name not in BASELINES:
            raise UsageError(f"{name}: no baseline of that name", hint=nearest(name, BASELINES))
        if name == "gcn" and table.graph is None:
            raise UsageError("gcn: the table has no graph", hint="knn-gcn makes one of nearest neighbours")
    graphs = _graphs(table.features, seed) if {"label-spreading", "knn-gcn"} & set(wanted) else {}
    task = _Task(table, split, seed, graphs)
    scores = {}
    for name in wanted:
        predicted, chosen = BASELINES[name](task)
        scores[name] = Scores(**classification_scores(predicted, table.labels, split.test), chosen=chosen)
    return scores


def _graphs(features: Matrix, seed: int) -> Graphs:
    """kNN graphs of the grid, with a smaller k where the table has few distinct rows."""
    distinct = len(distinct_rows(features)[0])
    smaller = sorted({min(k, max(1, (distinct - 1) // 2)) for k in NEIGHBOURS})
    return {(k, metric): knn_graph(features, k, metric, seed=seed)[0] for metric, k in itertools.product(METRICS, smaller)}


def _best(task: _Task, grid: Sequence[dict[str, Any]], train: Callable[[dict[str, Any]], Labels]) -> Predicted:
    """The predictions [N] with the best accuracy on the selection rows; of equal ones the first."""
    best: tuple[float, Labels, dict[str, Any]] | None = None
    for chosen in grid:
        predicted = train(chosen)
        accuracy = float((predicted[task.selection] == task.table.labels[task.selection]).mean())
        if best is None or accuracy > best[0]:
            best = accuracy, predicted, chosen
    assert best is not None
    return best[1], best[2]


def _grid(**values: Sequence[Any]) -> list[dict[str, Any]]:
    """All combinations, the first values first: those are the defaults, which win where nothing is better."""
    return [dict(zip(values, combination, strict=True)) for combination in itertools.product(*values.values())]


def _classifier(build: Callable[..., Any], **values: Sequence[Any]) -> Callable[[_Task], Predicted]:
    """A scikit-learn classifier, made by `build(task, **chosen)`, and its grid."""

    def run(task: _Task) -> Predicted:
        features, labels, rows = task.table.features, task.table.labels, task.split.train

        def train(chosen: dict[str, Any]) -> Labels:
            with warnings.catch_warnings():
                # A training that stops at its limit of iterations is a candidate like another.
                warnings.simplefilter("ignore")
                return build(task, **chosen).fit(features[rows], labels[rows]).predict(features)

        return _best(task, _grid(**values), train)

    return run


def _logistic_regression(task: _Task, **chosen: Any) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000, random_state=task.seed, **chosen)


def _rbf_svm(task: _Task, gamma: float, **chosen: Any) -> Any:
    """`gamma` is a multiple of scikit-learn's default, 1 / (n * variance of the training features)."""
    from sklearn.svm import SVC

    known = task.table.features[task.split.train]
    cells = float(np.prod(known.shape))
    squares = np.square(known, dtype=np.float64).sum() if isinstance(known, np.ndarray) else known.multiply(known).sum()
    variance = float(squares) / cells - (float(known.sum(dtype=np.float64)) / cells) ** 2
    return SVC(kernel="rbf", gamma=gamma / (known.shape[1] * (variance or 1.0)), random_state=task.seed, **chosen)


def _random_forest(task: _Task, **chosen: Any) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(n_estimators=300, random_state=task.seed, **chosen)


def _mlp(task: _Task, **chosen: Any) -> Any:
    from sklearn.neural_network import MLPClassifier

    return MLPClassifier(hidden_layer_sizes=(64,), max_iter=500, random_state=task.seed, **chosen)


def _label_spreading(task: _Task) -> Predicted:
    """Zhou et al. 2004 on the graphs of nearest neighbours."""
    from sklearn.semi_supervised import LabelSpreading

    known = np.full(len(task.table.labels), -1, np.int64)
    known[task.split.train] = task.table.labels[task.split.train]

    def train(chosen: dict[str, Any]) -> Labels:
        adjacency = _adjacency(task.graphs[chosen["k"], chosen["metric"]])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # rows that no label reaches divide 0 by 0
            spread = LabelSpreading(kernel=lambda _rows, _other=None: adjacency, alpha=chosen["alpha"], max_iter=100)
            return spread.fit(np.zeros((len(known), 1)), known).transduction_

    graphs = [{"k": k, "metric": metric} for k, metric in task.graphs]
    return _best(task, [graph | {"alpha": alpha} for graph in graphs for alpha in (0.2, 0.8, 0.99)], train)


def _adjacency(graph: PairGraph) -> scipy.sparse.csr_matrix:
    ends = np.concatenate([graph.first, graph.second]), np.concatenate([graph.second, graph.first])
    return scipy.sparse.csr_matrix((np.concatenate([graph.prob] * 2), ends), shape=(graph.nodes, graph.nodes))


def _knn_gcn(task: _Task) -> Predicted:
    """The GCN on each graph of nearest neighbours; the one with the best es accuracy, of equal ones with the smallest es loss."""
    found = {key: train_gcn(task.table.features, graph, task.table.labels, task.split, task.seed) for key, graph in task.graphs.items()}
    key = max(found, key=lambda key: found[key].score)
    return found[key].predicted, {"k": key[0], "metric": key[1], "epoch": found[key].epoch}


def _gcn(task: _Task) -> Predicted:
    """The GCN on the graph that came with the table."""
    assert task.table.graph is not None
    found = train_gcn(task.table.features, task.table.graph.above(0), task.table.labels, task.split, task.seed)
    return found.predicted, {"epoch": found.epoch}


BASELINES: dict[str, Callable[[_Task], Predicted]] = {
    "logistic-regression": _classifier(_logistic_regression, C=(1.0, 0.1, 10.0, 0.01, 100.0)),
    "rbf-svm": _classifier(_rbf_svm, gamma=(1.0, 0.3, 3.0), C=(1.0, 10.0, 100.0)),
    "random-forest": _classifier(_random_forest, max_features=("sqrt", 0.5)),
    "mlp": _classifier(_mlp, alpha=(1e-4, 1e-2, 1.0)),
    "label-spreading": _label_spreading,
    "knn-gcn": _knn_gcn,
    "gcn": _gcn,
}
