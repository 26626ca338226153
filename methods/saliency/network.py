"""RAS: side outputs refined top-down by reverse attention (Chen et al., ECCV 2018; IEEE TIP 2020).

A network returns one logit map a level. `RAS.forward` gives them at the input's size, finest first, which is what the loss and
the final map need; `RAS.levels` gives what happens inside, for pictures and for study.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .trunks import VGG16, MobileNetV2, ResNet50

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Normalization:
    """What an architecture expects of its input: `(x / scale - mean) / std` of 0..255 RGB, then reversed to BGR if `bgr`."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    scale: float = 1.0
    bgr: bool = False


CAFFE = Normalization(mean=(122.67892, 116.66877, 104.00699), std=(1.0, 1.0, 1.0), bgr=True)
TORCHVISION = Normalization(IMAGENET_MEAN, IMAGENET_STD, scale=255.0)
SYMMETRIC = Normalization(mean=(127.5, 127.5, 127.5), std=(127.5, 127.5, 127.5))


@dataclass
class Level:
    """One level of the top-down pass: the refined logit and, below the coarsest level, how it came about."""

    logit: Tensor  # S_i, (B, 1, h, w)
    stride: int
    attention: Tensor | None = None  # A_i = sigmoid(-U_i), (B, 1, h, w)
    residual: Tensor | None = None  # R_i, (B, 1, h, w)


def resize(x: Tensor, size: Sequence[int]) -> Tensor:
    """Bilinear interpolation with half-pixel centres, the form ONNX Resize supports best."""
    return F.interpolate(x, (size[0], size[1]), mode="bilinear", align_corners=False)


def conv_norm(inputs: int, outputs: int, kernel: int = 1, *, dilation: int = 1, groups: int = 1, bias: bool = False) -> nn.Sequential:
    """Convolution that keeps the size, batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    conv = nn.Conv2d(inputs, outputs, kernel, padding=padding, dilation=dilation, groups=groups, bias=bias)
    return nn.Sequential(conv, nn.BatchNorm2d(outputs), nn.ReLU())


def separable(channels: int, kernel: int = 3) -> nn.Sequential:
    """Depthwise convolution followed by a pointwise one, batch norm, ReLU."""
    depthwise = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=channels, bias=False)
    return nn.Sequential(depthwise, *conv_norm(channels, channels))


class ReverseAttention(nn.Module):
    """Refine a coarser logit where it sees no object yet (Chen et al. 2018, section 3.2; form of the 2020 code).

    U = the coarser logit resized to F,  S = U + R(sigmoid(-U) * squeeze(F)).

    Args:
        squeeze: reduces the side feature F to the branch's width.
        residual: R, from the erased feature to one channel.

    Shapes:
        features (B, C, H, W), coarse (B, 1, h, w) -> Level of (B, 1, H, W) logits.
    """

    def __init__(self, squeeze: nn.Module, residual: nn.Module, stride: int) -> None:
        super().__init__()
        self.squeeze = squeeze
        self.residual = residual
        self.stride = stride
        self.enabled = True  # False is the ablation A = 1

    def erase(self, features: Tensor, attention: Tensor) -> Tensor:
        return attention * self.squeeze(features)

    def forward(self, features: Tensor, coarse: Tensor) -> Level:
        upsampled = coarse if coarse.shape[-2:] == features.shape[-2:] else resize(coarse, features.shape[-2:])
        attention = torch.sigmoid(-upsampled) if self.enabled else torch.ones_like(upsampled)
        residual = self.residual(self.erase(features, attention))
        return Level(upsampled + residual, self.stride, attention, residual)


class EccvReverseAttention(ReverseAttention):
    """The 2018 form: the side feature is erased first, on all its channels, and squeezed then, without an activation."""

    def erase(self, features: Tensor, attention: Tensor) -> Tensor:
        return self.squeeze(attention * features)


class MultiScaleContext(nn.Module):
    """MSCM, the global branch of the 2020 networks: four parallel branches of growing kernel and dilation (TIP 2020, section III-B).

    Shapes:
        (B, inputs, h, w) -> (B, 1, h, w) logit.
    """

    def __init__(self, inputs: int, width: int = 64) -> None:
        super().__init__()
        self.reduce = conv_norm(inputs, width, bias=True)
        self.branches = nn.ModuleList(
            nn.Sequential(conv_norm(width, width, kernel, bias=True), conv_norm(width, width, 3, dilation=dilation, bias=True))
            for kernel, dilation in ((1, 1), (3, 2), (5, 4), (7, 6))
        )
        self.score = nn.Conv2d(4 * width, 1, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        reduced = self.reduce(features)
        return self.score(torch.cat([branch(reduced) for branch in self.branches], 1))


class Pyramid(nn.Module):
    """Top-down feature pyramid (Lin et al. 2017) that gives every side feature the semantics of the coarser ones.

    RAS refines a level from its own side feature alone. VGG's and ResNet's are rich enough for that, MobileNetV2's 24 and 32 channels
    are not.

    Shapes:
        features: channels[i] at falling resolution -> widths[i] at the same resolutions.
    """

    def __init__(self, channels: Sequence[int], widths: Sequence[int]) -> None:
        super().__init__()
        self.laterals = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, w, 1, bias=False), nn.BatchNorm2d(w)) for c, w in zip(channels, widths, strict=True)
        )
        coarser = [*widths[1:], None]
        self.tops = nn.ModuleList(nn.Conv2d(c, w, 1) if c and c != w else nn.Identity() for c, w in zip(coarser, widths, strict=True))
        self.smooths = nn.ModuleList(separable(w) for w in widths)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        outputs: list[Tensor] = []
        for feature, lateral, top, smooth in reversed(list(zip(features, self.laterals, self.tops, self.smooths, strict=True))):
            x = lateral(feature)
            if outputs:
                x = x + resize(top(outputs[0]), x.shape[-2:])
            outputs.insert(0, smooth(F.relu(x)))
        return outputs


class RAS(nn.Module):
    """A trunk, a global prediction on its coarsest feature, and a chain of reverse-attention refinements.

    Args:
        trunk: image -> features, finest first, coarsest last.
        context: coarsest feature -> coarsest logit.
        blocks: one refinement for each remaining feature, finest first.
        pyramid: mixes the features before they are used, or None.

    Shapes:
        image (B, 3, H, W) float as the architecture's `Normalization` says.
    """

    def __init__(
        self,
        trunk: nn.Module,
        context: nn.Module,
        blocks: Sequence[ReverseAttention],
        *,
        coarsest: int = 32,
        pyramid: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.pyramid = pyramid
        self.context = context
        self.blocks = nn.ModuleList(blocks)
        self.coarsest = coarsest

    def levels(self, image: Tensor) -> list[Level]:
        """Every level at its own resolution, coarsest first (the order in which they are computed)."""
        features = self.trunk(image)
        if self.pyramid is not None:
            features = self.pyramid(features)
        *sides, coarsest = features
        found = [Level(self.context(coarsest), self.coarsest)]
        for side, block in zip(reversed(sides), reversed(self.blocks), strict=True):
            found.append(block(side, found[-1].logit))
        return found

    def forward(self, image: Tensor) -> list[Tensor]:
        """Logits of all levels at the input's size, each (B, 1, H, W), finest (the final map) first."""
        return [resize(level.logit, image.shape[-2:]) for level in reversed(self.levels(image))]


