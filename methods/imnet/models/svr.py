"""Train IM-SVR: the code of a shape from one picture of it (Chen & Zhang 2019, section 3.3 and supplementary).

In two stages, as the paper: the autoencoder is trained first and stays as it is; the image encoder regresses its codes.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...common.errors import PprError, UsageError
from ...common.reading.files import sha256
from ...common.running.checkpoint import Checkpoint, Meta, load_checkpoint, load_state
from ...common.running.devices import launch
from ...common.running.fit import Task, fit
from ...common.running.run import Run
from ..config import SvrTrainConfig
from ..data import BoxShapes, Index, TrainBatches, fingerprint, load_shapes
from ..shapes.hdf5 import dataset, open_hdf5, read_codes
from .encoding import encode, load_encoder
from .image_encoder import ImageEncoder
from .optimizer import scheduled_adam
from .renderings import BoxPictures, FilePictures, Pictures, as_views, jittered

log = logging.getLogger("ppr")
METHOD = "imnet-svr"
VAL_VIEWS = 4  # of each held-out shape


class SingleView(nn.Module):
    """The image encoder under the name it has in the authors' checkpoints: view (B, 1, 128, 128) -> code (B, z_dim)."""

    def __init__(self, z_dim: int, width: int) -> None:
        super().__init__()
        self.img_encoder = ImageEncoder(z_dim, width)

    def forward(self, view: Tensor) -> Tensor:
        return self.img_encoder(view)


@dataclass(frozen=True)
class ViewBatch:
    """views float32 (B, 1, 128, 128), codes float32 (B, z)."""

    views: Tensor
    codes: Tensor


@dataclass(frozen=True)
class PairSource:
    """Views with the codes to recognise: what a batch is drawn from. codes float32 [rows, z]."""

    source: Pictures
    codes: Tensor

    def draw(self, rows: Index, config: SvrTrainConfig, _progress: float, rng: np.random.Generator) -> ViewBatch:
        pictures = self.source.pictures(rows, rng)
        pictures = [jittered(picture, rng) if rng.random() < config.jitter else picture for picture in pictures]
        return ViewBatch(as_views(pictures), self.codes[torch.from_numpy(rows)])


def load_pairs(config: SvrTrainConfig, device: torch.device) -> tuple[PairSource, Checkpoint, dict[str, Any]]:
    """Views and codes, the autoencoder the codes are of, and a fingerprint of the data.

    Raises:
        UsageError, PprError: the autoencoder or the data are absent, unfit, or do not belong together.
    """
    checkpoint, pictures = _autoencoder(config), _pictures(config)
    if isinstance(pictures, FilePictures):
        codes = _codes_of_file(pictures, config, checkpoint, device)
        data = {"file": pictures.path.name, "train": len(pictures.train), "held_out": len(pictures.held_out), "views": pictures.views}
        return PairSource(pictures, codes), checkpoint, data
    data = fingerprint(pictures, config.data)
    return PairSource(*_codes_of_boxes(pictures, config, checkpoint, data, device)), checkpoint, data


def check_pairs(config: SvrTrainConfig) -> None:
    """Find an autoencoder or data that cannot be used, without encoding a shape.

    Raises:
        UsageError, PprError: as `load_pairs`, but for codes that do not belong to the pictures.
    """
    _autoencoder(config)
    _pictures(config)


def _autoencoder(config: SvrTrainConfig) -> Checkpoint:
    if not config.checkpoint:
        raise UsageError("single-view training needs the checkpoint of an autoencoder", hint="train one with `ppr imnet train`")
    return load_checkpoint(Path(config.checkpoint), method="imnet")


def _pictures(config: SvrTrainConfig) -> FilePictures | BoxShapes:
    """The pictures of an HDF5, or box unions, of which pictures can be rendered."""
    path = Path(config.data[0]) if config.data else Path()
    if path.suffix in (".h5", ".hdf5"):
        return FilePictures(path)
    shapes = load_shapes(config.data)
    if not isinstance(shapes, BoxShapes):
        raise UsageError(f"{path}: has no pictures", hint="give HDF5 with `pixels`, or .npz of box unions, which can be rendered")
    return shapes


def _codes_of_boxes(
    shapes: BoxShapes, config: SvrTrainConfig, checkpoint: Checkpoint, data: dict[str, Any], device: torch.device
) -> tuple[BoxPictures, Tensor]:
    """The checkpoint's own codes where they are of just these training shapes; all others by its encoder."""
    source, encoder = BoxPictures(shapes, views=config.views, copies=config.copies, seed=config.seed), load_encoder(checkpoint)
    stored = checkpoint.state.get("codes")
    same = stored is not None and len(stored) == len(shapes.train) and checkpoint.meta.data.get("names_sha256") == data["names_sha256"]
    rest = np.setdiff1d(np.arange(len(source.boxes)), shapes.train) if same else np.arange(len(source.boxes))
    log.info("encoding %d shapes%s", len(rest), "; the codes of the training shapes come with the checkpoint" if same else "")
    codes = torch.empty(len(source.boxes), encoder.conv_5.out_channels)
    if same and stored is not None:
        codes[torch.from_numpy(shapes.train)] = stored
    codes[torch.from_numpy(rest)] = encode(encoder, (source.boxes[row].voxels(64) for row in rest), device)
    return source, codes


