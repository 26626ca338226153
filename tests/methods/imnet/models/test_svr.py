"""Single-view training regresses the autoencoder's codes from pictures, resumes exactly and refuses what does not fit."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.files import sha256
from ppr.methods.common.running.checkpoint import Meta, load_checkpoint, save_checkpoint
from ppr.methods.common.running.fit import warm_cosine
from ppr.methods.imnet.config import SVR_PRESETS, NetworkConfig, SvrTrainConfig
from ppr.methods.imnet.data import BUNDLED, BoxShapes, fingerprint, load_shapes
from ppr.methods.imnet.models.encoding import encode, load_encoder
from ppr.methods.imnet.models.renderings import BoxPictures, FilePictures, as_views, jittered
from ppr.methods.imnet.models.svr import Validation, load_image_encoder, load_pairs, train_svr
from ppr.methods.imnet.network import AutoEncoder
from ppr.methods.imnet.shapes.boxes import load_boxes
from ppr.methods.imnet.shapes.hdf5 import write_codes
from ppr.methods.imnet.shapes.views import render_boxes

from ..runs import PlainRun, check_resumed_training

CPU = torch.device("cpu")
Z = 6


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Eight training shapes of bases 0 and 1 and two held-out ones of base 3."""
    full = load_boxes(BUNDLED)
    rows = np.concatenate([np.flatnonzero(full.base == base)[:count] for base, count in ((0, 4), (1, 4), (3, 2))])
    path = tmp_path_factory.mktemp("shapes") / "ten.npz"
    np.savez(path, boxes=full.boxes[rows], n=full.count[rows], base=full.base[rows])
    return path


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return AutoEncoder(NetworkConfig(z_dim=Z, ef_dim=2, gf_dim=4))


@pytest.fixture
def autoencoder(tmp_path, network):
    """A checkpoint without codes."""
    meta = Meta(method="imnet", arch="fast", config=network.config.model_dump())
    return save_checkpoint(tmp_path / "ae.safetensors", network.state_dict(), meta)


def config(autoencoder, table, **changes):
    plain = {"width": 2, "epochs": 2, "batch": 4, "device": "cpu", "val_shapes": 2}
    return SvrTrainConfig(checkpoint=str(autoencoder), data=[str(table)], **plain | changes)


def pictures_file(path, count=12, views=3, **extra):
    """Pictures whose middle tells row and view; the outermost frame, which is to be cut off, is black."""
    pixels = np.zeros((count, views, 137, 137), np.uint8)
    pixels[:, :, 4:132, 4:132] = 255
    for row in range(count):
        for view in range(views):
            pixels[row, view, 60:80, 60:80] = 10 * row + view
    with h5py.File(path, "w") as file:
        file.create_dataset("pixels", data=pixels, chunks=(1, 1, 137, 137), compression="gzip")
        for name, value in extra.items():
            file.create_dataset(name, data=value)
    return path


def test_without_stored_codes_the_encoder_gives_them(autoencoder, table, network):
    pairs, _checkpoint, data = load_pairs(config(autoencoder, table), CPU)
    shapes = BoxShapes(load_boxes(table))
    grids = torch.stack([torch.from_numpy(shapes.voxels(row)) for row in range(10)])[:, None].float()
    with torch.no_grad():
        torch.testing.assert_close(pairs.codes, network.encoder(grids), atol=1e-6, rtol=0)
    assert pairs.source.train.tolist() == list(range(8))
    assert pairs.source.held_out.tolist() == [8, 9]
    assert data["train"] == 8


