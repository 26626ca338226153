"""The bank of a model: codes and names of the shapes it was trained on, kept in its checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ...common.running.checkpoint import load_checkpoint, save_checkpoint
from ..data import Index, Shapes

BLOCK = 32  # grids in memory at once


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

    checkpoint = load_checkpoint(path, method="imnet")
    encoder = load_encoder(checkpoint)
    codes = shape_codes(lambda grids: encode(encoder, grids, torch.device("cpu")).numpy(), shapes, indices)
    names = "\n".join(shapes.name(int(index)) for index in indices)
    meta = replace(checkpoint.meta, notes=checkpoint.meta.notes | {"names": names})
    return save_checkpoint(out, checkpoint.state | {"codes": torch.from_numpy(codes)}, meta, overwrite=overwrite)
