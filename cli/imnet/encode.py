"""`ppr imnet encode`: voxels, meshes and pictures to codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from ..inputs import Input, expand
from . import _shape_source

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ppr.methods.imnet.infer import Predictor


@click.command()
@click.argument("inputs", nargs=-1, metavar="FILE|DIR|GLOB|ZIP...")
@click.option("--bank", default=None, metavar="DATA", help="Instead of INPUTS: all training shapes of a data file ('bundled': the chairs).")
@click.option("--out", "-o", type=options.PATH, default=None, help=".npy or .h5 of codes; with --bank also .safetensors: model and shapes.")
@_shape_source.checkpoint
@_shape_source.image_checkpoint
@click.option("--recursive", "-r", is_flag=True, help="Look into sub-folders.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first bad file.")
@options.overwrite
@options.quiet
def encode(
    inputs: tuple[str, ...],
    bank: str | None,
    out: Path | None,
    checkpoint: str,
    image_checkpoint: str | None,
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
    import numpy as np

    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.imnet.infer import Predictor, input_suffixes
    from ppr.methods.imnet.models.codes import write_codes

    if out is not None:
        refuse_existing(out, overwrite=overwrite)
    predictor = Predictor.load(checkpoint, image_checkpoint)
    if bank is not None:
        return encode_bank(predictor, bank, out, overwrite=overwrite)
    batch = output.Batch(fail_fast=fail_fast)
    items = expand(inputs, suffixes=input_suffixes(), recursive=recursive, failure=batch.failure)
    kept = []
    with batch.progress("encode", len(items)):
        for item in items:
            with batch.item():
                kept.append(read_code(predictor, item))
                if out is None:
                    _shape_source.write_code_line(Path(item.relative).stem, kept[-1], file=item.name)
    if out is not None and kept:
        write_codes(out, np.stack(kept), overwrite=overwrite)
        click.echo(str(out))
    return batch.finish()


def read_code(predictor: Predictor, item: Input) -> NDArray[np.float32]:
    """The code of an input.

    Raises:
        PprError: it cannot be read.
    """
    content = item.read()
    return predictor.read(Path(item.name), content if isinstance(content, bytes) else None).code


def encode_bank(predictor: Predictor, data: str, out: Path | None, *, overwrite: bool) -> int:
    """Codes of the training shapes of a data file: as a table, or together with the model."""
    from ppr.methods.common.reading.datasets import resolve
    from ppr.methods.imnet.data import load_shapes
    from ppr.methods.imnet.models.bank import shape_codes, with_bank
    from ppr.methods.imnet.models.codes import write_codes

    if out is None:
        raise UsageError("--bank needs --out", hint="--out codes.h5, or --out model.safetensors")
    shapes = load_shapes([] if data == "bundled" else [str(resolve(data))])
    if out.suffix == ".safetensors":
        with_bank(predictor.path, shapes, shapes.train, out, overwrite=overwrite)
    else:
        write_codes(out, shape_codes(predictor.encode, shapes, shapes.train), overwrite=overwrite)
    click.echo(str(out))
    return 0
