"""The two-dimensional IM-NET: the paper's sizes, its toy set of letters, and a letter that moves instead of fading."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import load_checkpoint
from ppr.methods.imnet.config import PLANAR_PRESETS, PlanarTrainConfig
from ppr.methods.imnet.models.planar import (
    PixelBatches,
    PlanarAutoEncoder,
    PlanarDecoder,
    PlanarEncoder,
    decode,
    encode_images,
    image_iou,
    interpolate,
    load_planar,
    pixel_points,
    planar_loss,
    train_planar,
)
from ppr.methods.imnet.models.planar_images import LETTER, letter_a, letter_a_images, load_planar_images

from ..runs import PlainRun, check_resumed_training

TINY = {"z_dim": 6, "ef_dim": 2, "gf_dim": 2, "points": 64, "batch": 4, "device": "cpu"}


def blobs(image):
    """Number of connected parts of what is inside."""
    return ndimage.label(image > 0.5)[1]


def iou(a, b):
    a, b = a > 0.5, b > 0.5
    return (a & b).sum() / (a | b).sum()


def saved(path, images):
    np.savez(path, images=images)
    return str(path)


def test_the_toy_set_is_one_letter_at_all_places():
    letter, images = letter_a(), letter_a_images()
    assert letter.shape == LETTER[::-1]
    assert images.shape == (1295, 64, 64)
    assert images.dtype == np.float32
    assert set(np.unique(images)) == {0, 1}
    assert len({image.tobytes() for image in images}) == 1295
    assert (images.sum((1, 2)) == letter.sum()).all()
    np.testing.assert_array_equal(images[0, :27, :29], letter)
    np.testing.assert_array_equal(images[36 * 35 + 34], np.roll(images[0], (36, 34), (0, 1)))
    np.testing.assert_array_equal(letter_a_images([3], [5])[0], images[5 * 35 + 3])


def test_the_letter_is_an_a():
    """One part that touches all four sides, with one hole above the bar and an open foot below."""
    letter = letter_a()
    assert blobs(letter) == 1
    assert ndimage.label(np.pad(letter, 1) == 0)[1] == 2  # outside and the hole
    assert all(side.any() for side in (letter[0], letter[-1], letter[:, 0], letter[:, -1]))
    foot = ndimage.label(letter[-1])[1]
    assert foot == 2
    assert 0.2 < letter.mean() < 0.6


@pytest.mark.parametrize("side", [28, 64])
def test_the_encoder_has_the_papers_layers(side):
    torch.manual_seed(0)
    encoder = PlanarEncoder(side).eval()
    sizes = []
    for i in range(1, 5):
        encoder.get_submodule(f"bn_{i}").register_forward_hook(lambda _m, _i, output: sizes.append(tuple(output.shape[1:])))
    codes = encoder(torch.rand(2, 1, side, side))
    sides = [28, 14, 7, 4] if side == 28 else [32, 16, 8, 4]
    assert sizes == [(width, s, s) for width, s in zip([16, 32, 64, 128], sides, strict=True)]
    assert codes.shape == (2, 100)
    assert 0 < codes.min() < codes.max() < 1


def test_an_encoder_for_other_sizes_does_not_exist():
    with pytest.raises(ValueError, match="28 or 64"):
        PlanarEncoder(32)


def test_the_decoder_appends_its_input_to_the_first_four_hidden_layers():
    """The paper's 102 inputs and widths, and its values against the concatenation written out in float64."""
    torch.manual_seed(0)
    decoder = PlanarDecoder(100, 64)
    shapes = [tuple(decoder.get_submodule(f"linear_{i}").weight.shape) for i in range(1, 7)]
    assert shapes == [(1024, 102), (512, 1126), (256, 614), (128, 358), (64, 230), (1, 64)]
    points, code = torch.rand(2, 5, 2) - 0.5, torch.rand(2, 100)
    inputs = torch.cat([points, code[:, None].expand(2, 5, 100)], 2).double()
    hidden = inputs
    for i in range(1, 7):
        layer = decoder.get_submodule(f"linear_{i}")
        hidden = hidden @ layer.weight.double().T + layer.bias.double()
        if i < 6:
            hidden = torch.where(hidden > 0, hidden, 0.02 * hidden)
        if i < 5:
            hidden = torch.cat([hidden, inputs], 2)
    with torch.no_grad():
        torch.testing.assert_close(decoder(points, code).double(), hidden[..., 0].detach(), atol=1e-6, rtol=1e-5)


