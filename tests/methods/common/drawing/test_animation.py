"""Animated GIFs."""

from __future__ import annotations

import pytest
from PIL import Image, ImageSequence

from ppr.methods.common.drawing.animation import save_gif
from ppr.methods.common.errors import UsageError


def test_a_gif_has_its_frames_and_its_speed(tmp_path):
    frames = [Image.new("RGB", (32, 32), color) for color in ("red", "green", "green", "blue")]
    path = tmp_path / "turn.gif"
    save_gif(frames, path, fps=10)
    with Image.open(path) as gif:
        shown = [(frame.convert("RGB").getpixel((9, 9)), frame.info["duration"]) for frame in ImageSequence.Iterator(gif)]
        assert gif.info["loop"] == 0
    assert shown == [((255, 0, 0), 100), ((0, 128, 0), 200), ((0, 0, 255), 100)]  # what stays still is one frame that lasts longer
    with pytest.raises(UsageError, match="exists already"):
        save_gif(frames, path, fps=10)
    with pytest.raises(UsageError, match="frames"):
        save_gif([], tmp_path / "none.gif", fps=10)


def test_a_transparent_frame_lies_on_white(tmp_path):
    path = tmp_path / "clear.gif"
    save_gif([Image.new("RGBA", (8, 8), (0, 0, 0, 0))], path, fps=10)
    with Image.open(path) as gif:
        assert gif.convert("RGB").getpixel((3, 3)) == (255, 255, 255)
