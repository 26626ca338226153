"""Feature extractors of the RAS networks: VGG16, ResNet50 and MobileNetV2, written out because the CPU has no torchvision.

Each trunk maps an image batch to a list of feature maps, finest first, and tells their `channels` and `strides`.
Parameter names follow torchvision's (VGG16, ResNet50) so that its ImageNet weights load as they are.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class VGG16(nn.Module):
    """The thirteen convolutions of VGG16 with Caffe's pooling, as RAS uses them (Chen et al. 2018, section 3.1).

    Pools 1-3 are 2x2, pools 4 and 5 are 3x3 with padding 1; all have stride 2 and ceil sizes.

    Shapes:
        image (B, 3, H, W) float, BGR minus mean -> conv1_2, conv2_2, conv3_3, conv4_3, conv5_3, pool5
        at strides 1, 2, 4, 8, 16, 32.
    """

    channels = (64, 128, 256, 512, 512, 512)
    strides = (1, 2, 4, 8, 16, 32)
    _plan = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self.stages: list[slice] = []
        width = 3
        for stage, plan in enumerate(self._plan):
            start = len(layers)
            for channels in plan:
                layers += [nn.Conv2d(width, channels, 3, padding=1), nn.ReLU()]
                width = channels
            self.stages.append(slice(start, len(layers)))
            wide = stage >= 3
            layers.append(nn.MaxPool2d(3 if wide else 2, 2, padding=1 if wide else 0, ceil_mode=True))
        self.features = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> list[Tensor]:
        features, x = [], image
        for stage in self.stages:
            x = self.features[stage](x)
            features.append(x)
            x = self.features[stage.stop](x)
        return [*features, x]


class Bottleneck(nn.Module):
    """ResNet's 1x1-3x3-1x1 block with a projected shortcut where the shape changes (He et al. 2016)."""

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, outputs, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(outputs)
        self.downsample: nn.Module | None = None
        if stride != 1 or inputs != outputs:
            self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        x = F.relu(self.bn1(self.conv1(x)))
        x = F.relu(self.bn2(self.conv2(x)))
        return F.relu(self.bn3(self.conv3(x)) + shortcut)


class ResNet50(nn.Module):
    """ResNet50 without its classifier.

    Shapes:
        image (B, 3, H, W) float, RGB normalised -> 256, 512, 1024, 2048 channels at strides 4, 8, 16, 32.
    """

    channels = (256, 512, 1024, 2048)
    strides = (4, 8, 16, 32)
    layer1: nn.Module
    layer2: nn.Module
    layer3: nn.Module
    layer4: nn.Module

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        width = 64
        for stage, (planes, blocks) in enumerate(zip((64, 128, 256, 512), (3, 4, 6, 3), strict=True), start=1):
            layers = []
            for block in range(blocks):
                layers.append(Bottleneck(width, planes, 2 if stage > 1 and block == 0 else 1))
                width = 4 * planes
            self.add_module(f"layer{stage}", nn.Sequential(*layers))

    def forward(self, image: Tensor) -> list[Tensor]:
        x = F.max_pool2d(F.relu(self.bn1(self.conv1(image))), 3, 2, 1)
        features = []
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
            features.append(x)
        return features

    def stem(self) -> list[nn.Module]:
        """The first layers, which the 2020 recipe keeps frozen."""
        return [self.conv1, self.bn1]


