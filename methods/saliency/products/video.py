"""Saliency of moving pictures: video files through OpenCV, and raw frames from a pipe."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import cv2
import numpy as np

from ...common.errors import PprError, UsageError
from ...common.reading.files import atomic_path
from ...common.reading.images import Photo
from ..infer import Predictor, Saliency
from .refine import Refinement, refine
from .render import Background, render

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


def convert(
    source: Path,
    target: Path,
    predictor: Predictor,
    kind: str,
    background: Background,
    how: Refinement,
    *,
    overwrite: bool,
    smooth: float = 0.6,
) -> dict[str, Any]:
    """Render every frame of a video file into an .mp4 (MPEG-4), written whole or not at all.

    Returns:
        a record like a photo's, with the number of frames and averages over them.

    Raises:
        UsageError: a kind that a video cannot show.
        PprError: OpenCV cannot read the file, or cannot write the other.
    """
    if kind not in ("mask", "cutout", "overlay", "heatmap", "outline") or (kind == "cutout" and background.kind == "transparent"):
        raise UsageError(f"{source}: --as {kind} makes no video", hint="a cut-out needs a --bg; a crop has no fixed size")
    capture = cv2.VideoCapture(str(source))
    width, height = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    if not capture.isOpened() or width <= 0 or height <= 0:
        raise PprError(f"{source}: not a video OpenCV can read")
    rate = capture.get(cv2.CAP_PROP_FPS) or 25.0
    smoother = Smoother(smooth)
    coverage, confidence, frames = 0.0, 0.0, 0
    started = time.perf_counter()
    try:
        with atomic_path(target, overwrite=overwrite) as temporary:
            writer = cv2.VideoWriter(str(temporary), cv2.VideoWriter.fourcc(*"mp4v"), rate, (width, height))
            if not writer.isOpened():
                raise PprError(f"{target}: OpenCV cannot write MPEG-4 here", hint="use `ppr saliency stream` with ffmpeg")
            while True:
                more, bgr = capture.read()
                if not more:
                    break
                rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
                saliency = smoother(predictor(rgb))
                mask = saliency.mask()
                if how.needed:
                    mask = refine(mask, rgb, how)
                picture = render(kind, Photo(rgb, None, (width, height)), mask, background, None)
                writer.write(cv2.cvtColor(picture, cv2.COLOR_GRAY2BGR if picture.ndim == 2 else cv2.COLOR_RGB2BGR))
                summary = saliency.summary()
                coverage, confidence, frames = coverage + summary["coverage"], confidence + summary["confidence"], frames + 1
            writer.release()
            if not frames:
                raise PprError(f"{source}: no frame could be decoded")
    finally:
        capture.release()
    return {
        "path": str(source),
        "width": width,
        "height": height,
        "frames": frames,
        "object": coverage > 0,
        "coverage": round(coverage / frames, 2),
        "box": None,
        "centroid": None,
        "confidence": round(confidence / frames, 4),
        "ms": round(1000 * (time.perf_counter() - started) / frames, 1),
        "written": [str(target)],
    }