def _codes_of_file(source: FilePictures, config: SvrTrainConfig, checkpoint: Checkpoint, device: torch.device) -> Tensor:
    """From --codes, else from `zs` or `voxels` of the pictures' own file."""
    with open_hdf5(source.path) as file:
        found = [name for name in ("zs", "voxels") if name in file]
        if not config.codes and found == ["voxels"]:
            grids = dataset(file, "voxels", source.path)
            if grids.shape[:4] != (source.count, 64, 64, 64):
                raise PprError(f"{source.path}: 'voxels' is {list(grids.shape)}, not [{source.count}, 64, 64, 64, 1]")
            return encode(load_encoder(checkpoint), (grids[row].reshape(64, 64, 64) > 0 for row in range(source.count)), device)
    if not config.codes and not found:
        raise PprError(f"{source.path}: neither codes (zs) nor voxels beside the pictures", hint="give the file of codes with --codes")
    where = Path(config.codes) if config.codes else source.path
    codes, z_dim = read_codes(where), checkpoint.meta.config.get("z_dim")
    if len(codes) != source.count or (z_dim and codes.shape[1] != z_dim):
        raise PprError(f"{where}: codes {list(codes.shape)} for {source.count} shapes and an autoencoder with codes of {z_dim}")
    return torch.from_numpy(codes)


@dataclass(frozen=True)
class Validation:
    """Fixed views of held-out shapes with their codes, and the mean squared error of always answering the mean training code."""

    views: Tensor
    codes: Tensor
    baseline: float

    @classmethod
    def draw(cls, pairs: PairSource, config: SvrTrainConfig) -> Validation:
        rng = np.random.default_rng((config.seed, 2))
        held_out = pairs.source.held_out if len(pairs.source.held_out) else pairs.source.train
        rows = np.repeat(rng.permutation(held_out)[: config.val_shapes], VAL_VIEWS)
        codes, mean = pairs.codes[torch.from_numpy(rows)], pairs.codes[torch.from_numpy(pairs.source.train)].mean(0)
        return cls(as_views(pairs.source.pictures(rows, rng)), codes, float((codes - mean).square().mean()))

    def __call__(self, network: nn.Module) -> dict[str, float]:
        """`val_code_mse` of the network beside `val_mean_mse` of the mean code."""
        device = next(network.parameters()).device
        found = torch.cat([network(views.to(device)).float().cpu() for views in self.views.split(32)])
        return {"val_code_mse": float((found - self.codes).square().mean()), "val_mean_mse": self.baseline}


def train_svr(config: SvrTrainConfig, run: Run, *, resume: bool = False) -> None:
    """Train; the run directory then holds best.safetensors (lowest error of held-out codes) and last.safetensors.

    Raises:
        UsageError, PprError: a checkpoint, data or devices that cannot be used; a loss that is not finite.
    """
    fabric = launch(config)
    pairs, checkpoint, data = load_pairs(config, fabric.device)
    batches = TrainBatches(pairs, pairs.source.train, config, rank=fabric.global_rank, world=fabric.world_size)
    network = SingleView(pairs.codes.shape[1], config.width)
    if config.width % 8 == 0:
        # A quarter faster on CPUs; PyTorch 2.13's strided 1x1 convolution writes past its memory in this format with 4 channels.
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    log.info("%d shapes to train on, %d held out", len(pairs.source.train), len(pairs.source.held_out))

    def step(module: nn.Module, batch: ViewBatch) -> dict[str, Tensor]:
        return {"loss": F.mse_loss(module(batch.views.to(fabric.device)).float(), batch.codes.to(fabric.device))}

    optimizer, schedule = scheduled_adam(network, config, batches.steps)
    task = Task(
        network=network,
        optimizer=optimizer,
        step=step,
        batches=batches,
        steps=batches.steps,
        validate=Validation.draw(pairs, config),
        cost=lambda metrics: metrics["val_code_mse"],
        meta=Meta(
            method=METHOD,
            arch="svr",
            config=config.model_dump(mode="json"),
            data=data,
            notes={"autoencoder": checkpoint.path.name, "autoencoder_sha256": sha256(checkpoint.path)},
            seed=config.seed,
        ),
        schedule=schedule,
    )
    fit(fabric, task, config, run, resume=resume)


def load_image_encoder(path: Path) -> tuple[ImageEncoder, Meta]:
    """The trained image encoder, in evaluation mode, and what its checkpoint says; its size is read from the weights.

    Raises:
        PprError: not a checkpoint of `train_svr`, or a damaged one.
    """
    checkpoint = load_checkpoint(path, method=METHOD)
    try:
        z_dim, width = checkpoint.state["img_encoder.conv_10.weight"].shape[0], checkpoint.state["img_encoder.conv_0.weight"].shape[0]
    except KeyError as error:
        raise PprError(f"{path}: has no image encoder ({error})") from error
    network = SingleView(z_dim, width)
    load_state(network, checkpoint.state, str(path))
    return network.img_encoder.eval(), checkpoint.meta
