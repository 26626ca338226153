"""`ppr imnet mesh`: one shape, or with --batch every code that comes in, to mesh files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import output
from . import _results, _shape_source, _surface

if TYPE_CHECKING:
    from ppr.exports.mesh.meshing import Meshing
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.codes import NamedCode


@click.command()
@_shape_source.one_shape
@_shape_source.prior
@click.option("--batch", is_flag=True, help="A mesh of every code in --code (default: stdin); --out has {i} or {name}.")
@_results.out
@_results.preview
@_shape_source.image_checkpoint
@_surface.meshing
def mesh(
    batch: bool,
    outs: tuple[Path, ...],
    preview: Path | None,
    level: float,
    checkpoint: str,
    image_checkpoint: str | None,
    prior: str | None,
    truncation: float,
    threads: int | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> int:
    """Write a closed mesh of a shape: one the model knows, a generated one, a code, a voxel grid or a picture.

    \b
    ppr imnet mesh --out chair.obj --preview chair.png
    ppr imnet mesh --seed 7 --resolution 256 --color height --out chair.glb
    ppr imnet mesh --voxels scan.binvox --out scan.ply --json | jq .volume
    ppr imnet generate -n 100 | ppr imnet mesh --batch --out 'out/{i:03d}.glb'
    """
    if not outs and preview is None:
        raise UsageError("nothing to write", hint="give --out chair.obj")
    outputs = None if batch else _results.outputs_of(outs, preview, overwrite=overwrite, as_json=as_json)
    meshing = _surface.meshing_of(given)
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.field import limited

    predictor = Predictor.load(checkpoint, image_checkpoint)
    with limited(threads):
        if outputs is None:
            codes = _shape_source.read_codes(batch_source(given))
            return mesh_all(predictor, meshing, codes, outs, preview, level, overwrite=overwrite, as_json=as_json)
        shape = _shape_source.resolve(predictor, given, truncation=truncation, prior=prior)
        made = _surface.make(meshing, predictor.field(shape.code), shape.name, outputs, probability=level)
        _results.say(made.record, as_json=as_json)
    return 0


def batch_source(given: dict[str, Any]) -> Path:
    """Where the codes of a batch come from.

    Raises:
        UsageError: a single shape was named, too.
    """
    named = [name for name in ("shape", "seed", "voxels", "image") if given.get(name) is not None]
    if named:
        raise UsageError(f"--batch takes codes, not --{named[0]}", hint="give --code FILE, or pipe them in")
    return given.get("code") or Path("-")


def mesh_all(
    predictor: Predictor,
    meshing: Meshing,
    codes: Iterable[NamedCode],
    outs: tuple[Path, ...],
    preview: Path | None,
    level: float,
    *,
    overwrite: bool,
    as_json: bool,
) -> int:
    """A mesh of every code; a code without a surface is reported and left out."""
    templates = [*outs, *([preview] if preview else [])]
    if any(str(path) == "-" for path in templates):
        raise UsageError("--batch writes files, not stdout")
    for path in templates:
        if filled(path, 0, "a") == filled(path, 1, "b"):
            raise UsageError(f"{path}: every mesh of the batch would have that name", hint="put {i:03d} or {name} into it")
    batch = output.Batch()
    for index, shape in enumerate(codes):
        with batch.item(stop_at=(UsageError,)), output.named(shape.name, but=(UsageError,)):
            picture = filled(preview, index, shape.name) if preview else None
            outputs = _results.outputs_of([filled(path, index, shape.name) for path in outs], picture, overwrite=overwrite)
            made = _surface.make(meshing, predictor.field(shape.code), shape.name, outputs, probability=level)
            _results.say({"i": index} | made.record, as_json=as_json)
    return batch.finish()


def filled(template: Path, index: int, name: str) -> Path:
    """A path with {i}, {i:03d} and {name} filled in; a name can not lead to another folder.

    Raises:
        UsageError: other braces.
    """
    safe = re.sub(r"[^\w.-]+", "_", PurePath(name).name) or "shape"

    def fill(match: re.Match[str]) -> str:
        key, width = match[1], match[2]
        if key == "name" and width is None:
            return safe
        if key == "i":
            return f"{index:0{int(width or 0)}d}"
        raise UsageError(f"{template}: {match[0]} is not known", hint="{i}, {i:03d} or {name}")

    return Path(re.sub(r"\{([^}:]*)(?::0?(\d{1,2})d)?\}", fill, str(template)))
