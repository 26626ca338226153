"""Saliency of moving pictures: video files through OpenCV, and raw frames from a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import cv2
import numpy as np

from ...common.errors import PprError, UsageError
from ...common.reading.files import atomic_path
from ...common.reading.images import Photo
from ..saliency_map import Saliency, Summary
from .render import render
from .style import Style

VIDEO_SUFFIXES = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"})
OUTPUTS = {"gray": 1, "rgb": 3, "rgba": 4}  # bytes a pixel


class Smoother:
    """Exponential moving average over time: m_t = alpha p_t + (1 - alpha) m_(t-1); alpha 1 does not smooth."""

    def __init__(self, alpha: float) -> None:
        self.alpha = alpha
        self.state: np.ndarray | None = None

    def __call__(self, saliency: Saliency) -> Saliency:
        if self.state is None or self.alpha >= 1:
            self.state = saliency.probability
        else:
            self.state = self.alpha * saliency.probability + np.float32(1 - self.alpha) * self.state
        return Saliency(self.state, saliency.width, saliency.height)


def raw_frames(stream: BinaryIO, width: int, height: int) -> Iterator[np.ndarray]:
    """Read rgb24 frames, (H, W, 3) uint8, until the stream ends.

    Raises:
        PprError: it ends within a frame.
    """
    size = 3 * width * height
    count = 0
    while True:
        data = stream.read(size)
        if not data:
            return
        while len(data) < size:
            more = stream.read(size - len(data))
            if not more:
                raise PprError(
                    f"stdin: ends within frame {count + 1} ({len(data)} of {size} bytes)", hint="do --size and --pix match the source?"
                )
            data += more
        count += 1
        yield np.frombuffer(data, np.uint8).reshape(height, width, 3)


def pack(rgb: np.ndarray, saliency: Saliency, layout: str) -> bytes:
    """One output frame: the mask (gray), the photo times the mask (rgb), or the photo with the mask as alpha (rgba)."""
    mask = saliency.mask()
    if layout == "gray":
        return mask.tobytes()
    if layout == "rgba":
        return np.dstack([rgb, mask]).tobytes()
    return cv2.multiply(rgb, cv2.merge([mask] * 3), scale=1 / 255).tobytes()


@dataclass(frozen=True)
class Converted:
    """A video that was written: its size, how many frames it has, and means of coverage and confidence over them."""

    summary: Summary
    frames: int


def convert(
    source: Path,
    target: Path,
    predict: Callable[[np.ndarray], Saliency],
    kind: str,
    style: Style,
    *,
    overwrite: bool,
    smooth: float = 0.6,
) -> Converted:
    """Render every frame of a video file into an .mp4 (MPEG-4), written whole or not at all.

    Args:
        predict: the map of a frame (H, W, 3) uint8.
        smooth: alpha of the average over time.

    Raises:
        UsageError: a kind that a video cannot show.
        PprError: OpenCV cannot read the file, or cannot write the other.
    """
    if kind not in ("mask", "cutout", "overlay", "heatmap", "outline") or (kind == "cutout" and style.background.kind == "transparent"):
        raise UsageError(f"{source}: --as {kind} makes no video", hint="a cut-out needs a --bg; a crop has no fixed size")
    capture = cv2.VideoCapture(str(source))
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if not capture.isOpened() or width <= 0 or height <= 0:
        raise PprError(f"{source}: not a video OpenCV can read")
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    smoother = Smoother(smooth)
    coverage, confidence, frames = 0.0, 0.0, 0
    try:
        with atomic_path(target, overwrite=overwrite) as temporary:
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
            if not writer.isOpened():
                raise PprError(f"{target}: OpenCV cannot write MPEG-4 here", hint="use `ppr saliency stream` with ffmpeg")
            for bgr in _frames(capture):
                rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                saliency = smoother(predict(rgb))
                picture = render(kind, Photo(rgb, None, (width, height)), style.mask(saliency, rgb), style.background, None)
                writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR))
                found = saliency.summary()
                coverage, confidence, frames = coverage + found.coverage, confidence + found.confidence, frames + 1
            writer.release()
            if not frames:
                raise PprError(f"{source}: no frame could be decoded")
    finally:
        capture.release()
    means = Summary(
        width,
        height,
        object=coverage > 0,
        coverage=round(coverage / frames, 2),
        box=None,
        centroid=None,
        confidence=round(confidence / frames, 4),
    )
    return Converted(means, frames)


def _frames(capture: cv2.VideoCapture) -> Iterator[np.ndarray]:
    """(H, W, 3) uint8 BGR each."""
    while True:
        more, bgr = capture.read()
        if not more:
            return
        yield bgr
