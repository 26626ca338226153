"""`ppr imnet train` and `ppr imnet config`: the four models of the paper, each with its own configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, training

if TYPE_CHECKING:
    from ppr.methods.common.config import BaseTrainConfig
    from ppr.methods.common.running.run import Run

MODELS = ("ae", "gan", "svr", "2d")
model_option = click.option(
    "--model",
    type=click.Choice(MODELS),
    default="ae",
    show_default=True,
    help="Shape autoencoder, latent GAN over its codes, image encoder, or the 2D version.",
)
recipe_option = click.option(
    "--recipe", type=click.Choice(["fast", "improved", "paper"]), default=None, help="Whose network and settings. [default: fast]"
)
#: Minutes-long settings of each model: a first look at whether one's data train.
QUICK: dict[str, dict[str, Any]] = {
    "ae": {"limit": 64, "epochs": 6, "batch": 8, "points": 1536, "deform": 0.0, "recombine": 0.0, "val_shapes": 16},
    "gan": {"epochs": 50},
    "svr": {"epochs": 2},
    "2d": {"epochs": 2},
}


@click.command()
@click.argument("data", nargs=-1, metavar="[DATA]")
@model_option
@recipe_option
@click.option("--arch", "recipe", type=click.Choice(["fast", "improved", "paper"]), default=None, help="The same as --recipe.")
@click.option("--checkpoint", metavar="FILE", default=None, help="svr, gan: the autoencoder whose codes are learned. [default: chairs]")
@click.option("--init", metavar="FILE", default=None, help="ae: checkpoint to start from.")
@click.option("--limit", type=click.IntRange(1), default=None, help="ae: use only that many shapes.")
@click.option("--epochs", type=click.IntRange(1), default=None, help="Passes over the data.")
@click.option("--batch", type=click.IntRange(1), default=None, help="Examples a step.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=None, help="Learning rate.")
@click.option("--quick", is_flag=True, help="A few minutes on two cores: fewer shapes and epochs.")
@training.run_options
def train(
    data: tuple[str, ...],
    model: str,
    recipe: str | None,
    config_path: Path | None,
    overrides: tuple[str, ...],
    quick: bool,
    out: Path | None,
    resume: Path | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Train on DATA: HDF5 from `ppr imnet prepare`, .npz of box unions, or nothing for the bundled chairs.

    The run then holds best.safetensors, last.safetensors, metrics.jsonl and curves.png; a trained autoencoder also holds the codes
    of its shapes, so that `mesh --shape`, `list` and `generate` work with it at once.

    \b
    ppr imnet train chairs.h5 --out runs/chairs
    ppr imnet train --quick --out runs/look
    ppr imnet train --model svr --checkpoint runs/chairs/best.safetensors --out runs/pictures
    ppr imnet train --model gan --checkpoint runs/chairs/best.safetensors --out runs/gan
    ppr imnet train --model 2d --out runs/letters
    """

    def build() -> BaseTrainConfig:
        return build_config(model, data, recipe, config_path, overrides, quick, given)

    def work(config: Any, run: Run, resumed: bool) -> None:
        trainer(model)(config, run, resumed)

    training.run_training(
        lambda: config_class(model)[0],
        build,
        work,
        out=out,
        resume=resume,
        configured=bool(config_path or overrides or recipe or quick or data or any(given.values())),
        overwrite=overwrite,
        as_json=as_json,
        check=lambda config: check_data(model, config),
    )


def config_class(model: str) -> tuple[type[BaseTrainConfig], dict[str, dict[str, Any]]]:
    """A model's configuration and its recipes."""
    if model == "ae":
        from ppr.methods.imnet.config import RECIPES, TrainConfig

        return TrainConfig, RECIPES
    if model == "gan":
        from ppr.methods.imnet.models.latent_gan import GAN_RECIPES, GanTrainConfig

        return GanTrainConfig, GAN_RECIPES
    if model == "svr":
        from ppr.methods.imnet.models.svr import SVR_RECIPES, SvrTrainConfig

        return SvrTrainConfig, SVR_RECIPES
    from ppr.methods.imnet.models.planar import PLANAR_RECIPES, PlanarTrainConfig

    return PlanarTrainConfig, PLANAR_RECIPES


