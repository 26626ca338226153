"""`ppr imnet infer`: solids and pictures to meshes, many at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from ..inputs import expand
from . import _results, _shape_source, _surface
from .encode import read_code

SUFFIX = ".imnet"


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="FILE|DIR|GLOB...")
@options.out("Folder for the results. [default: beside each input, as NAME.imnet.obj]")
@_results.mesh_format
@click.option("--save-code", is_flag=True, help="Also write each code as .npy.")
@click.option("--preview", "with_preview", is_flag=True, help="Also write a picture of each mesh.")
@_shape_source.image_checkpoint
@click.option("--recursive", is_flag=True, help="Look into sub-folders.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first bad file.")
@_surface.meshing
def infer(
    inputs: tuple[str, ...],
    out: Path | None,
    format: str,
    save_code: bool,
    with_preview: bool,
    level: float,
    checkpoint: str,
    image_checkpoint: str | None,
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
    meshing = _surface.meshing_of(given)
    if out is not None and out.exists() and not out.is_dir():
        raise UsageError(f"--out {out}: is a file, not a folder")
    from ppr.exports.mesh.meshing import Outputs
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.imnet.infer import Predictor, input_suffixes
    from ppr.methods.imnet.models.codes import write_codes
    from ppr.methods.imnet.models.field import limited

    batch = output.Batch(fail_fast=fail_fast)
    items = expand(inputs, suffixes=input_suffixes(), recursive=recursive, ignore=(f"{SUFFIX}.",), failure=batch.failure)
    predictor = Predictor.load(checkpoint, image_checkpoint)
    with batch.progress("infer", len(items)), limited(threads):
        for item in items:
            with batch.item():
                code = read_code(predictor, item)
                folder = out if out is not None else item.root.parent if item.root.is_file() else item.root
                stem = folder / Path(item.relative).parent / (Path(item.relative).stem + SUFFIX)
                target, picture, code_path = (stem.with_name(stem.name + suffix) for suffix in (f".{format}", ".png", ".npy"))
                with output.named(item.name):
                    outputs = Outputs([target], picture if with_preview else None, overwrite=overwrite)
                    outputs.check()
                    if save_code:
                        refuse_existing(code_path, overwrite=overwrite)
                    made = _surface.make(meshing, predictor.field(code), Path(item.relative).stem, outputs, probability=level)
                    record = {"input": item.name} | made.record
                    if save_code:
                        write_codes(code_path, code, overwrite=overwrite)
                        record["code"] = str(code_path)
                    _results.say(record, as_json=as_json)
    return batch.finish()