def test_fourier_octaves_add_four_inputs_each():
    decoder = PlanarDecoder(8, 4, octaves=3)
    assert decoder.linear_1.in_features == 8 + 2 + 4 * 3
    assert decoder(torch.rand(2, 5, 2), torch.rand(2, 8)).shape == (2, 5)


def test_pixels_are_told_by_column_and_row():
    points = pixel_points(4)
    assert points.shape == (16, 2)
    torch.testing.assert_close(points[1], torch.tensor([-0.125, -0.375]))
    torch.testing.assert_close(points[4], torch.tensor([-0.375, -0.125]))
    torch.testing.assert_close(points.sum(0), torch.zeros(2))


@pytest.mark.parametrize("count", [0, 200])
def test_a_batch_has_the_labels_of_its_pixels(count):
    images = letter_a_images(range(0, 30, 6), [4, 20])
    batches = PixelBatches(images, PlanarTrainConfig(**TINY | {"points": count}))
    assert batches.steps == 2
    for views, points, labels in batches(0):
        assert points.shape == (4, count or 4096, 2)
        found = F.grid_sample(views, points[:, None] * 2, mode="nearest", align_corners=False)[:, 0, 0]
        torch.testing.assert_close(found, labels)
        share = labels.mean().item()
        assert share > 0.15 if count else share == pytest.approx(letter_a().sum() / 4096, abs=1e-4)
    for first, again in zip(batches(3), batches(3), strict=True):
        assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))


def test_an_empty_image_gives_pixels_too():
    (batch,) = PixelBatches(np.zeros((1, 28, 28), np.float32), PlanarTrainConfig(**TINY))(0)
    assert batch[2].shape == (1, 64)
    assert not batch[2].any()


def test_the_two_losses():
    logits, labels = torch.tensor([0.3, -2.0, 1.5]), torch.tensor([1.0, 0.0, 0.0])
    p = 1 / (1 + np.exp(-logits.numpy()))
    assert planar_loss(logits, labels, "mse").item() == pytest.approx(((p - labels.numpy()) ** 2).mean(), rel=1e-5)
    entropy = -np.log([p[0], 1 - p[1], 1 - p[2]]).mean()
    assert planar_loss(logits, labels, "bce").item() == pytest.approx(entropy, rel=1e-5)


def test_decoding_is_the_field_at_any_size():
    torch.manual_seed(0)
    network = PlanarAutoEncoder(28, PlanarTrainConfig(**TINY)).eval()
    codes = torch.rand(3, 6)
    images = decode(network, codes, 9)
    assert images.shape == (3, 9, 9)
    with torch.no_grad():
        value = torch.sigmoid(network.generator(torch.tensor([[[2.5 / 9 - 0.5, 7.5 / 9 - 0.5]]]), codes[1:2]))
    assert images[1, 7, 2] == pytest.approx(value.item(), abs=1e-6)
    assert decode(network, codes).shape == (3, 28, 28)


def test_interpolation_ends_at_both_images():
    torch.manual_seed(0)
    network = PlanarAutoEncoder(64, PlanarTrainConfig(**TINY)).eval()
    ends = letter_a_images([2, 30], [10])
    frames = interpolate(network, ends[0], ends[1], 5, side=16)
    assert frames.shape == (5, 16, 16)
    np.testing.assert_allclose(frames[[0, 4]], decode(network, encode_images(network, ends), 16), atol=1e-6)
    np.testing.assert_allclose(frames[2], decode(network, encode_images(network, ends).mean(0, keepdim=True), 16)[0], atol=1e-6)


