"""The networks of IM-NET: published sizes and names, the equation of the decoder, its last activation and its first weights."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ppr.methods.imnet import naive
from ppr.methods.imnet.config import PRESETS, NetworkConfig
from ppr.methods.imnet.models import field
from ppr.methods.imnet.network import AutoEncoder, ImplicitDecoder, VoxelEncoder, activation, fourier_features


def recipe(arch, **changes):
    settings = {key: value for key, value in PRESETS[arch].items() if key in NetworkConfig.model_fields}
    return NetworkConfig(**settings | changes)


def parameters(network):
    return sum(p.numel() for p in network.parameters())


@pytest.fixture(scope="module")
def improved():
    torch.manual_seed(0)
    return AutoEncoder(recipe("improved"))


@pytest.fixture(scope="module")
def paper():
    torch.manual_seed(0)
    return AutoEncoder(recipe("paper"))


def decoder_of(config):
    """A decoder whose output varies: the authors' first weights hardly depend on anything."""
    torch.manual_seed(0)
    decoder = ImplicitDecoder(config.z_dim, config.decoder_widths, config.skips, config.octaves, config.output)
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.normal_(0, math.sqrt(3 / parameter.shape[-1]) if parameter.ndim == 2 else 0.3)
        decoder.output = "logit"
        values = decoder(torch.rand(1, 500, 3) - 0.5, torch.full((1, config.z_dim), 0.5))
        decoder.output = config.output
        decoder.get_submodule(f"linear_{decoder.depth}").bias -= values.median() - 0.5  # where no activation is flat
    return decoder


def test_parameter_counts_are_those_of_the_authors_network(improved):
    assert parameters(improved.encoder) == 6_949_120
    assert parameters(improved.generator) == 3_054_593


def test_tensors_have_the_authors_names(improved):
    expected = {f"encoder.conv_{i}.weight" for i in range(1, 6)} | {"encoder.conv_5.bias"}
    expected |= {f"generator.linear_{i}.{kind}" for i in range(1, 8) for kind in ("weight", "bias")}
    assert set(improved.state_dict()) == expected


def test_layers_have_the_authors_widths(improved):
    state = improved.state_dict()
    assert tuple(state["encoder.conv_1.weight"].shape) == (32, 1, 4, 4, 4)
    assert tuple(state["encoder.conv_5.weight"].shape) == (256, 256, 4, 4, 4)
    shapes = [tuple(state[f"generator.linear_{i}.weight"].shape) for i in range(1, 8)]
    assert shapes == [(1024, 259), (1024, 1024), (1024, 1024), (512, 1024), (256, 512), (128, 256), (1, 128)]


def test_the_papers_decoder_takes_its_input_again_at_four_layers(paper):
    shapes = [tuple(paper.generator.get_submodule(f"linear_{i}").weight.shape) for i in range(1, 7)]
    assert shapes == [(2048, 131), (1024, 2048 + 131), (512, 1024 + 131), (256, 512 + 131), (128, 256 + 131), (1, 128)]


def test_the_papers_encoder_has_batch_norm_and_biases(paper):
    state = paper.encoder.state_dict()
    assert {"conv_1.bias", "conv_4.bias", "in_1.running_mean", "in_4.weight"} <= set(state)
    assert paper.encoder.get_submodule("in_1").momentum == pytest.approx(0.001)
    assert paper.encoder.get_submodule("in_1").eps == pytest.approx(1e-5)


@pytest.mark.parametrize("arch", ["fast", "improved", "paper"])
def test_the_decoder_equals_that_on_concatenated_inputs(arch):
    config = recipe(arch, gf_dim=8, z_dim=11)
    decoder = decoder_of(config)
    points, code = torch.rand(3, 40, 3) - 0.5, torch.rand(3, 11)
    with torch.no_grad():
        found = decoder(points, code).numpy()
    state = {key: value.numpy() for key, value in decoder.state_dict().items()}
    expected = np.stack([naive.field(state, config, p.numpy(), z.numpy()) for p, z in zip(points, code, strict=True)])
    assert found.shape == (3, 40)
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arch", ["fast", "paper"])
def test_a_shapes_values_depend_on_its_own_code_alone(arch):
    decoder = decoder_of(recipe(arch, gf_dim=8, z_dim=11))
    points, code = torch.rand(1, 40, 3).expand(2, -1, -1) - 0.5, torch.rand(2, 11)
    with torch.no_grad():
        together = decoder(points, code)
        torch.testing.assert_close(together[1:], decoder(points[1:], code[1:]), atol=1e-6, rtol=1e-5)
    assert (together[0] - together[1]).abs().max() > 1e-3


