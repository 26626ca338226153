"""New codes like those of the training shapes, by seed: what `--seed` draws from. NumPy only, so that generating needs no torch.

Three kinds: the latent GAN of the paper (IM-GAN, section 3.1), a Gaussian over the codes' logits, and convex combinations of neighbours.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError, UsageError
from ..config import NOISE_STD

Float = NDArray[np.float32]
Kind = Literal["gan", "gaussian", "mixture"]
KINDS: tuple[Kind, ...] = ("gan", "gaussian", "mixture")
SLOPE = 0.02  # of the generator's leaky ReLU
EDGE = 1e-4  # codes are kept that far from 0 and 1, where logits are infinite
NEIGHBOURS = 8
DRAWS = 16  # before it is said that only training codes come out
BLOCK = 512  # rows of a distance matrix at a time


class Sampler(Protocol):
    """A distribution of codes."""

    def draw(self, generators: list[np.random.Generator], truncation: float) -> Float:
        """One code from each random generator, float32 [n, z]."""


@dataclass(frozen=True)
class GanSampler:
    """The latent generator (section 3.1): noise -> fully connected layers with leaky ReLU -> sigmoid. Truncation scales the noise.

    Args:
        layers: (weight float32 [out, in], bias float32 [out]) of each.
        noise_std: of the normal noise.
    """

    layers: list[tuple[Float, Float]]
    noise_std: float = NOISE_STD

    @classmethod
    def from_state(cls, state: Mapping[str, NDArray[np.floating]], noise_std: float = NOISE_STD) -> GanSampler:
        """From the tensors `latent_generator.linear_i.{weight,bias}` of a checkpoint of the latent GAN.

        Raises:
            PprError: they are missing, or do not follow each other.
        """
        layers: list[tuple[Float, Float]] = []
        while (prefix := f"latent_generator.linear_{len(layers) + 1}") + ".weight" in state and f"{prefix}.bias" in state:
            layers.append((np.asarray(state[f"{prefix}.weight"], np.float32), np.asarray(state[f"{prefix}.bias"], np.float32)))
        chained = all(a[0].shape[0] == b[0].shape[1] for a, b in pairwise(layers))
        if not layers or not chained or any(weight.shape[:1] != bias.shape for weight, bias in layers):
            raise PprError("not the weights of a latent generator", hint="train one with `ppr imnet train --model gan`")
        return cls(layers, noise_std)

    def generate(self, noise: NDArray[np.floating]) -> Float:
        """noise [n, noise] -> codes float32 [n, z] in (0, 1)."""
        hidden = np.asarray(noise, np.float32)
        for index, (weight, bias) in enumerate(self.layers):
            hidden = hidden @ weight.T + bias
            if index + 1 < len(self.layers):
                hidden = np.where(hidden > 0, hidden, np.float32(SLOPE) * hidden)
        return sigmoid(hidden)

    def draw(self, generators: list[np.random.Generator], truncation: float) -> Float:
        noise = np.stack([rng.standard_normal(self.layers[0][0].shape[1]) for rng in generators])
        return self.generate(noise * (self.noise_std * truncation))


@dataclass(frozen=True)
class GaussianSampler:
    """A normal distribution of the logits, along their principal components. Truncation scales the deviation from the mean.

    Args:
        mean: float64 [z].
        axes: float64 [k, z], principal components times their standard deviations.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]

    @classmethod
    def of(cls, codes: Float) -> GaussianSampler:
        inside = np.clip(codes.astype(np.float64), EDGE, 1 - EDGE)
        logits = np.log(inside / (1 - inside))
        mean = logits.mean(0)
        _left, deviations, components = np.linalg.svd(logits - mean, full_matrices=False)
        kept = deviations > 1e-9 * max(deviations.max(), 1e-300)
        return cls(mean, components[kept] * (deviations[kept, None] / np.sqrt(len(codes) - 1)))

    def draw(self, generators: list[np.random.Generator], truncation: float) -> Float:
        normal = np.stack([rng.standard_normal(len(self.axes)) for rng in generators])
        return sigmoid(self.mean + truncation * normal @ self.axes)


@dataclass(frozen=True)
class MixtureSampler:
    """Convex combinations of a random training code and its nearest ones, with uniform Dirichlet weights. Truncation pulls to that code.

    Args:
        codes: float32 [n, z], all different.
        neighbours: how many codes are combined, itself included.
    """

    codes: Float
    neighbours: int = NEIGHBOURS

    def draw(self, generators: list[np.random.Generator], truncation: float) -> Float:
        anchors = self.codes[[int(rng.integers(len(self.codes))) for rng in generators]]
        count = min(self.neighbours, len(self.codes))
        nearest = np.concatenate([np.argpartition(distances(block, self.codes), count - 1, axis=1)[:, :count] for block in blocks(anchors)])
        weights = np.stack([rng.dirichlet(np.ones(count)) for rng in generators])
        mixed = np.einsum("nk,nkz->nz", weights, self.codes[nearest].astype(np.float64))
        return (anchors + truncation * (mixed - anchors)).astype(np.float32)


