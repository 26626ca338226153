"""`ppr imnet prepare`: training data from meshes and voxel files."""

from __future__ import annotations

from pathlib import Path

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from ..inputs import Input, expand

SHOWN = 5  # names in a note


@click.command(short_help="Training data (HDF5) from meshes and voxel files.")
@click.argument("inputs", nargs=-1, required=True, metavar="DIR|FILE|GLOB|ZIP...")
@options.out("New .h5 file in the layout of the authors' data.", required=True)
@click.option(
    "--scheme",
    type=click.Choice(["improved", "paper"]),
    default=None,
    help="Points of the authors' later code (on 256^3) or of the paper (on 64^3). [default: improved]",
)
@click.option("--up", type=click.Choice(["y", "z"]), default=None, help="Axis that points upwards in the files. [default: y]")
@click.option(
    "--solid",
    type=click.Choice(["winding", "flood"]),
    default=None,
    help="What is inside a mesh: winding numbers, or all that a flood from outside does not reach (faces that look anywhere, as in "
    "ModelNet). [default: winding]",
)
@click.option("--strict", is_flag=True, help="Refuse meshes that are open or cross themselves.")
@click.option("--fill/--no-fill", default=None, help="Fill the hollows of voxel grids. [default: fill]")
@click.option("--held-out", type=click.FloatRange(0, 1, max_open=True), default=None, help="Share kept for tests. [default: 0.1]")
@click.option("--group-by", metavar="REGEX", default=None, help="Hold out together what has the same match in its name.")
@options.seed
@options.overwrite
@options.json_lines
@options.quiet
def prepare(
    inputs: tuple[str, ...],
    out: Path,
    scheme: str | None,
    up: str | None,
    solid: str | None,
    strict: bool,
    fill: bool | None,
    held_out: float | None,
    group_by: str | None,
    seed: int | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Turn your own shapes into training data: obj, off, ply, stl, glb, binvox, and npy, npz or h5 voxel grids.

    Folders are searched with all their sub-folders; a sub-folder called train or test (category/train/chair.off) says where its shapes
    belong, all others are held out by chance. Meshes are scaled to a bounding-box diagonal of 1. Point clouds have no inside: reconstruct
    their surface first. A bad file is reported and left out (exit code 1).

    \b
    ppr imnet prepare chairs/ -o chairs.h5
    ppr imnet prepare ModelNet10/ -o modelnet.h5 --up z --solid flood
    ppr imnet prepare 'sofas/*.obj' -o sofas.h5 --group-by '^[^_]+'
    """
    if out.suffix.lower() not in (".h5", ".hdf5"):
        raise UsageError(f"--out {out}: the data are HDF5", hint=f"for example --out {out.with_suffix('.h5')}")
    from ppr.methods.common.config import load_config
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.imnet.shapes.prepare import PrepareConfig
    from ppr.methods.imnet.shapes.prepare import prepare as write
    from ppr.methods.imnet.shapes.shape_files import SUFFIXES, ShapeFile

    refuse_existing(out, overwrite=overwrite)
    config = load_config(
        PrepareConfig, scheme=scheme, up=up, solid=solid, strict=strict, fill=fill, held_out=held_out, group_by=group_by, seed=seed
    )
    batch = output.Batch()
    found = [item for item in expand(inputs, suffixes=SUFFIXES, recursive=True, failure=batch.failure) if not _is(item, out)]
    files = [ShapeFile(item.source, item.relative) for item in found]
    with output.progress("prepare", None) as advance:
        statistics = write(
            files,
            out,
            config,
            overwrite=overwrite,
            failed=batch.failure,
            done=lambda done, total: advance(completed=done, total=total),
        )
    batch.done = statistics.shapes
    if statistics.ambiguous:
        names = ", ".join(statistics.ambiguous[:SHOWN]) + (" …" if len(statistics.ambiguous) > SHOWN else "")
        output.note(f"open or self-crossing meshes ({len(statistics.ambiguous)}): {names}; --solid flood may suit them better")
    record = {"file": str(out), **statistics.record()}
    if as_json:
        output.emit_json(record)
    else:
        columns = ("file", "shapes", "train", "test", "failed", "occupied", "filled")
        output.table([{key: record[key] for key in columns} | {"equal": len(statistics.duplicates)}], as_json=False)
    return batch.finish()


def _is(item: Input, out: Path) -> bool:
    """Whether an input is the file to write, found in a folder."""
    return not item.source.archive and Path(item.source.path).resolve() == out.resolve()
