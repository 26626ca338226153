"""Exported decoders are the torch decoder at any number of points, and a split model is the model."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
import torch

from ppr.exports import imnet
from ppr.exports.onnx import signature
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.measuring.onnx_session import open_session
from ppr.methods.common.running.checkpoint import Meta, load_checkpoint, save_checkpoint
from ppr.methods.imnet.config import PRESETS, NetworkConfig
from ppr.methods.imnet.infer import Predictor
from ppr.methods.imnet.models.svr import SingleView
from ppr.methods.imnet.network import AutoEncoder

Z = 6
COUNTS = [1, 7, 100_000]


def random_model(path, arch="fast"):
    settings = {key: value for key, value in PRESETS[arch].items() if key in NetworkConfig.model_fields}
    config = NetworkConfig(**settings | {"z_dim": Z, "ef_dim": 2, "gf_dim": 4, "init_scheme": "he"})
    torch.manual_seed(0)
    network = AutoEncoder(config).eval()
    codes = torch.rand(3, Z, generator=torch.Generator().manual_seed(1))
    meta = Meta(method="imnet", arch=arch, config=config.model_dump(), notes={"names": "a\nb\nc", "card": "chairs"})
    save_checkpoint(path, network.state_dict() | {"codes": codes}, meta)
    return network


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("export")


@pytest.fixture(scope="module")
def network(folder):
    return random_model(folder / "model.safetensors")


@pytest.fixture(scope="module")
def path(folder, network):
    return folder / "model.safetensors"


def exported(path, name, format="onnx", code=None, occupancy=True, overwrite=False):
    out = path.with_name(name)
    return out, imnet.export_field(path, out, format, code=code, occupancy=occupancy, opset=18, overwrite=overwrite)


@pytest.fixture(scope="module")
def free(path):
    """ONNX that takes points and code, and gives occupancy."""
    return exported(path, "free.onnx")


@pytest.fixture(scope="module")
def code(path):
    return Predictor.load(str(path)).code("b")


@pytest.fixture(scope="module")
def baked(path, code):
    """ONNX of one shape that gives logits."""
    return exported(path, "baked.onnx", code=code, occupancy=False)


def random_points(count):
    return (np.random.default_rng(count).random((count, 3)) - 0.5).astype(np.float32)


def torch_logits(network, points, code):
    with torch.no_grad():
        return network.generator(torch.from_numpy(points)[None], torch.from_numpy(code)[None])[0].numpy()[:, None]


@pytest.mark.slow
@pytest.mark.parametrize("count", COUNTS)
def test_onnx_agrees_with_torch_for_any_code(free, network, count):
    runtime = open_session(free[0])
    points = random_points(count)
    for seed in range(2):
        code = np.random.default_rng(seed).random(Z).astype(np.float32)
        (found,) = runtime.run(None, {"points": points, "code": code})
        expected = 1 / (1 + np.exp(-torch_logits(network, points, code)))
        assert found.shape == (count, 1)
        np.testing.assert_allclose(found, expected, atol=1e-5)
    assert count == 1 or expected.std() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("count", COUNTS)
def test_a_baked_shape_takes_points_alone_and_may_give_logits(baked, network, code, count):
    points = random_points(count)
    (found,) = open_session(baked[0]).run(None, {"points": points})
    np.testing.assert_allclose(found, torch_logits(network, points, code), atol=1e-5, rtol=1e-5)


def test_inputs_and_outputs_are_named_and_the_points_are_free(free, baked):
    assert signature(free[0]) == ({"points": "float32 [points, 3]", "code": f"float32 [{Z}]"}, {"values": "float32 [points, 1]"})
    assert signature(baked[0])[0] == {"points": "float32 [points, 3]"}


def test_the_file_says_where_its_surface_and_its_box_are(free, baked):
    for (out, summary), level, values in ((free, 0.5, "occupancy"), (baked, 0.0, "logit")):
        about = {entry.key: entry.value for entry in onnx.load(out).metadata_props}
        assert json.loads(about["level"]) == summary["level"] == level
        assert json.loads(about["box"]) == [-0.5, 0.5]
        assert (about["method"], about["arch"], about["up"], about["values"]) == ("imnet", "fast", "y", values)
        assert "notes" not in about


def test_the_summary_tells_how_it_was_checked(free):
    out, summary = free
    assert summary["bytes"] == out.stat().st_size
    assert summary["parity"]["cases"] == 3
    assert 0 <= summary["parity"]["max_difference"] <= 1e-5


def test_an_existing_file_is_kept_unless_asked(path, code):
    out, _summary = exported(path, "kept.pt", "torchscript", code=code)
    before = out.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        exported(path, "kept.pt", "torchscript")
    assert out.read_bytes() == before
    exported(path, "kept.pt", "torchscript", overwrite=True)
    assert out.read_bytes() != before


@pytest.mark.slow
def test_a_file_that_differs_from_torch_is_not_written(path, code, monkeypatch):
    monkeypatch.setattr(imnet, "TOLERANCE", -1.0)
    for format in ("onnx", "torchscript"):
        with pytest.raises(PprError, match="differ"):
            exported(path, f"never.{format}", format, code=code)
        assert not path.with_name(f"never.{format}").exists()


@pytest.mark.slow
@pytest.mark.parametrize("format", ["onnx", "torchscript"])
def test_a_network_that_computes_no_numbers_is_not_written(tmp_path, network, format):
    """Weights that are finite and too large for float32's sums. Loading refuses those that are not finite."""
    state = network.state_dict()
    state["generator.linear_1.weight"] = torch.full_like(state["generator.linear_1.weight"], 3e38)
    meta = Meta(method="imnet", arch="fast", config=network.config.model_dump())
    path = save_checkpoint(tmp_path / "m.safetensors", state | {"codes": torch.ones(1, Z)}, meta)
    with pytest.raises(PprError, match="torch computes NaN or infinity in 'values'; not written"):
        exported(path, "never", format, occupancy=False)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("arch", ["improved", "paper"])