@pytest.mark.slow
def test_a_letter_between_two_places_moves_and_does_not_fade(tmp_path):
    """A small network and one row of places: half way between two codes stands one letter, half way between the places."""
    row = 18
    images = letter_a_images(list(range(35)) * 8, [row])
    config = PlanarTrainConfig(
        data=[saved(tmp_path / "row.npz", images.astype(np.uint8))],
        z_dim=16,
        ef_dim=8,
        gf_dim=8,
        octaves=2,
        points=256,
        batch=8,
        epochs=9,
        lr=3e-3,
        device="cpu",
    )
    run = PlainRun(tmp_path / "run")
    run.start(config)
    train_planar(config, run)
    network = load_planar(run.best)
    for first, last in ((8, 16), (18, 26)):
        ends = letter_a_images([first, last], [row])
        middle = interpolate(network, ends[0], ends[1], 3)[1]
        assert iou(middle, letter_a_images([(first + last) // 2], [row])[0]) > 0.5
        assert blobs(middle) == 1
        assert abs(ndimage.center_of_mass(middle > 0.5)[1] - ndimage.center_of_mass(ends.mean(0))[1]) < 2
    assert load_checkpoint(run.best).meta.metrics["val_iou"] == pytest.approx(image_iou(network, images[:35])["val_iou"], abs=0.05)
    assert load_checkpoint(run.best).meta.arch == "planar64"


def test_a_resumed_training_ends_with_the_same_weights(tmp_path):
    data = saved(tmp_path / "few.npz", letter_a_images([1, 9, 17, 25], [3, 30]).astype(np.uint8))
    config = PlanarTrainConfig(data=[data], epochs=3, **TINY)
    check_resumed_training(train_planar, config, tmp_path, at=(3, 1))


def test_the_papers_recipe_is_the_papers():
    paper = PlanarTrainConfig(**PLANAR_PRESETS["paper"])
    assert (paper.z_dim, paper.ef_dim, paper.gf_dim, paper.octaves, paper.points) == (100, 16, 64, 0, 0)
    assert (paper.loss, paper.lr, paper.beta1, paper.init_scheme) == ("mse", 5e-5, 0.5, "paper")
    network = PlanarAutoEncoder(28, paper)
    assert network.generator.linear_2.weight.std().item() == pytest.approx(0.02, rel=0.05)


def idx(images):
    return bytes([0, 0, 8, 3]) + np.array(images.shape, ">u4").tobytes() + images.tobytes()


@pytest.mark.parametrize("zipped", [False, True])
def test_mnists_files_are_read(tmp_path, zipped):
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), dtype=np.uint8)
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(idx(images)) if zipped else idx(images))
    np.testing.assert_allclose(load_planar_images([str(path)]), images / 255, atol=1e-6)


@pytest.mark.parametrize(("dtype", "top"), [(np.uint8, 1), (np.uint8, 255), (np.float32, 1)])
def test_arrays_are_read_as_0_to_1(tmp_path, dtype, top):
    images = letter_a_images([1, 2], [3])
    found = load_planar_images([saved(tmp_path / "a.npz", (images * top).astype(dtype))])
    np.testing.assert_array_equal(found, images)


@pytest.mark.parametrize("light", [True, False])
def test_a_folder_of_pictures_is_read_with_the_figure_as_1(tmp_path, light):
    image = letter_a_images([9], [9])[0]
    for index, size in enumerate((64, 128)):
        pixels = (255 * (1 - image if light else image)).astype(np.uint8)
        Image.fromarray(pixels).resize((size, size), Image.Resampling.NEAREST).convert("RGB").save(tmp_path / f"{index}.png")
    found = load_planar_images([str(tmp_path)])
    assert found.shape == (2, 64, 64)
    np.testing.assert_allclose(found[0], image, atol=1e-6)
    assert iou(found[1], image) > 0.9


def test_what_is_no_images_is_refused(tmp_path):
    with pytest.raises(PprError, match="no images in this folder"):
        load_planar_images([str(tmp_path)])
    good = idx(np.zeros((3, 28, 28), np.uint8))
    cases = {
        "short": (good[:-10], r"truncated \(2342 of 2352 pixels\)"),
        "labels": (bytes([0, 0, 8, 1]) + good[4:], "not an idx file of images"),
        "huge": (bytes([0, 0, 8, 3]) + b"\xff" * 12, "pixels are too many"),
        "odd": (idx(np.zeros((3, 30, 30), np.uint8)), r"\[3, 30, 30\], not images"),
        "none": (idx(np.zeros((0, 28, 28), np.uint8)), r"\[0, 28, 28\], not images"),
        "zip": (gzip.compress(good)[:-12], "cannot be read"),
        "bad.npz": (b"no archive", r"bad\.npz: damaged, or not an \.npz file"),
    }
    for name, (content, message) in cases.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(PprError, match=message):
            load_planar_images([str(tmp_path / name)])
    for values in (np.full((2, 28, 28), 3.0), np.full((2, 28, 28), np.nan), np.full((2, 28, 28), -1.0)):
        with pytest.raises(PprError, match="not within 0 to 1"):
            load_planar_images([saved(tmp_path / "values.npz", values)])
    with pytest.raises(PprError, match="cannot be read"):
        load_planar_images([str(tmp_path / "absent")])
    with pytest.raises(UsageError, match="one source"):
        load_planar_images(["a", "b"])
