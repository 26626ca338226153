"""A learned graph as a file that graph programs and libraries open: Gephi, networkx, NumPy, PyTorch Geometric, or anything that reads csv.

graphml  gexf  json   nodes with their attributes, edges with `prob`; the node's id is the row's id
csv                   source,target,prob by id
npz                   rows, cols int64 [E], prob float32 [E], ids [N]; `numpy.load` needs no pickle
pyg                   a dict of tensors; `Data(**torch.load(path, weights_only=True))` makes it a torch_geometric.data.Data
"""

from __future__ import annotations

import csv
import io
import json
import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ppr.methods.common.errors import UsageError, nearest
from ppr.methods.common.reading.files import atomic_open, free_name
from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.common.reading.tables.encoder import Matrix
from ppr.methods.lds.tables.splits import PARTS, Split

if TYPE_CHECKING:
    import networkx as nx

log = logging.getLogger("ppr")

SUFFIXES = {"graphml": ".graphml", "gexf": ".gexf", "npz": ".npz", "csv": ".csv", "json": ".json", "pyg": ".pt"}
#: What an XML 1.0 document cannot hold, not even as an entity.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class NodeTable:
    """What is known about the nodes of a graph, in its order.

    Args:
        ids: N unique names.
        labels: N names of classes; None where the class is not known.
        predicted: N names of classes.
        confidence: float32 [N], the probability of the predicted class.
        split: the rows of each part.
        classes: names in the order in which the `y` of a pyg file counts them; without it, all names above, sorted.

    Raises:
        ValueError: lengths that differ, an id that comes twice, or a label that is not in `classes`.
    """

    ids: Sequence[str]
    labels: Sequence[str | None]
    predicted: Sequence[str] | None = None
    confidence: NDArray[np.float32] | None = None
    split: Split | None = None
    classes: Sequence[str] | None = None

    def __post_init__(self) -> None:
        if any(column is not None and len(column) != len(self.ids) for column in (self.labels, self.predicted, self.confidence)):
            raise ValueError("columns of different lengths")
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("an id comes twice")
        if self.classes is not None and not self._names() <= set(self.classes):
            raise ValueError(f"labels that are no class: {sorted(self._names() - set(self.classes))[:5]}")

    def _names(self) -> set[str]:
        return {name for name in (*self.labels, *(self.predicted or ())) if name is not None}

    def numbers(self, names: Sequence[str | None]) -> NDArray[np.int64]:
        """Names of classes as int64 numbers from 0 on; None is -1."""
        place: dict[str | None, int] = {name: at for at, name in enumerate(self.classes or sorted(self._names()))}
        return np.array([place.get(name, -1) for name in names], np.int64)

    def attributes(self) -> list[dict[str, Any]]:
        """Label, predicted, confidence and split of each node, as far as they are known."""
        columns: dict[str, Sequence[Any]] = {"label": self.labels}
        if self.predicted is not None:
            columns["predicted"] = self.predicted
        if self.confidence is not None:
            columns["confidence"] = [value if np.isfinite(value) else None for value in _shortest(self.confidence)]
        if self.split is not None:
            columns["split"] = [part or None for part in self.split.names(len(self.ids))]
        rows = zip(*columns.values(), strict=True)
        return [{name: value for name, value in zip(columns, row, strict=True) if value is not None} for row in rows]


def write_graph(
    graph: PairGraph, nodes: NodeTable, path: Path, format: str | None = None, *, overwrite: bool, features: Matrix | None = None
) -> Path:
    """Write the pairs of probability above 0 and what is known about the nodes, whole or not at all.

    XML has no way to hold control characters and lone surrogates: in graphml and gexf they become `\\x01` and the like, with a warning in
    the log; an id that would then equal another gets a number. In csv only lone surrogates are, which UTF-8 does not have.

    A pyg file is a dict of tensors: edge_index int64 [2, 2E], both directions of each pair; edge_attr float32 [2E]; y int64 [N], -1 where
    unknown; pred int64 [N] and confidence float32 [N] where the nodes have them; train_mask, val_mask, es_mask and test_mask bool [N]
    where they have a split; x float32 [N, n] where features are given, else the number num_nodes.

    Args:
        format: one of `SUFFIXES`; None takes it from the suffix of the path.
        features: float32 [N, n], for pyg; sparse ones are written dense.

    Returns:
        the path.

    Raises:
        UsageError: an unknown format or suffix, or a file that exists already and shall not be overwritten.
        PprError: the folder cannot be written.
        ValueError: the graph, the nodes and the features are not of the same number.
    """
    kind = _known_format(path, format)
    if len(nodes.ids) != graph.nodes or (features is not None and features.shape[0] != graph.nodes):
        raise ValueError(f"{len(nodes.ids)} rows for a graph of {graph.nodes} nodes")
    edges = graph.above(0)
    with atomic_open(path, overwrite=overwrite) as stream:
        if kind == "pyg":
            _write_pyg(edges, nodes, features, stream)
        else:
            if kind in ("graphml", "gexf"):
                nodes = _for_xml(nodes, path)
            WRITERS[kind](edges, nodes, stream)
    return path


