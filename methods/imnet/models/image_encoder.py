"""The network of IM-SVR: one picture to the code of the shape on it (Chen & Zhang 2019, section 3.1 and supplementary).

Layer names are those of the authors' PyTorch checkpoints, so that those load one to one.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..network import SLOPE
from ..shapes.views import load_view

__all__ = ["ImageEncoder", "ResidualBlock", "load_view"]


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions beside the identity; where the width changes, both branches halve the resolution.

    Shapes:
        features (B, inside, H, W) -> (B, outside, H, W), or (B, outside, H/2, W/2) where outside differs from inside.
    """

    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        stride = 1 if inside == outside else 2
        self.conv_1 = nn.Conv2d(inside, outside, 3, stride, padding=1, bias=False)
        self.bn_1 = nn.BatchNorm2d(outside)
        self.conv_2 = nn.Conv2d(outside, outside, 3, padding=1, bias=False)
        self.bn_2 = nn.BatchNorm2d(outside)
        self.shortcut = inside != outside
        if self.shortcut:
            self.conv_s = nn.Conv2d(inside, outside, 1, stride, bias=False)
            self.bn_s = nn.BatchNorm2d(outside)

    def forward(self, features: Tensor) -> Tensor:
        residual = F.leaky_relu(self.bn_1(self.conv_1(features)), SLOPE)
        residual = self.bn_2(self.conv_2(residual))
        identity = self.bn_s(self.conv_s(features)) if self.shortcut else features
        return F.leaky_relu(residual + identity, SLOPE)


class ImageEncoder(nn.Module):
    """A ResNet-18 without pooling, from a picture to a code.

    Args:
        z_dim: length of the code.
        width: channels after the first convolution, f; the blocks have f, 2f, 4f and 8f (authors: 64).

    Shapes:
        view (B, 1, 128, 128) float in [0, 1], 1 - brightness (a white background is 0) -> code (B, z_dim) in (0, 1).
    """

    def __init__(self, z_dim: int, width: int = 64) -> None:
        super().__init__()
        self.conv_0 = nn.Conv2d(1, width, 7, stride=2, padding=3, bias=False)
        self.bn_0 = nn.BatchNorm2d(width)
        widths = [width] + [width * factor for factor in (1, 1, 2, 2, 4, 4, 8, 8)]
        for i in range(1, 9):
            self.add_module(f"res_{i}", ResidualBlock(widths[i - 1], widths[i]))
        self.conv_9 = nn.Conv2d(8 * width, 8 * width, 4, stride=2, padding=1, bias=False)
        self.bn_9 = nn.BatchNorm2d(8 * width)
        self.conv_10 = nn.Conv2d(8 * width, z_dim, 4)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.xavier_uniform_(module.weight)
        assert self.conv_10.bias is not None
        nn.init.zeros_(self.conv_10.bias)

    def forward(self, view: Tensor) -> Tensor:
        features = F.leaky_relu(self.bn_0(self.conv_0(view)), SLOPE)
        for i in range(1, 9):
            features = self.get_submodule(f"res_{i}")(features)
        features = F.leaky_relu(self.bn_9(self.conv_9(features)), SLOPE)
        return torch.sigmoid(self.conv_10(features)).flatten(1)
