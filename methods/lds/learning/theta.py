"""The edge probabilities theta: on all pairs of nodes or on a set of candidates; sampling graphs and moving down the hypergradient."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.reading.pairs import PairGraph
from ..network import Adjacency, Factors, sparse_rows

BLOCK_ENTRIES = 1 << 22  # of the products computed at once
RARE = 0.02  # probability up to which pairs are drawn by jumps
HUBS = 4096  # nodes whose pairs are searched for new candidates


class Theta(Protocol):
    """Edge probabilities."""

    nodes: int

    def sample(self, generator: torch.Generator) -> Adjacency:
        """A graph with each pair drawn by its probability."""

    def descend(self, factors: Factors, rate: float) -> None:
        """theta <- clip(theta - rate * derivative, 0, 1).

        Raises:
            FloatingPointError: a derivative that is not finite; theta stays as it was.
        """

    def graph(self) -> PairGraph:
        """The pairs of probability above 0 (of a candidate set all of them)."""

    def state(self) -> dict[str, Tensor]:
        """What `load` takes."""

    def load(self, state: dict[str, Tensor]) -> None:
        """Go back to a state."""


class Sampler:
    """Draws each of a set of pairs by its probability, in a time that hardly depends on how many improbable ones there are.

    Gradient steps leave most pairs at probabilities of a ten-thousandth. Of those at most `RARE`, proposals are made by jumping over
    geometrically distributed gaps, each pair being proposed with probability `RARE`, and taken with what its own is of that: the draws are
    those of independent coins. Random numbers come from the CPU, so that all devices draw the same.
    """

    def __init__(self, first: Tensor, second: Tensor, prob: Tensor, nodes: int, dtype: torch.dtype) -> None:
        self.first, self.second, self.nodes, self.dtype = first, second, nodes, dtype
        rare = prob <= RARE
        self._common, self._rare = torch.nonzero(~rare).flatten(), torch.nonzero(rare).flatten()
        self._common_prob, self._fraction = prob[self._common], prob[self._rare] / RARE

    def __call__(self, generator: torch.Generator) -> Adjacency:
        drawn = self._common[_coins(self._common_prob, generator)]
        proposed = torch.from_numpy(_jumps(len(self._rare), generator)).to(drawn.device)
        taken = proposed[_coins(self._fraction[proposed], generator)]
        kept = torch.cat([drawn, self._rare[taken]])
        return Adjacency.of_pairs(self.first[kept], self.second[kept], self.nodes, dtype=self.dtype)


def _coins(prob: Tensor, generator: torch.Generator) -> Tensor:
    return torch.rand(len(prob), generator=generator).to(prob.device) < prob


def _jumps(count: int, generator: torch.Generator) -> NDArray[np.int64]:
    """Ascending places below `count`, each there with probability `RARE`, independently."""
    expected = count * RARE
    places, last = [], -1
    while last < count:
        uniform = torch.rand(int(expected + 6 * expected**0.5) + 8, generator=generator, dtype=torch.float64).numpy()
        gaps = np.floor(np.log1p(-uniform) / np.log1p(-RARE)).astype(np.int64) + 1
        places.append(last + np.cumsum(gaps))
        last = int(places[-1][-1])
    joined = np.concatenate(places)
    return joined[joined < count]


class AllPairs:
    """A probability for every pair, kept in the upper triangle of a matrix [N, N]."""

    def __init__(self, start: PairGraph, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> None:
        self.nodes, self.dtype = start.nodes, dtype
        self.matrix = torch.zeros(start.nodes, start.nodes, device=device)
        self.load({name: torch.from_numpy(getattr(start, name)) for name in ("first", "second", "prob")})

    def sample(self, generator: torch.Generator) -> Adjacency:
        return self._sampler(generator)

    def descend(self, factors: Factors, rate: float) -> None:
        left, right, degree = factors.stacked()
        if not all(torch.isfinite(part).all() for part in (left, right, degree)):
            raise FloatingPointError("the hypergradient is not finite")
        rows = max(1, BLOCK_ENTRIES // self.nodes)
        for start in range(0, self.nodes, rows):
            block = slice(start, start + rows)
            gradient = left[block] @ right[start:].T
            gradient.addmm_(right[block], left[start:].T)
            gradient += degree[block, None] + degree[start:]
            self._move(start, gradient, rate)
        self._find_support()

    def descend_dense(self, gradient: Tensor, rate: float) -> None:
        """As `descend`, from the derivative itself, [N, N] and symmetric.

        Raises:
            FloatingPointError: a derivative that is not finite.
        """
        if not torch.isfinite(gradient).all():
            raise FloatingPointError("the hypergradient is not finite")
        self._move(0, gradient, rate)
        self._find_support()

    def _move(self, start: int, gradient: Tensor, rate: float) -> None:
        """One step of the rows from `start` on, of which `gradient` holds the columns from `start` on; back into the box [0, 1]."""
        part = self.matrix[start : start + len(gradient), start:]
        part.sub_(gradient.to(part.dtype), alpha=rate).clamp_(0, 1)
        part[:, : len(gradient)].triu_(1)

    def _find_support(self) -> None:
        self._first, self._second = torch.nonzero(self.matrix, as_tuple=True)
        self._prob = self.matrix[self._first, self._second]
        self._sampler = Sampler(self._first, self._second, self._prob, self.nodes, self.dtype)

    def graph(self) -> PairGraph:
        return PairGraph(self.nodes, *(part.cpu().numpy() for part in (self._first, self._second, self._prob)))

    def state(self) -> dict[str, Tensor]:
        return {"first": self._first.cpu(), "second": self._second.cpu(), "prob": self._prob.cpu()}

    def load(self, state: dict[str, Tensor]) -> None:
        first, second, prob = (state[name].to(self.matrix.device) for name in ("first", "second", "prob"))
        self.matrix.zero_()
        self.matrix[first, second] = prob
        self._find_support()


class CandidatePairs:
    """A probability for each of a set of pairs; all others have probability 0 and are not looked at."""

    def __init__(self, candidates: PairGraph, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu") -> None:
        self.nodes, self.dtype, self.device = candidates.nodes, dtype, torch.device(device)
        self._set(*(torch.from_numpy(part).to(device) for part in (candidates.first, candidates.second, candidates.prob)))

    def _set(self, first: Tensor, second: Tensor, prob: Tensor) -> None:
        """Take the pairs, and the order of the entries of A + I they give, so that a sample needs no sorting."""
        self.first, self.second, self.prob = first, second, prob
        pairs, loops = torch.arange(len(first), device=first.device), torch.arange(self.nodes, device=first.device)
        keys = torch.cat([first * self.nodes + second, second * self.nodes + first, loops * (self.nodes + 1)])
        keys, order = keys.sort()
        self._rows = torch.div(keys, self.nodes, rounding_mode="floor").to(torch.int32)
        self._columns = (keys - self._rows.long() * self.nodes).to(torch.int32)
        self._pair = torch.cat([pairs, pairs, torch.full_like(loops, len(first))]).to(torch.int32)[order]
        starts = torch.searchsorted(first, torch.arange(self.nodes + 1, device=first.device)).to(torch.int32)
        self._pattern = starts, second.to(torch.int32)

    def __len__(self) -> int:
        return len(self.first)

    def sample(self, generator: torch.Generator) -> Adjacency:
        drawn = torch.rand(len(self), generator=generator).to(self.device) < self.prob
        kept = torch.cat([drawn, drawn.new_ones(1)])[self._pair]
        rows, columns = self._rows[kept].long(), self._columns[kept].long()
        return Adjacency.of_rows(rows, columns, self.nodes, torch.ones(len(rows), dtype=self.dtype, device=self.device))

    def gradient(self, factors: Factors) -> Tensor:
        """The hypergradient of each candidate, [P].

        Raises:
            FloatingPointError: it is not finite.
        """
        left, right, degree = factors.stacked()
        pattern = sparse_rows(*self._pattern, left.new_zeros(len(self)), (self.nodes, self.nodes))
        # Inner products at the candidates alone: twenty times faster than gathering two rows a pair.
        one_way = torch.sparse.sampled_addmm(pattern, left, right.T)
        gradient = torch.sparse.sampled_addmm(one_way, right, left.T).values()
        gradient += degree[self.first] + degree[self.second]
        if not torch.isfinite(gradient).all():
            raise FloatingPointError("the hypergradient is not finite")
        return gradient

    def descend(self, factors: Factors, rate: float) -> None:
        self.prob = (self.prob - rate * self.gradient(factors).to(self.prob.dtype)).clamp_(0, 1)

    def grow(self, factors: Factors, count: int) -> int:
        """Replace candidates that stand at 0 by the pairs outside the set whose probability would rise most.

        The search is exact over the pairs with one of the nodes that weigh most in the derivative: an inner-product search.

        Returns:
            the number of new candidates.
        """
        chosen = self._most_wanted(factors, count)
        kept = self.prob > 0
        spare = torch.nonzero(~kept).flatten()
        # As many of those at 0 go as new ones come; the others may still rise.
        dropped = spare[torch.argsort(self.gradient(factors)[spare], descending=True, stable=True)[: len(chosen)]]
        kept = torch.ones_like(kept).index_fill_(0, dropped, False)
        keys = torch.cat([(self.first * self.nodes + self.second)[kept], chosen])
        prob = torch.cat([self.prob[kept], self.prob.new_zeros(len(chosen))])
        keys, order = keys.sort()
        first = torch.div(keys, self.nodes, rounding_mode="floor")
        self._set(first, keys - first * self.nodes, prob[order])
        return len(chosen)

    def _most_wanted(self, factors: Factors, count: int) -> Tensor:
        """Keys first * N + second, int64, of at most `count` pairs outside the set, of the most negative derivatives."""
        left, right, degree = factors.stacked()
        weight = left.square().sum(1)
        hubs = torch.argsort(weight, descending=True, stable=True)[: max(1, min(HUBS, int((weight > 0).sum())))]
        place = torch.full((self.nodes,), -1, device=hubs.device).index_copy_(0, hubs, torch.arange(len(hubs), device=hubs.device))
        ends = torch.cat([self.first, self.second]), torch.cat([self.second, self.first])
        of_hubs = place[ends[0]] >= 0
        row_of, column_of = place[ends[0][of_hubs]], ends[1][of_hubs]
        keys, values = hubs.new_empty(0), left.new_empty(0)
        step = max(1, BLOCK_ENTRIES // self.nodes)
        for start in range(0, len(hubs), step):
            rows = hubs[start : start + step]
            value = left[rows] @ right.T
            value.addmm_(right[rows], left.T)
            value += degree[rows, None] + degree
            value[torch.arange(len(rows), device=rows.device), rows] = torch.inf
            known = (row_of >= start) & (row_of < start + len(rows))
            value[row_of[known] - start, column_of[known]] = torch.inf
            found, position = value.flatten().topk(min(2 * count, value.numel()), largest=False)  # a pair of two hubs is there twice
            one, other = rows[torch.div(position, self.nodes, rounding_mode="floor")], position % self.nodes
            key = torch.minimum(one, other) * self.nodes + torch.maximum(one, other)
            keys, values = torch.cat([keys, key[found < 0]]), torch.cat([values, found[found < 0]])
        keys, inverse = torch.unique(keys, return_inverse=True)
        lowest = values.new_full((len(keys),), torch.inf).scatter_reduce_(0, inverse, values, "amin")
        return keys[torch.argsort(lowest, stable=True)[:count]]

    def graph(self) -> PairGraph:
        return PairGraph(self.nodes, *(part.cpu().numpy() for part in (self.first, self.second, self.prob)))

    def state(self) -> dict[str, Tensor]:
        return {"first": self.first.cpu(), "second": self.second.cpu(), "prob": self.prob.cpu()}

    def load(self, state: dict[str, Tensor]) -> None:
        self._set(*(state[name].to(self.device) for name in ("first", "second", "prob")))


def candidate_graph(start: PairGraph, near: PairGraph, generator: np.random.Generator, *, random_fraction: float = 0.05) -> PairGraph:
    """Candidates: the start graph with its probabilities; at 0 the pairs of `near`, of two steps in the start graph, and some at random.

    The pairs of two steps are one for each pair of the start graph: the end of one of its edges with a neighbour of the other end.
    """
    nodes = start.nodes
    ends = np.concatenate([start.first, start.second]), np.concatenate([start.second, start.first])
    order = np.argsort(ends[0], kind="stable")
    tail, head = ends[0][order], ends[1][order]
    counts = np.bincount(tail, minlength=nodes)
    starts = np.concatenate([[0], np.cumsum(counts)])
    chosen = (generator.random(len(start)) * counts[start.second]).astype(np.int64)
    two_steps = head[starts[start.second] + chosen] if len(start) else start.second
    random = generator.integers(0, nodes, (2, round(random_fraction * (len(start) + len(near)))))
    first = np.concatenate([start.first, near.first, start.first, random[0]])
    second = np.concatenate([start.second, near.second, two_steps, random[1]])
    prob = np.concatenate([start.prob, np.zeros(len(first) - len(start), np.float32)])
    return PairGraph.build(nodes, first, second, prob)
