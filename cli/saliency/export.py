"""`ppr saliency export`: a checkpoint as a file other programs open."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from ..types import NumberOr

if TYPE_CHECKING:
    import numpy as np

CALIBRATION_IMAGES = 200


@click.command()
@options.model("ras-mobile")
@click.option(
    "--size",
    "side",
    type=NumberOr({"dynamic": 0}, click.IntRange(64, 4096)),
    default="dynamic",
    show_default=True,
    help="Fixed side of the input, or free batch, height and width.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "fp16", "fp16w", "int8"]),
    default="fp32",
    show_default=True,
    help="fp16: half arithmetic, for GPUs. fp16w: weights stored in half, computed in fp32. int8: static QDQ.",
)
@click.option("--with-preprocess", "preprocess", is_flag=True, help="uint8 photo of any size in, uint8 mask of that size out.")
@click.option("--all-levels", is_flag=True, help="Coarser levels as further outputs.")
@click.option("--profile", type=click.Choice(["plain", "rembg"]), default="plain", show_default=True, help="Whose input convention.")
@click.option(
    "--calibration",
    type=options.PATH,
    default=None,
    metavar="PATH",
    help="Folder or zip of photos for int8. [default: bundled and synthetic]",
)
@click.option("--verify/--no-verify", default=True, help="Compare with torch before the file is put in place. [default: verify]")
@options.exporting("ARCH")
def export(
    checkpoint: str,
    format: str,
    side: int,
    out: Path | None,
    calibration: Path | None,
    notes: tuple[str, ...],
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Write a checkpoint as ONNX, TorchScript or safetensors, compare it with torch, and print its size and speed.

    \b
    ppr saliency export --size 256 -o ras.onnx
    ppr saliency export --size 320 --with-preprocess -o photo_to_mask.onnx
    ppr saliency export --profile rembg --size 320 -o u2net_custom.onnx
    """
    if checkpoint.endswith(".onnx"):
        raise UsageError(f"{checkpoint}: is an ONNX file already", hint="export takes a .safetensors checkpoint or an embedded name")
    from ppr.exports import saliency as exporter
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.saliency.torch_backend import load_network

    request = exporter.Request(side=side, **given)
    request.check()
    network, meta = load_network(checkpoint)
    meta = replace(meta, notes=meta.notes | options.parse_notes(notes))
    path = out or Path(f"{meta.arch}{options.EXPORT_SUFFIX[format]}")
    refuse_existing(path, overwrite=overwrite)
    if format == "safetensors":
        report = save_checkpoint(network, meta, path, half=given["precision"] in ("fp16", "fp16w"), overwrite=overwrite)
    elif format == "torchscript":
        report = exporter.to_torchscript(network, meta, path, request, overwrite=overwrite)
    else:
        needs_photos = request.precision == "int8" or request.preprocess
        photos = calibration_photos(calibration) if needs_photos else []
        output.note("exporting; tracing takes half a minute")
        report = exporter.to_onnx(network, meta, path, request, calibration=photos, overwrite=overwrite)
    if as_json:
        output.emit_json(report)
        return
    click.echo(report["path"])
    for key, value in report.items():
        if key != "path":
            output.note(f"  {key}: {', '.join(f'{k} {v}' for k, v in value.items()) if isinstance(value, dict) else value}")


def save_checkpoint(network: Any, meta: Any, path: Path, *, half: bool, overwrite: bool) -> dict[str, Any]:
    """The checkpoint itself, in half precision if asked: what a package or a download wants."""
    import torch

    from ppr.methods.common.running import checkpoint

    state = {key: value.half() if half and value.is_floating_point() else value for key, value in network.state_dict().items()}
    checkpoint.save_checkpoint(path, state, meta, overwrite=overwrite)
    reread = checkpoint.load_checkpoint(path).state
    worst = max(
        (reread[k] - v.float()).abs().max().item() for k, v in network.state_dict().items() if v.is_floating_point() and torch.numel(v)
    )
    return {"path": str(path), "bytes": path.stat().st_size, "max_weight_difference": worst}


def calibration_photos(path: Path | None) -> list[np.ndarray]:
    """Photos to calibrate or compare on: the given ones, else the bundled photos and synthetic scenes."""
    from importlib.resources import files

    from ppr.methods.common.reading.images import SUFFIXES, decode
    from ppr.methods.saliency.pairs.procedural import scene

    from ..inputs import expand

    if path is not None:
        items = expand([str(path)], suffixes=SUFFIXES, recursive=True)
        pictures = [item for item in items if "mask" not in item.relative.parts[0].lower()][:CALIBRATION_IMAGES]
        return [decode(item.read(), item.name).rgb for item in pictures]
    bundled = sorted(Path(str(files("ppr.methods.saliency"))).glob("demo/*.jpg"))
    return [decode(photo, photo.name).rgb for photo in bundled] + [scene(256, 256, seed=seed)[0] for seed in range(27)]
