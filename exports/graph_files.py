"""A graph as a file that graph programs and libraries open: Gephi, networkx, NumPy, PyTorch Geometric, or anything that reads csv.

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
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ppr.methods.common.errors import UsageError, nearest
from ppr.methods.common.reading.files import atomic_open, free_name
from ppr.methods.common.reading.pairs import PairGraph

if TYPE_CHECKING:
    import networkx as nx

log = logging.getLogger("ppr")

Plain: TypeAlias = str | int | float | bool | None
SUFFIXES = {"graphml": ".graphml", "gexf": ".gexf", "npz": ".npz", "csv": ".csv", "json": ".json", "pyg": ".pt"}
#: What an XML 1.0 document cannot hold, not even as an entity.
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True)
class NodeTable:
    """What is known about the nodes of a graph, in its order.

    Args:
        ids: N unique names.
        columns: N plain values each, by name, for graphml, gexf and json; None and numbers that are not finite are left out of a node.
        tensors: arrays [N, …] by name, for pyg, which has them as they are.

    Raises:
        ValueError: lengths that differ, or an id that comes twice.
    """

    ids: Sequence[str]
    columns: Mapping[str, Sequence[Plain]] = field(default_factory=dict)
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        lengths = {name: len(values) for name, values in (*self.columns.items(), *self.tensors.items())}
        wrong = [name for name, length in lengths.items() if length != len(self.ids)]
        if wrong:
            raise ValueError(f"'{wrong[0]}' has {lengths[wrong[0]]} values for {len(self.ids)} nodes")
        if len(set(self.ids)) != len(self.ids):
            raise ValueError("an id comes twice")

    def attributes(self) -> list[dict[str, Plain]]:
        """What is known of each node."""
        rows = zip(*self.columns.values(), strict=True) if self.columns else [()] * len(self.ids)
        return [{name: value for name, value in zip(self.columns, row, strict=True) if _known(value)} for row in rows]


def write_graph(graph: PairGraph, nodes: NodeTable, path: Path, format: str | None = None, *, overwrite: bool) -> Path:
    """Write the pairs of probability above 0 and what is known about the nodes, whole or not at all.

    XML has no way to hold control characters and lone surrogates: in graphml and gexf they become `\\x01` and the like, with a warning in
    the log; an id that would then equal another gets a number. In csv only lone surrogates are, which UTF-8 does not have.

    A pyg file is a dict of tensors: edge_index int64 [2, 2E], both directions of each pair; edge_attr float32 [2E]; the `tensors` of the
    nodes; and the number num_nodes where no `x` is among them.

    Args:
        format: one of `SUFFIXES`; None takes it from the suffix of the path.

    Returns:
        the path.

    Raises:
        UsageError: an unknown format or suffix, or a file that exists already and shall not be overwritten.
        PprError: the folder cannot be written.
        ValueError: the graph and the nodes are not of the same number.
    """
    kind = graph_format(path, format)
    if len(nodes.ids) != graph.nodes:
        raise ValueError(f"{len(nodes.ids)} rows for a graph of {graph.nodes} nodes")
    with atomic_open(path, overwrite=overwrite) as stream:
        WRITERS[kind](graph.above(0), _for_xml(nodes, path) if kind in ("graphml", "gexf") else nodes, stream)
    return path


def graph_format(path: Path, format: str | None) -> str:
    """The format that is asked for, or else that of the suffix.

    Raises:
        UsageError: an unknown one.
    """
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


def _known(value: Plain) -> bool:
    return value is not None and not (isinstance(value, float) and not math.isfinite(value))


def _for_xml(nodes: NodeTable, path: Path) -> NodeTable:
    """The same nodes without characters that would break an XML file."""
    texts = {value for values in nodes.columns.values() for value in values if isinstance(value, str)}
    changed = sum(_NOT_XML.search(text) is not None for text in (*nodes.ids, *texts))
    if not changed:
        return nodes
    log.warning("%s: %d ids or texts have control characters, which XML cannot hold; they are written like \\x01", path, changed)
    taken = {name for name in nodes.ids if not _NOT_XML.search(name)}
    return replace(
        nodes,
        ids=[free_name(_escaped(name), taken) if _NOT_XML.search(name) else name for name in nodes.ids],
        columns={
            name: [_escaped(value) if isinstance(value, str) else value for value in values] for name, values in nodes.columns.items()
        },
    )


def _escaped(text: str) -> str:
    return _NOT_XML.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def shortest(values: NDArray[np.float32]) -> list[float]:
    """float32 numbers as the floats of their shortest text: 0.1 instead of 0.10000000149011612. Read back as float32 they are the same."""
    texts, inverse = np.unique(values, return_inverse=True)
    return texts.astype(str).astype(np.float64)[inverse].tolist()


def _networkx(edges: PairGraph, nodes: NodeTable) -> nx.Graph:
    import networkx as nx

    graph = nx.Graph()
    graph.add_nodes_from(zip(nodes.ids, nodes.attributes(), strict=True))
    names = np.array(nodes.ids, object)
    probs = ({"prob": prob} for prob in shortest(edges.prob))
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
    writer.writerows(zip(names[edges.first].tolist(), names[edges.second].tolist(), shortest(edges.prob), strict=True))
    text.detach()  # flushed, and the stream left open


def _write_npz(edges: PairGraph, nodes: NodeTable, stream: BinaryIO) -> None:
    np.savez_compressed(stream, rows=edges.first, cols=edges.second, prob=edges.prob, ids=np.array(nodes.ids, str))


def _write_pyg(edges: PairGraph, nodes: NodeTable, stream: BinaryIO) -> None:
    import torch

    ends = np.stack([edges.first, edges.second])
    arrays = {"edge_index": np.concatenate([ends, ends[::-1]], axis=1), "edge_attr": np.tile(edges.prob, 2), **nodes.tensors}
    # PyTorch Geometric counts nodes by x; without it, isolated nodes at the end would be lost.
    extra = {} if "x" in arrays else {"num_nodes": edges.nodes}
    torch.save({name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()} | extra, stream)


WRITERS: dict[str, Callable[[PairGraph, NodeTable, BinaryIO], None]] = {
    "graphml": _write_graphml,
    "gexf": _write_gexf,
    "json": _write_json,
    "csv": _write_csv,
    "npz": _write_npz,
    "pyg": _write_pyg,
}
