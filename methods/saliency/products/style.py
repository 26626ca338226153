"""How the pictures of one order look: the mask's refinement, the background of cut-outs, the file format."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from ...common.reading.images import Photo
from ..saliency_map import Saliency
from .refine import Refinement, refine
from .render import Background, encode, render

FINE = ("npy", "tiff16")  # formats that hold more than 8 bits


@dataclass(frozen=True)
class Style:
    """What the pictures of an order have in common.

    Args:
        stretch: min-max stretch each map first.
        format: a key of `destinations.EXTENSIONS`.
    """

    background: Background = field(default_factory=Background)
    refinement: Refinement = field(default_factory=Refinement)
    stretch: bool = False
    format: str = "png"

    def mask(self, saliency: Saliency, rgb: np.ndarray) -> np.ndarray:
        """The refined mask of a photo (H, W, 3) uint8 -> (H, W) uint8."""
        mask = saliency.mask(stretch=self.stretch)
        return refine(mask, rgb, self.refinement) if self.refinement.needed else mask

    def pictures(self, photo: Photo, saliency: Saliency, kinds: Sequence[str], box: list[int] | None) -> Iterator[tuple[str, bytes]]:
        """Each kind and its picture as a file's bytes.

        Args:
            box: [left, top, right, bottom] of the object, or None.
        """
        mask = self.mask(saliency, photo.rgb)
        for kind in kinds:
            picture = render(kind, photo, mask, self.background, box)
            if kind == "mask" and self.format in FINE:
                picture = self._fine_mask(saliency, mask)
            yield kind, encode(picture, self.format)

    def _fine_mask(self, saliency: Saliency, mask: np.ndarray) -> np.ndarray:
        """The mask with more than 8 bits, where refinement has not made 8 of them: float32 for npy, 16 bits for TIFF."""
        if self.refinement.needed:
            return mask.astype(np.float32) / 255 if self.format == "npy" else mask
        fine = saliency.fine(stretch=self.stretch)
        return fine if self.format == "npy" else np.rint(fine * 65535).astype(np.uint16)
