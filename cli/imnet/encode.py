"""`ppr imnet encode`: voxels, meshes and pictures to codes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output
from ..inputs import Input, expand
from . import _shape_source as shape_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ppr.methods.imnet.infer import Predictor


@click.command()
@click.argument("inputs", nargs=-1, metavar="FILE|DIR|GLOB|ZIP...")
@click.option("--bank", default=None, metavar="DATA", help="Instead of INPUTS: all training shapes of a data file ('bundled': the chairs).")
@click.option("--out", "-o", type=options.PATH, default=None, help=".npy or .h5 of codes; with --bank also .safetensors: model and shapes.")
@shape_source.checkpoint
@shape_source.image_checkpoint
@click.option("--recursive", "-r", is_flag=True, help="Look into sub-folders.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first bad file.")
@options.overwrite
@options.quiet
def encode(
    inputs: tuple[str, ...],
    bank: str | None,
    out: Path | None,
    checkpoint: str,
    image_checkpoint: Path | None,
    recursive: bool,
    fail_fast: bool,
    overwrite: bool,
) -> int:
    """Turn voxel grids, meshes and pictures into codes. Without --out each is a JSON line on stdout.

    \b
    ppr imnet encode scans/*.binvox | ppr imnet mesh --batch --out 'out/{name}.ply'
    ppr imnet encode chairs/ --out chairs_z.h5
    ppr imnet encode --bank chairs.h5 --checkpoint last.safetensors --out model.safetensors
    """
    if bool(inputs) == (bank is not None):
        raise UsageError("give INPUTS, or --bank DATA")
    suffixes = (".npy", ".h5", ".hdf5", *((".safetensors",) if bank is not None else ()))
    if out is not None and out.suffix not in suffixes:
        raise UsageError(f"--out {out}: codes are written as {', '.join(suffixes)}")
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.imnet.infer import Predictor

    if out is not None:
        refuse_existing(out, overwrite=overwrite)
    model = Predictor.load(checkpoint, image_checkpoint)
    if bank is not None:
        return encode_bank(model, bank, out, overwrite=overwrite)
    started, batch = time.perf_counter(), output.Batch(fail_fast=fail_fast)
    items = expand(inputs, suffixes=input_suffixes(), recursive=recursive, failure=batch.failure)
    kept = []
    with output.progress("encode", len(items)) as advance:
        for item, code in encoded(model, items, batch):
            if out is None:
                shape_source.write_code_line(Path(item.relative).stem, code, file=item.name)
            kept.append(code)
            advance()
    if out is not None and kept:
        write_codes(out, kept, overwrite=overwrite)
        click.echo(str(out))
    batch.summary(time.perf_counter() - started)
    return batch.exit_code()


def picture_suffixes() -> frozenset[str]:
    from ppr.methods.common.reading.images import SUFFIXES

    return frozenset(SUFFIXES)


def input_suffixes() -> frozenset[str]:
    """Of everything that a code can be made of."""
    return shape_source.solid_suffixes() | picture_suffixes()


def encoded(model: Predictor, items: list[Input], batch: output.Batch) -> Iterator[tuple[Input, NDArray[np.float32]]]:
    """The code of every input; what cannot be read is reported and left out."""
    for item in items:
        try:
            code = code_of(model, item)
        except PprError as error:
            batch.failure(error)
            continue
        batch.done += 1
        yield item, code


def code_of(model: Predictor, item: Input) -> NDArray[np.float32]:
    """The code of one file: a picture by the image encoder, everything else by the voxel encoder."""
    shape_source.check_suffix(Path(item.relative), input_suffixes())
    if Path(item.relative).suffix.lower() in picture_suffixes():
        from ppr.methods.imnet.shapes.views import load_view

        return model.encode_image(load_view(item.read(), item.name))
    found = item.read()
    if isinstance(found, bytes):
        raise PprError(f"{item.name}: voxels and meshes are read from files on disk, not from archives", hint="unpack it first")
    return model.encode([shape_source.read_solid(found)])[0]


def write_codes(path: Path, codes: Sequence[NDArray[np.float32]], *, overwrite: bool) -> None:
    """Codes of z numbers as .npy or HDF5 (zs), [n, z]."""
    import numpy as np

    from ppr.methods.imnet.shapes.hdf5 import write_codes as write_zs

    if path.suffix == ".npy":
        shape_source.save_npy(path, np.stack(codes), overwrite=overwrite)
    else:
        write_zs(path, np.stack(codes), overwrite=overwrite)


def encode_bank(model: Predictor, data: str, out: Path | None, *, overwrite: bool) -> int:
    """Codes of the training shapes of a data file: as a table, or together with the model."""
    from ppr.methods.common.reading.datasets import resolve
    from ppr.methods.imnet.data import load_shapes
    from ppr.methods.imnet.models.bank import shape_codes, with_bank

    if out is None:
        raise UsageError("--bank needs --out", hint="--out codes.h5, or --out model.safetensors")
    shapes = load_shapes([] if data == "bundled" else [str(resolve(data))])
    if out.suffix == ".safetensors":
        with_bank(model.path, shapes, shapes.train, out, overwrite=overwrite)
    else:
        write_codes(out, list(shape_codes(model.encode, shapes, shapes.train)), overwrite=overwrite)
    click.echo(str(out))
    return 0