def _known_format(path: Path, format: str | None) -> str:
    if format is None:
        found = [kind for kind, suffix in SUFFIXES.items() if suffix == path.suffix.lower()]
        if not found:
            raise UsageError(
                f"{path}: '{path.suffix}' is no suffix of a graph format", hint=f"one of: {', '.join(SUFFIXES.values())}; or give --format"
            )
        return found[0]
    if format not in SUFFIXES:
        raise UsageError(f"{path}: '{format}' is no graph format known here", hint=nearest(format, SUFFIXES))
    return format


def _for_xml(nodes: NodeTable, path: Path) -> NodeTable:
    """The same nodes without characters that would break an XML file."""
    changed = sum(_NOT_XML.search(text) is not None for text in (*nodes.ids, *nodes._names()))
    if not changed:
        return nodes
    log.warning("%s: %d ids or classes have control characters, which XML cannot hold; they are written like \\x01", path, changed)
    taken = {name for name in nodes.ids if not _NOT_XML.search(name)}
    return replace(
        nodes,
        ids=[free_name(_escaped(name), taken) if _NOT_XML.search(name) else name for name in nodes.ids],
        labels=[None if name is None else _escaped(name) for name in nodes.labels],
        predicted=None if nodes.predicted is None else [_escaped(name) for name in nodes.predicted],
        classes=None,
    )


def _escaped(text: str) -> str:
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def _shortest(values: NDArray[np.float32]) -> list[float]:
    """float32 numbers as the floats of their shortest text: 0.1 instead of 0.10000000149011612. Read back as float32 they are the same."""
    texts, inverse = np.unique(values, return_inverse=True)
    return texts.astype(str).astype(np.float64)[inverse].tolist()


def _networkx(edges: PairGraph, nodes: NodeTable) -> nx.Graph:
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(zip(nodes.ids, nodes.attributes(), strict=True))
    names = np.array(nodes.ids, object)
    probs = ({"prob": prob} for prob in _shortest(edges.prob))
    graph.add_edges_from(zip(names[edges.first].tolist(), names[edges.second].tolist(), probs, strict=True))
    return graph


def _write_graphml(edges: PairGraph, nodes: NodeTable, stream: BinaryIO) -> None:
    import networkx as nx

    nx.write_graphml(_networkx(edges, nodes), stream, named_key_ids=True)


def _write_gexf(edges: PairGraph, nodes: NodeTable, stream: BinaryIO) -> None:
    import networkx as nx

    graph = _networkx(edges, nodes)
    for _node, data in graph.nodes(data=True):
        data.setdefault("label", "")  # GEXF has a label on every node; without one networkx would write the id there
    nx.write_gexf(graph, stream)


def _write_json(edges: PairGraph, nodes: NodeTable, stream: BinaryIO) -> None:
    import networkx as nx

    stream.write(json.dumps(nx.node_link_data(_networkx(edges, nodes), edges="edges"), allow_nan=False).encode())


def _write_csv(edges: PairGraph, nodes: NodeTable, stream: BinaryIO) -> None:
    names = np.array(nodes.ids, object)
    text = io.TextIOWrapper(stream, encoding="utf-8", errors="backslashreplace", newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["source", "target", "prob"])
    writer.writerows(zip(names[edges.first].tolist(), names[edges.second].tolist(), _shortest(edges.prob), strict=True))
    text.detach()  # flushed, and the stream left open


def _write_npz(edges: PairGraph, nodes: NodeTable, stream: BinaryIO) -> None:
    np.savez_compressed(stream, rows=edges.first, cols=edges.second, prob=edges.prob, ids=np.array(nodes.ids, str))


def _write_pyg(edges: PairGraph, nodes: NodeTable, features: Matrix | None, stream: BinaryIO) -> None:
    import torch

    ends = np.stack([edges.first, edges.second])
    arrays: dict[str, NDArray[Any]] = {
        "edge_index": np.concatenate([ends, ends[::-1]], axis=1),
        "edge_attr": np.tile(edges.prob, 2),
        "y": nodes.numbers(nodes.labels),
    }
    if nodes.predicted is not None:
        arrays["pred"] = nodes.numbers(nodes.predicted)
    if nodes.confidence is not None:
        arrays["confidence"] = nodes.confidence
    if nodes.split is not None:
        for part in PARTS:
            arrays[f"{part}_mask"] = np.isin(np.arange(edges.nodes), getattr(nodes.split, part))
    if features is not None:
        arrays["x"] = features if isinstance(features, np.ndarray) else features.toarray()
    # PyTorch Geometric counts nodes by x; without it, isolated nodes at the end would be lost.
    extra = {} if features is not None else {"num_nodes": edges.nodes}
    torch.save({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()} | extra, stream)


WRITERS: dict[str, Callable[[PairGraph, NodeTable, BinaryIO], None]] = {
    "graphml": _write_graphml,
    "gexf": _write_gexf,
    "json": _write_json,
    "csv": _write_csv,
    "npz": _write_npz,
}
