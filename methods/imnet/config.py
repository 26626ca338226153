"""Configurations of `ppr imnet`: the networks of the paper, of the authors' improved code and of this package, and their training."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt

from ..common.config import BaseConfig, BaseTrainConfig, PathText, validate

if TYPE_CHECKING:
    from ..common.running.checkpoint import Meta

METHOD = "imnet"  # in the checkpoints of autoencoders
Arch = Literal["fast", "improved", "paper"]
NOISE_STD = 0.2  # of the latent generator's input


class NetworkConfig(BaseConfig):
    """The size and form of an autoencoder; the defaults are `fast`, the others come from `PRESETS`."""

    arch: Arch = Field("fast", description="fast (this package), improved (the authors' 2020 code) or paper (CVPR 2019)")
    z_dim: PositiveInt = Field(128, description="length of a shape's code (paper: 128, improved: 256)")
    ef_dim: PositiveInt = Field(16, description="width of the encoder (paper, improved: 32)")
    gf_dim: PositiveInt = Field(48, description="width of the decoder (paper, improved: 128)")
    skips: int = Field(2, ge=0, le=4, description="hidden layers to whose output the input is appended again (paper: 4, improved: 0)")
    octaves: NonNegativeInt = Field(6, description="Fourier octaves appended to a point's coordinates (paper, improved: 0)")
    output: Literal["logit", "clamp", "sigmoid"] = Field("logit", description="what the decoder gives (improved: clamp, paper: sigmoid)")
    init_scheme: Literal["he", "paper"] = Field("he", description="initial weights of the decoder: He's rule, or N(0, 0.02)")

    @property
    def norm(self) -> str:
        """Of the encoder: batch norm in the paper, instance norm since."""
        return "batch" if self.arch == "paper" else "instance"

    @property
    def decoder_widths(self) -> list[int]:
        """Of the hidden layers: 2048-1024-512-256-128 in the paper, 1024-1024-1024-512-256-128 since (for gf_dim 128)."""
        return [self.gf_dim * factor for factor in ((16, 8, 4, 2, 1) if self.arch == "paper" else (8, 8, 8, 4, 2, 1))]


def network_config(meta: Meta, path: Path) -> NetworkConfig:
    """The network's sizes and form from a checkpoint's metadata.

    Raises:
        UsageError: they are missing or not valid.
    """
    known = {key: value for key, value in meta.config.items() if key in NetworkConfig.model_fields}
    return validate(NetworkConfig, {"arch": meta.arch} | known, where=str(path))


class AdamConfig(BaseTrainConfig):
    """Training by Adam, as all of the paper's models are."""

    lr: PositiveFloat = Field(1e-3, description="peak learning rate of Adam (paper: 5e-5)")
    beta1: float = Field(0.9, ge=0, lt=1, description="Adam's first decay (paper: 0.5)")


class ScheduledAdamConfig(AdamConfig):
    """The same with a learning rate that may fall."""

    schedule: Literal["cosine", "constant"] = Field("cosine", description="course of the learning rate (paper: constant)")


class TrainConfig(NetworkConfig, ScheduledAdamConfig):
    """Training of a shape autoencoder (IM-AE). The defaults are the fast recipe; `--recipe improved|paper` gives the authors'."""

    data: list[PathText] = Field(default_factory=list, description="HDF5 file from `prepare`, or .npz of box unions; empty: bundled chairs")
    limit: NonNegativeInt = Field(0, description="use only that many training shapes; 0 uses all")
    init: PathText = Field("", description="checkpoint of the same network to start from")
    decoder_only: bool = Field(False, description="leave the encoder, and with it all codes, as they are in `init`")
    epochs: PositiveInt = Field(60, description="passes over the shapes (improved: 200 at each of three resolutions)")
    batch: PositiveInt = Field(16, description="shapes a step (improved: 32, paper: 1)")
    least_steps: PositiveInt = Field(100, description="steps an epoch has at least, so that few shapes are gone through several times")
    points: PositiveInt = Field(512, description="points of each shape a step (improved: 4096)")
    near: float = Field(0.75, ge=0, le=1, description="share of the points drawn around the surface (box unions)")
    deform: float = Field(0.5, ge=0, le=1, description="share of the shapes that are stretched, sheared and thickened (box unions)")
    recombine: float = Field(0.5, ge=0, le=1, description="share of the chairs that get the legs of another training chair (box unions)")
    settle: float = Field(0.3, ge=0, le=1, description="last share of the training, over which the two shares above fall to 0")
    progressive: bool = Field(False, description="sampled points of 16^3, then 32^3, then 64^3, a third of the epochs each (section 3.3)")
    loss: Literal["bce", "mse"] = Field("bce", description="bce on logits, or the mean squared error of the paper")
    val_shapes: PositiveInt = Field(48, description="shapes of each split on which an epoch is validated")


class SvrTrainConfig(ScheduledAdamConfig):
    """Training of single-view reconstruction (IM-SVR). The defaults are the fast recipe; `--recipe improved|paper` gives the authors'."""

    checkpoint: PathText = Field("", description="checkpoint of the autoencoder whose codes are to be recognised")
    data: list[PathText] = Field(default_factory=list, description=".npz of box unions or HDF5 with `pixels`; empty: bundled chairs")
    codes: PathText = Field("", description="HDF5 with the codes (zs) of the shapes in an HDF5 of pictures; empty: found or computed")
    width: PositiveInt = Field(16, description="width of the image encoder (paper: 64)")
    epochs: PositiveInt = Field(40, description="passes over the shapes, with one view of each (improved: 1000, paper: 2000)")
    batch: PositiveInt = Field(32, description="views a step (paper: 64)")
    views: NonNegativeInt = Field(0, description="rendered views of a shape to choose from (paper: 24); 0 draws a new one every time")
    jitter: float = Field(0.8, ge=0, le=1, description="share of the views that are shifted, scaled and changed in brightness (paper: 0)")
    copies: NonNegativeInt = Field(0, description="deformed copies of each box union to learn too, with the codes the encoder gives them")
    val_shapes: PositiveInt = Field(128, description="held-out shapes on which an epoch is validated")