@pytest.mark.parametrize("same_data", [True, False])
def test_stored_codes_are_taken_only_where_they_are_of_this_data(tmp_path, table, network, same_data):
    data = fingerprint(load_shapes([str(table)]), [str(table)])
    data["names_sha256"] = data["names_sha256"] if same_data else "0" * 64
    codes = torch.rand(8, Z)
    meta = Meta(method="imnet", arch="fast", config=network.config.model_dump(), data=data)
    path = save_checkpoint(tmp_path / "ae.safetensors", network.state_dict() | {"codes": codes}, meta)
    pairs, _checkpoint, _data = load_pairs(config(path, table), CPU)
    assert torch.equal(pairs.codes[:8], codes) == same_data
    computed, _checkpoint, _data = load_pairs(config(tmp_path / "ae.safetensors", table), CPU)
    torch.testing.assert_close(pairs.codes[8:], computed.codes[8:])


def test_deformed_copies_come_with_the_codes_of_what_they_look_like(autoencoder, table, network):
    pairs, _checkpoint, _data = load_pairs(config(autoencoder, table, copies=2), CPU)
    assert len(pairs.source.boxes) == len(pairs.codes) == 10 + 16
    assert pairs.source.train.tolist() == [*range(8), *range(10, 26)]
    again = encode(network.encoder.eval(), [pairs.source.boxes[20].voxels(64)], CPU)
    torch.testing.assert_close(pairs.codes[20:21], again)
    assert not torch.allclose(pairs.codes[20], pairs.codes[2], atol=1e-6)


def test_a_number_of_views_is_a_fixed_set_and_none_is_ever_new(table):
    shapes = BoxShapes(load_boxes(table))

    def distinct(views, rng):
        source = BoxPictures(shapes, views=views)
        return {source.pictures(np.array([0]), rng)[0].tobytes() for _ in range(30)}

    first, second = (distinct(3, np.random.default_rng(seed)) for seed in (0, 1))
    assert len(first) == 3
    assert first == second
    assert len(distinct(0, np.random.default_rng(0))) == 30


def test_jitter_moves_little_and_keeps_white_and_handedness():
    full = load_boxes(BUNDLED)
    rng = np.random.default_rng(0)
    picture = render_boxes(full[40], 40, 28)
    mirrored = picture[:, ::-1]
    centres = []
    for _ in range(200):
        changed = jittered(picture, rng)
        assert changed.dtype == np.uint8
        assert (changed[[0, 0, -1, -1], [0, -1, 0, -1]] == 255).all()
        dark = changed < 255
        centres.append(np.argwhere(dark).mean(0))
        assert 0.7 < dark.sum() / (picture < 255).sum() < 1.4
        assert np.abs(dark * 1.0 - (picture < 255)).mean() < np.abs(dark * 1.0 - (mirrored < 255)).mean()
    offsets = np.array(centres) - np.argwhere(picture < 255).mean(0)
    assert 2 < np.abs(offsets).max() < 8
    assert np.abs(offsets.mean(0)).max() < 1.5


def test_pictures_become_darkness():
    views = as_views([np.full((128, 128), 255, np.uint8), np.zeros((128, 128), np.uint8)])
    assert views.dtype == torch.float32
    assert views.shape == (2, 1, 128, 128)
    assert (views[0] == 0).all()
    assert (views[1] == 1).all()


def test_pictures_of_a_file_are_the_middle_of_a_random_view(tmp_path):
    source = FilePictures(pictures_file(tmp_path / "p.h5"))
    assert source.train.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]
    assert source.held_out.tolist() == [9]
    found = source.pictures(np.repeat(7, 30), np.random.default_rng(0))
    assert {picture[60, 60] for picture in found} == {70, 71, 72}
    assert all(picture.shape == (128, 128) and picture[0, 0] == 255 for picture in found)


def test_a_file_may_name_its_splits(tmp_path):
    splits = [b"test", *[b"train"] * 10, b"test"]
    source = FilePictures(pictures_file(tmp_path / "p.h5", splits=splits))
    assert source.held_out.tolist() == [0, 11]


