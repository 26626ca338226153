"""`ppr saliency levels`: the paper's idea made visible."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output

FORMATS = (".png", ".pdf", ".svg", ".jpg")


@click.command()
@click.argument("image", type=options.PATH, metavar="IMG")
@options.model("ras-mobile")
@options.net_size()
@options.out("Figure to write (.png, .pdf, .svg, .jpg), or - for PNG on stdout. [default: IMG.levels.png]")
@options.overwrite
@options.json_lines
@options.quiet
def levels(image: Path, checkpoint: str, size: int | None, out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Draw what happens inside: every level's map S, where reverse attention A looks, and the residual R it adds.

    A = sigmoid(-U) is dark where the coarser level has found the object already, so that R = S - U works on what was missed. Levels
    are numbered as in the paper: S6 has stride 32, S1 the image's own size. --json gives the mean attention on the object and elsewhere.
    """
    to_stdout = str(out) == "-"
    path = image.with_name(f"{image.stem}.levels.png") if out is None else out
    if not to_stdout and path.suffix.lower() not in FORMATS:
        raise UsageError(f"--out {path}: not a figure format", hint=f"one of: {', '.join(FORMATS)}")
    if to_stdout and as_json:
        raise UsageError("--json and --out - both want stdout", hint="write the figure to a file")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("not writing a figure to the terminal", hint="redirect it (> levels.png) or give --out FILE")
    if checkpoint.endswith(".onnx"):
        raise UsageError(f"{checkpoint}: the inside of an ONNX file is closed", hint="give a .safetensors checkpoint")
    if not image.is_file():
        raise PprError(f"{image}: no such file", hint="`ppr saliency levels` takes one image")
    from ppr.methods.common.reading.files import refuse_existing

    if not to_stdout:
        refuse_existing(path, overwrite=overwrite)
    from ppr.methods.common.drawing import figures
    from ppr.methods.common.reading.images import decode
    from ppr.methods.saliency import levels as inside
    from ppr.methods.saliency import pictures
    from ppr.methods.saliency.torch_backend import load_network

    network, meta = load_network(checkpoint)
    # 1600 pixels are the most that the network is shown; a reduced decode saves the memory of the rest.
    rgb = decode(image, str(image), at_least=1600).rgb
    views, found = inside.look(network, meta.arch, rgb, size)
    figure = pictures.inside(rgb, found, views, f"{image.name}: {meta.arch}")
    if to_stdout:
        sys.stdout.buffer.write(figures.png(figure, dpi=110))
        return
    figures.save(figure, path, dpi=110, overwrite=overwrite)
    if as_json:
        output.emit_json({"path": str(path), "arch": meta.arch, "levels": inside.summary(views, found)})
    else:
        click.echo(str(path))
