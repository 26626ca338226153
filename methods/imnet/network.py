"""The 3D networks of IM-NET: voxel encoder and implicit decoder, in the paper's, the authors' improved and this package's fast form.

Layer names are those of the authors' PyTorch checkpoints, so that those load one to one.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import NetworkConfig

SLOPE = 0.02  # of every leaky ReLU


class VoxelEncoder(nn.Module):
    """A 64^3 occupancy grid to a code: four strided 3D convolutions, normalised, and a last one over the whole 4^3 map (section 3.1).

    Shapes:
        voxels (B, 1, 64, 64, 64) float of 0 and 1 -> code (B, z_dim) in (0, 1).
    """

    def __init__(self, z_dim: int, ef_dim: int, norm: str) -> None:
        super().__init__()
        widths = [1, ef_dim, 2 * ef_dim, 4 * ef_dim, 8 * ef_dim]
        batch_norm = norm == "batch"
        for i, (inside, outside) in enumerate(pairwise(widths), start=1):
            self.add_module(f"conv_{i}", nn.Conv3d(inside, outside, 4, stride=2, padding=1, bias=batch_norm))
            # TensorFlow's decay .999 is a momentum of .001 in PyTorch's terms.
            # One group a channel is instance norm; PyTorch computes it a fifth faster so on CPUs.
            norm_layer = nn.BatchNorm3d(outside, momentum=0.001) if batch_norm else nn.GroupNorm(outside, outside, affine=False)
            self.add_module(f"in_{i}", norm_layer)
        self.conv_5 = nn.Conv3d(widths[-1], z_dim, 4)

    def forward(self, voxels: Tensor) -> Tensor:
        features = voxels
        for i in range(1, 5):
            features = F.leaky_relu(self.get_submodule(f"in_{i}")(self.get_submodule(f"conv_{i}")(features)), SLOPE)
        return torch.sigmoid(self.conv_5(features)).flatten(1)


def fourier_features(points: Tensor, octaves: int) -> Tensor:
    """points (…, d) -> (…, d (1 + 2 octaves)): the coordinates, then sin and cos of pi 2^k p for k = 0, 1, …

    The coordinates alone train very slowly: with small initial weights the output hardly depends on them.
    """
    if not octaves:
        return points
    angles = torch.cat([points * (math.pi * 2**k) for k in range(octaves)], dim=-1)
    return torch.cat([points, angles.sin(), angles.cos()], dim=-1)


class ImplicitDecoder(nn.Module):
    """The implicit field f(point, code): a multi-layer perceptron on [point | code] (section 3.1).

    Args:
        widths: of the hidden layers.
        skips: to how many of the first hidden layers' outputs the input is appended again (paper: 4, improved: 0).
        octaves: Fourier octaves of the point (paper and improved: 0).
        output: `sigmoid` (paper), `clamp` (improved: linear within [0, 1], slope 0.01 outside) or `logit`.
        dim: coordinates of a point.

    Shapes:
        points (B, P, dim), code (B, z_dim) -> values (B, P). The surface is at 0.5, for `logit` at 0.
    """

    def __init__(self, z_dim: int, widths: list[int], skips: int, octaves: int, output: str, dim: int = 3) -> None:
        super().__init__()
        self.skips, self.octaves, self.output, self.depth = skips, octaves, output, len(widths) + 1
        self.point_dim = dim * (1 + 2 * octaves)
        inputs = self.point_dim + z_dim
        sizes = [0, *widths, 1]
        for i in range(1, self.depth + 1):
            extra = inputs if i == 1 or i - 1 <= skips else 0
            self.add_module(f"linear_{i}", nn.Linear(sizes[i - 1] + extra, sizes[i]))

    def linear(self, i: int) -> nn.Linear:
        """Layer i, from 1."""
        layer = self.get_submodule(f"linear_{i}")
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, points: Tensor, code: Tensor) -> Tensor:
        features = fourier_features(points, self.octaves)
        hidden: Tensor | None = None
        for i in range(1, self.depth + 1):
            layer = self.linear(i)
            weight, bias = layer.weight, layer.bias
            own = 0 if hidden is None else hidden.shape[-1]
            if weight.shape[1] > own:
                # The code is the same for all points of a shape: its part of the product is computed once, [p | z] never built.
                point_weight, code_weight = weight[:, own : own + self.point_dim], weight[:, own + self.point_dim :]
                value = F.linear(features, point_weight) + F.linear(code, code_weight, bias)[:, None]
                value = value if hidden is None else value + F.linear(hidden, weight[:, :own])
            else:
                assert hidden is not None
                value = F.linear(hidden, weight, bias)
            hidden = F.leaky_relu(value, SLOPE) if i < self.depth else value
        assert hidden is not None
        return activation(hidden.squeeze(-1), self.output)


def activation(value: Tensor, output: str) -> Tensor:
    """The decoder's last activation."""
    if output == "sigmoid":
        return torch.sigmoid(value)
    if output == "clamp":
        return torch.maximum(torch.minimum(value, value * 0.01 + 0.99), value * 0.01)
    return value


class AutoEncoder(nn.Module):
    """IM-AE: encoder and decoder; the attribute names are the authors'."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.encoder = VoxelEncoder(config.z_dim, config.ef_dim, config.norm)
        self.generator = ImplicitDecoder(config.z_dim, config.decoder_widths, config.skips, config.octaves, config.output)
        initialise(self, config)

    def forward(self, voxels: Tensor, points: Tensor) -> Tensor:
        """voxels (B, 1, 64, 64, 64), points (B, P, 3) -> values (B, P)."""
        return self.generator(points, self.encoder(voxels))


@torch.no_grad()
def initialise(network: AutoEncoder, config: NetworkConfig) -> None:
    """Xavier-uniform encoder; decoder by the authors' N(0, 0.02), or He's rule, which lets it learn from the first step on."""
    for i in range(1, 6):
        convolution = network.encoder.get_submodule(f"conv_{i}")
        assert isinstance(convolution, nn.Conv3d)
        nn.init.xavier_uniform_(convolution.weight)
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
    decoder = network.generator
    for i in range(1, decoder.depth + 1):
        layer = decoder.linear(i)
        nn.init.zeros_(layer.bias)
        last = i == decoder.depth
        if config.init_scheme == "paper":
            nn.init.normal_(layer.weight, mean=1e-5 if last else 0.0, std=0.02)
        else:
            nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="linear" if last else "leaky_relu")
