"""The two-layer GCN of LDS on sampled graphs (Franceschi et al. 2019, section 2; Kipf & Welling 2017).

Graphs are sparse throughout: a product with the normalised adjacency costs (edges x columns), whatever the number of nodes.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor


class Weights(NamedTuple):
    """Both layers, without biases: first [n, hidden], second [hidden, classes]."""

    first: Tensor
    second: Tensor

    @classmethod
    def glorot(cls, inputs: int, hidden: int, classes: int, generator: torch.Generator, like: Tensor) -> Weights:
        """Glorot-uniform initial weights of the dtype and device of `like`."""

        def layer(rows: int, columns: int) -> Tensor:
            bound = math.sqrt(6 / (rows + columns))
            drawn = torch.empty(rows, columns, dtype=like.dtype).uniform_(-bound, bound, generator=generator)
            return drawn.to(like.device)

        return cls(layer(inputs, hidden), layer(hidden, classes))


@dataclass(frozen=True)
class Adjacency:
    """An undirected graph as a GCN uses it: D^-1/2 (A + I) D^-1/2.

    Args:
        matrix: sparse CSR [N, N], normalised.
        scale: D^-1/2, [N], D being the row sums of A + I.
    """

    matrix: Tensor
    scale: Tensor

    @classmethod
    def of_pairs(cls, first: Tensor, second: Tensor, nodes: int, weight: Tensor | None = None, *, dtype: torch.dtype) -> Adjacency:
        """From pairs first != second, int64 [P], each once in either order; weights [P] are 1 if not given."""
        loops = torch.arange(nodes, device=first.device)
        keys = torch.cat([first * nodes + second, second * nodes + first, loops * (nodes + 1)])
        if weight is None:
            keys = keys.sort().values
            values = torch.ones(len(keys), dtype=dtype, device=keys.device)
        else:
            keys, order = keys.sort()
            values = torch.cat([weight, weight, torch.ones(nodes, dtype=dtype, device=keys.device)]).to(dtype)[order]
        rows = torch.div(keys, nodes, rounding_mode="floor")
        return cls.of_rows(rows, keys - rows * nodes, nodes, values)

    @classmethod
    def of_rows(cls, rows: Tensor, columns: Tensor, nodes: int, values: Tensor) -> Adjacency:
        """From entries of A + I sorted by row: rows and columns int64 [E], values [E]."""
        counts = torch.bincount(rows, minlength=nodes)
        starts = torch.zeros(nodes + 1, dtype=torch.int32, device=rows.device)
        torch.cumsum(counts, 0, out=starts[1:])
        degrees = torch.zeros(nodes, dtype=values.dtype, device=rows.device).index_add_(0, rows, values)
        scale = degrees.rsqrt()
        normalised = values * scale[rows] * scale[columns]
        return cls(sparse_rows(starts, columns.to(torch.int32), normalised, (nodes, nodes)), scale)

    def __matmul__(self, features: Tensor) -> Tensor:
        return self.matrix @ features


def sparse_rows(starts: Tensor, columns: Tensor, values: Tensor, size: tuple[int, int]) -> Tensor:
    """A sparse CSR matrix from where its rows start int32 [N + 1], and columns int32 and values of its entries, sorted by row."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta")
        return torch.sparse_csr_tensor(starts, columns, values, size=size, check_invariants=False)


class Factors:
    """The derivative of a scalar by every entry of an adjacency matrix, in factored form (no N x N array).

    A product out = (D^-1/2 (A + I) D^-1/2) h whose result has the adjoint g contributes, to the derivative by the pair (i, j), which
    stands for a_ij and a_ji alike,  u_i . v_j + u_j . v_i + c_i + c_j  with  u = s g,  v = s h,  s = D^-1/2,  and the degrees' share
    c_i = -(g_i . out_i + (adjacency g)_i . h_i) / 2 D_i.
    """

    def __init__(self) -> None:
        self._left: list[Tensor] = []
        self._right: list[Tensor] = []
        self._degree: list[Tensor] = []

    def add(self, adjacency: Adjacency, features: Tensor, result: Tensor, adjoint: Tensor, propagated: Tensor) -> None:
        """Record one product; `propagated` is adjacency @ adjoint."""
        scale = adjacency.scale
        self._left.append(scale[:, None] * adjoint)
        self._right.append(scale[:, None] * features)
        self._degree.append(-0.5 * scale.square() * ((adjoint * result).sum(1) + (propagated * features).sum(1)))

    def stacked(self) -> tuple[Tensor, Tensor, Tensor]:
        """left [N, R], right [N, R] and degree [N], of everything recorded."""
        return torch.cat(self._left, 1), torch.cat(self._right, 1), torch.stack(self._degree).sum(0)


