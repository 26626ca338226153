"""`ppr imnet generate`: new shapes as codes on stdout, meshes, or a contact sheet."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output
from . import _results as results
from . import _shape_source as shape_source
from . import _surface as surface


@click.command()
@click.option("-n", "count", type=click.IntRange(1, 100_000), default=1, show_default=True, help="How many.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Fixes the shapes; the first n are the same for any n.")
@shape_source.prior
@click.option("--out", "-o", type=options.PATH, default=None, metavar="DIR|FILE.npy", help="Meshes into a folder, or the codes as npy.")
@results.mesh_format
@click.option("--contact", type=options.PATH, default=None, metavar="SHEET.png", help="A picture of all of them.")
@click.option("--columns", type=click.IntRange(1, 100), default=None, help="Of the contact sheet.")
@surface.meshing
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
    surfacing = surface.Surfacing.of(given)
    if contact is not None:
        results.check_outputs([], contact, overwrite=overwrite)
    as_codes = out is not None and out.suffix == ".npy"
    folder = out if out is not None and not as_codes else None
    if out is not None and not as_codes and out.suffix:
        raise UsageError(f"--out {out}: a folder, or .npy for the codes", hint="`ppr imnet mesh --seed 7 --out chair.obj` makes one mesh")
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.imnet.infer import Predictor

    model = Predictor.load(checkpoint)
    codes = model.sample(count, seed, truncation=truncation, kind=prior)
    if as_codes and out is not None:
        shape_source.save_npy(out, codes, overwrite=overwrite)
        click.echo(str(out))
    if folder is None and contact is None:
        if not as_codes:
            for index, code in enumerate(codes):
                shape_source.write_code_line(f"seed-{seed}-{index:04d}", code)
        return 0
    batch, pictures = output.Batch(), []
    with output.progress("generate", count) as advance, surface.cpu_threads(threads):
        for index, code in enumerate(codes):
            try:
                target = [folder / f"{index:04d}.{format}"] if folder else []
                for path in target:
                    refuse_existing(path, overwrite=overwrite)
                made, statistics = surfacing.of_code(model.field(code), level)
                up = surfacing.finish.up
                record = results.write_outputs(
                    made, {"name": f"seed-{seed}-{index:04d}"} | statistics, target, None, up=up, overwrite=overwrite
                )
                batch.done += 1
                if folder:
                    results.say({"i": index} | record, as_json=as_json)
                if contact is not None:
                    pictures.append((str(index), results.thumbnail(made, up)))
            except UsageError:
                raise
            except PprError as error:
                batch.failure(PprError(f"shape {index}: {error.message}", hint=error.hint))
            advance()
    if contact is not None and pictures:
        results.save_sheet(pictures, contact, columns, overwrite=overwrite)
    return batch.exit_code()
