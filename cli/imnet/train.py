"""`ppr imnet train` and `ppr imnet config`: the four models of the paper, each with its own configuration."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, training

if TYPE_CHECKING:
    from ppr.methods.common.config import BaseTrainConfig

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

    from ppr.methods.imnet.tasks import TASKS

    task = TASKS[model]
    training.run_training(
        lambda: task.config,
        build,
        lambda config, run, resumed: task.train(config, run, resume=resumed),
        out=out,
        resume=resume,
        configured=bool(config_path or overrides or recipe or quick or data or any(given.values())),
        overwrite=overwrite,
        as_json=as_json,
        check=task.check,
    )


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
    from ppr.methods.imnet.tasks import TASKS

    task = TASKS[model]
    values = {key: value for key, value in given.items() if value is not None}
    if data:
        values["data"] = [str(resolve(item)) for item in data]
    autoencoder = values.pop("checkpoint", None)
    values |= task.from_autoencoder(autoencoder, data)
    for key in values:
        if key not in task.config.model_fields:
            raise UsageError(f"--{key.replace('_', '-')}: --model {model} has no such setting")
    return load_config(task.config, config_path, overrides, base=task.preset(recipe or "fast", quick=quick), **values)


@click.command()
@model_option
@click.option("--recipe", type=click.Choice(["fast", "improved", "paper"]), default="fast", show_default=True, help="Whose settings.")
@options.quiet
def config(model: str, recipe: str) -> None:
    """Print the default training configuration of a model as commented YAML, ready for --config."""
    from ppr.methods.common.config import commented_yaml
    from ppr.methods.imnet.tasks import TASKS

    task = TASKS[model]
    click.echo(commented_yaml(task.config(**task.preset(recipe))), nl=False)
