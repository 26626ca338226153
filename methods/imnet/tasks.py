"""The four models of the method as something to train, a record each. What a training needs is imported when it begins."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from ..common.config import BaseTrainConfig
from ..common.errors import UsageError
from .config import (
    GAN_PRESETS,
    PLANAR_PRESETS,
    PRESETS,
    SVR_PRESETS,
    GanTrainConfig,
    PlanarTrainConfig,
    SvrTrainConfig,
    TrainConfig,
)
from .weights import EMBEDDED

if TYPE_CHECKING:
    from ..common.running.run import Run

AUTOENCODER = "chairs"  # whose codes are learned where no other is named
Settings = Mapping[str, Any]


class Train(Protocol):
    """What trains a model."""

    def __call__(self, config: Any, run: Run, *, resume: bool = False) -> None:
        """Train; the run then holds the best and the last checkpoint."""


def without_autoencoder(named: str | None, _data: Sequence[str]) -> Settings:
    """For a model that learns no codes: a setting that it does not have, where an autoencoder was named."""
    return {} if named is None else {"checkpoint": named}


@dataclass(frozen=True)
class ModelTask:
    """What training one of the models takes.

    Attributes:
        name: what `--model` calls it.
        config: its configuration, with the preset `fast` for defaults.
        presets: named settings, by name.
        check: finds the data of a configuration wrong before a run directory is made.
        train: trains it.
        quick: settings of a training that takes minutes, to see whether one's data train.
        from_autoencoder: the settings that say whose codes are learned, from the autoencoder that was named and the data that were given.
    """

    name: str
    config: type[BaseTrainConfig]
    presets: Mapping[str, Settings]
    check: Callable[[Any], object]
    train: Train
    quick: Settings = field(default_factory=dict)
    from_autoencoder: Callable[[str | None, Sequence[str]], Settings] = without_autoencoder

    def preset(self, name: str, *, quick: bool = False) -> dict[str, Any]:
        """The settings of a preset, the quick ones over them if asked for.

        Raises:
            UsageError: the model has none of that name.
        """
        if name not in self.presets:
            raise UsageError(f"--recipe {name}: --model {self.name} has none of that name", hint=f"one of: {', '.join(self.presets)}")
        return {**self.presets[name], **(self.quick if quick else {})}


def _check_shapes(config: TrainConfig) -> None:
    from .data import check

    check(config)


def _train_autoencoder(config: TrainConfig, run: Run, *, resume: bool = False) -> None:
    from .train import train

    train(config, run, resume=resume)


def _check_codes(config: GanTrainConfig) -> None:
    from .models.latent_gan import load_codes

    load_codes(config.data)


def _train_gan(config: GanTrainConfig, run: Run, *, resume: bool = False) -> None:
    from .models.latent_gan import load_codes, train_gan

    codes, fingerprint = load_codes(config.data)
    train_gan(codes, config, run, resume=resume, data=fingerprint)


def _codes_of(named: str | None, data: Sequence[str]) -> Settings:
    """The data are the autoencoder, whose shapes' codes lie with it, unless other data were given and no autoencoder was named."""
    return {} if named is None and data else {"data": [str(EMBEDDED.find(named or AUTOENCODER))]}


def _check_views(config: SvrTrainConfig) -> None:
    from .models.svr import check_pairs

    check_pairs(config)


def _train_svr(config: SvrTrainConfig, run: Run, *, resume: bool = False) -> None:
    from .models.svr import train_svr

    train_svr(config, run, resume=resume)


def _encoder_of(named: str | None, _data: Sequence[str]) -> Settings:
    """The checkpoint is the file with the autoencoder's voxel encoder, which may lie beside it."""
    path = EMBEDDED.find(named or AUTOENCODER)
    encoder = path.with_suffix(".encoder.safetensors")
    return {"checkpoint": str(encoder if encoder.exists() else path)}


def _check_images(config: PlanarTrainConfig) -> None:
    from .models.planar_images import load_planar_images

    load_planar_images(config.data)


def _train_planar(config: PlanarTrainConfig, run: Run, *, resume: bool = False) -> None:
    from .models.planar import train_planar

    train_planar(config, run, resume=resume)


_QUICK = {"limit": 64, "epochs": 6, "batch": 8, "points": 1536, "deform": 0.0, "recombine": 0.0, "val_shapes": 16}
#: The shape autoencoder, the latent GAN over its codes, the image encoder that recognises them, and the two-dimensional version.
TASKS = {
    task.name: task
    for task in (
        ModelTask("ae", TrainConfig, PRESETS, _check_shapes, _train_autoencoder, _QUICK),
        ModelTask("gan", GanTrainConfig, GAN_PRESETS, _check_codes, _train_gan, {"epochs": 50}, _codes_of),
        ModelTask("svr", SvrTrainConfig, SVR_PRESETS, _check_views, _train_svr, {"epochs": 2}, _encoder_of),
        ModelTask("2d", PlanarTrainConfig, PLANAR_PRESETS, _check_images, _train_planar, {"epochs": 2}),
    )
}
