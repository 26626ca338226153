"""What can be made of a photo and its saliency map: mask, cut-out, overlay, heat map, outline, crop. uint8 arrays in and out."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ...common.errors import PprError, UsageError
from ...common.reading.files import atomic_open
from ...common.reading.images import Photo, decode

OVERLAY_COLOUR = np.array([30, 220, 90], np.float32)
COLOUR = re.compile(r"#?([0-9a-fA-F]{6}|[0-9a-fA-F]{3})")


@dataclass(frozen=True)
class Background:
    """What a cut-out stands on: nothing (transparent), one colour, the blurred photo, or another picture."""

    kind: str = "transparent"
    colour: tuple[int, int, int] = (255, 255, 255)
    picture: np.ndarray | None = None

    @classmethod
    def parse(cls, text: str) -> Background:
        """From `transparent`, `blur`, `#rrggbb`, a colour's name, or an image file.

        Raises:
            UsageError: none of those.
        """
        if text in ("transparent", "blur"):
            return cls(text)
        if Path(text).is_file():
            return cls("picture", picture=decode(Path(text), text).rgb)
        match = COLOUR.fullmatch(text)
        if match:
            digits = match[1] if len(match[1]) == 6 else "".join(2 * digit for digit in match[1])
            red, green, blue = bytes.fromhex(digits)
            return cls("colour", (red, green, blue))
        try:
            from PIL import ImageColor

            return cls("colour", ImageColor.getrgb(text)[:3])
        except ValueError as error:
            raise UsageError(
                f"--bg {text}: not a background", hint="transparent, blur, #rrggbb, a colour's name, or an image file"
            ) from error


def render(kind: str, photo: Photo, mask: np.ndarray, background: Background, box: list[int] | None) -> np.ndarray:
    """One picture.

    Shapes:
        photo.rgb (H, W, 3), mask (H, W) -> (H, W), (H, W, 3) or (H, W, 4) uint8; `crop` is as large as `box` with its margin.

    Args:
        box: [left, top, right, bottom] of the object, needed for `crop`.
    """
    painters: dict[str, Callable[[], np.ndarray]] = {
        "mask": lambda: mask,
        "cutout": lambda: cutout(photo, mask, background),
        "overlay": lambda: overlay(photo.rgb, mask),
        "heatmap": lambda: heatmap(photo.rgb, mask),
        "outline": lambda: outline(photo.rgb, mask),
        "crop": lambda: crop(photo, box),
    }
    return painters[kind]()


def cutout(photo: Photo, mask: np.ndarray, background: Background) -> np.ndarray:
    """The object alone: RGBA, or composited onto a background. The photo's own transparency is kept.

    On a background the rim is composited with its alpha, so that no half-transparent seam of the old background shows.
    """
    alpha = mask if photo.alpha is None else cv2.multiply(mask, photo.alpha, scale=1 / 255)
    if background.kind == "transparent":
        return np.dstack([photo.rgb, alpha])
    height, width = mask.shape
    if background.kind == "colour":
        behind = np.full_like(photo.rgb, background.colour)
    elif background.kind == "blur":
        behind = _blur(photo.rgb, 0.03 * max(height, width))
    else:
        assert background.picture is not None
        behind = _cover(background.picture, width, height)
    return blend(photo.rgb, behind, alpha)


def blend(front: np.ndarray, behind: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """front * alpha + behind * (1 - alpha), in strips so that large photos need no float copy."""
    blended = np.empty_like(front)
    for top in range(0, front.shape[0], 256):
        part = slice(top, top + 256)
        a = alpha[part, :, None].astype(np.uint16)
        blended[part] = (front[part] * a + behind[part] * (255 - a) + 127) // 255
    return blended


def overlay(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photo, green where the object is and darker where it is not."""
    green = cv2.addWeighted(rgb, 0.55, np.full_like(rgb, OVERLAY_COLOUR.astype(np.uint8)), 0.45, 0)
    return blend(green, cv2.convertScaleAbs(rgb, alpha=0.6), mask)


def heatmap(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The map in false colours over the grey photo."""
    colours = cv2.cvtColor(cv2.applyColorMap(mask, cv2.COLORMAP_TURBO), cv2.COLOR_BGR2RGB)
    grey = cv2.cvtColor(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
    return cv2.addWeighted(colours, 0.65, grey, 0.35, 0)


def outline(rgb: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The photo with the object's contour at half height, its width in proportion to the image."""
    contours, _ = cv2.findContours((mask > 127).astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    drawn = np.ascontiguousarray(rgb).copy()
    width = max(1, round(max(mask.shape) / 250))
    cv2.drawContours(drawn, contours, -1, OVERLAY_COLOUR.tolist(), width, cv2.LINE_AA)
    return drawn


def crop(photo: Photo, box: list[int] | None, margin: float = 0.05) -> np.ndarray:
    """The photo cropped to the object with a margin, a share of the box's longer side; the whole photo without an object."""
    height, width = photo.rgb.shape[:2]
    left, top, right, bottom = box or [0, 0, width, height]
    pad = round(margin * max(right - left, bottom - top)) if box else 0
    window = np.s_[max(0, top - pad) : min(height, bottom + pad), max(0, left - pad) : min(width, right + pad)]
    return photo.rgb[window] if photo.alpha is None else np.dstack([photo.rgb[window], photo.alpha[window]])


def encode(picture: np.ndarray, format: str) -> bytes:
    """A picture as a file's bytes; fast settings, since compressing hard takes longer than the network."""
    stream = io.BytesIO()
    if format == "npy":
        np.save(stream, picture, allow_pickle=False)
    elif format == "png":
        Image.fromarray(picture).save(stream, "PNG", compress_level=1 if picture.ndim == 2 else 3)
    elif format == "webp":
        Image.fromarray(picture).save(stream, "WEBP", lossless=True, quality=20, method=1)
    elif format == "jpg":
        if picture.ndim == 3 and picture.shape[2] == 4:
            raise PprError("JPEG holds no transparency", hint="use --format png or webp, or give a --bg")
        Image.fromarray(picture).save(stream, "JPEG", quality=92)
    else:
        Image.fromarray(picture.astype(np.uint16) * np.uint16(257) if picture.dtype == np.uint8 else picture).save(stream, "TIFF")
    return stream.getvalue()


def write(data: bytes, path: Path, *, overwrite: bool) -> None:
    """Write a file whole or not at all."""
    with atomic_open(path, overwrite=overwrite) as stream:
        stream.write(data)


def _blur(rgb: np.ndarray, sigma: float) -> np.ndarray:
    """A Gaussian blur, computed on a small copy: a wide blur holds no detail that would need the full size."""
    height, width = rgb.shape[:2]
    shrink = max(1.0, sigma / 4)
    small = cv2.resize(rgb, (max(1, round(width / shrink)), max(1, round(height / shrink))), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), max(sigma / shrink, 0.5)), (width, height), interpolation=cv2.INTER_LINEAR)


def _cover(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    """Scale and crop a picture so that it covers width x height."""
    h, w = picture.shape[:2]
    scale = max(width / w, height / h)
    resized = cv2.resize(picture, (max(width, round(w * scale)), max(height, round(h * scale))), interpolation=cv2.INTER_AREA)
    top, left = (resized.shape[0] - height) // 2, (resized.shape[1] - width) // 2
    return resized[top : top + height, left : left + width]
