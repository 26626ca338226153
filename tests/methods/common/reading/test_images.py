"""Images come out the way a viewer shows them, whatever their mode, and bad ones say what is wrong with them."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading import images
from ppr.methods.common.reading.images import decode, decode_frames, decode_mask


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def ramp(height: int = 6, width: int = 9) -> np.ndarray:
    """An RGB picture in which no two pixels are alike, so that every flip shows."""
    return (np.arange(height * width * 3, dtype=np.uint8) * 7 % 251).reshape(height, width, 3)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_undone(orientation, kind):
    """A file whose pixels were turned away and which says so comes out as the original."""
    upright = Image.fromarray(ramp())
    away = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}  # EXIF orientation -> the Pillow transposition that leads to it
    stored = upright if orientation == 1 else upright.transpose(Image.Transpose(away[orientation]))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo = decode(encoded(stored, kind, exif=exif, **({"lossless": True} if kind == "WEBP" else {})), "a")
    np.testing.assert_array_equal(photo.rgb, ramp())
    assert photo.full_size == (9, 6)


@settings(max_examples=25)
@given(arrays(np.uint8, st.tuples(st.integers(1, 12), st.integers(1, 12), st.just(3))))
def test_lossless_formats_give_identical_pixels(pixels):
    image = Image.fromarray(pixels)
    for data in (encoded(image), encoded(image, "WEBP", lossless=True), encoded(image, "BMP"), encoded(image, "PPM")):
        np.testing.assert_array_equal(decode(data, "a").rgb, pixels)


def test_sixteen_bit_grey_is_scaled_and_not_clipped():
    levels = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    photo = decode(encoded(Image.fromarray(levels)), "a.png")
    np.testing.assert_array_equal(photo.rgb[0, :, 0], [0, 0, 1, 128, 255])
    assert photo.rgb.dtype == np.uint8 and photo.alpha is None


def test_floating_point_grey_is_scaled_by_its_top():
    levels = np.array([[-1.0, 0.0, 2.0, 4.0, np.nan]], np.float32)
    rgb = decode(encoded(Image.fromarray(levels), "TIFF"), "a.tif").rgb
    np.testing.assert_array_equal(rgb[0, :, 1], [0, 0, 127, 255, 0])


def test_cmyk_becomes_rgb():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))
    rgb = decode(encoded(image, "JPEG", quality=95), "a.jpg").rgb
    assert rgb.shape == (8, 8, 3)
    assert np.abs(rgb.astype(int) - [254, 0, 0]).max() <= 4


def test_palette_with_transparency():
    image = Image.new("P", (2, 1))
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.putpixel((1, 0), 1)
    photo = decode(encoded(image, transparency=0), "a.png")
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, [[0, 255]])
    np.testing.assert_array_equal(photo.rgb, [[[255, 255, 255], [200, 100, 50]]])


def test_alpha_is_composited_on_white_and_kept():
    photo = decode(encoded(Image.fromarray(np.array([[[0, 255], [0, 0], [100, 128]]], np.uint8), "LA")), "a.png")
    assert photo.alpha is not None
    np.testing.assert_array_equal(photo.alpha, [[255, 0, 128]])
    np.testing.assert_allclose(photo.rgb[0, :, 0], [0, 255, 177], atol=1)


def test_one_bit_and_grey_images():
    bits = np.array([[True, False]])
    np.testing.assert_array_equal(decode(encoded(Image.fromarray(bits)), "a.png").rgb[..., 2], [[255, 0]])
    np.testing.assert_array_equal(decode(encoded(Image.new("L", (1, 1), 77)), "a.png").rgb, [[[77, 77, 77]]])


def test_frames_of_an_animation():
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    frames = [Image.new("RGB", (5, 4), colour) for colour in colours]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    first = decode(data, "a.gif")
    assert first.notices == ["3 frames, only the first is used"]
    np.testing.assert_array_equal(first.rgb[0, 0], colours[0])
    every = decode_frames(data, "a.gif")
    assert [tuple(photo.rgb[0, 0]) for photo in every] == colours
    assert [photo.frame for photo in every] == [0, 1, 2]
    assert every[0].notices == []


def test_pages_of_a_tiff():
    pages = [Image.new("L", (3, 2), level) for level in (10, 200)]
    data = encoded(pages[0], "TIFF", save_all=True, append_images=pages[1:])
    assert [int(photo.rgb[0, 0, 0]) for photo in decode_frames(data, "a.tif")] == [10, 200]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_truncated_files_are_named(kind):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), kind)
    for length in (len(data) // 2, len(data) // 8):
        with pytest.raises(PprError, match=r"^photo\.x: ") as caught:
            decode(data[:length], "photo.x")
        assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("data", "part"), [(b"", "empty file"), (b"plain text, no image at all", "not an image"), (b"\x89PNG\r\n\x1a\n", "image")]
)
def test_what_is_no_image_is_named(data, part):
    with pytest.raises(PprError, match=part):
        decode(data, "a.png")


def test_a_file_on_disk_is_read_like_its_bytes(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(Image.fromarray(ramp())))
    np.testing.assert_array_equal(decode(path, str(path)).rgb, ramp())
    path.write_bytes(b"")
    with pytest.raises(PprError, match="empty file"):
        decode(path, str(path))


def claims_to_be(width: int, height: int) -> bytes:
    """A PNG of a few bytes that says it is enormous."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")


