"""The image encoder has the authors' names and sizes, computes what its description says, and can learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ppr.methods.imnet.models.image_encoder import ImageEncoder, ResidualBlock


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def test_the_authors_size_has_as_many_parameters_as_theirs():
    with torch.device("meta"):
        assert parameters(ImageEncoder(256, 64)) == 17_462_976


def test_the_state_has_the_authors_names():
    names = {name.rpartition(".")[0] for name in ImageEncoder(8, 4).state_dict()}
    blocks = {f"res_{i}.{part}" for i in range(1, 9) for part in ("conv_1", "bn_1", "conv_2", "bn_2")}
    shortcuts = {f"res_{i}.{part}" for i in (3, 5, 7) for part in ("conv_s", "bn_s")}
    assert names == {"conv_0", "bn_0", "conv_9", "bn_9", "conv_10"} | blocks | shortcuts
    biases = {name for name in ImageEncoder(8, 4).state_dict() if name.endswith("bias") and ".bn_" not in f".{name}"}
    assert biases == {"conv_10.bias"}


def normalised(x, state, name):
    mean, variance, weight, bias = (state[f"{name}.{part}"][:, None, None] for part in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / torch.sqrt(variance + 1e-5) * weight + bias


def reference(x, state):
    """The network of section 2.4 of the specification, written out once more in float64."""

    def conv(x, name, stride=1, padding=0, bias=None):
        return F.conv2d(x, state[f"{name}.weight"], bias, stride, padding)

    def lrelu(x):
        return torch.where(x > 0, x, 0.02 * x)

    x = lrelu(normalised(conv(x, "conv_0", 2, 3), state, "bn_0"))
    for i in range(1, 9):
        name, stride = f"res_{i}", 2 if i in (3, 5, 7) else 1
        y = lrelu(normalised(conv(x, f"{name}.conv_1", stride, 1), state, f"{name}.bn_1"))
        y = normalised(conv(y, f"{name}.conv_2", 1, 1), state, f"{name}.bn_2")
        if stride == 2:
            x = normalised(conv(x, f"{name}.conv_s", 2), state, f"{name}.bn_s")
        x = lrelu(x + y)
    x = lrelu(normalised(conv(x, "conv_9", 2, 1), state, "bn_9"))
    return torch.sigmoid(conv(x, "conv_10", bias=state["conv_10.bias"])).flatten(1)


def test_it_computes_what_the_paper_describes():
    torch.manual_seed(0)
    network = ImageEncoder(12, 4).eval()
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand_like(buffer) + 0.5)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    view = torch.rand(3, 1, 128, 128)
    state = {name: value.double() for name, value in network.state_dict().items()}
    with torch.no_grad():
        code = network(view)
    assert code.shape == (3, 12)
    torch.testing.assert_close(code.double(), reference(view.double(), state), atol=1e-5, rtol=0)


@pytest.mark.parametrize(("inside", "outside", "side"), [(6, 6, 16), (6, 12, 8)])
def test_a_block_halves_the_resolution_where_the_width_changes(inside, outside, side):
    assert ResidualBlock(inside, outside)(torch.rand(2, inside, 16, 16)).shape == (2, outside, side, side)


@pytest.mark.slow
def test_a_handful_of_views_is_learned_by_heart():
    torch.manual_seed(1)
    views = torch.from_numpy(np.kron(np.random.default_rng(0).random((6, 1, 8, 8)), np.ones((16, 16))).astype(np.float32))
    codes = torch.rand(6, 10)
    network = ImageEncoder(10, 4)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    baseline = (codes - codes.mean(0)).square().mean().item()
    for _ in range(60):
        loss = F.mse_loss(network(views), codes)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < baseline / 20
