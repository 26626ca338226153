"""`ppr imnet generate`: new shapes as codes on stdout, meshes, or a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from . import _results, _shape_source, _surface


@click.command()
@click.option("-n", "count", type=click.IntRange(1, 100_000), default=1, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Fixes the shapes; the first n are the same for any n.")
@_shape_source.prior
@click.option("--out", "-o", type=options.PATH, default=None, metavar="DIR|FILE.npy", help="Meshes into a folder, or the codes as npy.")
@_results.mesh_format
@click.option("--contact", type=options.PATH, default=None, metavar="SHEET.png", help="A picture of all of them.")
@click.option("--columns", type=click.IntRange(1, 100), default=None, help="Of the contact sheet.")
@_surface.meshing
def generate(
    count: int,
    seed: int,
    prior: str | None,
    truncation: float,
    out: Path | None,
    format: str,
    contact: Path | None,
    columns: int | None,
    level: float,
    checkpoint: str,
    threads: int | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Draw new shapes. Without --out and --contact their codes go to stdout, a JSON line each.

    \b
    ppr imnet generate -n 16 --contact sheet.png
    ppr imnet generate -n 100 --truncation 0.7 | ppr imnet mesh --batch --out 'out/{i:03d}.glb'
    ppr imnet generate -n 64 --seed 3 --out chairs/ --format ply --resolution 64
    """
    meshing = _surface.meshing_of(given)
    _results.check_sheet(contact, overwrite=overwrite)
    as_codes = out is not None and out.suffix == ".npy"
    folder = out if out is not None and not as_codes else None
    if out is not None and not as_codes and out.suffix:
        raise UsageError(f"--out {out}: a folder, or .npy for the codes", hint="`ppr imnet mesh --seed 7 --out chair.obj` makes one mesh")
    from ppr.exports.mesh.preview import render
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.codes import write_codes
    from ppr.methods.imnet.models.field import limited

    predictor = Predictor.load(checkpoint)
    codes = predictor.sample(count, seed, truncation=truncation, kind=prior)
    if as_codes and out is not None:
        write_codes(out, codes, overwrite=overwrite)
        click.echo(str(out))
    if folder is None and contact is None:
        if not as_codes:
            for index, code in enumerate(codes):
                _shape_source.write_code_line(f"seed-{seed}-{index:04d}", code)
        return 0
    batch, pictures = output.Batch(), []
    with batch.progress("generate", count), limited(threads):
        for index, code in enumerate(codes):
            with batch.item(stop_at=(UsageError,)), output.named(f"shape {index}", but=(UsageError,)):
                outputs = _results.outputs_of([folder / f"{index:04d}.{format}"] if folder else [], overwrite=overwrite)
                made = _surface.make(meshing, predictor.field(code), f"seed-{seed}-{index:04d}", outputs, probability=level)
                if folder:
                    _results.say({"i": index} | made.record, as_json=as_json)
                if contact is not None:
                    pictures.append((str(index), render(made.mesh, _results.THUMBNAIL, up=meshing.finish.up)))
    if contact is not None and pictures:
        _results.write_sheet(pictures, contact, columns, overwrite=overwrite)
    return batch.exit_code()