def ras_vgg16(*, norm: bool = False) -> RAS:
    """The ECCV 2018 network: VGG16, six side outputs down to stride 1, 20,228,934 parameters."""

    def conv(inputs: int, outputs: int, kernel: int) -> nn.Conv2d:
        layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        nn.init.normal_(layer.weight, std=0.01)
        nn.init.constant_(layer.bias, 0.0)  # type: ignore[arg-type]
        return layer

    def block(channels: int, stride: int) -> ReverseAttention:
        residual = nn.Sequential(conv(64, 64, 3), nn.ReLU(), conv(64, 64, 3), nn.ReLU(), conv(64, 1, 3))
        return EccvReverseAttention(conv(channels, 64, 1), residual, stride)

    widening = [layer for _ in range(3) for layer in (conv(256, 256, 5), nn.ReLU())]
    context = nn.Sequential(conv(512, 256, 1), *widening, conv(256, 1, 1))
    blocks = [block(c, s) for c, s in zip(VGG16.channels[:-1], VGG16.strides[:-1], strict=True)]
    return RAS(VGG16(), context, blocks)


def ras_resnet50(*, norm: bool = True) -> RAS:
    """The 2020 network (v2): ResNet50, levels down to stride 4, batch norm in the head, 24,585,156 parameters."""

    def block(channels: int, stride: int) -> ReverseAttention:
        residual = nn.Sequential(*[conv_norm(64, 64, 3, bias=True) for _ in range(3)], nn.Conv2d(64, 1, 3, padding=1))
        return ReverseAttention(conv_norm(channels, 64, bias=True), residual, stride)

    blocks = [block(c, s) for c, s in zip(ResNet50.channels[:-1], ResNet50.strides[:-1], strict=True)]
    return RAS(ResNet50(), MultiScaleContext(ResNet50.channels[-1]), blocks)


def ras_mobile(*, norm: bool = False, width: float = 1.0) -> RAS:
    """The embedded default: MobileNetV2, a small feature pyramid, levels down to stride 4.

    Args:
        norm: batch norm in the trunk (for training it from scratch); without it the trunk is in folded form.
        width: the trunk's channel multiplier.
    """
    trunk = MobileNetV2(width, norm=norm)
    widths = (32, 64, 64, 96)
    context = nn.Sequential(*[separable(widths[-1], 5) for _ in range(3)], nn.Conv2d(widths[-1], 1, 1))

    def block(channels: int, stride: int) -> ReverseAttention:
        residual = nn.Sequential(separable(channels), separable(channels), nn.Conv2d(channels, 1, 3, padding=1))
        return ReverseAttention(conv_norm(channels, channels), residual, stride)

    blocks = [block(c, s) for c, s in zip(widths[:-1], trunk.strides[:-1], strict=True)]
    return RAS(trunk, context, blocks, pyramid=Pyramid(trunk.channels, widths))


@dataclass(frozen=True)
class Architecture:
    """How to build a network and what it expects; `side` is what `infer` resizes to (0: native size)."""

    build: Callable[..., RAS]
    normalization: Normalization
    side: int
    folded_trunk: bool = False  # ImageNet weights come with batch norm folded in


ARCHITECTURES: dict[str, Architecture] = {
    "ras-mobile": Architecture(ras_mobile, SYMMETRIC, 256, folded_trunk=True),
    "ras-mobile-s": Architecture(partial(ras_mobile, width=0.5), SYMMETRIC, 256, folded_trunk=True),
    "ras-vgg16": Architecture(ras_vgg16, CAFFE, 0),
    "ras-resnet50": Architecture(ras_resnet50, TORCHVISION, 352),
}


def disable_reverse_attention(network: RAS) -> None:
    """Turn a network into the ablation A = 1: the same residual blocks on features nothing is erased from."""
    for block in network.blocks:
        assert isinstance(block, ReverseAttention)
        block.enabled = False
