"""The bank of a model: codes and names of the shapes it was trained on, kept in its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...common.errors import UsageError, nearest
from ...common.running.checkpoint import load_checkpoint, save_checkpoint
from ..config import METHOD

if TYPE_CHECKING:
    from ..data import Index, Shapes

Float = NDArray[np.float32]
BLOCK = 32  # grids in memory at once


@dataclass(frozen=True)
class Bank:
    """The shapes a model knows by name: codes float32 [n, z].

    Args:
        whole: bool [n], which of them come out in one piece; new shapes are drawn from those. None where nobody looked.
    """

    names: list[str]
    codes: Float
    whole: NDArray[np.bool_] | None = None

    @property
    def examples(self) -> Float:
        """The codes a prior is fitted to: of the whole shapes, where at least two are known to be whole."""
        return self.codes if self.whole is None or self.whole.sum() < 2 else self.codes[self.whole]

    def index(self, shape: str) -> int:
        """The position of a shape given by name or number.

        Raises:
            UsageError: there is no such shape.
        """
        if shape in self.names:
            return self.names.index(shape)
        if shape.removeprefix("-").isdecimal():
            if 0 <= int(shape) < len(self.names):
                return int(shape)
            raise UsageError(f"--shape {shape}: there are {len(self.names)} shapes, 0 to {len(self.names) - 1}")
        raise UsageError(f"--shape {shape}: no shape of that name", hint=nearest(shape, self.names) or "`ppr imnet list` names them")


def shape_codes(
    encode: Callable[[Sequence[NDArray[np.bool_]]], NDArray[np.float32]], shapes: Shapes, indices: Index
) -> NDArray[np.float32]:
    """Codes float32 [n, z] of shapes, `encode` taking some grids at a time."""
    parts = [encode([shapes.voxels(int(i)) for i in indices[start : start + BLOCK]]) for start in range(0, len(indices), BLOCK)]
    return np.concatenate(parts)


def with_bank(path: Path, shapes: Shapes, indices: Index, out: Path, *, overwrite: bool = True) -> Path:
    """Write a checkpoint again, with the codes and names of shapes in it.

    Raises:
        PprError: not a checkpoint of an autoencoder.
    """
    import torch

    from .encoding import encode, load_encoder

    checkpoint = load_checkpoint(path, method=METHOD)
    encoder = load_encoder(checkpoint)
    codes = shape_codes(lambda grids: encode(encoder, grids, torch.device("cpu")).numpy(), shapes, indices)
    names = "\n".join(shapes.name(int(index)) for index in indices)
    meta = replace(checkpoint.meta, notes=checkpoint.meta.notes | {"names": names})
    return save_checkpoint(out, checkpoint.state | {"codes": torch.from_numpy(codes)}, meta, overwrite=overwrite)
