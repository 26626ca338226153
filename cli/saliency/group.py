"""The group `ppr saliency` and its table of verbs."""

from __future__ import annotations

import click

from ..lazy import LazyGroup

VERBS = {
    "infer": ("ppr.cli.saliency.infer:infer", "Masks, cut-outs, overlays … of photos, folders, zips, videos or stdin."),
    "stream": ("ppr.cli.saliency.stream:stream", "Raw video frames from stdin to stdout, for ffmpeg pipes."),
    "levels": ("ppr.cli.saliency.levels:levels", "Picture what happens inside: side outputs, attention, residuals."),
    "train": ("ppr.cli.saliency.train:train", "Train a network on image/mask pairs."),
    "evaluate": ("ppr.cli.saliency.evaluate:evaluate", "Score a network, or anyone's maps, on image/mask pairs."),
    "export": ("ppr.cli.saliency.export:export", "Write a checkpoint as ONNX, TorchScript or safetensors."),
    "bench": ("ppr.cli.saliency.bench:bench", "Latency, frames per second and memory on this machine."),
    "data": ("ppr.cli.saliency.data:data", "Check, prepare and synthesise image/mask pairs."),
    "config": ("ppr.cli.saliency.train:config", "Print the default training configuration as commented YAML."),
}


@click.group(cls=LazyGroup, table=VERBS)
def saliency() -> None:
    """Which pixels belong to the object that catches the eye (RAS, Chen et al., ECCV 2018 / IEEE TIP 2020).

    \b
    ppr saliency infer photo.jpg                       photo.saliency.png beside it
    ppr saliency infer photos/ --as cutout -o cut/     every photo's object, background removed
    ppr saliency infer photo.jpg --as json | jq .box   where the object is
    """
