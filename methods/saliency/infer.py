"""Load once, call many times: from an RGB image to its saliency map. With ONNX Runtime (the default) torch is never imported."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import cv2
import numpy as np
from PIL import Image

from ..common.errors import PprError, UsageError
from ..common.measuring.cores import usable_cores
from ..common.measuring.onnx_session import open_session
from ..common.running import onnx_metadata
from .weights import checkpoint_path, onnx_path

log = logging.getLogger("ppr")

NATIVE_STEP = 32  # "native" rounds each side to a multiple of the coarsest stride
NATIVE_MAX = 1600  # and no side is longer than this: the receptive field does not grow with the image
STRETCH_FLOOR = 0.05  # a map whose values span less holds no object, and stretching it would make one out of noise
OBJECT_PEAK = 0.5  # no pixel above it: no object
OBJECT_CONFIDENCE = 0.35  # mean |2p - 1| over the pixels called object; below it the network is guessing


class Backend(Protocol):
    """Runs a network on an image of the network's size."""

    arch: str
    side: int
    provider: str
    whole: bool  # takes the photo at its own size: pre- and post-processing are inside the graph

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 -> (h, w) float32 in [0, 1]."""
        ...


@dataclass(frozen=True)
class Saliency:
    """A saliency map and the size of the image it belongs to.

    Shapes:
        probability (h, w) float32 in [0, 1], at the network's resolution.
    """

    probability: np.ndarray
    width: int
    height: int

    def resized(self, width: int | None = None, height: int | None = None) -> np.ndarray:
        """(height, width) float32 in [0, 1], bilinear; the image's size by default."""
        return cv2.resize(self.probability, (width or self.width, height or self.height), interpolation=cv2.INTER_LINEAR)

    def mask(self, *, stretch: bool = False) -> np.ndarray:
        """(H, W) uint8 at the image's size: round(255 p), min-max stretched first if `stretch` and there is something to stretch."""
        small = self.stretched() if stretch else self.probability
        if self.width * self.height <= 1 << 22:
            full = cv2.resize(small, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
            return np.rint(full * np.float32(255)).astype(np.uint8)
        # 16 bits instead of 32 halve the memory of a large map and still round to the right 8-bit level.
        deep = np.rint(small * np.float32(65280)).astype(np.uint16)
        full16 = cv2.resize(deep, (self.width, self.height), interpolation=cv2.INTER_LINEAR)
        mask = np.empty(full16.shape, np.uint8)
        for top in range(0, self.height, 512):
            mask[top : top + 512] = ((full16[top : top + 512] + np.uint16(128)) >> 8).astype(np.uint8)  # type: ignore[operator]
        return mask

    def stretched(self) -> np.ndarray:
        """The map with its values stretched to [0, 1], unless they span less than 0.05: that is no object but noise."""
        low, high = float(self.probability.min()), float(self.probability.max())
        return self.probability if high - low < STRETCH_FLOOR else (self.probability - low) / np.float32(high - low)

    def summary(self, threshold: float = 0.5) -> dict[str, Any]:
        """Numbers about the object: coverage in percent, bounding box and centroid in pixels of the image, confidence.

        `box` is [left, top, right, bottom], right and bottom exclusive; box and centroid are None when no pixel is above `threshold`.
        `confidence` is the mean of |2p - 1| over the object's pixels, 0 without one.
        """
        probability = self.probability
        inside = probability > threshold
        rows, columns = np.flatnonzero(inside.any(1)), np.flatnonzero(inside.any(0))
        found = rows.size > 0
        confidence = float(np.abs(2 * probability[inside] - 1).mean()) if found else 0.0
        box = centroid = None
        if found:
            h, w = probability.shape
            x, y = self.width / w, self.height / h
            box = [
                int(columns[0] * x),
                int(rows[0] * y),
                min(self.width, round((columns[-1] + 1) * x)),
                min(self.height, round((rows[-1] + 1) * y)),
            ]
            weights = probability * inside
            total = float(weights.sum())
            cy = float((weights.sum(1) @ np.arange(0.5, h)) / total) * y
            cx = float((weights.sum(0) @ np.arange(0.5, w)) / total) * x
            centroid = [round(cx, 1), round(cy, 1)]
        return {
            "width": self.width,
            "height": self.height,
            "object": bool(found and probability.max() > OBJECT_PEAK and confidence >= OBJECT_CONFIDENCE),
            "coverage": round(100 * float(inside.mean()), 2),
            "box": box,
            "centroid": centroid,
            "confidence": round(confidence, 4),
        }


class OnnxBackend:
    """Runs an .onnx file written by `ppr saliency export`; what it expects is read from its metadata."""

    def __init__(self, path: Path, *, device: str, threads: int | None, side: int | None) -> None:
        meta = onnx_metadata.read(path)
        self.side = int(meta.get("side", 0)) if side is None else side
        fixed_size = {"batch": 1, "height": self.side, "width": self.side} if self.side else None
        self.session = open_session(path, device=device, threads=threads or usable_cores(), dimensions=fixed_size, hint="export it again")
        self.provider = self.session.get_providers()[0]
        (first, *others) = self.session.get_inputs()
        if others:
            raise PprError(f"{path}: has {1 + len(others)} inputs, a saliency network has one")
        self.input = first.name
        self.output = self.session.get_outputs()[0].name  # further outputs are coarser levels
        self.arch = meta.get("arch", "unknown")
        self.whole = first.type == "tensor(uint8)"
        if not self.whole:
            self._read_normalization(path, meta)
            fixed = first.shape[2] if isinstance(first.shape[2], int) else None
            if fixed and side is not None and fixed != self.side:
                raise UsageError(f"{path}: made for {fixed}x{fixed} only", hint="leave --size out, or export with --size dynamic")
            self.side = fixed or self.side

    def _read_normalization(self, path: Path, meta: dict[str, str]) -> None:
        try:
            mean, std = np.float32(json.loads(meta["mean"])), np.float32(json.loads(meta["std"]))
            scale, self.bgr = np.float32(meta["scale"]), meta["channel_order"] == "BGR"
        except (KeyError, ValueError) as error:
            raise PprError(
                f"{path}: no ppr metadata that says how to feed it", hint="use files written by `ppr saliency export`"
            ) from error
        if meta.get("profile", "plain") != "plain":
            raise PprError(
                f"{path}: exported for {meta['profile']}, which normalises differently", hint="export without --profile for use here"
            )
        self.gain = (1 / (scale * std)).astype(np.float32)
        self.offset = (-mean / std).astype(np.float32)

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        if self.whole:
            found = self.session.run([self.output], {self.input: np.ascontiguousarray(rgb)})[0]
            return found.astype(np.float32) / 255
        x = rgb * self.gain + self.offset
        x = np.ascontiguousarray(x.transpose(2, 0, 1)[::-1] if self.bgr else x.transpose(2, 0, 1))
        return np.clip(self.session.run([self.output], {self.input: x[None]})[0][0, 0].astype(np.float32, copy=False), 0, 1)


class Predictor:
    """A network ready to be called: `predictor(rgb)` -> `Saliency`. A pure function of its input; safe to call from several threads."""

    def __init__(self, backend: Backend, kind: str, path: Path, side: int) -> None:
        self.backend, self.kind, self.path, self.side = backend, kind, path, side

    @classmethod
    def load(
        cls,
        checkpoint: str | Path = "ras-mobile",
        *,
        backend: Literal["auto", "onnx", "torch"] = "auto",
        device: str = "auto",
        threads: int | None = None,
        size: int | None = None,
    ) -> Predictor:
        """Load an embedded default or a .onnx or .safetensors file.

        Args:
            backend: auto takes ONNX Runtime where there is an .onnx, torch for other checkpoints.
            threads: of the CPU; all cores by default.
            size: side the image is resized to; 0 keeps its own (rounded to 32, at most 1600); None is the network's own choice.

        Raises:
            UsageError: a device or size that is not to be had.
            PprError: a file that cannot be loaded.
        """
        suffix = Path(checkpoint).suffix
        if backend == "auto":
            backend = "torch" if suffix == ".safetensors" else "onnx"
        if backend == "onnx":
            if suffix == ".safetensors":
                raise UsageError(
                    f"{checkpoint}: ONNX Runtime needs an .onnx file", hint="`ppr saliency export` writes one; or --backend torch"
                )
            path = onnx_path(checkpoint)
            loaded: Backend = OnnxBackend(path, device=device, threads=threads, side=size)
        else:
            if suffix == ".onnx":
                raise UsageError(f"{checkpoint}: torch needs a .safetensors checkpoint", hint="--backend onnx")
            from .torch_backend import TorchBackend

            path = checkpoint_path(checkpoint)
            loaded = TorchBackend(path, device=device, threads=threads)
        side = loaded.side if size is None else size
        return cls(loaded, backend, path, side)

    def describe(self) -> dict[str, Any]:
        """What this predictor is."""
        return {
            "arch": self.backend.arch,
            "side": self.side or "native",
            "backend": self.kind,
            "provider": self.backend.provider,
            "path": str(self.path),
        }

    def __call__(self, rgb: np.ndarray, *, full_size: tuple[int, int] | None = None, flip: bool = False) -> Saliency:
        """Predict.

        Args:
            rgb: (H, W, 3) uint8.
            full_size: (width, height) the map belongs to, where `rgb` is a reduced decode.
            flip: average with the mirrored image's mirrored map.
        """
        height, width = rgb.shape[:2]
        small = rgb if self.backend.whole else resize_to_side(rgb, self.side)
        probability = self.backend(small)
        if flip:
            probability = (probability + self.backend(np.ascontiguousarray(small[:, ::-1]))[:, ::-1]) / 2
        return Saliency(np.ascontiguousarray(probability), *(full_size or (width, height)))


def resize_to_side(rgb: np.ndarray, side: int) -> np.ndarray:
    """Resize to a square of `side`, or for 0 to the nearest multiples of 32 of at most 1600; antialiased bilinear on 8-bit values."""
    height, width = rgb.shape[:2]
    target = (side, side)
    if not side:
        shrink = min(1.0, NATIVE_MAX / max(width, height))
        target = tuple(max(NATIVE_STEP, round(length * shrink / NATIVE_STEP) * NATIVE_STEP) for length in (width, height))
    if target == (width, height):
        return rgb
    # One axis at a time: Pillow chooses the order by the image's shape, and rounds between the two passes, so that an exported graph
    # could not do the same.
    columns = Image.fromarray(rgb).resize((target[0], height), Image.Resampling.BILINEAR)
    return np.asarray(columns.resize(target, Image.Resampling.BILINEAR))
