"""Checkpoints of the authors' PyTorch code: autoencoder and single-view reconstruction."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...common.errors import PprError
from ...common.reading.files import refuse_existing
from ...common.running.checkpoint import Meta, load_state, load_weights_file, save_checkpoint
from ..config import PRESETS, NetworkConfig

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Imported:
    """What was found and written."""

    path: Path
    parts: tuple[str, ...]
    parameters: int


def import_official(source: Path, out: Path, *, overwrite: bool = False) -> list[Imported]:
    """Read a .pth of IM-NET-pytorch and write it as checkpoints of this package.

    An autoencoder (`encoder.*`, `generator.*`) becomes one file; the image encoder of a single-view model (`img_encoder.*`) becomes
    `NAME.image.safetensors` beside it.

    Raises:
        PprError: not such a file, or tensors whose names or shapes fit no IM-NET.
    """
    image = out.with_suffix(".image.safetensors")
    refuse_existing(out, overwrite=overwrite)
    state = load_weights_file(source)
    state = {key.removeprefix("module."): value for key, value in state.items()}
    known = ("encoder.", "generator.", "img_encoder.")
    strange = [key for key in state if not key.startswith(known)]
    if strange or not any(key.startswith("generator.") for key in state):
        what = f"unknown tensor '{strange[0]}'" if strange else "no tensor 'generator.…'"
        raise PprError(
            f"{source}: not a checkpoint of IM-NET-pytorch ({what})", hint="give one of its IM_AE.model*.pth or IM_SVR.model*.pth"
        )
    config = improved_config(state, source)
    described = config.model_dump(mode="json")
    if any(key.startswith("img_encoder.") for key in state):
        refuse_existing(image, overwrite=overwrite)
    written = [_autoencoder(state, config, Meta(method="imnet", arch="improved", config=described), source, out, overwrite=overwrite)]
    if any(key.startswith("img_encoder.") for key in state):
        written.append(_image_encoder(state, config, source, image, overwrite=overwrite))
    return written


def improved_config(state: Mapping[str, Tensor], source: Path) -> NetworkConfig:
    """Sizes of the improved network, read from the shapes of its decoder and encoder.

    Raises:
        PprError: the shapes are not those of such a decoder.
    """
    depth = max((int(match[1]) for key in state if (match := re.fullmatch(r"generator\.linear_(\d+)\.weight", key))), default=0)
    first, last = state.get("generator.linear_1.weight"), state.get(f"generator.linear_{depth}.weight")
    if depth != 7 or first is None or last is None or first.ndim != 2 or not len(first) or len(first) % 8 or first.shape[1] <= 3:
        raise PprError(f"{source}: a decoder of {depth} layers, not the improved IM-NET's 7")
    encoder = state.get("encoder.conv_1.weight")
    ef_dim = len(encoder) if encoder is not None and encoder.ndim == 5 and len(encoder) else PRESETS["improved"]["ef_dim"]
    sizes = {"z_dim": first.shape[1] - 3, "gf_dim": first.shape[0] // 8, "ef_dim": ef_dim}
    base = {key: value for key, value in PRESETS["improved"].items() if key in NetworkConfig.model_fields}
    return NetworkConfig(**(base | sizes))


def _autoencoder(state: Mapping[str, Tensor], config: NetworkConfig, meta: Meta, source: Path, out: Path, *, overwrite: bool) -> Imported:
    from ..network import AutoEncoder

    network = AutoEncoder(config)
    prefixes = tuple(prefix for prefix in ("encoder.", "generator.") if any(key.startswith(prefix) for key in state))
    own = {key: value for key, value in state.items() if key.startswith(prefixes)}
    complete = {key: value for key, value in network.state_dict().items() if not key.startswith(prefixes)} | own
    load_state(network, complete, str(source))
    save_checkpoint(out, own, meta, overwrite=overwrite)
    return Imported(out, tuple(prefix.rstrip(".") for prefix in prefixes), sum(value.numel() for value in own.values()))


def _image_encoder(state: Mapping[str, Tensor], config: NetworkConfig, source: Path, out: Path, *, overwrite: bool) -> Imported:
    from .svr import SingleView

    own = {key: value for key, value in state.items() if key.startswith("img_encoder.")}
    first = own.get("img_encoder.conv_0.weight")
    if first is None:
        raise PprError(f"{source}: an image encoder without its first layer")
    network = SingleView(config.z_dim, first.shape[0])
    load_state(network, own, str(source))
    meta = Meta(method="imnet-svr", arch="svr", config={"width": first.shape[0], "z_dim": config.z_dim})
    save_checkpoint(out, own, meta, overwrite=overwrite)
    return Imported(out, ("img_encoder",), sum(p.numel() for p in network.parameters()))
