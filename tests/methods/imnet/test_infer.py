"""A model file is asked for shapes by name, number or seed, and refuses what it does not hold."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import Meta, load_arrays, load_checkpoint, read_header, save_checkpoint
from ppr.methods.imnet.config import NetworkConfig
from ppr.methods.imnet.infer import Predictor, input_suffixes
from ppr.methods.imnet.models.bank import Bank
from ppr.methods.imnet.models.svr import SingleView
from ppr.methods.imnet.network import AutoEncoder

Z = 6
NAMES = ["armchair", "stool", "bench", "7", "throne", "rocker"]


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return AutoEncoder(NetworkConfig(z_dim=Z, ef_dim=2, gf_dim=4)).eval()


@pytest.fixture(scope="module")
def codes():
    return torch.rand(6, Z, generator=torch.Generator().manual_seed(1))


def saved(path, network, extra=None, *, notes=None, **changes):
    meta = {"method": "imnet", "arch": "fast", "config": network.config.model_dump(), "notes": notes or {}} | changes
    return save_checkpoint(path, network.state_dict() | (extra or {}), Meta(**meta))


@pytest.fixture
def path(tmp_path, network, codes):
    return saved(tmp_path / "model.safetensors", network, {"codes": codes}, notes={"names": "\n".join(NAMES)})


@pytest.fixture
def model(path):
    return Predictor.load(str(path))


def test_a_model_has_the_networks_field(model, network, codes):
    points = (np.random.default_rng(0).random((50, 3)) - 0.5).astype(np.float32)
    with torch.no_grad():
        expected = network.generator(torch.from_numpy(points)[None], codes[1:2])[0].numpy()
    np.testing.assert_allclose(model.field(model.code("stool"))(points), expected, atol=1e-5)


def test_shapes_are_found_by_name_and_by_number(model, codes):
    assert model.bank.names == NAMES
    assert [model.bank.index(shape) for shape in ("armchair", "rocker", "0", "5")] == [0, 5, 0, 5]
    np.testing.assert_array_equal(model.code("2"), codes[2].numpy())


def test_a_name_that_is_a_number_is_a_name_first(model):
    assert model.bank.index("7") == 3


@pytest.mark.parametrize("shape", ["6", "-1", "99999999999999999999"])
def test_a_number_out_of_range_is_told_the_range(model, shape):
    with pytest.raises(UsageError, match=f"--shape {shape}: there are 6 shapes, 0 to 5"):
        model.bank.index(shape)


def test_a_misspelt_name_is_answered_with_the_nearest(model):
    with pytest.raises(UsageError, match="--shape thrones") as caught:
        model.bank.index("thrones")
    assert caught.value.hint == "did you mean 'throne'?"


@pytest.mark.parametrize("shape", ["--5", "²", "", "-", "1.5", "zzzzz"])
def test_what_is_neither_name_nor_number_is_refused(model, shape):
    with pytest.raises(UsageError, match="--shape"):
        model.bank.index(shape)


def test_many_names_are_listed_elsewhere():
    bank = Bank([f"{index:04d}x" for index in range(40)], np.zeros((40, 2), np.float32))
    with pytest.raises(UsageError) as caught:
        bank.index("qqqqqqqq")
    assert caught.value.hint == "`ppr imnet list` names them"


@pytest.mark.parametrize("names", [None, "only\ntwo"])
@pytest.mark.parametrize("count", [1, 6])
def test_shapes_without_names_are_numbered(tmp_path, network, codes, names, count):
    notes = {} if names is None else {"names": names}
    path = saved(tmp_path / "m.safetensors", network, {"codes": codes[:count]}, notes=notes)
    assert Predictor.load(str(path)).bank.names == [str(index) for index in range(count)]


@pytest.mark.parametrize("kind", ["mixture", "gaussian"])
def test_a_seed_stands_for_its_codes(path, kind):
    first, again = (Predictor.load(str(path)).sample(4, 11, kind=kind) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.shape == (4, Z)
    assert first.dtype == np.float32
    assert (first > 0).all()
    assert (first < 1).all()
    assert len(np.unique(first, axis=0)) == 4
    assert not np.allclose(first, Predictor.load(str(path)).sample(4, 12, kind=kind))


def test_the_checkpoint_says_which_prior_is_drawn_from(tmp_path, network, codes, model):
    path = saved(tmp_path / "gaussian.safetensors", network, {"codes": codes}, notes={"prior": "gaussian"})
    named = Predictor.load(str(path))
    assert (named.default_prior, model.default_prior) == ("gaussian", "mixture")
    np.testing.assert_array_equal(named.sample(3, 0), model.sample(3, 0, kind="gaussian"))


def test_an_unknown_prior_is_refused(model):
    with pytest.raises(UsageError):
        model.sample(1, 0, kind="oracle")


def test_without_codes_there_is_nothing_to_name_or_to_draw_from(tmp_path, network):
    model = Predictor.load(str(saved(tmp_path / "bare.safetensors", network)))
    for ask in (lambda: model.code("0"), lambda: model.sample(1, 0)):
        with pytest.raises(PprError, match=r"bare\.safetensors: holds no shapes"):
            ask()


@pytest.mark.parametrize("bad", [torch.zeros(6, Z + 1), torch.zeros(6), torch.zeros(6, Z, 1), torch.tensor(1.0)])
def test_codes_of_another_length_are_refused(tmp_path, network, bad):
    model = Predictor.load(str(saved(tmp_path / "m.safetensors", network, {"codes": bad})))
    with pytest.raises(PprError, match=r"m\.safetensors: codes \[.*\] for a network of z_dim 6"):
        _ = model.bank


def test_another_methods_checkpoint_is_refused(tmp_path, network):
    path = saved(tmp_path / "other.safetensors", network, method="saliency")
    with pytest.raises(PprError, match="a checkpoint of 'saliency', not of 'imnet'"):
        Predictor.load(str(path))


def test_a_checkpoint_that_is_not_there_is_a_usage_error(tmp_path):
    with pytest.raises(UsageError, match="no such file or model") as caught:
        Predictor.load(str(tmp_path / "absent.safetensors"))
    assert "chairs" in caught.value.hint


@pytest.mark.parametrize("change", [{"z_dim": 0}, {"arch": "huge"}, {"output": "tanh"}, {"gf_dim": "wide"}])
def test_metadata_that_describe_no_network_are_refused(tmp_path, network, change):
    path = saved(tmp_path / "m.safetensors", network, config=network.config.model_dump() | change)
    with pytest.raises(UsageError, match=r"m\.safetensors"):
        Predictor.load(str(path))


def test_metadata_of_another_network_are_refused(tmp_path, network):
    path = saved(tmp_path / "m.safetensors", network, config=network.config.model_dump() | {"gf_dim": 8})
    with pytest.raises(PprError, match="linear_1: weight"):
        Predictor.load(str(path))


def test_arrays_are_the_checkpoints_tensors_as_float32(tmp_path, network, codes):
    state = {key: value.half() for key, value in network.state_dict().items()} | {"codes": codes.half(), "steps": torch.tensor([7])}
    path = save_checkpoint(tmp_path / "half.safetensors", state, Meta(method="imnet", arch="fast"))
    arrays, meta = load_arrays(path, method="imnet")
    tensors = load_checkpoint(path).state
    assert meta == load_checkpoint(path).meta
    assert set(arrays) == set(tensors)
    for key, value in arrays.items():
        assert value.dtype == (np.int64 if key == "steps" else np.float32)
        np.testing.assert_array_equal(value, tensors[key].numpy())


def test_every_truncation_of_a_model_is_noticed(path):
    content = path.read_bytes()
    for length in (0, 7, 8, 50, len(content) // 2, len(content) - 1):
        path.write_bytes(content[:length])
        with pytest.raises(PprError, match=r"model\.safetensors"):
            load_arrays(path, method="imnet")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(path, bad):
    state, metadata = load_file(path), read_header(path)["__metadata__"]
    state["generator.linear_2.weight"][0, 0] = bad
    save_file(state, path, metadata=metadata)
    with pytest.raises(PprError, match="not finite"):
        load_arrays(path, method="imnet")


def test_grids_are_encoded_one_by_one(model, network):
    grids = [np.random.default_rng(seed).random((64, 64, 64)) < 0.2 for seed in range(2)]
    with torch.no_grad():
        expected = network.encoder(torch.from_numpy(np.stack(grids)[:, None].astype(np.float32))).numpy()
    np.testing.assert_allclose(model.encode(grids), expected, atol=1e-5)


def test_an_empty_grid_is_refused(model):
    full = np.ones((64, 64, 64), bool)
    with pytest.raises(PprError, match="a voxel grid is empty"):
        model.encode([full, np.zeros_like(full)])


def test_a_model_without_encoder_says_so(tmp_path, network, codes):
    state = {key: value for key, value in network.state_dict().items() if key.startswith("generator.")} | {"codes": codes}
    meta = Meta(method="imnet", arch="fast", config=network.config.model_dump())
    model = Predictor.load(str(save_checkpoint(tmp_path / "decoder.safetensors", state, meta)))
    assert model.code("1").shape == (Z,)
    with pytest.raises(PprError, match="has no voxel encoder"):
        model.encode([np.ones((64, 64, 64), bool)])


def test_the_encoder_may_be_in_a_file_of_its_own(tmp_path, path, network, codes):
    state = {key: value for key, value in network.state_dict().items() if key.startswith("generator.")} | {"codes": codes}
    meta = Meta(method="imnet", arch="fast", config=network.config.model_dump())
    decoder = save_checkpoint(tmp_path / "decoder.safetensors", state, meta)
    grid = np.random.default_rng(0).random((64, 64, 64)) < 0.2
    np.testing.assert_array_equal(Predictor(decoder, path).encode([grid]), Predictor(path).encode([grid]))


def test_a_model_without_image_encoder_says_so(path):
    with pytest.raises(PprError, match="no image encoder belongs to it"):
        Predictor.load(path).encode_image(np.zeros((1, 128, 128), np.float32))


def test_an_image_encoder_that_is_not_there_is_found_out_at_once(path, tmp_path):
    with pytest.raises(UsageError, match=r"absent\.safetensors: no such file or model"):
        Predictor.load(path, tmp_path / "absent.safetensors")


def test_a_run_is_a_model_and_an_image_encoder_too(path, tmp_path):
    torch.manual_seed(1)
    view = np.random.default_rng(0).random((1, 128, 128)).astype(np.float32)
    encoder = SingleView(Z, 4).eval()
    for run in ("model", "image"):
        (tmp_path / run).mkdir()
    path.rename(tmp_path / "model" / "best.safetensors")
    save_checkpoint(tmp_path / "image" / "last.safetensors", encoder.state_dict(), Meta(method="imnet-svr", arch="svr"))
    predictor = Predictor.load(tmp_path / "model", tmp_path / "image")
    assert predictor.bank.names == NAMES
    with torch.no_grad():
        expected = encoder(torch.from_numpy(view[None]))[0].numpy()
    np.testing.assert_allclose(predictor.encode_image(view), expected, atol=1e-6)


def test_the_shape_that_is_shown_is_the_one_the_checkpoint_names_or_the_first(tmp_path, network, codes, model):
    named = saved(tmp_path / "named.safetensors", network, {"codes": codes}, notes={"names": "\n".join(NAMES), "default_shape": "bench"})
    assert (Predictor.load(named).known().name, model.known().name) == ("bench", "armchair")
    np.testing.assert_array_equal(Predictor.load(named).known().code, codes[2].numpy())


def test_a_word_stands_for_a_known_shape_a_seed_or_a_file(model, tmp_path, codes):
    np.save(tmp_path / "own.npy", codes[4].numpy())
    grid = np.zeros((32, 32, 32), bool)
    grid[8:20, 4:28, 10:14] = True
    np.savez(tmp_path / "board.npz", voxels=grid)
    for word, name, code in (
        ("bench", "bench", codes[2].numpy()),
        ("seed:7", "seed-7", model.sample(1, 7)[0]),
        (str(tmp_path / "own.npy"), "own", codes[4].numpy()),
        (str(tmp_path / "board.npz"), "board", model.encode([grid.repeat(2, 0).repeat(2, 1).repeat(2, 2)])[0]),
    ):
        found = model.by_word(word)
        assert found.name == name
        np.testing.assert_array_equal(found.code, code)


@pytest.mark.parametrize(("word", "message"), [("seed:", "a seed is a number"), ("seed:x", "a seed is a number"), ("no.obj", "no shape")])
def test_a_word_that_stands_for_nothing_is_refused(model, word, message):
    with pytest.raises(UsageError, match=message):
        model.by_word(word)


def test_a_file_is_read_by_what_its_suffix_says(model, tmp_path):
    (tmp_path / "notes.txt").write_text("a chair")
    with pytest.raises(UsageError, match="is no format known here"):
        model.read(tmp_path / "notes.txt")
    with pytest.raises(PprError, match="read from files on disk, not from archives"):
        model.read(tmp_path / "chair.binvox", b"#binvox 1")
    with pytest.raises(PprError, match=r"chair\.png: not an image"):
        model.read(tmp_path / "chair.png", b"no picture")
    assert {".png", ".binvox", ".off"} <= input_suffixes()
