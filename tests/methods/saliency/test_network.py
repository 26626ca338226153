"""The equations of RAS: parameter counts, shapes, reverse attention, folding."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from ppr.methods.saliency.folding import fold_batch_norm
from ppr.methods.saliency.network import (
    ARCHITECTURES,
    EccvReverseAttention,
    ReverseAttention,
    disable_reverse_attention,
    ras_mobile,
    ras_resnet50,
    ras_vgg16,
    resize,
)
from ppr.methods.saliency.trunks import MobileNetV2, unfold_norm


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


def product_block(width: int = 8) -> ReverseAttention:
    return ras_mobile(width=0.5, norm=True).blocks[0].eval()


def test_parameter_counts_are_the_published_ones():
    assert parameters(ras_vgg16()) == 20_228_934
    assert parameters(ras_resnet50()) == 24_585_156


def test_the_default_fits_its_place_in_the_package():
    """Two files of half-precision weights within 8 MB leave room for 2.0 million parameters."""
    assert parameters(ras_mobile()) < 1_960_000
    assert parameters(ras_mobile().trunk) == 1_795_936


@pytest.mark.parametrize("size", [(97, 131), (300, 400)])
def test_vgg16_gives_six_maps_of_the_inputs_size(size):
    with torch.inference_mode():
        outputs = ras_vgg16()(torch.randn(1, 3, *size))
    assert [tuple(o.shape) for o in outputs] == [(1, 1, *size)] * 6


@pytest.mark.parametrize(("arch", "count"), [("ras-mobile", 4), ("ras-mobile-s", 4), ("ras-resnet50", 4)])
@pytest.mark.parametrize("size", [(64, 64), (97, 131)])
def test_levels_double_in_resolution(arch, count, size):
    network = ARCHITECTURES[arch].build(norm=True).eval()
    with torch.inference_mode():
        image = torch.randn(1, 3, *size)
        levels, outputs = network.levels(image), network(image)
    assert [level.stride for level in levels] == [32, 16, 8, 4]
    assert [tuple(o.shape) for o in outputs] == [(1, 1, *size)] * count
    assert levels[0].attention is None
    assert levels[-1].attention is not None


def test_without_residuals_the_final_map_is_the_upsampled_coarsest_one():
    network = ras_vgg16()
    with torch.inference_mode():
        for block in network.blocks:
            for layer in block.residual:
                if isinstance(layer, nn.Conv2d):
                    layer.weight.zero_()
                    layer.bias.zero_()
        image = torch.randn(1, 3, 97, 131) * 50
        levels = network.levels(image)
        expected = levels[0].logit
        for level in levels[1:]:
            expected = resize(expected, level.logit.shape[-2:])
        torch.testing.assert_close(network(image)[0], expected)


@given(height=st.integers(9, 40), width=st.integers(9, 40))
@settings(max_examples=15, deadline=None)
def test_a_confident_coarse_map_erases_its_features(height, width):
    """Where U is +40 the attention is 0: the refined logit does not depend on the feature."""
    torch.manual_seed(height * 100 + width)
    block = product_block()
    channels = block.squeeze[0].in_channels
    coarse = torch.full((1, 1, height // 2, width // 2), 40.0)
    with torch.inference_mode():
        first, second = (block(torch.randn(1, channels, height, width), coarse) for _ in range(2))
        torch.testing.assert_close(first.logit, second.logit)
        torch.testing.assert_close(first.logit, 40 + block.residual(torch.zeros(1, channels, height, width)))
        undecided = block(torch.randn(1, channels, height, width), torch.zeros_like(coarse))
    torch.testing.assert_close(undecided.attention, torch.full((1, 1, height, width), 0.5))


def test_a_block_computes_the_papers_equation():
    """S = U + R(sigmoid(-U) * squeeze(F)), checked with NumPy's sigmoid and the block's own convolutions."""
    torch.manual_seed(0)
    block = product_block()
    features, coarse = torch.randn(2, block.squeeze[0].in_channels, 20, 24), 3 * torch.randn(2, 1, 10, 12)
    with torch.inference_mode():
        level = block(features, coarse)
        upsampled = nn.functional.interpolate(coarse, (20, 24), mode="bilinear", align_corners=False)
        attention = torch.from_numpy(1 - 1 / (1 + np.exp(-upsampled.double().numpy()))).float()
        expected = upsampled + block.residual(attention * block.squeeze(features))
    torch.testing.assert_close(level.logit, expected, atol=1e-5, rtol=0)


def test_the_2018_block_erases_before_it_squeezes():
    """1x1 convolution and a one-channel mask commute except for the bias: with it zeroed both forms agree, with it they do not."""
    torch.manual_seed(0)
    block = ras_vgg16().blocks[1]
    assert isinstance(block, EccvReverseAttention)
    features, coarse = torch.randn(1, 128, 12, 12), torch.randn(1, 1, 6, 6)
    later = ReverseAttention(block.squeeze, block.residual, block.stride)
    with torch.inference_mode():
        torch.testing.assert_close(block(features, coarse).logit, later(features, coarse).logit, atol=1e-5, rtol=0)
        block.squeeze.bias.fill_(5.0)
        assert not torch.allclose(block(features, coarse).logit, later(features, coarse).logit, atol=1e-5)


def test_gradients_flow_through_the_attention():
    block = product_block()
    coarse = torch.randn(1, 1, 5, 5, requires_grad=True)
    block(torch.randn(1, block.squeeze[0].in_channels, 10, 10), coarse).residual.sum().backward()
    assert coarse.grad.abs().sum() > 0


def test_the_ablation_erases_nothing():
    network = ras_mobile(width=0.5, norm=True).eval()
    disable_reverse_attention(network)
    with torch.inference_mode():
        assert all((level.attention == 1).all() for level in network.levels(torch.randn(1, 3, 64, 64))[1:])


@pytest.mark.parametrize("arch", ["ras-mobile", "ras-resnet50", "ras-vgg16"])
def test_folding_batch_norm_keeps_the_function(arch):
    torch.manual_seed(0)
    network = ARCHITECTURES[arch].build(norm=True)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.8, 1.2)
    folded = fold_batch_norm(network.eval())
    image = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(folded(image)[0], network(image)[0], atol=1e-4, rtol=1e-4)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


def test_batch_norm_put_back_into_a_folded_trunk_changes_nothing():
    torch.manual_seed(0)
    folded, trunk = MobileNetV2(0.5, norm=False).eval(), MobileNetV2(0.5, norm=True).eval()
    images = torch.rand(8, 3, 64, 64) * 2 - 1
    unfold_norm(trunk, folded.state_dict(), images)
    with torch.inference_mode():
        for ours, theirs in zip(trunk(images), folded(images), strict=True):
            torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)
        # In training mode the batch's own statistics are the stored ones, so that fine-tuning starts where ImageNet ended.
        trunk.train()
        torch.testing.assert_close(trunk(images)[-1], folded(images)[-1], atol=1e-3, rtol=1e-2)


def test_trunk_pads_strided_convolutions_as_tensorflow_does():
    """An impulse in the last row reaches a stride-2 output through the bottom padding, one in the first row sees none above it."""
    trunk = MobileNetV2(0.5, norm=False)
    conv = trunk.stem
    with torch.inference_mode():
        conv.conv.weight.fill_(1.0)
        conv.conv.bias.zero_()
        ones = conv(torch.ones(1, 3, 8, 8))[0, 0]
    # 3x3 windows over 3 channels of ones: 27 inside, clipped by ReLU6 to 6; count instead with a small weight.
    assert ones.max() == 6
    with torch.inference_mode():
        conv.conv.weight.fill_(0.1)
        counted = conv(torch.ones(1, 3, 8, 8))[0, 0]
    torch.testing.assert_close(counted[0, 0], torch.tensor(2.7))
    torch.testing.assert_close(counted[-1, -1], torch.tensor(1.2))