@pytest.mark.parametrize("where", ["codes option", "zs", "voxels"])
def test_codes_of_a_file_come_from_three_places(tmp_path, autoencoder, network, where):
    codes = np.random.default_rng(0).random((12, Z)).astype(np.float32)
    voxels = (np.random.default_rng(1).random((12, 64, 64, 64, 1)) < 0.5).astype(np.uint8)
    extra = {"zs": {"zs": codes}, "voxels": {"voxels": voxels}, "codes option": {"zs": codes + 1}}[where]
    path = pictures_file(tmp_path / "p.h5", **extra)
    option = ""
    if where == "codes option":
        write_codes(tmp_path / "z.hdf5", codes)
        option = str(tmp_path / "z.hdf5")
    pairs, _checkpoint, data = load_pairs(config(autoencoder, path, codes=option), CPU)
    if where == "voxels":
        expected = network.encoder(torch.from_numpy(voxels[..., 0]).float()[:, None]).detach()
        torch.testing.assert_close(pairs.codes, expected, atol=1e-6, rtol=0)
    else:
        np.testing.assert_array_equal(pairs.codes, codes)
    assert (data["train"], data["held_out"], data["views"]) == (11, 1, 3)
    batch = pairs.draw(np.array([4, 7]), config(autoencoder, path, jitter=0.0), 0.0, np.random.default_rng(0))
    assert [round(255 * (1 - view[0, 60, 60].item())) // 10 for view in batch.views] == [4, 7]
    torch.testing.assert_close(batch.codes, pairs.codes[[4, 7]])


def test_training_runs_on_the_pictures_of_a_file(tmp_path, autoencoder):
    voxels = (np.random.default_rng(1).random((12, 64, 64, 64, 1)) < 0.5).astype(np.uint8)
    settings = config(autoencoder, pictures_file(tmp_path / "p.h5", voxels=voxels), epochs=1)
    run = PlainRun(tmp_path / "run")
    run.start(settings)
    train_svr(settings, run)
    (record,) = run.history()
    assert record["val_code_mse"] > 0
    assert load_checkpoint(run.last).meta.data == {"file": "p.h5", "train": 11, "held_out": 1, "views": 3}


def test_validation_measures_codes_and_the_mean_beside_them(autoencoder, table):
    pairs, _checkpoint, _data = load_pairs(config(autoencoder, table), CPU)
    validation = Validation.draw(pairs, config(autoencoder, table))
    train, held_out = pairs.codes[:8].double().numpy(), pairs.codes[8:].double().numpy()
    assert validation.baseline == pytest.approx(((held_out - train.mean(0)) ** 2).mean(), rel=1e-4)

    class Mean(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.mean = torch.nn.Parameter(pairs.codes[:8].mean(0))

        def forward(self, views):
            return self.mean.expand(len(views), -1)

    with torch.no_grad():
        found = validation(Mean())
    assert found["val_code_mse"] == pytest.approx(found["val_mean_mse"], rel=1e-5)


@pytest.mark.slow
def test_training_learns_the_codes_and_says_whose_they_are(tmp_path, table, network):
    """Eight chairs with codes far apart, which the stored codes are: the views must tell them apart."""
    data = fingerprint(load_shapes([str(table)]), [str(table)])
    meta = Meta(method="imnet", arch="fast", config=network.config.model_dump(), data=data)
    codes = torch.rand(8, Z, generator=torch.Generator().manual_seed(0))
    path = save_checkpoint(tmp_path / "ae.safetensors", network.state_dict() | {"codes": codes}, meta)
    run = PlainRun(tmp_path / "run")
    settings = config(path, table, width=4, batch=8, epochs=45, lr=4e-3, schedule="constant", views=2, jitter=0.0)
    run.start(settings)
    train_svr(settings, run)
    history = run.history()
    assert history[-1]["loss"] < 0.15 * float((codes - codes.mean(0)).square().mean())

    encoder, found = load_image_encoder(run.last)
    assert (found.method, found.arch) == ("imnet-svr", "svr")
    assert found.notes["autoencoder_sha256"] == sha256(path)
    assert all(key.startswith("img_encoder.") for key in load_checkpoint(run.last).state)
    seen = BoxPictures(BoxShapes(load_boxes(table)), views=2).pictures(np.arange(8), np.random.default_rng(0))
    with torch.no_grad():
        distances = torch.cdist(encoder(as_views(seen)), codes)
    assert (distances.argmin(1) == torch.arange(8)).sum() >= 7


def test_a_resumed_training_ends_with_the_same_weights(tmp_path, autoencoder, table):
    check_resumed_training(train_svr, config(autoencoder, table, epochs=3), tmp_path, at=(2, 1))


def test_the_authors_recipe_is_theirs():
    paper = SvrTrainConfig(**SVR_PRESETS["paper"])
    assert (paper.width, paper.lr, paper.beta1, paper.batch, paper.epochs, paper.views) == (64, 5e-5, 0.5, 64, 2000, 24)
    assert SvrTrainConfig(**SVR_PRESETS["improved"]).epochs == 1000


def test_the_rate_rises_then_falls_to_a_hundredth():
    factor = warm_cosine(1000)
    assert factor(0) == pytest.approx(0.01)
    assert factor(99) > 0.95
    assert factor(500) == pytest.approx(0.505)
    assert factor(1000) == pytest.approx(0.01)


def test_an_autoencoder_is_needed(table):
    with pytest.raises(UsageError, match="needs the checkpoint of an autoencoder"):
        load_pairs(SvrTrainConfig(data=[str(table)]), CPU)


def test_a_checkpoint_without_encoder_is_refused(tmp_path, table, network):
    meta = Meta(method="imnet", arch="fast", config=network.config.model_dump())
    state = {key: value for key, value in network.state_dict().items() if key.startswith("generator")}
    path = save_checkpoint(tmp_path / "decoder.safetensors", state, meta)
    with pytest.raises(PprError, match=r"decoder\.safetensors: has no voxel encoder"):
        load_encoder(load_checkpoint(path))


def test_another_methods_checkpoint_is_refused(tmp_path, table):
    path = save_checkpoint(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, Meta(method="saliency", arch="ras"))
    with pytest.raises(PprError, match="a checkpoint of 'saliency', not of 'imnet'"):
        load_pairs(config(path, table), CPU)
    with pytest.raises(PprError, match="not of 'imnet-svr'"):
        load_image_encoder(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "neither codes"),
        ({"zs": np.zeros((5, Z), np.float32)}, r"codes \[5, 6\] for 12 shapes"),
        ({"zs": np.zeros((12, Z + 1), np.float32)}, r"codes \[12, 7\] for 12 shapes"),
        ({"voxels": np.zeros((12, 32, 32, 32, 1), np.uint8)}, r"'voxels' is \[12, 32, 32, 32, 1\]"),
    ],
)
def test_codes_that_do_not_fit_the_pictures_are_refused(tmp_path, autoencoder, change, message):
    with pytest.raises(PprError, match=message):
        load_pairs(config(autoencoder, pictures_file(tmp_path / "p.h5", **change)), CPU)


@pytest.mark.parametrize("pixels", [np.zeros((3, 2, 100, 100), np.uint8), np.zeros((3, 137, 137), np.uint8), np.zeros((3, 2, 137, 137))])
def test_pixels_of_another_form_are_refused(tmp_path, pixels):
    with h5py.File(tmp_path / "p.h5", "w") as file:
        file.create_dataset("pixels", data=pixels)
    with pytest.raises(PprError, match="'pixels' is"):
        FilePictures(tmp_path / "p.h5")


def test_splits_without_training_shapes_are_refused(tmp_path):
    with pytest.raises(PprError, match="'splits' names no training shape"):
        FilePictures(pictures_file(tmp_path / "p.h5", splits=[b"test"] * 12))
