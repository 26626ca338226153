"""Perceptrons as functions of one flat vector of parameters, and what turns an actor's logits into actions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

Kind = Literal["simplex", "discrete", "box"]


@dataclass(frozen=True)
class Mlp:
    """A perceptron with ReLU between its layers (openai/maddpg, the paper's base: two hidden layers of 64 units).

    Args:
        sizes: units of the input, of the hidden layers and of the output.
    """

    sizes: tuple[int, ...]

    @property
    def shapes(self) -> list[tuple[int, ...]]:
        """Of weight [out, in] and bias [out] of each layer, in the order in which the flat vector holds them."""
        return [shape for inputs, outputs in pairwise(self.sizes) for shape in ((outputs, inputs), (outputs,))]

    @property
    def length(self) -> int:
        """Number of parameters."""
        return sum(math.prod(shape) for shape in self.shapes)

    def layers(self, flat: Tensor) -> list[Tensor]:
        """Views of a flat vector [length] as weight, bias, weight, bias, …"""
        parts = flat.split([math.prod(shape) for shape in self.shapes])
        return [part.view(shape) for part, shape in zip(parts, self.shapes, strict=True)]

    def initial(self, generator: torch.Generator) -> Tensor:
        """Weights by Glorot's uniform rule and biases of 0, as in openai/maddpg; float32 [length]."""
        flat = torch.zeros(self.length)
        for part in self.layers(flat):
            if part.dim() == 2:
                limit = math.sqrt(6 / sum(part.shape))
                part.uniform_(-limit, limit, generator=generator)
        return flat

    def forward(self, layers: Sequence[Tensor], inputs: Tensor) -> Tensor:
        """[B, sizes[0]] -> [B, sizes[-1]]."""
        return self.behind_first(layers, functional.linear(inputs, layers[0], layers[1]))

    def behind_first(self, layers: Sequence[Tensor], values: Tensor) -> Tensor:
        """The layers after the first, of which `values` [B, sizes[1]] is the output before its ReLU."""
        for weight, bias in zip(layers[2::2], layers[3::2], strict=True):
            values = functional.linear(values.relu(), weight, bias)
        return values


def noise(kind: Kind, rows: int, width: int, generator: torch.Generator) -> Tensor:
    """What explores, [rows, width]: Gumbel noise for a choice of one out of `width`, logistic noise (of two Gumbels) for each of a box."""
    gumbel = _gumbel(rows, width, generator)
    return gumbel - _gumbel(rows, width, generator) if kind == "box" else gumbel


def _gumbel(rows: int, width: int, generator: torch.Generator) -> Tensor:
    uniform = torch.rand(rows, width, generator=generator).clamp_(min=torch.finfo(torch.float32).tiny)
    return uniform.log_().neg_().log_().neg_()


def squash(kind: Kind, logits: Tensor) -> Tensor:
    """Actions in [0, 1] of logits [B, n], noise included: softmax over the choices, or for a box a sigmoid for each component.

    No temperature and no straight-through estimate, as in openai/maddpg. A sigmoid is the softmax of a choice between two.
    """
    return logits.sigmoid() if kind == "box" else logits.softmax(-1)
