"""`ppr imnet train` and `ppr imnet config`: the four models of the paper, each with its own configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import types, verbs
from ..fields import As

if TYPE_CHECKING:
    from ppr.methods.common.config import BaseTrainConfig
    from ppr.methods.common.running.run import Run
    from ppr.methods.imnet.tasks import ModelTask

#: Options that are no fields, or of one model alone.
NO_FIELDS = ("model", "preset", "quick", "checkpoint")
RECIPE = As("--recipe --arch", help="Whose network and settings.")


def model_option(command: Any) -> Any:
    """`--model`, one of the method's tasks."""
    from ppr.methods.imnet.tasks import TASKS

    help = "Shape autoencoder, latent GAN over its codes, image encoder, or the 2D version."
    return click.option("--model", type=click.Choice(list(TASKS)), default="ae", show_default=True, help=help)(command)


class Training(verbs.Training):
    """Of one of the four models, which has a configuration, presets and data of its own."""

    beside = frozenset({"model"})

    @property
    def task(self) -> ModelTask:
        from ppr.methods.imnet.tasks import TASKS

        return TASKS[self.given.get("model", "ae")]

    def config_class(self) -> type[BaseTrainConfig]:
        return self.task.config

    def preset(self) -> Mapping[str, Any]:
        return self.task.preset(self.given.get("preset", "fast"), quick="quick" in self.given)

    def values(self) -> dict[str, Any]:
        from ppr.methods.imnet.weights import EMBEDDED

        values = super().values()
        if "init" in values:
            values["init"] = str(EMBEDDED.find(values["init"]))
        values |= self.task.from_autoencoder(self.given.get("checkpoint"), values.get("data", ()))
        for name in [*(name for name in self.given if name not in NO_FIELDS), *values]:
            if name not in self.task.config.model_fields:
                raise UsageError(f"--{name.replace('_', '-')}: --model {self.task.name} has no such setting")
        return values

    def check(self, config: Any) -> None:
        self.task.check(config)

    def train(self, config: Any, run: Run) -> None:
        self.task.train(config, run, resume=self.resume is not None)


train = verbs.train(
    "imnet",
    "init limit epochs batch lr",
    preset=RECIPE,
    typed={
        "init": As(type=types.Model("FILE|RUN"), help="ae: checkpoint to start from."),
        "limit": As(help="ae: use only that many shapes."),
        "epochs": As(help="Passes over the data."),
        "batch": As(help="Examples a step."),
        "lr": As(help="Peak learning rate of Adam."),
    },
    own=(
        click.argument("data", nargs=-1, metavar="[DATA]"),
        model_option,
        click.option("--checkpoint", type=types.Model(), help="svr, gan: the autoencoder whose codes are learned. [default: chairs]"),
        click.option("--quick", is_flag=True, help="A few minutes on two cores: fewer shapes and epochs."),
    ),
    training=Training,
    doc="""Train on DATA: HDF5 from `ppr imnet prepare`, .npz of box unions, or nothing for the bundled chairs.

    The run then holds best.safetensors, last.safetensors, metrics.jsonl and curves.png; a trained autoencoder also holds the codes
    of its shapes, so that `mesh --shape`, `list` and `generate` work with it at once.

    \b
    ppr imnet train chairs.h5 --out runs/chairs
    ppr imnet train --quick --out runs/look
    ppr imnet train --model svr --checkpoint runs/chairs --out runs/pictures
    ppr imnet train --model gan --checkpoint runs/chairs --out runs/gan
    ppr imnet train --model 2d --out runs/letters
    """,
)
config = verbs.config("imnet", preset=RECIPE, own=(model_option,), training=Training)