def test_the_leaky_clamp_is_the_identity_inside_and_nearly_flat_outside():
    value = torch.tensor([-3.0, -0.5, 0.0, 0.25, 0.5, 1.0, 2.0, 11.0])
    expected = torch.tensor([-0.03, -0.005, 0.0, 0.25, 0.5, 1.0, 1.01, 1.1])
    torch.testing.assert_close(activation(value, "clamp"), expected)
    np.testing.assert_allclose(field.activation(value.numpy(), "clamp"), expected.numpy(), rtol=1e-6)


def test_the_sigmoid_is_at_its_level_where_the_logit_is_at_0():
    value = torch.tensor([-200.0, -1.0, 0.0, 3.0, 200.0])
    torch.testing.assert_close(activation(value, "sigmoid"), torch.tensor([0.0, 0.2689414, 0.5, 0.9525741, 1.0]))
    assert torch.equal(activation(value, "logit"), value)
    np.testing.assert_allclose(field.activation(value.numpy(), "sigmoid"), activation(value, "sigmoid").numpy(), atol=1e-7)


@pytest.mark.parametrize("arch", ["improved", "paper"])
def test_the_authors_decoder_starts_from_a_normal_of_002(arch, request):
    decoder = request.getfixturevalue(arch).generator
    for i in range(1, decoder.depth + 1):
        layer = decoder.get_submodule(f"linear_{i}")
        assert float(layer.weight.detach().std()) == pytest.approx(0.02, rel=0.2 if i == decoder.depth else 0.03)
        assert abs(float(layer.weight.detach().mean())) < 5 * 0.02 / math.sqrt(layer.weight.numel())
        assert not layer.bias.any()


def test_hes_rule_keeps_the_signal_from_layer_to_layer():
    torch.manual_seed(0)
    decoder = AutoEncoder(recipe("fast")).generator
    for i in range(1, decoder.depth):
        weight = decoder.get_submodule(f"linear_{i}").weight.detach()
        assert float(weight.std()) == pytest.approx(math.sqrt(2 / (1 + 0.02**2) / weight.shape[1]), rel=0.03)
    points, code = torch.rand(1, 2000, 3) - 0.5, torch.rand(1, 128)
    with torch.no_grad():
        assert 0.05 < decoder(points, code).std() < 5


def test_the_encoder_starts_uniform_by_xavier(improved):
    for i in range(1, 6):
        weight = improved.encoder.get_submodule(f"conv_{i}").weight.detach()
        bound = math.sqrt(6 / ((weight.shape[0] + weight.shape[1]) * 64))
        assert 0.98 * bound < float(weight.abs().max()) <= bound
        assert float(weight.std()) == pytest.approx(bound / math.sqrt(3), rel=0.05)
    assert not improved.encoder.conv_5.bias.any()


def test_fourier_features_are_sines_and_cosines_of_doubling_frequency():
    point = torch.tensor([[0.1, -0.25, 0.5]])
    expected = [0.1, -0.25, 0.5]
    for function in (math.sin, math.cos):
        expected += [function(math.pi * 2**k * value) for k in range(3) for value in (0.1, -0.25, 0.5)]
    torch.testing.assert_close(fourier_features(point, 3), torch.tensor([expected]))
    np.testing.assert_allclose(field.fourier_features(point.numpy(), 3), [expected], rtol=1e-5, atol=1e-6)
    assert torch.equal(fourier_features(point, 0), point)


def test_the_encoder_is_instance_norm_between_convolutions():
    torch.manual_seed(0)
    encoder = VoxelEncoder(5, 2, "instance").eval()
    voxels = (torch.rand(2, 1, 64, 64, 64) < 0.3).float()
    state, hidden = encoder.state_dict(), voxels
    for i in range(1, 5):
        hidden = F.conv3d(hidden, state[f"conv_{i}.weight"], stride=2, padding=1)
        mean, variance = hidden.mean((2, 3, 4), keepdim=True), hidden.var((2, 3, 4), keepdim=True, correction=0)
        hidden = (hidden - mean) / (variance + 1e-5).sqrt()
        hidden = torch.where(hidden > 0, hidden, 0.02 * hidden)
    expected = F.conv3d(hidden, state["conv_5.weight"], state["conv_5.bias"]).sigmoid().flatten(1)
    with torch.no_grad():
        torch.testing.assert_close(encoder(voxels), expected, atol=1e-5, rtol=0)
    assert expected.shape == (2, 5)


@pytest.mark.parametrize("arch", ["fast", "improved", "paper"])
def test_the_autoencoder_is_the_decoder_on_the_encoders_code(arch):
    torch.manual_seed(0)
    network = AutoEncoder(recipe(arch, ef_dim=2, gf_dim=4, z_dim=6)).eval()
    voxels, points = (torch.rand(2, 1, 64, 64, 64) < 0.3).float(), torch.rand(2, 9, 3) - 0.5
    with torch.no_grad():
        torch.testing.assert_close(network(voxels, points), network.generator(points, network.encoder(voxels)))