class TrunkConv(nn.Module):
    """Convolution, batch norm, ReLU6, padded as TensorFlow pads ("SAME") an even-sized map.

    Without `norm` the convolution carries a bias instead: the state after batch norm has been folded in, which is how the ImageNet
    weights come, and the same function as a frozen batch norm.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1, *, norm: bool, activate: bool = True
    ) -> None:
        super().__init__()
        # Stride 2 pads right and bottom only: symmetric padding would shift every feature by half a pixel against the weights.
        self.shift = stride == 2 and kernel == 3
        padding = 0 if self.shift else kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=not norm)
        self.norm = nn.BatchNorm2d(outputs) if norm else nn.Identity()
        self.activation = nn.ReLU6() if activate else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        if self.shift:
            x = F.pad(x, (0, 1, 0, 1))
        return self.activation(self.norm(self.conv(x)))


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1 without activation, identity skip where the shape stays (Sandler et al. 2018)."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, *, norm: bool) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = TrunkConv(inputs, width, norm=norm) if expansion > 1 else nn.Identity()
        self.depthwise = TrunkConv(width, width, 3, stride, groups=width, norm=norm)
        self.project = TrunkConv(width, outputs, norm=norm, activate=False)
        self.skip = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


class MobileNetV2(nn.Module):
    """MobileNetV2 up to its 320-channel layer.

    Args:
        width: channel multiplier (1.0 or 0.5; channels are rounded to multiples of 8 as in the paper's code).
        norm: batch norm after every convolution; False for the folded form.

    Shapes:
        image (B, 3, H, W) float, RGB in [-1, 1] -> 24, 32, 96, 320 channels (at width 1) at strides 4, 8, 16, 32.
    """

    strides = (4, 8, 16, 32)
    _stages = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))
    _taps = (1, 2, 4, 6)  # stages whose output is used

    def __init__(self, width: float = 1.0, *, norm: bool) -> None:
        super().__init__()
        channels = _divisible(32 * width)
        self.stem = TrunkConv(3, channels, 3, 2, norm=norm)
        blocks, taps, widths = [], [], []
        for stage, (expansion, base, repeats, stride) in enumerate(self._stages):
            outputs = _divisible(base * width)
            for repeat in range(repeats):
                blocks.append(InvertedResidual(channels, outputs, stride if repeat == 0 else 1, expansion, norm=norm))
                channels = outputs
            if stage in self._taps:
                taps.append(len(blocks) - 1)
                widths.append(channels)
        self.blocks = nn.ModuleList(blocks)
        self.taps = tuple(taps)
        self.channels = tuple(widths)

    def forward(self, image: Tensor) -> list[Tensor]:
        x = self.stem(image)
        features = []
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in self.taps:
                features.append(x)
        return features


def _divisible(channels: float, by: int = 8) -> int:
    """The multiple of `by` nearest to `channels` that loses at most a tenth of them."""
    rounded = max(by, int(channels + by / 2) // by * by)
    return rounded + by if rounded < 0.9 * channels else rounded


def folded_mobilenet_keys(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map a folded MobileNetV2 file (`stem.weight`, `blocks.3.expand.bias`, ...) to this module's names, without the 1280-channel head."""
    renamed = {}
    for key, value in state.items():
        if key.startswith("head."):
            continue
        layer, kind = key.rsplit(".", 1)
        renamed[f"{layer}.conv.{kind}"] = value
    return renamed


@torch.no_grad()
def unfold_norm(trunk: MobileNetV2, folded: dict[str, Tensor], images: Tensor) -> None:
    """Load folded weights into a trunk with batch norm without changing the function it computes on `images`.

    Every batch norm gets the measured mean and variance of its input as running statistics, gamma = sqrt(var + eps) and
    beta = mean + the folded bias, so that normalising with them is the identity at the start of training.

    Args:
        images: (B, 3, H, W) float in [-1, 1], a few hundred training images.
    """
    convs = {name: module for name, module in trunk.named_modules() if isinstance(module, TrunkConv)}
    for name, module in convs.items():
        module.conv.weight.copy_(folded[f"{name}.conv.weight"])

    def calibrate(module: TrunkConv, bias: Tensor) -> Callable[[nn.Module, tuple, Tensor], None]:
        def hook(_conv: nn.Module, _inputs: tuple, output: Tensor) -> None:
            norm = module.norm
            assert isinstance(norm, nn.BatchNorm2d) and norm.running_mean is not None and norm.running_var is not None
            variance, mean = torch.var_mean(output.float(), (0, 2, 3), correction=0)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_(torch.sqrt(variance + norm.eps))
            norm.bias.copy_(mean + bias)

        return hook

    hooks = [m.conv.register_forward_hook(calibrate(m, folded[f"{n}.conv.bias"])) for n, m in convs.items()]
    training = trunk.training
    trunk.eval()(images)
    trunk.train(training)
    for hook in hooks:
        hook.remove()
