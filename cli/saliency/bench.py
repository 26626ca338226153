"""`ppr saliency bench`: how fast this machine is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from .. import options, output
from ..types import Numbers


@click.command()
@options.model("ras-mobile")
@click.option(
    "--backend", "backends", type=click.Choice(["onnx", "torch", "all"]), default="all", show_default=True, help="What runs the network."
)
@click.option(
    "--size", "sizes", type=Numbers(click.IntRange(32, 4096)), default="256,320", show_default=True, help="Sides of the network's input."
)
@click.option("--threads", type=Numbers(click.IntRange(1, 256)), default=None, help="CPU threads. [default: all cores]")
@click.option("--seconds", type=click.FloatRange(0.2, 600), default=6.0, show_default=True, help="How long to repeat each setting.")
@click.option(
    "--vs", "rivals", type=options.PATH, multiple=True, metavar="FILE.onnx", help="Another saliency file to measure in the same run."
)
@options.device
@options.json_lines
@options.quiet
def bench(
    checkpoint: str,
    backends: str,
    sizes: list[int],
    threads: list[int] | None,
    seconds: float,
    rivals: tuple[Path, ...],
    device: str,
    as_json: bool,
) -> None:
    """Measure latency (median and 95th percentile), frames per second, the stages around the network, and peak memory.

    Times are milliseconds for one image; decode, pre and post are those of a 400x300 JPEG to a PNG mask. Warm-up is left out.
    """
    from ppr.methods.common.measuring.cores import usable_cores
    from ppr.methods.saliency import bench as measuring
    from ppr.methods.saliency.weights import EMBEDDED

    wanted = {"all": ["torch", "onnx"]}.get(backends, [backends])
    found = EMBEDDED.find(checkpoint)
    if found != EMBEDDED.file(checkpoint):  # an embedded default comes in both forms, a file or a run in one
        wanted = ["onnx" if found.suffix == ".onnx" else "torch"]
    counts = threads or [usable_cores()]
    settings = [measuring.Setting(checkpoint, backend, size, count, device) for size in sizes for count in counts for backend in wanted]
    settings += [
        measuring.Setting(str(rival), "onnx", s.size, s.threads, device) for rival in rivals for s in settings if s.backend == wanted[-1]
    ]
    with output.progress("bench", None):
        compared = measuring.compare(settings, seconds=seconds)
    rows = [asdict(one.measurement) | {"vs torch": one.vs_torch} for one in compared]
    if rivals:
        rows = [{"file": Path(setting.checkpoint).name} | row for setting, row in zip(settings, rows, strict=True)]
    output.table(rows, as_json=as_json)