def build_config(
    model: str,
    data: tuple[str, ...],
    recipe: str | None,
    config_path: Path | None,
    overrides: tuple[str, ...],
    quick: bool,
    given: dict[str, Any],
) -> BaseTrainConfig:
    """The configuration: recipe, then --quick, then file, then options, then --set.

    Raises:
        UsageError: an option that this model does not have.
    """
    from ppr.methods.common.config import load_config
    from ppr.methods.common.reading.datasets import resolve

    cls = config_class(model)[0]
    values = {key: value for key, value in given.items() if value is not None}
    if data:
        values["data"] = [str(resolve(item)) for item in data]
    if model in ("svr", "gan"):
        autoencoder = values.pop("checkpoint", None)
        if model == "svr":
            values["checkpoint"] = autoencoder_file(autoencoder or "chairs")
        elif autoencoder is not None or not data:
            values["data"] = [codes_file(autoencoder or "chairs")]
    for key in values:
        if key not in cls.model_fields:
            raise UsageError(f"--{key.replace('_', '-')}: --model {model} has no such setting")
    base = recipe_of(model, recipe or "fast") | (QUICK[model] if quick else {})
    return load_config(cls, config_path, overrides, base=base, **values)


def recipe_of(model: str, recipe: str) -> dict[str, Any]:
    """A recipe's settings.

    Raises:
        UsageError: the model has no such recipe.
    """
    recipes = config_class(model)[1]
    if recipe not in recipes:
        raise UsageError(f"--recipe {recipe}: --model {model} has none of that name", hint=f"one of: {', '.join(recipes)}")
    return recipes[recipe]


def codes_file(checkpoint: str) -> str:
    """The file with the codes of an autoencoder's shapes: the checkpoint itself, or an embedded model's."""
    from ppr.methods.imnet.weights import EMBEDDED

    return str(EMBEDDED.file(checkpoint) or checkpoint)


def autoencoder_file(checkpoint: str) -> str:
    """The file with the voxel encoder of an autoencoder: the checkpoint itself, or an embedded model's second file."""
    from ppr.methods.imnet.weights import EMBEDDED

    return str(EMBEDDED.file(checkpoint, ".encoder.safetensors") or checkpoint)


def check_data(model: str, config: Any) -> None:
    """Find data that cannot be used before a run directory is made."""
    if model == "ae":
        from ppr.methods.imnet.sources import load_shapes

        load_shapes(config.data)
    elif model == "gan":
        from ppr.methods.imnet.models.latent_gan import load_codes

        load_codes(config.data)


def trainer(model: str) -> Any:
    """The function that trains a model: (configuration, run, whether it goes on)."""
    if model == "ae":
        from ppr.methods.imnet.train import train as train_ae

        return lambda config, run, resumed: train_ae(config, run, resume=resumed)
    if model == "gan":
        from ppr.methods.imnet.models.latent_gan import load_codes, train_gan

        def gan(config: Any, run: Run, resumed: bool) -> None:
            codes, fingerprint = load_codes(config.data)
            train_gan(codes, config, run, resume=resumed, data=fingerprint)

        return gan
    if model == "svr":
        from ppr.methods.imnet.models.svr import train_svr

        return lambda config, run, resumed: train_svr(config, run, resume=resumed)
    from ppr.methods.imnet.models.planar import train_planar

    return lambda config, run, resumed: train_planar(config, run, resume=resumed)


@click.command()
@model_option
@click.option("--recipe", type=click.Choice(["fast", "improved", "paper"]), default="fast", show_default=True, help="Whose settings.")
@options.quiet
def config(model: str, recipe: str) -> None:
    """Print the default training configuration of a model as commented YAML, ready for --config."""
    from ppr.methods.common.config import commented_yaml

    click.echo(commented_yaml(config_class(model)[0](**recipe_of(model, recipe))), nl=False)
