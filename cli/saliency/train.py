"""`ppr saliency train` and `ppr saliency config`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from .. import types, verbs
from ..fields import As

if TYPE_CHECKING:
    from ppr.methods.saliency.config import TrainConfig

RECIPE = As("--recipe", help="Defaults of the 2020 code, or of the 2018 paper.")


class Training(verbs.Training):
    """One rate for head and trunk, and the half precision that suits the device."""

    located = ("data", "val")

    def configuration(self) -> TrainConfig:
        config: TrainConfig = super().configuration()
        changes: dict[str, object] = {}
        if "lr" in self.given:
            changes |= {"lr_head": self.given["lr"], "lr_trunk": self.given["lr"] * config.lr_trunk / config.lr_head}
        if "amp" in self.given:
            import torch

            changes["precision"] = "16" if config.device != "cpu" and torch.cuda.is_available() else "bf16"
        return config.model_copy(update=changes)


train = verbs.train(
    "saliency",
    "val arch backbone_weights init sizes epochs batch resize_masks",
    data="Training pairs: folder, zip, list of pairs, or a name from `ppr data list`; repeatable.",
    preset=RECIPE,
    typed={
        "val": As(metavar="PATH|NAME"),
        "backbone_weights": As(metavar="FILE"),
        "init": As(type=types.Model()),
        "sizes": As("--size", type=click.INT, help="Training side in pixels; repeated, one is drawn for every batch."),
    },
    own=(
        click.option("--lr", type=click.FloatRange(0, min_open=True), help="Peak rate of the head; the trunk keeps its ratio to it."),
        click.option("--amp", is_flag=True, help="Mixed precision: 16 bit on a GPU, bfloat16 on a CPU."),
    ),
    training=Training,
    doc="""Train a RAS network; RUN then holds best.safetensors, last.safetensors, metrics.jsonl and curves.png.

    \b
    ppr saliency train --data DUTS-TR.zip --backbone-weights mobilenet_v2.safetensors --out runs/duts
    ppr saliency train --resume runs/duts
    """,
)
config = verbs.config("saliency", preset=RECIPE)
