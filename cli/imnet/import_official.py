"""`ppr imnet import`: checkpoints of the authors' code."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from .. import options, output


@click.command("import")
@click.argument("source", type=options.PATH, metavar="FILE.pth")
@options.out("Checkpoint to write. [default: beside FILE, with .safetensors]")
@options.overwrite
@options.json_lines
@options.quiet
def import_official(source: Path, out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Turn a checkpoint of IM-NET-pytorch (IM_AE or IM_SVR) into one of this package, without running any code in it.

    An image encoder becomes a second file, NAME.image.safetensors, for --image-checkpoint.

    \b
    ppr imnet import IM_AE.model64-399.pth --out official.safetensors
    ppr imnet infer chair.binvox --checkpoint official.safetensors --out rebuilt/
    """
    from ppr.methods.imnet.models.official import import_official as read

    for found in read(source, out or source.with_suffix(".safetensors"), overwrite=overwrite):
        if as_json:
            output.emit_json(asdict(found) | {"path": str(found.path)})
        else:
            click.echo(str(found.path))
            output.note(f"  {', '.join(found.parts)}: {found.parameters:,} parameters")
