"""From occupancy grids to codes, with the voxel encoder of a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...common.errors import PprError
from ...common.running.checkpoint import Checkpoint, load_state
from ..config import network_config
from ..data import stack_voxels
from ..network import VoxelEncoder

BLOCK = 16  # grids encoded at once


def load_encoder(checkpoint: Checkpoint) -> VoxelEncoder:
    """The voxel encoder of an autoencoder's checkpoint, in evaluation mode.

    Raises:
        UsageError, PprError: the checkpoint has no encoder, or another one than it says.
    """
    config = network_config(checkpoint.meta, checkpoint.path)
    encoder = VoxelEncoder(config.z_dim, config.ef_dim, config.norm)
    prefix = "encoder."
    state = {key.removeprefix(prefix): value for key, value in checkpoint.state.items() if key.startswith(prefix)}
    if not state:
        raise PprError(f"{checkpoint.path}: has no voxel encoder", hint="give the whole autoencoder, as `ppr imnet train` writes it")
    load_state(encoder, state, str(checkpoint.path))
    return encoder.eval()


@torch.no_grad()
def encode(encoder: VoxelEncoder, voxels: Iterable[NDArray[np.bool_]], device: torch.device) -> Tensor:
    """Codes of occupancy grids [64, 64, 64], float32 [n, z] on the CPU."""
    encoder = encoder.to(device)
    grids, parts = iter(voxels), []
    while block := list(islice(grids, BLOCK)):
        parts.append(encoder(stack_voxels(block).to(device)).float().cpu())
    return torch.cat(parts)