def test_enormous_images_are_refused_before_they_are_decoded():
    with pytest.raises(PprError, match=r"30000x30000 .* beyond the limit of 300 megapixels"):
        decode(claims_to_be(30_000, 30_000), "a.png")


def test_enormous_files_are_refused(monkeypatch):
    monkeypatch.setattr(images, "MAX_FILE_BYTES", 100)
    with pytest.raises(PprError, match="larger than"):
        decode(encoded(Image.fromarray(ramp(50, 50))), "a.png")


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_reduced_decode_keeps_proportion_and_tells_the_full_size(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(Image.new("RGB", (1600, 800), (200, 30, 30)), "JPEG", exif=exif)
    photo = decode(data, "a.jpg", at_least=150)
    full = (1600, 800) if orientation == 1 else (800, 1600)
    assert photo.full_size == full
    height, width = photo.rgb.shape[:2]
    assert (width, height) == (full[0] // 4, full[1] // 4)  # 1/4 is the smallest scale whose shorter side has 150 pixels


@pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1)])
def test_extreme_shapes(shape):
    pixels = np.full((*shape, 3), 9, np.uint8)
    for data in (encoded(Image.fromarray(pixels)), encoded(Image.fromarray(pixels), "JPEG")):
        assert decode(data, "a", at_least=1).rgb.shape == (*shape, 3)


def test_heic_without_its_decoder_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pillow_heif", None)
    with pytest.raises(PprError, match="HEIC") as caught:
        decode(b"\0\0\0\x18ftypheic", "IMG_1.HEIC")
    assert caught.value.hint == "pip install 'ppr[heif]'"


MASK = np.array([[0, 1, 1], [0, 0, 1]], np.uint8)


def palette_mask() -> Image.Image:
    image = Image.fromarray(MASK, "P")
    image.putpalette([0, 0, 0, 128, 0, 0])  # as PASCAL stores class 1
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(MASK),
        Image.fromarray(MASK * 255),
        Image.fromarray(MASK.astype(bool)),
        Image.fromarray(np.repeat(MASK[..., None] * 255, 3, 2)),
        palette_mask(),
    ],
    ids=["0-1", "0-255", "1-bit", "rgb", "palette"],
)
def test_masks_of_every_kind_have_their_object_above_127(image):
    np.testing.assert_array_equal(decode_mask(encoded(image), "m.png") > 127, MASK.astype(bool))


def test_grey_levels_and_empty_masks_stay_as_they_are():
    np.testing.assert_array_equal(decode_mask(encoded(Image.fromarray(np.array([[0, 2, 130]], np.uint8))), "m.png"), [[0, 2, 130]])
    assert decode_mask(encoded(Image.new("L", (4, 4), 0)), "m.png").max() == 0


@pytest.mark.parametrize("top", [1, 255, 65535])
def test_deep_masks_keep_their_object(tmp_path, top):
    values = np.zeros((6, 8), np.uint16)
    values[2:4, 3:6] = top
    Image.fromarray(values).save(tmp_path / "m.png")
    expected = np.where(values > 0, 255, 0)
    assert (images.decode_mask(tmp_path / "m.png", "m.png") == expected).all()


def test_what_is_transparent_in_a_mask_is_background(tmp_path):
    alpha = np.zeros((6, 8), np.uint8)
    alpha[2:4, 3:6] = 255
    rgba = np.dstack([np.full((6, 8, 3), 255, np.uint8), alpha])
    Image.fromarray(rgba).save(tmp_path / "m.png")
    assert (images.decode_mask(tmp_path / "m.png", "m.png") == alpha).all()
