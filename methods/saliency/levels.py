"""Look inside the network: what each level predicts, where reverse attention looks, what its residual changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from .data import normalize
from .infer import resize_to_side
from .network import ARCHITECTURES, RAS, Level, resize
from .saliency_map import Saliency


@dataclass(frozen=True)
class LevelView:
    """One level at its own resolution.

    `number` follows the paper: the level at stride 2 ** (number - 1), so S6 is the coarsest and S1 at the image's size.

    Shapes:
        saliency, attention, residual (h, w) float32; the latter two are None at the coarsest level, which nothing refines.
    """

    number: int
    stride: int
    saliency: np.ndarray
    attention: np.ndarray | None
    residual: np.ndarray | None


def look(network: RAS, arch: str, rgb: np.ndarray, side: int | None = None) -> tuple[list[LevelView], np.ndarray]:
    """Every level, coarsest first, and the final map.

    Args:
        side: as `Predictor.load`'s size; None is the architecture's own.

    Shapes:
        rgb (H, W, 3) uint8 -> final map (H, W) uint8.
    """
    levels, size = _run(network, arch, rgb, side)
    seen = [
        LevelView(
            level.stride.bit_length(),
            level.stride,
            _array(torch.sigmoid(level.logit)),
            _optional(level.attention),
            _optional(level.residual),
        )
        for level in levels
    ]
    return seen, _mask(levels[-1], size, rgb)


def level_masks(network: RAS, arch: str, rgb: np.ndarray, side: int | None = None) -> dict[str, np.ndarray]:
    """Each level's map as it would be if the network ended there, by its stride ("/32", ...), coarsest first.

    Shapes:
        rgb (H, W, 3) uint8 -> (H, W) uint8 each.
    """
    levels, size = _run(network, arch, rgb, side)
    return {f"/{level.stride}": _mask(level, size, rgb) for level in levels}


@torch.inference_mode()
def _run(network: RAS, arch: str, rgb: np.ndarray, side: int | None) -> tuple[list[Level], tuple[int, int]]:
    """Every level, coarsest first, and the (height, width) of what the network was shown."""
    architecture = ARCHITECTURES[arch]
    small = resize_to_side(rgb, architecture.side if side is None else side)
    device = next(network.parameters()).device
    return network.levels(normalize(small, architecture.normalization)[None].to(device)), (small.shape[0], small.shape[1])


def _mask(level: Level, size: tuple[int, int], rgb: np.ndarray) -> np.ndarray:
    return Saliency(_array(torch.sigmoid(resize(level.logit, size))), rgb.shape[1], rgb.shape[0]).mask()


def attention_on_object(level: LevelView, found: np.ndarray) -> tuple[float, float]:
    """Mean attention on what the network finds in the end and elsewhere; NaN where there is nothing to average.

    Shapes:
        found (H, W) uint8, the final map; object where > 127.
    """
    assert level.attention is not None
    inside = cv2.resize(found, level.attention.shape[::-1], interpolation=cv2.INTER_AREA) > 127
    parts = [level.attention[part] for part in (inside, ~inside)]
    on, off = [float(part.mean()) if part.size else float("nan") for part in parts]
    return on, off


def summary(levels: Sequence[LevelView], found: np.ndarray) -> list[dict[str, object]]:
    """A row a level: number, stride, and below the coarsest the mean attention on the object and elsewhere.

    Shapes:
        found (H, W) uint8, the final map.
    """
    rows: list[dict[str, object]] = []
    for level in levels:
        row: dict[str, object] = {"level": f"S{level.number}", "stride": level.stride}
        if level.attention is not None:
            row["attention_on_object"], row["attention_elsewhere"] = attention_on_object(level, found)
        rows.append(row)
    return rows


def _array(x: Tensor) -> np.ndarray:
    """(1, 1, h, w) -> (h, w) float32."""
    return x[0, 0].float().cpu().numpy()


def _optional(x: Tensor | None) -> np.ndarray | None:
    return None if x is None else _array(x)
