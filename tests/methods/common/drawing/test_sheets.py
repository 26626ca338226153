"""Sheets of pictures."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from ppr.methods.common.drawing.sheets import contact_sheet, framed
from ppr.methods.common.errors import UsageError


def test_pictures_lie_in_rows_on_white():
    tiles = [Image.new("RGB", (20, 10), color) for color in ("red", "green", "blue")]
    sheet = contact_sheet(tiles, 2)
    assert sheet.size == (40, 20)
    assert sheet.getpixel((25, 5)) == (0, 128, 0)
    assert sheet.getpixel((5, 15)) == (0, 0, 255)
    assert sheet.getpixel((25, 15)) == (255, 255, 255)
    apart = contact_sheet(tiles, 2, gap=6)
    assert apart.size == (46, 26)
    assert [apart.getpixel(place) for place in ((22, 5), (27, 5), (5, 12), (5, 17))] == [
        (255, 255, 255),
        (0, 128, 0),
        (255, 255, 255),
        (0, 0, 255),
    ]
    transparent = contact_sheet([Image.new("RGBA", (8, 8), (0, 0, 0, 0))], 1)
    assert transparent.getpixel((3, 3)) == (255, 255, 255)
    for wrong in (([], 2, None), (tiles, 0, None), (tiles, 2, ["one"])):
        with pytest.raises(UsageError):
            contact_sheet(*wrong)


def test_a_row_is_as_high_as_its_highest_picture():
    heights = (10, 5, 30)
    sheet = contact_sheet([Image.new("RGB", (20, height), "red") for height in heights], 2)
    assert sheet.size == (40, 40)
    assert sheet.getpixel((5, 12)) == sheet.getpixel((5, 39)) == (255, 0, 0)


def columns_with_ink(sheet, top, bottom):
    return np.flatnonzero((np.asarray(sheet.convert("L"))[top:bottom] < 120).any(0))


def test_labels_stand_below_and_never_in_the_neighbours():
    tiles = [Image.new("RGB", (90, 30), "red")] * 2
    labelled = contact_sheet(tiles, 2, ["one", ""])
    inked = columns_with_ink(labelled, 30, labelled.height)
    assert labelled.height > 30
    assert inked.min() > 30 and inked.max() < 60, "in the middle of its picture"
    long = columns_with_ink(contact_sheet(tiles, 2, ["holidays-in-the-mountains-2019-07-22-0041.jpg", ""]), 30, labelled.height)
    assert len(long) and long.max() < 90


def test_a_frame_holds_the_whole_picture():
    tile = framed(Image.new("RGB", (100, 50), "red"), 40, 40)
    assert tile.size == (40, 40)
    assert [tile.getpixel((20, row)) for row in (5, 20, 35)] == [(255, 255, 255), (255, 0, 0), (255, 255, 255)]
    small = Image.new("RGB", (10, 10), "red")
    assert np.asarray(framed(small, 40, 40))[..., 1].min(0).tolist().count(0) == 10, "what is smaller stays as it is"