class GanTrainConfig(AdamConfig):
    """Training of the latent GAN (IM-GAN). The defaults are the fast recipe; `--recipe paper` gives the authors'."""

    data: list[PathText] = Field(default_factory=list, description="codes: a checkpoint that holds them, HDF5 with zs, or .npy [n, z]")
    noise_dim: PositiveInt = Field(128, description="length of the generator's noise (improved: 256)")
    noise_std: PositiveFloat = Field(NOISE_STD, description="standard deviation of the noise")
    width: PositiveInt = Field(256, description="of the two hidden layers of generator and critic (paper: 2048)")
    epochs: PositiveInt = Field(200, description="passes over the codes (paper: 10,000)")
    batch: PositiveInt = Field(50, description="codes a step")
    lr: PositiveFloat = Field(5e-4, description="learning rate of both Adams (paper: 5e-5)")
    beta1: float = Field(0.5, ge=0, lt=1, description="Adam's first decay")
    init_scheme: Literal["he", "paper"] = Field("he", description="initial weights: He's rule, or N(0, 0.02)")
    penalty: PositiveFloat = Field(10.0, description="weight of the gradient penalty")
    critic_steps: PositiveInt = Field(5, description="steps of the critic before each of the generator (paper: 1)")
    every: PositiveInt = Field(25, description="epochs between checkpoints (paper: 1,000)")


class PlanarTrainConfig(ScheduledAdamConfig):
    """Training of the two-dimensional autoencoder. The defaults are the fast recipe; `--recipe paper` gives the authors'."""

    data: list[PathText] = Field(
        default_factory=list, description="folder of images, .npz or MNIST's idx; empty: a letter A at 1,295 places"
    )
    z_dim: PositiveInt = Field(32, description="length of an image's code (paper: 100)")
    ef_dim: PositiveInt = Field(16, description="width of the encoder")
    gf_dim: PositiveInt = Field(8, description="width of the decoder (paper: 64)")
    octaves: NonNegativeInt = Field(2, description="Fourier octaves appended to a pixel's coordinates (paper: 0)")
    points: NonNegativeInt = Field(
        512, description="pixels of each image a step, half of them in and around the figure; 0 takes all (paper)"
    )
    loss: Literal["bce", "mse"] = Field("bce", description="binary cross-entropy, or the mean squared error of the paper")
    init_scheme: Literal["he", "paper"] = Field("he", description="initial weights: He's rule, or N(0, 0.02)")
    epochs: PositiveInt = Field(30, description="passes over the images")
    batch: PositiveInt = Field(16, description="images a step (paper: 1)")
    lr: PositiveFloat = Field(3e-3, description="peak learning rate of Adam (paper: 5e-5)")


#: How the authors train the autoencoders and IM-SVR.
_AUTHORS_ADAM: dict[str, Any] = {"lr": 5e-5, "beta1": 0.5, "schedule": "constant"}
#: What the authors' code does, as far as it differs from `fast`.
_AUTHORS: dict[str, Any] = _AUTHORS_ADAM | {
    "ef_dim": 32,
    "gf_dim": 128,
    "octaves": 0,
    "init_scheme": "paper",
    "near": 0.75,
    "least_steps": 1,
    "deform": 0.0,
    "recombine": 0.0,
    "settle": 0.0,
    "progressive": True,
    "loss": "mse",
}
PRESETS: dict[str, dict[str, Any]] = {
    "fast": {},
    "improved": _AUTHORS | {"arch": "improved", "skips": 0, "z_dim": 256, "output": "clamp", "batch": 32, "points": 4096, "epochs": 600},
    "paper": _AUTHORS | {"arch": "paper", "skips": 4, "z_dim": 128, "output": "sigmoid", "batch": 1, "points": 32768, "epochs": 200},
}
_SVR_AUTHORS: dict[str, Any] = _AUTHORS_ADAM | {"width": 64, "batch": 64, "views": 24, "jitter": 0.0}
SVR_PRESETS: dict[str, dict[str, Any]] = {
    "fast": {},
    "improved": _SVR_AUTHORS | {"epochs": 1000},
    "paper": _SVR_AUTHORS | {"epochs": 2000},
}
_GAN_AUTHORS: dict[str, Any] = {"width": 2048, "epochs": 10_000, "lr": 5e-5, "critic_steps": 1, "init_scheme": "paper", "every": 1000}
GAN_PRESETS: dict[str, dict[str, Any]] = {"fast": {}, "improved": _GAN_AUTHORS | {"noise_dim": 256}, "paper": _GAN_AUTHORS}
_PLANAR_AUTHORS: dict[str, Any] = _AUTHORS_ADAM | {
    "z_dim": 100,
    "gf_dim": 64,
    "octaves": 0,
    "points": 0,
    "loss": "mse",
    "init_scheme": "paper",
    "epochs": 400,
    "batch": 1,
}
PLANAR_PRESETS: dict[str, dict[str, Any]] = {"fast": {}, "paper": _PLANAR_AUTHORS}
