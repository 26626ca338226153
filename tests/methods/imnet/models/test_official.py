"""Checkpoints of the authors' PyTorch code are read one to one, without unpickling, and others are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import load_checkpoint
from ppr.methods.imnet.config import PRESETS, NetworkConfig
from ppr.methods.imnet.infer import Predictor
from ppr.methods.imnet.models.image_encoder import ImageEncoder
from ppr.methods.imnet.models.official import import_official, improved_config
from ppr.methods.imnet.models.svr import load_image_encoder
from ppr.methods.imnet.network import AutoEncoder

E, G, Z = 4, 8, 16


def official_state(depth=7):
    """Seeded tensors with the names and shapes of IM_AE.model.pth, narrower."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape):
        return torch.randn(shape, generator=generator) / max(1, np.prod(shape[1:])) ** 0.5

    state = {}
    for i, (inside, outside) in enumerate([(1, E), (E, 2 * E), (2 * E, 4 * E), (4 * E, 8 * E), (8 * E, Z)], 1):
        state[f"encoder.conv_{i}.weight"] = normal(outside, inside, 4, 4, 4)
    state["encoder.conv_5.bias"] = normal(Z)
    sizes = [Z + 3, 8 * G, 8 * G, 8 * G, 4 * G, 2 * G, G, 1][: depth + 1]
    for i in range(1, depth + 1):
        state[f"generator.linear_{i}.weight"] = normal(sizes[i], sizes[i - 1])
        state[f"generator.linear_{i}.bias"] = normal(sizes[i]) * 0.1
    return state


def official_encoder(state, voxels):
    """encoder.forward of modelAE.py."""
    hidden = voxels
    for i in range(1, 5):
        hidden = F.conv3d(hidden, state[f"encoder.conv_{i}.weight"], stride=2, padding=1)
        hidden = F.leaky_relu(F.instance_norm(hidden), 0.02)
    return F.conv3d(hidden, state["encoder.conv_5.weight"], state["encoder.conv_5.bias"]).view(-1, Z).sigmoid()


def official_generator(state, points, code):
    """generator.forward of modelAE.py."""
    hidden = torch.cat([points, code[:, None].repeat(1, points.shape[1], 1)], 2)
    for i in range(1, 7):
        hidden = F.leaky_relu(F.linear(hidden, state[f"generator.linear_{i}.weight"], state[f"generator.linear_{i}.bias"]), 0.02)
    value = F.linear(hidden, state["generator.linear_7.weight"], state["generator.linear_7.bias"])
    return torch.max(torch.min(value, value * 0.01 + 0.99), value * 0.01)[..., 0]


