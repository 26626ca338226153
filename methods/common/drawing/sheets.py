"""Many pictures on one sheet."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw, ImageFont

from ..errors import UsageError

_INK = (60, 60, 60)
_SMALLEST, _LARGEST = 11, 14  # letters, pixels


def contact_sheet(images: Sequence[Image.Image], columns: int, labels: Sequence[str] | None = None, *, gap: int = 0) -> Image.Image:
    """Pictures in rows, on white, each with its label below. A column is as wide as the widest, a row as high as its highest picture.

    Args:
        gap: pixels between neighbours.

    Raises:
        UsageError: no pictures, no columns, or another number of labels.
    """
    if not images or columns < 1 or (labels is not None and len(labels) != len(images)):
        raise UsageError(f"cannot lay out {len(images)} pictures in {columns} columns with {len(labels or [])} labels")
    columns, width = min(columns, len(images)), max(image.width for image in images)
    letters = min(max(_SMALLEST, width // 22), _LARGEST)
    caption = 2 * letters if labels else 0
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    heights = [max(image.height for image in row) + caption for row in rows]
    sheet = Image.new("RGB", (columns * (width + gap) - gap, sum(heights) + gap * (len(rows) - 1)), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=letters)
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        left, top = column * (width + gap), sum(heights[:row]) + row * gap
        _paste(sheet, image, left + (width - image.width) // 2, top)
        if labels:
            place = left + width / 2, top + heights[row] - caption / 2
            pen.text(place, _shortened(labels[number], width, pen, font), fill=_INK, font=font, anchor="mm")
    return sheet


def framed(image: Image.Image, width: int, height: int) -> Image.Image:
    """The picture in the middle of a white tile, made smaller where it does not fit."""
    small, tile = image.copy(), Image.new("RGB", (width, height), "white")
    small.thumbnail((width, height))
    _paste(tile, small, (width - small.width) // 2, (height - small.height) // 2)
    return tile


def _paste(sheet: Image.Image, image: Image.Image, left: int, top: int) -> None:
    sheet.paste(image, (left, top), image if image.mode == "RGBA" else None)


def _shortened(text: str, width: int, pen: ImageDraw.ImageDraw, font: ImageFont.ImageFont | ImageFont.FreeTypeFont) -> str:
    """A text no wider than so many pixels: the end is what tells file names apart, and stays."""
    if pen.textlength(text, font) <= width:
        return text
    while text and pen.textlength(f"…{text}", font) > width:
        text = text[1:]
    return f"…{text}"