def test_the_authors_networks_give_occupancy_as_they_are(folder, arch):
    network = random_model(folder / f"{arch}.safetensors", arch)
    out, summary = exported(folder / f"{arch}.safetensors", f"{arch}.pt", "torchscript", occupancy=False)
    points, code = random_points(50), np.random.default_rng(0).random(Z).astype(np.float32)
    found = torch.jit.load(out)(torch.from_numpy(points), torch.from_numpy(code))
    np.testing.assert_allclose(found, torch_logits(network, points, code), atol=1e-5)
    assert summary["level"] == 0.5


@pytest.mark.parametrize("occupancy", [True, False])
def test_torchscript_agrees_with_torch(path, network, code, occupancy):
    out, summary = exported(path, f"baked-{occupancy}.pt", "torchscript", code=code, occupancy=occupancy)
    extra = {"ppr.json": ""}
    module = torch.jit.load(out, _extra_files=extra)
    about = json.loads(extra["ppr.json"])
    assert about["level"] == summary["level"] == (0.5 if occupancy else 0.0)
    assert about["box"] == [-0.5, 0.5]
    for count in COUNTS:
        points = random_points(count)
        expected = torch_logits(network, points, code)
        expected = 1 / (1 + np.exp(-expected)) if occupancy else expected
        np.testing.assert_allclose(module(torch.from_numpy(points)), expected, atol=1e-5, rtol=1e-5)


def test_another_methods_checkpoint_is_refused(tmp_path):
    path = save_checkpoint(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, Meta(method="saliency", arch="ras"))
    with pytest.raises(PprError, match="not of 'imnet'"):
        exported(path, "x.onnx")


def test_a_checkpoint_without_decoder_is_refused(tmp_path, network):
    state = {key: value for key, value in network.state_dict().items() if key.startswith("encoder.")}
    path = save_checkpoint(tmp_path / "x.safetensors", state, Meta(method="imnet", arch="fast", config=network.config.model_dump()))
    with pytest.raises(PprError, match="do not fit the network"):
        exported(path, "x.onnx")
    with pytest.raises(PprError, match=r"no generator\.linear_1\.weight"):
        imnet.split_checkpoint(path, tmp_path / "y.safetensors", half=False, notes={}, overwrite=False)


@pytest.mark.parametrize("half", [True, False])
def test_a_split_model_is_the_model(tmp_path, path, half):
    out = tmp_path / "chairs.safetensors"
    written = imnet.split_checkpoint(path, out, half=half, notes={"licence": "Apache-2.0"}, overwrite=False)
    assert written == [out, tmp_path / "chairs.encoder.safetensors"]
    decoder, encoder = (load_checkpoint(part, method="imnet") for part in written)
    assert {key.split(".")[0] for key in decoder.state} == {"generator", "codes"}
    assert {key.split(".")[0] for key in encoder.state} == {"encoder"}
    assert decoder.meta.notes == {"names": "a\nb\nc", "card": "chairs", "licence": "Apache-2.0"}
    assert encoder.meta.notes == {"card": "chairs", "licence": "Apache-2.0"}
    whole, split = Predictor.load(str(path)), Predictor(*written)
    points, grid = random_points(500), np.random.default_rng(0).random((64, 64, 64)) < 0.2
    tolerance = 2e-2 if half else 0
    np.testing.assert_allclose(split.field(split.code("c"))(points), whole.field(whole.code("c"))(points), atol=tolerance)
    np.testing.assert_allclose(split.encode([grid]), whole.encode([grid]), atol=tolerance)


