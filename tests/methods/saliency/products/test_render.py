"""What is made of a photo and a mask: identities that hold pixel by pixel."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.images import Photo
from ppr.methods.saliency import naive
from ppr.methods.saliency.products.refine import Refinement, binarise, clean, guided, parse_threshold, refine
from ppr.methods.saliency.products.render import Background, blend, crop, cutout, encode, render


@pytest.fixture
def photo() -> Photo:
    rgb = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)
    return Photo(rgb, None, (80, 60))


@pytest.fixture
def mask() -> np.ndarray:
    found = np.zeros((60, 80), np.uint8)
    found[10:40, 20:60] = 255
    found[10, :] = np.linspace(0, 255, 80).astype(np.uint8)
    return found


def test_blend_is_the_rounded_weighted_mean():
    """Of every colour over every other, with eight alphas each."""
    rng = np.random.default_rng(0)
    front, behind = (np.repeat(levels[..., None], 3, 2).astype(np.uint8) for levels in np.mgrid[:256, :256])
    for _ in range(8):
        alpha = rng.integers(0, 256, (256, 256), dtype=np.uint8)
        assert np.abs(blend(front, behind, alpha) - naive.blended(front, behind, alpha)).max() <= 0.5


def test_cutouts_keep_colour_where_the_mask_is_full_and_background_where_it_is_empty(photo, mask):
    transparent = cutout(photo, mask, Background())
    assert (transparent[..., 3] == mask).all()
    assert (transparent[..., :3] == photo.rgb).all()
    for background in (Background("colour", (10, 200, 30)), Background("blur"), Background("picture", picture=photo.rgb[:30, :70])):
        opaque = cutout(photo, mask, background)
        assert opaque.shape == (60, 80, 3)
        assert (opaque[mask == 255] == photo.rgb[mask == 255]).all()
    assert (cutout(photo, mask, Background("colour", (10, 200, 30)))[mask == 0] == (10, 200, 30)).all()


def test_a_photos_own_transparency_survives(photo, mask):
    alpha = np.full((60, 80), 128, np.uint8)
    found = cutout(Photo(photo.rgb, alpha, (80, 60)), mask, Background())
    assert found[20, 30, 3] == 128
    assert found[0, 0, 3] == 0


def test_crop_keeps_a_margin_and_stays_inside(photo):
    assert crop(photo, [20, 10, 60, 40]).shape == (34, 44, 3)
    assert crop(photo, [0, 0, 80, 60]).shape == (60, 80, 3)
    assert crop(photo, None).shape == (60, 80, 3)


@pytest.mark.parametrize("kind", ["mask", "cutout", "overlay", "heatmap", "outline", "crop"])
@pytest.mark.parametrize("format", ["png", "webp"])
def test_every_kind_survives_its_file_without_loss(photo, mask, kind, format):
    picture = render(kind, photo, mask, Background(), [20, 10, 60, 40])
    decoded = np.asarray(
        Image.open(io.BytesIO(encode(picture, format))).convert({2: "L", 3: "RGB"}.get(picture.ndim if picture.ndim == 2 else 3, "RGB"))
    )
    if picture.ndim == 3 and picture.shape[2] == 4:
        shown = picture[..., 3] > 0  # WebP may drop the colour of invisible pixels
        decoded = np.asarray(Image.open(io.BytesIO(encode(picture, format))))
        assert (decoded[shown] == picture[shown]).all()
    else:
        assert (decoded == picture).all()


def test_deep_formats_hold_more_than_eight_bits():
    fine = np.linspace(0, 1, 4096, dtype=np.float32).reshape(64, 64)
    assert (np.load(io.BytesIO(encode(fine, "npy")), allow_pickle=False) == fine).all()
    deep = np.rint(fine * 65535).astype(np.uint16)
    assert (np.asarray(Image.open(io.BytesIO(encode(deep, "tiff16")))) == deep).all()
    with pytest.raises(PprError, match="no transparency"):
        encode(np.zeros((4, 4, 4), np.uint8), "jpg")


@pytest.mark.parametrize(
    ("text", "colour"), [("#ff8000", (255, 128, 0)), ("f80", (255, 136, 0)), ("white", (255, 255, 255)), ("#000000", (0, 0, 0))]
)
def test_colours(text, colour):
    assert Background.parse(text).colour == colour


def test_backgrounds_that_are_none():
    with pytest.raises(UsageError, match="not a background"):
        Background.parse("nothing-of-the-kind")


def two_blobs() -> np.ndarray:
    found = np.zeros((100, 100), np.uint8)
    found[10:60, 10:60] = 255
    found[80:90, 80:90] = 255
    found[60:63, 10:60] = 60
    return found


def test_the_largest_part_stays_with_its_soft_rim():
    cleaned = clean(two_blobs(), largest=True, min_area=0)
    assert cleaned[85, 85] == 0
    assert cleaned[30, 30] == 255
    assert cleaned[61, 30] == 60


def test_small_parts_go():
    assert clean(two_blobs(), largest=False, min_area=0.02)[85, 85] == 0
    assert clean(two_blobs(), largest=False, min_area=0.005)[85, 85] == 255
    assert not clean(two_blobs(), largest=False, min_area=0.9).any()


def test_thresholds():
    ramp = np.tile(np.arange(256, dtype=np.uint8), (4, 1))
    assert (binarise(ramp, 0.5) == np.where(ramp > 127, 255, 0)).all()
    assert set(np.unique(binarise(two_blobs(), "otsu"))) == {0, 255}
    faint = np.random.default_rng(0).integers(0, 20, (40, 40), dtype=np.uint8)
    for rule in ("otsu", "adaptive"):
        assert not binarise(faint, rule).any(), "a rule that follows the map must not find an object in noise"
    assert (parse_threshold("0.3"), parse_threshold("otsu"), parse_threshold(None)) == (0.3, "otsu", None)
    for wrong in ("0", "1", "1.5", "half"):
        with pytest.raises(UsageError, match="not a threshold"):
            parse_threshold(wrong)


def disk_scene() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows, columns = np.mgrid[:160, :200]
    truth = ((rows - 80) ** 2 + (columns - 100) ** 2 < 45**2).astype(np.uint8) * 255
    rgb = np.where(truth[..., None] > 0, (220, 60, 40), (40, 90, 200)).astype(np.uint8)
    blurred = np.asarray(Image.fromarray(truth).resize((20, 16), Image.Resampling.BILINEAR).resize((200, 160), Image.Resampling.BILINEAR))
    return rgb, blurred, truth


def step_at_edge(mask: np.ndarray) -> float:
    """Mean difference between the two pixels inside and the two outside the disk's edge."""
    rows, columns = np.mgrid[:160, :200]
    radius = np.hypot(rows - 80, columns - 100)
    return float(mask[(radius > 43) & (radius < 45)].mean() - mask[(radius > 45) & (radius < 47)].mean())


