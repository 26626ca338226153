"""`ppr imnet infer`: solids and pictures to meshes, many at a time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output
from ..inputs import expand
from . import _results as results
from . import _shape_source as shape_source
from . import _surface as surface
from .encode import encoded, input_suffixes

SUFFIX = ".imnet"


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FILE|DIR|GLOB...")
@options.out("Folder for the results. [default: beside each input, as NAME.imnet.obj]")
@results.mesh_format
@click.option("--save-code", is_flag=True, help="Also write each code as .npy.")
@click.option("--preview", "with_preview", is_flag=True, help="Also write a picture of each mesh.")
@shape_source.image_checkpoint
@click.option("--recursive", is_flag=True, help="Look into sub-folders.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first bad file.")
@surface.meshing
def infer(
    inputs: tuple[str, ...],
    out: Path | None,
    format: str,
    save_code: bool,
    with_preview: bool,
    level: float,
    checkpoint: str,
    image_checkpoint: Path | None,
    threads: int | None,
    recursive: bool,
    fail_fast: bool,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Reconstruct voxel grids, meshes and pictures: code and mesh of each. A bad file is reported and left out (exit code 1).

    \b
    ppr imnet infer scan.binvox photo.png --out rebuilt/ --format glb
    ppr imnet infer voxels/ --out rebuilt/ --save-code --json | jq '.faces'
    """
    surfacing = surface.Surfacing.of(given)
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file, not a folder")
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.imnet.infer import Predictor

    batch, started = output.Batch(fail_fast=fail_fast), time.perf_counter()
    items = expand(inputs, suffixes=input_suffixes(), recursive=recursive, ignore=(f"{SUFFIX}.",), failure=batch.failure)
    model = Predictor.load(checkpoint, image_checkpoint)
    with output.progress("infer", len(items)) as advance, surface.cpu_threads(threads):
        for item, code in encoded(model, items, batch):
            try:
                folder = out if out is not None else item.root.parent if item.root.is_file() else item.root
                stem = folder / Path(item.relative).parent / (Path(item.relative).stem + SUFFIX)
                target, picture, code_path = (stem.with_name(stem.name + suffix) for suffix in (f".{format}", ".png", ".npy"))
                for path in [target, *([picture] if with_preview else []), *([code_path] if save_code else [])]:
                    refuse_existing(path, overwrite=overwrite)
                made, statistics = surfacing.of_code(model.field(code), level)
                up, preview = surfacing.finish.up, picture if with_preview else None
                statistics = {"input": item.name, "name": Path(item.relative).stem} | statistics
                record = results.write_outputs(made, statistics, [target], preview, up=up, overwrite=overwrite)
                if save_code:
                    shape_source.save_npy(code_path, code, overwrite=overwrite)
                    record["code"] = str(code_path)
                results.say(record, as_json=as_json)
            except PprError as error:
                batch.done -= 1
                batch.failure(PprError(f"{item.name}: {error.message}", hint=error.hint))
            advance()
    batch.summary(time.perf_counter() - started)
    return batch.exit_code()
