"""`ppr saliency train` and `ppr saliency config`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options, training

if TYPE_CHECKING:
    from ppr.methods.common.running.run import Run

ARCHITECTURES = ("ras-mobile", "ras-mobile-s", "ras-vgg16", "ras-resnet50")


@click.command()
@options.data("Training pairs: folder, zip, list of pairs, or a name from `ppr data list`; repeatable.")
@click.option("--val", multiple=True, metavar="PATH|NAME", help="Validation pairs. [default: 4 % of the training pairs]")
@click.option("--arch", type=click.Choice(ARCHITECTURES), default=None, help="Network. [default: ras-mobile]")
@click.option(
    "--recipe", type=click.Choice(["v2", "eccv"]), default=None, help="Defaults of the 2020 code, or of the 2018 paper. [default: v2]"
)
@click.option(
    "--backbone-weights", type=options.PATH, default=None, metavar="FILE", help="ImageNet weights of the trunk (.pth or .safetensors)."
)
@click.option("--init", type=options.PATH, default=None, metavar="CKPT", help="Checkpoint to start from.")
@click.option("--size", "sizes", type=click.IntRange(32, 2048), multiple=True, help="Training side in pixels; several are mixed.")
@click.option("--epochs", type=click.IntRange(1), default=None, help="Passes over the data.")
@click.option("--batch", type=click.IntRange(1), default=None, help="Images a step and device.")
@click.option("--lr", type=click.FloatRange(0, min_open=True), default=None, help="Peak rate of the head; the trunk keeps its ratio to it.")
@click.option("--amp", is_flag=True, help="Mixed precision: 16 bit on a GPU, bfloat16 on a CPU.")
@click.option("--resize-masks", is_flag=True, default=None, help="Resize masks whose size differs from their image's.")
@training.run_options
def train(
    config_path: Path | None,
    overrides: tuple[str, ...],
    recipe: str | None,
    out: Path | None,
    resume: Path | None,
    overwrite: bool,
    as_json: bool,
    amp: bool,
    lr: float | None,
    **given: Any,
) -> None:
    """Train a RAS network; RUN then holds best.safetensors, last.safetensors, metrics.jsonl and curves.png.

    \b
    ppr saliency train --data DUTS-TR.zip --backbone-weights mobilenet_v2.safetensors --out runs/duts
    ppr saliency train --resume runs/duts
    """
    from ppr.methods.saliency.config import TrainConfig

    def work(config: TrainConfig, run: Run, resumed: bool) -> None:
        from ppr.methods.saliency.train import train as run_training

        run_training(config, run, resume=resumed)

    def check(config: TrainConfig) -> None:
        from ppr.methods.saliency import data

        data.check(config)

    training.run_training(
        lambda: TrainConfig,
        lambda: build_config(config_path, overrides, recipe, lr, amp, given),
        work,
        out=out,
        resume=resume,
        configured=bool(config_path or overrides or recipe or lr or amp or any(given.values())),
        overwrite=overwrite,
        as_json=as_json,
        check=check,
    )


def build_config(
    config_path: Path | None, overrides: tuple[str, ...], recipe: str | None, lr: float | None, amp: bool, given: dict[str, Any]
) -> Any:
    """The configuration: recipe, then file, then options, then --set."""
    from ppr.methods.common.config import load_config
    from ppr.methods.common.reading.datasets import resolve
    from ppr.methods.saliency.config import PRESETS, TrainConfig

    values = {key: value for key, value in given.items() if value not in (None, (), [])}
    for key in ("data", "val"):
        if key in values:
            values[key] = [str(resolve(item)) for item in values[key]]
    for key in ("backbone_weights", "init"):
        if key in values:
            values[key] = str(values[key])
    if "sizes" in values:
        values["sizes"] = list(values["sizes"])
    base = PRESETS[recipe or "v2"]
    config = load_config(TrainConfig, config_path, overrides, base=base, **values)
    changes: dict[str, Any] = {}
    if lr:
        changes |= {"lr_head": lr, "lr_trunk": lr * config.lr_trunk / config.lr_head}
    if amp:
        import torch

        changes["precision"] = "16" if config.device != "cpu" and torch.cuda.is_available() else "bf16"
    return config.model_copy(update=changes)


@click.command()
@click.option("--recipe", type=click.Choice(["v2", "eccv"]), default="v2", show_default=True, help="Whose defaults.")
@options.quiet
def config(recipe: str) -> None:
    """Print the default training configuration as commented YAML, ready for --config."""
    from ppr.methods.common.config import commented_yaml
    from ppr.methods.saliency.config import PRESETS, TrainConfig

    click.echo(commented_yaml(TrainConfig(**PRESETS[recipe])), nl=False)
