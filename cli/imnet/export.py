"""`ppr imnet export`: the decoder as a file that other programs open."""

from __future__ import annotations

from pathlib import Path

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from . import _shape_source


@click.command()
@_shape_source.checkpoint
@click.option("--shape", default=None, metavar="NAME|INDEX", help="Put this shape into the file, which then takes points alone.")
@click.option("--occupancy/--logits", default=True, show_default=True, help="Values in (0, 1), or what a network of logits gives.")
@click.option("--half", is_flag=True, help="safetensors: store float16.")
@click.option("--whole", is_flag=True, help="safetensors: look which shapes come out in one piece (some tenths of a second each).")
@click.option("--image", type=options.PATH, default=None, metavar="FILE", help="safetensors: the image encoder to go with it.")
@options.exporting("imnet")
def export(
    checkpoint: str,
    format: str,
    shape: str | None,
    occupancy: bool,
    opset: int,
    half: bool,
    whole: bool,
    image: Path | None,
    notes: tuple[str, ...],
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Write the decoder: points [n, 3] and code [z] in, values [n, 1] out, for any n. ONNX and TorchScript are compared with torch first.

    safetensors splits a trained checkpoint into what `mesh` needs (decoder, shapes) and NAME.encoder.safetensors; --note is for it.
    --image adds NAME.image.safetensors. With --whole new shapes are drawn only from those that come out in one piece.

    \b
    ppr imnet export --out decoder.onnx
    ppr imnet export --shape 0 --out chair.onnx
    ppr imnet extract --onnx chair.onnx --out chair.obj
    ppr imnet export --checkpoint runs/chairs/best.safetensors --format safetensors --half --out chairs.safetensors
    """
    if format == "safetensors" and (shape or not occupancy):
        raise UsageError("--shape and --logits are for onnx and torchscript")
    if format != "safetensors" and (half or notes or whole or image):
        raise UsageError("--half, --note, --whole and --image are for safetensors")
    from ppr.exports import imnet as exporter
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.imnet.infer import Predictor

    path = out or Path(f"imnet{options.EXPORT_SUFFIX[format]}")
    refuse_existing(path, overwrite=overwrite)
    model = Predictor.load(checkpoint)
    if format == "safetensors":
        pairs, found = options.parse_notes(notes), None
        if whole:
            with output.progress("look at shapes", len(model.bank.codes)) as advance:
                found = exporter.whole_shapes(model, advance)
            output.note(f"{found.sum():,} of {len(found):,} shapes come out in one piece")
        for written in exporter.split_checkpoint(model.path, path, half=half, notes=pairs, overwrite=overwrite, whole=found, image=image):
            size = written.stat().st_size
            if as_json:
                output.emit_json({"path": str(written), "bytes": size})
            else:
                click.echo(str(written))
                output.note(f"  {output.file_size(size)}")
        return
    code = model.code(shape) if shape is not None else None
    report = exporter.export_field(
        model.path,
        path,
        format,  # type: ignore[arg-type]
        code=code,
        occupancy=occupancy,
        opset=opset,
        overwrite=overwrite,
    )
    if as_json:
        output.emit_json(report)
        return
    click.echo(report["path"])
    output.note(f"  {output.file_size(report['bytes'])}; differs from torch by {report['parity']['max_difference']:.1e}")
    output.note(f"  the surface is at {report['level']}")
