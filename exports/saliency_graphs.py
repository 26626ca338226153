"""The graphs a RAS network is exported as: plain, with all levels, in half precision, or as rembg feeds it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ppr.methods.saliency.folding import fold_batch_norm
from ppr.methods.saliency.network import IMAGENET_MEAN, IMAGENET_STD, RAS, Normalization


class SaliencyGraph(nn.Module):
    """What the plain ONNX file computes: normalised image -> probability of the finest level, or of all levels, finest first.

    Shapes:
        image (B, 3, H, W) float32 -> (B, 1, H, W) float32 in [0, 1], or a tuple of them.
    """

    def __init__(self, network: RAS, *, all_levels: bool = False) -> None:
        super().__init__()
        self.network = fold_batch_norm(network)
        self.all_levels = all_levels

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs = self.network(image)
        return tuple(torch.sigmoid(o) for o in outputs) if self.all_levels else torch.sigmoid(outputs[0])


class RembgGraph(nn.Module):
    """The plain graph behind the input of rembg's custom-model sessions: RGB over its own maximum, ImageNet mean and standard deviation.

    rembg divides by the image's largest value, so that 1.0 stands for 255 in all but dark pictures; the graph undoes the ImageNet
    normalisation and applies the network's own.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, graph: SaliencyGraph, normalization: Normalization) -> None:
        super().__init__()
        self.inner = graph
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        own_mean, own_std = (torch.tensor(v).view(1, 3, 1, 1) for v in (normalization.mean, normalization.std))
        self.register_buffer("gain", std * 255 / normalization.scale / own_std)
        self.register_buffer("offset", (mean * 255 / normalization.scale - own_mean) / own_std)
        self.bgr = normalization.bgr

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = image * self.gain + self.offset
        return self.inner(x.flip(1) if self.bgr else x)


class HalfGraph(nn.Module):
    """A graph computed in float16 between float32 inputs and outputs, for GPUs."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.inner = graph.half()

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        found = self.inner(image.half())
        return tuple(o.float() for o in found) if isinstance(found, tuple) else found.float()
