"""The network in ONNX Runtime: the default on a CPU. Torch is never imported."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from ..common.errors import PprError, UsageError
from ..common.measuring.cores import usable_cores
from ..common.measuring.onnx_session import open_session
from ..common.running import onnx_metadata


class OnnxBackend:
    """Runs an .onnx file written by `ppr saliency export`; what it expects is read from its metadata."""

    def __init__(self, path: Path, *, device: str, threads: int | None, side: int | None) -> None:
        meta = onnx_metadata.read(path)
        self.side = int(meta.get("side", 0)) if side is None else side
        known = {"batch": 1, "height": self.side, "width": self.side} if self.side else None
        self.session = open_session(path, device=device, threads=threads or usable_cores(), dimensions=known, hint="export it again")
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
        """(h, w, 3) uint8 at the network's size -> (h, w) float32 probability."""
        if self.whole:
            found = self.session.run([self.output], {self.input: np.ascontiguousarray(rgb)})[0]
            return found.astype(np.float32) / 255
        x = rgb * self.gain + self.offset
        x = np.ascontiguousarray(x.transpose(2, 0, 1)[::-1] if self.bgr else x.transpose(2, 0, 1))
        return np.clip(self.session.run([self.output], {self.input: x[None]})[0][0, 0].astype(np.float32, copy=False), 0, 1)