@pytest.mark.parametrize("edges", ["guided", "grabcut"])
def test_refinement_moves_a_coarse_map_to_the_photos_edges(edges):
    rgb, coarse, truth = disk_scene()
    refined = refine(coarse, rgb, Refinement(edges=edges))
    assert step_at_edge(coarse) < 50
    assert step_at_edge(refined) > 100
    assert ((refined > 127) != (truth > 127)).mean() <= ((coarse > 127) != (truth > 127)).mean()


def test_guided_filter_is_a_regression_in_every_window():
    """Box filters and cofactors against solving each window's equations; above 512 pixels the coefficients come from a small copy."""
    rng = np.random.default_rng(1)
    rgb, coarse, _ = disk_scene()
    rgb = np.clip(rgb[40:80:2, 60:140:2] + rng.normal(0, 12, (20, 40, 3)), 0, 255).astype(np.uint8)
    coarse = np.ascontiguousarray(coarse[40:80:2, 60:140:2])
    expected = naive.guided(coarse, rgb, radius=max(2, round(0.03 * 40)))
    assert np.abs(guided(coarse, rgb) - expected).max() <= 0.6  # rounded to a grey level, float32 inside
    assert np.abs(coarse - expected).max() > 20, "the filter does something here"


@pytest.mark.parametrize(("largest", "min_area"), [(True, 0.0), (False, 0.01), (False, 0.5)])
def test_a_rim_goes_with_the_part_it_is_nearest_to(largest, min_area):
    found = np.zeros((24, 30), np.uint8)
    boxes = [np.s_[2:12, 3:14], np.s_[16:18, 20:27], np.s_[3:5, 24:26]]
    for box in boxes:
        found[box] = 200
    found[found == 0] = np.random.default_rng(0).integers(0, 100, (found == 0).sum())
    parts = [np.zeros(found.shape, bool) for _ in boxes]
    for part, box in zip(parts, boxes, strict=True):
        part[box] = True
    keep = [part.sum() >= min_area * found.size and (not largest or number == 0) for number, part in enumerate(parts)]
    expected = naive.cleaned(found, parts, keep)
    ours = clean(found, largest=largest, min_area=min_area)
    assert (ours != expected).mean() < 0.02  # distances are those of a 3 x 3 chamfer
    assert all((ours[box] == (200 if kept else 0)).all() for box, kept in zip(boxes, keep, strict=True))


def test_guided_filter_keeps_a_constant_map():
    rgb, _, _ = disk_scene()
    assert (guided(np.full((160, 200), 90, np.uint8), rgb) == 90).all()


def test_grabcut_leaves_a_map_without_object_alone():
    rgb, _, _ = disk_scene()
    empty = np.zeros((160, 200), np.uint8)
    assert (refine(empty, rgb, Refinement(edges="grabcut")) == 0).all()


def test_feathering_softens_the_edge_only():
    found = refine(two_blobs(), np.zeros((100, 100, 3), np.uint8), Refinement(threshold=0.5, feather=2))
    assert found[35, 35] == 255
    assert 60 < found[35, 60] < 200
