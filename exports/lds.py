"""The GCN of LDS as ONNX or TorchScript, on a graph of probabilities given at run time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ppr.methods.lds.network import Adjacency, Features, Weights, logits

from .write import Export, Format, write

Form = Literal["edges", "dense"]
#: Names of the inputs, and of their axes that have any length.
INPUTS: dict[Form, tuple[list[str], dict[str, dict[int, str]]]] = {
    "edges": (["features", "edge_index", "edge_prob"], {"features": {0: "nodes"}, "edge_index": {1: "edges"}, "edge_prob": {0: "edges"}}),
    "dense": (["features", "adjacency"], {"features": {0: "nodes"}, "adjacency": {0: "nodes", 1: "nodes"}}),
}
#: Nodes and pairs at which an exported file is compared with torch. The first is traced: none of its lengths is 0 or 1.
CASES = ((60, 200), (1, 0), (2, 1), (7, 0), (400, 6000))


class _FixedWeights(nn.Module):
    """A trained GCN's two matrices as what a file keeps of it."""

    def __init__(self, weights: Weights) -> None:
        super().__init__()
        self.first, self.second = (nn.Parameter(part, requires_grad=False) for part in weights)


class EdgeGCN(_FixedWeights):
    """The GCN on the expected graph, given as pairs (Franceschi et al. 2019, section 2; Kipf & Welling 2017).

    Shapes:
        features float32 [N, n], edge_index int64 [2, E], edge_prob float32 [E] -> probabilities float32 [N, C]. Each undirected pair
        comes once, in either direction, and no node is paired with itself.
    """

    def forward(self, features: Tensor, edge_index: Tensor, edge_prob: Tensor) -> Tensor:
        tail = torch.cat([edge_index[0], edge_index[1]])
        head = torch.cat([edge_index[1], edge_index[0]])
        prob = torch.cat([edge_prob, edge_prob])
        scale = torch.ones_like(features[:, 0]).index_add(0, tail, prob).rsqrt()[:, None]

        def propagate(values: Tensor) -> Tensor:
            scaled = values * scale
            return scale * scaled.index_add(0, tail, prob[:, None] * scaled[head])

        hidden = propagate(features @ self.first).relu()
        return propagate(hidden @ self.second).softmax(1)


class DenseGCN(_FixedWeights):
    """The GCN on the expected graph, given as a matrix.

    Shapes:
        features float32 [N, n], adjacency float32 [N, N], symmetric with a diagonal of 0 -> probabilities float32 [N, C].
    """

    def forward(self, features: Tensor, adjacency: Tensor) -> Tensor:
        scale = (1 + adjacency.sum(1, keepdim=True)).rsqrt()

        def propagate(values: Tensor) -> Tensor:
            scaled = values * scale
            return scale * (scaled + adjacency @ scaled)

        hidden = propagate(features @ self.first).relu()
        return propagate(hidden @ self.second).softmax(1)


def as_trained(weights: Weights, features: Tensor, graph: Tensor, prob: Tensor | None = None) -> Tensor:
    """The network as it was trained, on the inputs of either form: what a file is compared with."""
    if prob is None:
        first, second = torch.nonzero(graph.triu(1), as_tuple=True)
        prob = graph[first, second]
    else:
        first, second = graph
    adjacency = Adjacency.of_pairs(first, second, len(features), weight=prob, dtype=features.dtype)
    return logits(weights, Features(features), adjacency).softmax(1)


def export_gcn(
    weights: Weights,
    out: Path,
    *,
    form: Form,
    opset: int,
    metadata: Mapping[str, Any],
    overwrite: bool,
    format: Format = "onnx",
) -> dict[str, Any]:
    """Write the GCN, for any number of nodes and pairs, and compare it with torch before it is put in place.

    The file uses the expected graph: one pass with the probabilities as weights, D^-1/2 (A + I) D^-1/2 with A_ij = theta_ij. `infer`
    averages over sampled graphs, which gives nearly the same probabilities but not exactly.

    Args:
        weights: first [n, hidden], second [hidden, C].
        form: `edges` takes features [N, n], edge_index int64 [2, E] and edge_prob [E], each undirected pair once; `dense` takes features
            and adjacency [N, N], symmetric with a diagonal of 0. Both give probabilities [N, C].
        opset: 18 to 23; for ONNX.
        metadata: what the file says about itself; `form` is added.

    Returns:
        path, bytes, form, and parity: the largest difference and the number of cases.

    Raises:
        UsageError: the file exists already and shall not be overwritten.
        PprError: weights that are not finite, a probability that differs from torch by more than 1e-5 (the file is not written then), or
            an opset outside 18 to 23.
    """
    weights = Weights(*(part.detach().float().cpu().contiguous() for part in weights))
    inputs, axes = INPUTS[form]
    export = Export(
        (EdgeGCN if form == "edges" else DenseGCN)(weights),
        _cases(weights.first.shape[0], form),
        inputs=inputs,
        outputs=["probabilities"],
        axes=axes,
        metadata={**metadata, "form": form},
        reference=partial(as_trained, weights),
    )
    written = write(export, out, format, opset=opset, overwrite=overwrite)
    return {"path": str(out), "bytes": written.bytes, "form": form, "parity": written.compared}


def _cases(inputs: int, form: Form) -> Sequence[tuple[Tensor, ...]]:
    """Random features and graphs of the sizes of `CASES`, each pair once and in either direction."""
    generator = torch.Generator().manual_seed(0)
    cases: list[tuple[Tensor, ...]] = []
    for nodes, edges in CASES:
        features = torch.randn(nodes, inputs, generator=generator)
        pairs = torch.triu_indices(nodes, nodes, 1)
        pairs = pairs[:, torch.randperm(pairs.shape[1], generator=generator)[:edges]]
        pairs = torch.where(torch.rand(pairs.shape[1], generator=generator) < 0.5, pairs, pairs.flip(0)).contiguous()
        prob = torch.rand(pairs.shape[1], generator=generator)
        if form == "edges":
            cases.append((features, pairs, prob))
        else:
            adjacency = torch.zeros(nodes, nodes)
            adjacency[pairs[0], pairs[1]] = prob
            cases.append((features, adjacency + adjacency.T))
    return cases