class _Propagate(torch.autograd.Function):
    """adjacency @ features, noting what the derivative by the adjacency needs."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, features: Tensor, adjacency: Adjacency, factors: Factors | None) -> Tensor:
        result = adjacency @ features
        ctx.adjacency, ctx.factors = adjacency, factors  # type: ignore[attr-defined]
        if factors is not None:
            # Not as an attribute: a result that its own node refers to is never freed.
            ctx.save_for_backward(features, result)
        return result

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *adjoints: Tensor) -> tuple[Tensor, None, None]:
        (adjoint,) = adjoints
        propagated = ctx.adjacency @ adjoint  # type: ignore[attr-defined]  # symmetric: its own transpose
        if ctx.factors is not None:  # type: ignore[attr-defined]
            features, result = ctx.saved_tensors  # type: ignore[attr-defined]
            ctx.factors.add(ctx.adjacency, features.detach(), result.detach(), adjoint, propagated)  # type: ignore[attr-defined]
        return propagated, None, None


def propagate(adjacency: Adjacency, features: Tensor, factors: Factors | None = None) -> Tensor:
    """adjacency [N, N] @ features [N, c]; in the backward pass `factors` takes what the derivative by the adjacency consists of."""
    result: Tensor = _Propagate.apply(features, adjacency, factors)
    return result


class Features:
    """Node features [N, n], dense or sparse, ready for products with weights and their derivative."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix
        self.transposed = matrix.t().to_sparse_csr() if matrix.layout == torch.sparse_csr else matrix.t()

    @property
    def like(self) -> Tensor:
        """A tensor of the features' dtype and device."""
        return self.matrix.values() if self.matrix.layout == torch.sparse_csr else self.matrix

    @property
    def shape(self) -> tuple[int, int]:
        return self.matrix.shape[0], self.matrix.shape[1]

    def __matmul__(self, weights: Tensor) -> Tensor:
        result: Tensor = _FeatureProduct.apply(weights, self)
        return result


class _FeatureProduct(torch.autograd.Function):
    """features @ weights; the transposed features are stored, since transposing a sparse matrix costs more than the product."""

    @staticmethod
    def forward(ctx: torch.autograd.function.FunctionCtx, weights: Tensor, features: Features) -> Tensor:
        ctx.features = features  # type: ignore[attr-defined]
        return features.matrix @ weights

    @staticmethod
    def backward(ctx: torch.autograd.function.FunctionCtx, *adjoints: Tensor) -> tuple[Tensor, None]:
        return ctx.features.transposed @ adjoints[0].contiguous(), None  # type: ignore[attr-defined]


def logits(
    weights: Weights, features: Features, adjacency: Adjacency, keep: Tensor | None = None, factors: Factors | None = None
) -> Tensor:
    """The GCN's class logits [N, C].

    Args:
        keep: factor on every hidden unit, [N, hidden]: a dropout mask divided by its expectation.
        factors: see `propagate`.
    """
    hidden = propagate(adjacency, features @ weights.first, factors).relu()
    return propagate(adjacency, (hidden if keep is None else hidden * keep) @ weights.second, factors)


def logits_and_tangent(
    weights: Weights, direction: Weights, features: Features, adjacency: Adjacency, keep: Tensor | None, factors: Factors | None
) -> tuple[Tensor, Tensor]:
    """The logits [N, C], and how they change along a direction in weight space (forward-mode derivative), [N, C]."""
    width = weights.first.shape[1]
    both = propagate(adjacency, features @ torch.cat([weights.first, direction.first], 1), factors)
    value, tangent = both[:, :width], both[:, width:]
    active = (value > 0).to(value.dtype) if keep is None else (value > 0) * keep
    hidden, moved = value * active, tangent * active
    out = torch.cat([hidden @ weights.second, moved @ weights.second + hidden @ direction.second], 1)
    both = propagate(adjacency, out, factors)
    classes = weights.second.shape[1]
    return both[:, :classes], both[:, classes:]


class Sampler(Protocol):
    """What graphs are drawn from."""

    def sample(self, generator: torch.Generator) -> Adjacency:
        """One graph."""


@torch.no_grad()
def mean_probabilities(weights: Weights, features: Features, graphs: Sampler, samples: int, generator: torch.Generator) -> Tensor:
    """Class probabilities [N, C], averaged over sampled graphs (section 3.3)."""
    inputs = features @ weights.first
    total = inputs.new_zeros(len(inputs), weights.second.shape[1])
    for _ in range(samples):
        adjacency = graphs.sample(generator)
        total += (adjacency @ ((adjacency @ inputs).relu() @ weights.second)).softmax(1)
    return total / samples