@dataclass(frozen=True)
class CodePrior:
    """A distribution of codes that never gives a training code itself.

    Args:
        kind: `gan`, `gaussian` or `mixture`.
        codes: the training codes, float32 [n, z], all different.
        sampler: draws candidates.
    """

    kind: Kind
    codes: Float
    sampler: Sampler

    @classmethod
    def of(
        cls,
        codes: NDArray[np.floating],
        kind: Kind = "gaussian",
        *,
        generator: Mapping[str, NDArray[np.floating]] | None = None,
        noise_std: float = NOISE_STD,
        neighbours: int = NEIGHBOURS,
    ) -> CodePrior:
        """The prior of training codes.

        Args:
            codes: [n, z] in [0, 1]; duplicates are left out.
            generator: for `gan`, the tensors of a latent GAN's checkpoint, as NumPy arrays, and
            noise_std: the deviation of the noise it was trained with.
            neighbours: for `mixture`, how many codes are combined.

        Raises:
            UsageError: an unknown kind, a `gan` without generator, less than two neighbours.
            PprError: codes that are not finite, fewer than two different ones, or a generator of codes of another length.
        """
        if kind not in KINDS:
            raise UsageError(f"--prior {kind}: not a prior", hint=f"one of: {', '.join(KINDS)}")
        if codes.ndim != 2 or not np.isfinite(codes).all():
            raise PprError(f"codes {list(codes.shape)} are not a table of finite numbers")
        different = np.unique(np.asarray(codes, np.float32), axis=0)
        if len(different) < 2:
            raise PprError(f"{len(codes)} codes with {len(different)} different: at least two are needed to draw new ones")
        if kind == "gaussian":
            return cls(kind, different, GaussianSampler.of(different))
        if kind == "mixture":
            if neighbours < 2:
                raise UsageError(f"a mixture of {neighbours} codes is a training code", hint="combine at least 2")
            return cls(kind, different, MixtureSampler(different, neighbours))
        if generator is None:
            raise UsageError("the prior 'gan' needs the weights of a latent GAN", hint="train one, or use --prior gaussian")
        sampler = GanSampler.from_state(generator, noise_std)
        if len(sampler.layers[-1][1]) != different.shape[1]:
            raise PprError(f"the latent GAN makes codes of {len(sampler.layers[-1][1])} numbers, the shapes have {different.shape[1]}")
        return cls(kind, different, sampler)

    def sample(self, count: int, seed: int, truncation: float = 1.0) -> Float:
        """New codes; the first ones are the same however many are drawn.

        Args:
            count: how many.
            seed: fixes them.
            truncation: in (0, 1]; smaller stays nearer to what is usual (the mean, or for `mixture` one training code).

        Returns:
            float32 [count, z] in [0, 1].

        Raises:
            UsageError: truncation out of range.
            PprError: the prior gives nothing but training codes.
        """
        if not 0 < truncation <= 1:
            raise UsageError(f"--truncation {truncation}: not above 0 and at most 1")
        if count < 1:
            return np.empty((0, self.codes.shape[1]), np.float32)
        generators = [np.random.default_rng((seed, index)) for index in range(count)]
        drawn = self.sampler.draw(generators, truncation)
        known = {row.tobytes() for row in self.codes}
        for _ in range(DRAWS):
            repeated = [index for index, row in enumerate(drawn) if row.tobytes() in known]
            if not repeated:
                return drawn
            drawn[repeated] = self.sampler.draw([generators[index] for index in repeated], truncation)
        raise PprError("only training codes come out of this prior", hint="give a larger --truncation")


def sigmoid(values: NDArray[np.floating]) -> Float:
    """1 / (1 + exp(-x)), float32, without overflow."""
    return ((1 + np.tanh(values / 2)) / 2).astype(np.float32)


def blocks(rows: Float) -> list[Float]:
    return [rows[first : first + BLOCK] for first in range(0, len(rows), BLOCK)]


def distances(a: Float, b: Float) -> NDArray[np.float64]:
    """Euclidean distances of all pairs of rows, [len(a), len(b)]."""
    left, right = a.astype(np.float64), b.astype(np.float64)
    squared = (left**2).sum(1)[:, None] + (right**2).sum(1) - 2 * left @ right.T
    return np.sqrt(np.maximum(squared, 0))


def prior_diagnostics(codes: NDArray[np.floating], samples: NDArray[np.floating]) -> dict[str, float]:
    """How samples [m, z] compare with training codes [n, z], of which there must be two different ones at least.

    Returns:
        `pairwise_ratio`: mean distance of two samples by that of two training codes (0: all samples alike; near 1: as varied).
        `nearest_ratio`: mean distance of a sample to the nearest training code by that of a training code to the nearest other
        (0: copies; well above 1: unlike any training shape).
        `exact`: how many samples are a training code.
    """
    known, new = np.unique(np.asarray(codes, np.float32), axis=0), np.asarray(samples, np.float32)
    if len(known) < 2 or len(new) < 2:
        raise PprError(f"{len(known)} different codes and {len(new)} samples: two of each are needed to compare them")
    among_known = _mean_pairwise(known)
    to_nearest = np.concatenate([distances(block, known).min(1) for block in blocks(new)]).mean()
    # The smallest distance of a training code is the one to itself.
    between = np.concatenate([np.partition(distances(block, known), 1, axis=1)[:, 1] for block in blocks(known)]).mean()
    stored = {row.tobytes() for row in known}
    return {
        "pairwise_ratio": _mean_pairwise(new) / among_known,
        "nearest_ratio": float(to_nearest / between),
        "exact": float(sum(row.tobytes() in stored for row in new)),
    }


def _mean_pairwise(rows: Float) -> float:
    total = sum(float(distances(block, rows).sum()) for block in blocks(rows))
    return total / (len(rows) * (len(rows) - 1))
