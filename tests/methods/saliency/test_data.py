"""From image/mask pairs to batches: normalisation, augmentation, the draw of an epoch, and wrong data."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.saliency.config import TrainConfig
from ppr.methods.saliency.data import TrainBatches, augment, blank, check, normalize, split
from ppr.methods.saliency.network import CAFFE, SYMMETRIC, TORCHVISION
from ppr.methods.saliency.pairs.find import find_pairs, read_pair
from ppr.methods.saliency.pairs.procedural import scene


def config_of(folder: Path, **changes) -> TrainConfig:
    return TrainConfig(**({"data": [str(folder)], "sizes": [64], "batch": 4, "val_fraction": 0.2} | changes))


@pytest.mark.parametrize("normalization", [CAFFE, SYMMETRIC, TORCHVISION])
def test_normalization(normalization):
    pixel = normalize(np.array([[[10, 100, 200]]], np.uint8), normalization)[:, 0, 0].numpy()
    expected = (np.array([10, 100, 200]) / normalization.scale - normalization.mean) / normalization.std
    np.testing.assert_allclose(pixel, expected[::-1] if normalization.bgr else expected, rtol=1e-6)


def test_augmentation_moves_image_and_mask_together():
    """An image that is white exactly where its mask is stays so under cropping, mirroring and rotation."""
    mask = np.zeros((90, 120), np.uint8)
    mask[20:60, 30:80] = 255
    image = np.repeat(mask[..., None], 3, 2)
    config = TrainConfig(crop=0.3, rotate=20.0)
    for seed in range(20):
        x, y = augment(image, mask, config, np.random.default_rng(seed))
        assert x.shape[:2] == y.shape
        assert ((x[..., 0] > 127) != (y > 127)).mean() < 0.02


def test_blank_images_have_the_shape_asked_for():
    for seed in range(12):
        found = blank((33, 65), np.random.default_rng(seed))
        assert (found.shape, found.dtype) == ((33, 65, 3), np.uint8)


def test_batches_depend_on_seed_and_epoch_alone(scenes):
    folder = scenes(12, size=(72, 64))
    config = config_of(folder, sizes=[48, 64], crop=0.2, jitter=0.5, blank=0.2)
    pairs = find_pairs([folder]).pairs
    first, second = (TrainBatches(pairs, config, SYMMETRIC) for _ in range(2))
    for a, b in zip(first(3), second(3), strict=True):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.mask, b.mask)
    assert not torch.equal(next(iter(first(3))).image[0, 0, :48, :48], next(iter(first(4))).image[0, 0, :48, :48])


def test_processes_share_an_epoch_without_overlap(scenes):
    folder = scenes(12, size=(72, 64))
    pairs = find_pairs([folder]).pairs
    config = config_of(folder, batch=3)
    drawn = [
        [draw.index for batch in TrainBatches(pairs, config, SYMMETRIC, rank=rank, world=2).draws(0) for draw in batch] for rank in (0, 1)
    ]
    assert sorted(drawn[0] + drawn[1]) == list(range(12))


def test_split_is_disjoint_and_complete(scenes):
    folder = scenes(12, size=(72, 64))
    pairs = find_pairs([folder]).pairs
    training, held_out = split(pairs, 0.2, seed=0)
    assert len(held_out) == 2
    assert sorted(training + held_out, key=lambda pair: pair.name) == pairs


def test_masks_of_another_size_are_refused_or_resized(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    image, mask = scene(64, 48, seed=0)
    Image.fromarray(image).save(tmp_path / "images" / "a.png")
    Image.fromarray(mask).resize((32, 24)).save(tmp_path / "masks" / "a.png")
    (pair,) = find_pairs([tmp_path]).pairs
    with pytest.raises(PprError, match="32x24, its image is 64x48"):
        read_pair(pair)
    assert read_pair(pair, resize_masks=True)[1].shape == (48, 64)


def test_sound_data_pass_the_check(scenes):
    check(config_of(scenes(2)))


@pytest.mark.parametrize("part", ["data", "val"])
def test_wrong_data_are_found_before_a_run_begins(scenes, part):
    """A mask of another size, in what is trained on and in what is held out; --resize-masks makes do with it."""
    folder, good = scenes(1, name="bad"), scenes(2, name="good", seed=1)
    cv2.imwrite(str(folder / "masks/scene0.png"), np.zeros((9, 9), np.uint8))
    config = config_of(good, **({"val": [str(good)]} | {part: [str(folder)]}))
    with pytest.raises(PprError, match=r"scene0\.png: is 9x9, its image is 64x48"):
        check(config)
    check(config.model_copy(update={"resize_masks": True}))
    with pytest.raises(UsageError, match="too little to hold a validation pair out"):
        check(config_of(folder, resize_masks=True))
