"""Decode images the way a viewer shows them, with bounded memory. No torch here: inference commands start from this module."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ..errors import PprError

#: Suffixes looked for in folders and archives.
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".heic", ".heif", ".avif"})
MAX_PIXELS = 300_000_000  # 20,000 x 15,000; a decoded image of that size takes 900 MB
MAX_FILE_BYTES = 1 << 30

Image.MAX_IMAGE_PIXELS = None  # the limit above is checked before decoding, with our own message


@dataclass(frozen=True)
class Photo:
    """A decoded image.

    Shapes:
        rgb (H, W, 3) uint8, upright; transparent pixels are composited on white.
        alpha (H, W) uint8, or None where the file has no transparency.

    `full_size` is (width, height) of the upright file, larger than rgb where a reduced decode was asked for.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None
    full_size: tuple[int, int]
    notices: list[str] = field(default_factory=list)
    frame: int = 0


def decode(data: bytes | Path, name: str, *, at_least: int | None = None) -> Photo:
    """Decode the first frame of an image.

    Args:
        data: the file's bytes, or its path.
        name: what to call it in errors.
        at_least: where only a small version is needed, its shorter side in pixels; JPEGs are then decoded at 1/2, 1/4 or 1/8 scale.

    Raises:
        PprError: empty, truncated, not an image, of a format without decoder, or too large.
    """
    return decode_frames(data, name, at_least=at_least, limit=1)[0]


def decode_frames(
    data: bytes | Path, name: str, *, at_least: int | None = None, limit: int | None = None, mask: bool = False
) -> list[Photo]:
    """Like `decode`, for the frames of an animation or the pages of a TIFF, `limit` of them at most.

    Args:
        mask: it is a mask, not a photo: what is transparent is black, and deep greys that do not exceed 255 are 8-bit values.
    """
    size = data.stat().st_size if isinstance(data, Path) else len(data)
    if size == 0:
        raise PprError(f"{name}: empty file (0 bytes)")
    if size > MAX_FILE_BYTES:
        raise PprError(f"{name}: larger than {MAX_FILE_BYTES >> 30} GiB")
    if Path(name).suffix.lower() in (".heic", ".heif"):
        _register_heif(name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(data if isinstance(data, Path) else io.BytesIO(data)) as image:
                return _frames(image, name, at_least, limit, mask)
    except PprError:
        raise
    except UnidentifiedImageError as error:
        raise PprError(f"{name}: not an image in a format Pillow knows", hint="convert it to PNG, JPEG, WebP or TIFF") from error
    except (OSError, ValueError, SyntaxError, EOFError, IndexError, MemoryError, TypeError, OverflowError) as error:
        raise PprError(f"{name}: damaged or truncated image ({_reason(error)}; {size:,} bytes)", hint="copy the file again") from error


def _frames(image: Image.Image, name: str, at_least: int | None, limit: int | None, mask: bool) -> list[Photo]:
    width, height = image.size
    count = getattr(image, "n_frames", 1)
    wanted = min(count, limit or count)
    if width * height * wanted > MAX_PIXELS:
        raise PprError(f"{name}: {width}x{height} in {wanted} frame(s) is beyond the limit of {MAX_PIXELS // 10**6} megapixels")
    notices = [f"{count} frames, only the first is used"] if count > wanted else []
    if at_least and image.format == "JPEG":
        image.draft("RGB", (at_least * width // min(width, height), at_least * height // min(width, height)))
    photos = []
    for index in range(wanted):
        if index:
            image.seek(index)
        by_pillow = image.format == "TIFF"  # which it turns itself while it loads, and whose size it tells as turned
        turned = not by_pillow and image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        upright = image
        if wanted == 1 and not by_pillow:
            ImageOps.exif_transpose(image, in_place=True)  # a copy of a large photo would be half a gigabyte
        else:
            upright = ImageOps.exif_transpose(image)
        rgb, alpha = _to_rgb(upright, "black" if mask else "white", shallow=mask)
        photos.append(Photo(rgb, alpha, (height, width) if turned else (width, height), notices, index))
    return photos


def _to_rgb(image: Image.Image, behind: str, *, shallow: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Any Pillow mode to 8-bit RGB on the colour `behind` and, where there is transparency, its alpha.

    16-bit and float greys are scaled, not clipped; with `shallow`, integers that do not exceed 255 stay as they are.
    """
    if image.mode.startswith("I;16"):
        deep = np.asarray(image).astype(np.uint16)
        grey = (deep if shallow and deep.max() <= 255 else deep >> 8).astype(np.uint8)
        return np.repeat(grey[..., None], 3, 2), None
    if image.mode in ("I", "F"):
        grey = np.asarray(image, dtype=np.float32)
        top = 65535.0 if image.mode == "I" else max(float(np.nanmax(grey, initial=0.0)), 1e-9)
        if image.mode == "I" and shallow and grey.max() <= 255:
            top = 255.0
        scaled = np.nan_to_num(np.clip(grey / top, 0, 1)) * 255
        return np.repeat(scaled.astype(np.uint8)[..., None], 3, 2), None
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        canvas = Image.new("RGBA", rgba.size, behind)
        return np.asarray(Image.alpha_composite(canvas, rgba).convert("RGB")), np.asarray(rgba.getchannel("A"))
    return np.asarray(image if image.mode == "RGB" else image.convert("RGB")), None


def decode_mask(data: bytes | Path, name: str) -> np.ndarray:
    """Decode a ground-truth mask or saliency map to (H, W) uint8, whatever its mode; {0, 1} masks are scaled to {0, 255}.

    Raises:
        PprError: as `decode`.
    """
    grey = decode_frames(data, name, limit=1, mask=True)[0].rgb.max(axis=2)
    return grey * np.uint8(255) if 0 < grey.max() <= 1 else grey


def reduced(image: np.ndarray, longest: int) -> np.ndarray:
    """The image with its longest side at most `longest`, by area averaging; smaller ones as they are.

    Shapes:
        (H, W) or (H, W, 3) uint8 -> the same with h, w.
    """
    height, width = image.shape[:2]
    scale = longest / max(height, width)
    if scale >= 1:
        return image
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))


def _register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise PprError(f"{name}: HEIC photos need a decoder that is not installed", hint="pip install 'ppr[heif]'") from error
    pillow_heif.register_heif_opener()


def _reason(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:100]
