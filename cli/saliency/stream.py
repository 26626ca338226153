"""`ppr saliency stream`: raw frames in, raw frames out."""

from __future__ import annotations

import sys
from typing import Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from ..types import Size
from .infer import load_predictor


@click.command()
@click.option("--size", "frame_size", type=Size(1, 16384), required=True, help="Size of the frames, for example 1280x720.")
@click.option("--pix", type=click.Choice(["rgb24"]), default="rgb24", show_default=True, help="Pixel format of the input.")
@click.option(
    "--out", "layout", type=click.Choice(["gray", "rgb", "rgba"]), default="gray", show_default=True, help="Mask, masked photo, or both."
)
@click.option(
    "--smooth",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    show_default=True,
    metavar="ALPHA",
    help="Average over time; 1: off.",
)
@options.net_size("--net-size")
@options.backend
@options.model("ras-mobile")
@options.device
@options.threads
@options.quiet
def stream(frame_size: tuple[int, int], pix: str, layout: str, smooth: float, **given: Any) -> None:
    """Read raw frames from stdin and write as many to stdout, for `ffmpeg … | ppr saliency stream … | ffmpeg …`.

    \b
    ffmpeg -i in.mp4 -f rawvideo -pix_fmt rgb24 - |
      ppr saliency stream --size 1280x720 --out gray --smooth 0.6 |
      ffmpeg -f rawvideo -pix_fmt gray -s 1280x720 -i - mask.mp4
    """
    if sys.stdin.isatty() or sys.stdout.isatty():
        raise UsageError("raw frames come from a pipe and go to a pipe", hint="see the example in `ppr saliency stream --help`")
    from ppr.methods.saliency.products.video import Smoother, pack, raw_frames

    predictor, smoother = load_predictor(given), Smoother(smooth)
    count = 0
    for rgb in raw_frames(sys.stdin.buffer, *frame_size):
        sys.stdout.buffer.write(pack(rgb, smoother(predictor(rgb)), layout))
        sys.stdout.buffer.flush()
        count += 1
    output.note(f"{count} frames")
