"""The GCN of Kipf and Welling (2017) on a fixed graph, by torch-geometric: what LDS has to beat."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ..common.reading.pairs import PairGraph
from ..common.reading.tables.encoder import Matrix
from .tables.splits import Split


@dataclass(frozen=True)
class TrainedGcn:
    """A trained GCN.

    Args:
        predicted: classes of all rows, int64 [N].
        score: accuracy on es and minus its cross entropy, by which trainings are compared.
        epoch: the one that was best on es.
    """

    predicted: NDArray[np.int64]
    score: tuple[float, float]
    epoch: int


class _Gcn(nn.Module):
    def __init__(self, width: int, classes: int, hidden: int, dropout: float) -> None:
        from torch_geometric.nn import GCNConv

        super().__init__()
        self.dropout = dropout
        self.first = GCNConv(width, hidden, cached=True)
        self.second = GCNConv(hidden, classes, cached=True)

    def forward(self, features: Tensor, edges: Tensor, weight: Tensor) -> Tensor:
        """[N, n], [2, E], [E] -> logits [N, C]."""
        hidden = F.dropout(F.relu(self.first(features, edges, weight)), self.dropout, self.training)
        return self.second(hidden, edges, weight)


def train_gcn(
    features: Matrix,
    graph: PairGraph,
    labels: NDArray[np.int64],
    split: Split,
    seed: int,
    *,
    hidden: int = 16,
    dropout: float = 0.5,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    epochs: int = 200,
) -> TrainedGcn:
    """Train on train rows and keep the epoch with the best accuracy on es, of equal ones with the smallest cross entropy.

    The defaults are those of Kipf and Welling, but for their dropout of the input, which LDS does not have either.

    Args:
        features: float32 [N, n]; a sparse matrix stays sparse.
        graph: its probabilities are the edges' weights.
        labels: int64 [N]; only those of train and es are read.
        weight_decay: on the first layer.
    """
    # Forked, so that a caller's random numbers do not depend on whether a baseline was run.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inputs = _tensor(features)
        edges = torch.from_numpy(np.stack([np.concatenate([graph.first, graph.second]), np.concatenate([graph.second, graph.first])]))
        weight = torch.from_numpy(np.concatenate([graph.prob, graph.prob]))
        train, es = torch.from_numpy(split.train), torch.from_numpy(split.es)
        targets = torch.from_numpy(labels)
        network = _Gcn(features.shape[1], int(labels.max()) + 1, hidden, dropout)
        optimizer = torch.optim.Adam(
            [{"params": network.first.parameters(), "weight_decay": weight_decay}, {"params": network.second.parameters()}], lr=lr
        )
        best: TrainedGcn | None = None
        for epoch in range(1, epochs + 1):
            network.train()
            optimizer.zero_grad()
            F.cross_entropy(network(inputs, edges, weight)[train], targets[train]).backward()
            optimizer.step()
            network.eval()
            with torch.no_grad():
                logits = network(inputs, edges, weight)
            accuracy = float((logits[es].argmax(1) == targets[es]).double().mean())
            score = accuracy, -float(F.cross_entropy(logits[es], targets[es]))
            if best is None or score > best.score:
                best = TrainedGcn(logits.argmax(1).numpy(), score, epoch)
    assert best is not None
    return best


def _tensor(features: Matrix) -> Tensor:
    if isinstance(features, np.ndarray):
        return torch.from_numpy(np.ascontiguousarray(features, np.float32))
    features = features.sorted_indices()  # torch wants them so
    indptr, indices = (torch.from_numpy(np.asarray(part, np.int64)) for part in (features.indptr, features.indices))
    values = torch.from_numpy(features.data.astype(np.float32))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support")
        return torch.sparse_csr_tensor(indptr, indices, values, size=features.shape, check_invariants=True)