def official_image_encoder(state, view):
    """img_encoder.forward of modelSVR.py."""
    weights = {key.removeprefix("img_encoder."): value for key, value in state.items() if key.startswith("img_encoder.")}

    def norm(x, name):
        kept = (weights[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return F.batch_norm(x, *kept)

    hidden = F.leaky_relu(norm(F.conv2d(view, weights["conv_0.weight"], stride=2, padding=3), "bn_0"), 0.02)
    for i in range(1, 9):
        name, stride = f"res_{i}", 2 if i in (3, 5, 7) else 1
        inner = F.leaky_relu(norm(F.conv2d(hidden, weights[f"{name}.conv_1.weight"], stride=stride, padding=1), f"{name}.bn_1"), 0.02)
        inner = norm(F.conv2d(inner, weights[f"{name}.conv_2.weight"], padding=1), f"{name}.bn_2")
        if stride == 2:
            hidden = norm(F.conv2d(hidden, weights[f"{name}.conv_s.weight"], stride=2), f"{name}.bn_s")
        hidden = F.leaky_relu(inner + hidden, 0.02)
    hidden = F.leaky_relu(norm(F.conv2d(hidden, weights["conv_9.weight"], stride=2, padding=1), "bn_9"), 0.02)
    return F.conv2d(hidden, weights["conv_10.weight"], weights["conv_10.bias"]).flatten(1).sigmoid()


def image_state(width=4):
    torch.manual_seed(1)
    network = ImageEncoder(Z, width)
    for name, value in network.state_dict().items():
        if name.endswith(("running_mean", "running_var")):
            value.uniform_(0.5, 1.5)
    network.state_dict()["conv_10.weight"].mul_(5)
    return {f"img_encoder.{key}": value for key, value in network.state_dict().items()}


@pytest.fixture(scope="module")
def state():
    return official_state()


@pytest.fixture
def imported(tmp_path, state):
    torch.save(state, tmp_path / "IM_AE.model64-199.pth")
    (only,) = import_official(tmp_path / "IM_AE.model64-199.pth", tmp_path / "im.safetensors")
    return only


def test_the_encoder_gives_the_authors_codes(imported, state):
    grids = np.random.default_rng(0).random((2, 64, 64, 64)) < 0.2
    expected = official_encoder(state, torch.from_numpy(grids[:, None].astype(np.float32)))
    assert expected.std() > 0.05
    np.testing.assert_allclose(Predictor.load(str(imported.path)).encode(list(grids)), expected, atol=1e-5)


def test_the_decoder_gives_the_authors_values(imported, state):
    rng = np.random.default_rng(0)
    points, code = (rng.random((4000, 3)) - 0.5).astype(np.float32), rng.random(Z).astype(np.float32)
    expected = official_generator(state, torch.from_numpy(points)[None], torch.from_numpy(code)[None])[0].numpy()
    assert expected.std() > 1e-3
    np.testing.assert_allclose(Predictor.load(str(imported.path)).field(code)(points), expected, atol=1e-5)
    checkpoint = load_checkpoint(imported.path)
    network = AutoEncoder(NetworkConfig(**checkpoint.meta.config)).eval()
    network.load_state_dict(checkpoint.state)
    with torch.no_grad():
        found = network.generator(torch.from_numpy(points)[None], torch.from_numpy(code)[None])[0]
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_the_file_says_what_it_is(imported, state):
    meta = load_checkpoint(imported.path).meta
    assert (meta.method, meta.arch) == ("imnet", "improved")
    assert (meta.config["z_dim"], meta.config["ef_dim"], meta.config["gf_dim"], meta.config["output"]) == (Z, E, G, "clamp")
    assert imported.parts == ("encoder", "generator")
    assert imported.parameters == sum(value.numel() for value in state.values())


def test_sizes_are_read_from_the_tensors_of_the_full_network():
    full = NetworkConfig(**{key: value for key, value in PRESETS["improved"].items() if key in NetworkConfig.model_fields})
    state = {"generator.linear_1.weight": (1024, 259), "generator.linear_7.weight": (1, 128), "encoder.conv_1.weight": (32, 1, 4, 4, 4)}
    found = improved_config({key: torch.empty(shape, device="meta") for key, shape in state.items()}, Path("IM_AE.pth"))
    assert found == full


def test_names_of_parallel_training_are_understood(tmp_path, state, imported):
    torch.save({f"module.{key}": value for key, value in state.items()}, tmp_path / "parallel.pth")
    (only,) = import_official(tmp_path / "parallel.pth", tmp_path / "parallel.safetensors")
    first, second = (load_checkpoint(each.path).state for each in (only, imported))
    assert set(first) == set(second)
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_a_single_view_model_becomes_two_files(tmp_path, state):
    decoder = {key: value for key, value in state.items() if key.startswith("generator.")}
    torch.save(decoder | image_state(), tmp_path / "IM_SVR.pth")
    shapes, pictures = import_official(tmp_path / "IM_SVR.pth", tmp_path / "svr.safetensors")
    assert (shapes.parts, pictures.parts) == (("generator",), ("img_encoder",))
    assert pictures.path == tmp_path / "svr.image.safetensors"
    assert set(load_checkpoint(shapes.path).state) == set(decoder)

    encoder, meta = load_image_encoder(pictures.path)
    assert (meta.method, meta.config) == ("imnet-svr", {"width": 4, "z_dim": Z})
    view = torch.rand(2, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = official_image_encoder(image_state(), view)
        assert expected.std() > 0.01
        torch.testing.assert_close(encoder(view), expected, atol=1e-5, rtol=0)
    model = Predictor.load(str(shapes.path), pictures.path)
    np.testing.assert_allclose(model.encode_image(view[0].numpy()), expected[0], atol=1e-5)


def test_an_existing_file_is_kept_unless_asked(tmp_path, state, imported):
    before = imported.path.read_bytes()
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(UsageError, match="exists already"):
        import_official(tmp_path / "a.pth", imported.path)
    assert imported.path.read_bytes() == before
    import_official(tmp_path / "a.pth", imported.path, overwrite=True)


def refused(tmp_path, state, message):
    torch.save(state, tmp_path / "bad.pth")
    with pytest.raises(PprError, match=message):
        import_official(tmp_path / "bad.pth", tmp_path / "out.safetensors")
    assert not list(tmp_path.glob("*.safetensors"))


def test_unknown_tensors_are_named(tmp_path, state):
    refused(tmp_path, state | {"discriminator.linear_1.weight": torch.zeros(2, 2)}, r"unknown tensor 'discriminator\.linear_1\.weight'")
    refused(tmp_path, state | {"encoder.conv_6.weight": torch.zeros(2, 2)}, r"1 unknown \(encoder\.conv_6\.weight")


def test_a_checkpoint_without_decoder_is_refused(tmp_path, state):
    refused(tmp_path, {key: value for key, value in state.items() if key.startswith("encoder.")}, "no tensor 'generator")


@pytest.mark.parametrize("depth", [1, 6])
def test_a_decoder_of_another_depth_is_refused(tmp_path, depth):
    refused(tmp_path, official_state(depth), f"a decoder of {depth} layers, not the improved IM-NET's 7")


@pytest.mark.parametrize("key", ["generator.linear_3.bias", "encoder.conv_2.weight"])
def test_missing_tensors_are_named(tmp_path, state, key):
    refused(tmp_path, {name: value for name, value in state.items() if name != key}, f"1 missing .{key}")


def test_tensors_of_another_shape_are_refused(tmp_path, state):
    refused(tmp_path, state | {"generator.linear_4.weight": torch.zeros(5, 8 * G)}, r"1 misshapen \(generator\.linear_4\.weight")
    refused(tmp_path, state | {"generator.linear_1.weight": torch.zeros(8 * G)}, "not the improved IM-NET's 7")
    refused(tmp_path, state | {"generator.linear_1.weight": torch.zeros(0, Z + 3)}, "not the improved IM-NET's 7")
    refused(tmp_path, state | {"encoder.conv_1.weight": torch.tensor(1.0)}, r"misshapen \(encoder\.conv_1\.weight")


def test_an_image_encoder_without_its_first_layer_is_refused(tmp_path, state):
    pictures = image_state()
    del pictures["img_encoder.conv_0.weight"]
    torch.save(state | pictures, tmp_path / "bad.pth")
    with pytest.raises(PprError, match="without its first layer"):
        import_official(tmp_path / "bad.pth", tmp_path / "out.safetensors")


class Trap:
    """Raises when it is unpickled."""

    def __reduce__(self):
        return (exec, ("raise RuntimeError('unpickled')",))


def test_pickled_objects_are_never_loaded(tmp_path, state):
    refused(tmp_path, state | {"generator.extra": Trap()}, "not a weights file that can be read safely")


def test_what_is_no_dictionary_of_tensors_is_refused(tmp_path):
    refused(tmp_path, [torch.zeros(2)], "holds no dictionary of tensors")
    (tmp_path / "text.pth").write_text("hello")
    with pytest.raises(PprError, match="not a weights file"):
        import_official(tmp_path / "text.pth", tmp_path / "out.safetensors")