def test_half_precision_halves_the_file(tmp_path, path):
    sizes = []
    for half in (False, True):
        parts = imnet.split_checkpoint(path, tmp_path / f"{half}.safetensors", half=half, notes={}, overwrite=False)
        sizes.append(sum(value.numel() for part in parts for value in load_checkpoint(part).state.values()))
        header = imnet.load_checkpoint(parts[1]).state
        assert all(value.dtype == torch.float32 for value in header.values())  # whatever they are stored as
    assert sizes[0] == sizes[1]
    whole, halved = ((tmp_path / f"{half}.encoder.safetensors").stat().st_size for half in (False, True))
    assert halved < 0.75 * whole


def test_weights_that_half_precision_cannot_hold_are_refused(tmp_path, network):
    state = network.state_dict() | {"codes": torch.full((1, Z), 1e6)}
    path = save_checkpoint(tmp_path / "m.safetensors", state, Meta(method="imnet", arch="fast", config=network.config.model_dump()))
    with pytest.raises(PprError, match="half precision"):
        imnet.split_checkpoint(path, tmp_path / "out.safetensors", half=True, notes={}, overwrite=False)
    assert len(imnet.split_checkpoint(path, tmp_path / "out.safetensors", half=False, notes={}, overwrite=False)) == 2


def test_a_model_without_encoder_becomes_one_file(tmp_path, network):
    state = {key: value for key, value in network.state_dict().items() if key.startswith("generator.")}
    path = save_checkpoint(tmp_path / "m.safetensors", state, Meta(method="imnet", arch="fast", config=network.config.model_dump()))
    assert imnet.split_checkpoint(path, tmp_path / "out.safetensors", half=True, notes={}, overwrite=False) == [
        tmp_path / "out.safetensors"
    ]


def test_new_shapes_are_drawn_from_those_in_one_piece(tmp_path, path):
    """Of three codes two are whole: all mixtures then lie between these two."""
    (part, _encoder) = imnet.split_checkpoint(
        path, tmp_path / "x.safetensors", half=False, notes={}, overwrite=False, whole=np.array([True, False, True])
    )
    model = Predictor(part)
    one, other = model.bank.examples
    np.testing.assert_array_equal(model.bank.examples, model.bank.codes[[0, 2]])
    for code in model.sample(5, 0, kind="mixture"):
        share = (code - one) @ (other - one) / ((other - one) @ (other - one))
        assert 0 < share < 1
        np.testing.assert_allclose(code, one + share * (other - one), atol=1e-5)


def test_a_shape_is_whole_where_its_largest_part_is_nearly_all(path, monkeypatch):
    class Blobs:
        """Two balls; the second has a radius of its own in each shape."""

        def __init__(self, radius: float) -> None:
            self.radius = radius

        def __call__(self, points: np.ndarray) -> np.ndarray:
            big = 0.2 - np.linalg.norm(points - [0.2, 0, 0], axis=1)
            small = self.radius - np.linalg.norm(points - [-0.3, 0, 0], axis=1)
            return np.maximum(big, small).astype(np.float32)

    model = Predictor.load(str(path))
    fields = iter([Blobs(0.15), Blobs(-1.0), Blobs(0.05)])
    monkeypatch.setattr(model, "field", lambda _code: next(fields))
    assert imnet.whole_shapes(model).tolist() == [False, True, True]


def test_the_image_encoder_is_written_beside_the_model(tmp_path, path):
    state = SingleView(3, 8).state_dict()
    image = save_checkpoint(tmp_path / "image.safetensors", state, Meta("imnet-svr", "svr"))
    written = imnet.split_checkpoint(path, tmp_path / "x.safetensors", half=True, notes={}, overwrite=False, image=image)
    assert written[-1] == tmp_path / "x.image.safetensors"
    assert load_checkpoint(written[-1], method="imnet-svr").state.keys() == state.keys()
    with pytest.raises(PprError, match="imnet-svr"):
        imnet.split_checkpoint(path, tmp_path / "y.safetensors", half=True, notes={}, overwrite=False, image=path)
