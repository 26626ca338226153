"""The network in PyTorch: for checkpoints, for GPUs, and for looking inside. ONNX inference never imports this module."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from ..common.errors import PprError, nearest
from ..common.running.checkpoint import Meta, load_checkpoint, load_state
from ..common.running.devices import resolve_device
from .config import TrainConfig
from .data import normalize
from .folding import fold_batch_norm
from .network import ARCHITECTURES, RAS, disable_reverse_attention
from .weights import EMBEDDED


def load_network(model: Path | str) -> tuple[RAS, Meta]:
    """The network of an embedded default, a checkpoint or a run directory, in evaluation mode.

    Raises:
        PprError: not a saliency checkpoint, or of an unknown architecture.
    """
    path = EMBEDDED.find(model)
    loaded = load_checkpoint(path, method="saliency")
    arch = loaded.meta.arch
    if arch not in ARCHITECTURES:
        raise PprError(f"{path}: of the unknown architecture '{arch}'", hint=nearest(arch, ARCHITECTURES))
    network = ARCHITECTURES[arch].build(norm="trunk.stem.norm.weight" in loaded.state)
    load_state(network, loaded.state, str(path))
    if not loaded.meta.config.get("reverse_attention", TrainConfig.model_fields["reverse_attention"].default):
        disable_reverse_attention(network)
    return network.eval(), loaded.meta


class TorchBackend:
    """Runs a checkpoint; batch norm folded, channels last, float32."""

    def __init__(self, path: Path, *, device: str, threads: int | None) -> None:
        network, self.meta = load_network(path)
        kind, index = resolve_device(device)
        self.device = torch.device(f"{kind}:{index[0]}" if index else kind)
        if threads:
            torch.set_num_threads(threads)
        self.network: nn.Module = fold_batch_norm(network).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.architecture = ARCHITECTURES[self.meta.arch]
        self.arch = self.meta.arch
        self.side = self.architecture.side
        self.provider = str(self.device)
        self.whole = False

    @torch.inference_mode()
    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 at the network's size -> (h, w) float32 probability."""
        x = normalize(rgb, self.architecture.normalization)[None].to(self.device, memory_format=torch.channels_last)
        return torch.sigmoid(self.network(x)[0])[0, 0].cpu().numpy()
