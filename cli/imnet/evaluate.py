"""`ppr imnet evaluate`: how well a model rebuilds shapes it has not seen, and what its generated shapes are worth."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options, output
from . import _shape_source

if TYPE_CHECKING:
    from ppr.methods.common.reading.meshes import Mesh
    from ppr.methods.imnet.data import Shapes
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.field import CodeField


@click.command()
@click.option("--data", metavar="FILE|NAME", default=None, help="HDF5 from `prepare` or .npz of box unions. [default: bundled chairs]")
@click.option("--split", type=click.Choice(["held-out", "train", "all"]), default="held-out", show_default=True, help="Which shapes.")
@click.option("--limit", "-n", type=click.IntRange(1), default=None, help="Only so many, spread evenly.")
@click.option(
    "--surface/--no-surface", "with_surface", default=False, help="Also mesh each shape and compare surfaces (about 1 s a shape)."
)
@click.option("--generated", type=click.IntRange(2), default=None, metavar="N", help="Instead: draw N shapes and measure their variety.")
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of sampled points and generated shapes.")
@_shape_source.prior
@click.option("--resolution", "-r", type=click.IntRange(16, 512), default=96, show_default=True, help="Of the meshes.")
@click.option("--per-shape", type=options.PATH, default=None, metavar="FILE.jsonl", help="Also write each shape's numbers.")
@_shape_source.checkpoint
@options.threads
@options.overwrite
@options.json_lines
@options.quiet
def evaluate(
    data: str | None,
    split: str,
    limit: int | None,
    with_surface: bool,
    generated: int | None,
    seed: int,
    prior: str | None,
    truncation: float,
    resolution: int,
    per_shape: Path | None,
    checkpoint: str,
    threads: int | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Measure reconstruction on held-out shapes, beside the most similar training shape; or with --generated what a prior draws.

    \b
    ppr imnet evaluate
    ppr imnet evaluate --split train --limit 240 --json
    ppr imnet evaluate --surface --limit 60
    ppr imnet evaluate --generated 64
    """
    from ppr.methods.common.reading.datasets import resolve
    from ppr.methods.common.reading.files import refuse_existing
    from ppr.methods.imnet.data import load_shapes
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.metrics import DEFINITIONS
    from ppr.methods.imnet.models.field import limited

    if per_shape is not None:
        refuse_existing(per_shape, overwrite=overwrite)
    predictor = Predictor.load(checkpoint)
    shapes = load_shapes([str(resolve(data))] if data else [])
    started = time.perf_counter()
    with limited(threads):
        if generated is not None:
            result = of_generated(predictor, shapes, generated, seed, prior, truncation, resolution)
        else:
            result = of_shapes(predictor, shapes, split, limit or 0, mesher(resolution) if with_surface else None, per_shape, seed)
    output.table([result], as_json=as_json)
    for name in result:
        if name in DEFINITIONS:
            output.note(f"{name}: {DEFINITIONS[name]}")
    if "nearest_iou" in result:
        output.note("nearest_iou: IoU of the most similar training shape, the baseline of retrieval")
    output.note(f"{time.perf_counter() - started:.1f} s")


def mesher(resolution: int, keep: Any = 0.001) -> Callable[[CodeField], Mesh]:
    """A function that makes the mesh of a field."""
    from ppr.exports.mesh.extract import Extraction, extract

    def mesh_of(field: CodeField) -> Mesh:
        return extract(field, Extraction(resolution=resolution, level=field.decoder.level, refine=2, keep=keep)).mesh

    return mesh_of


def of_shapes(
    predictor: Predictor,
    shapes: Shapes,
    split: str,
    limit: int,
    mesh_of: Callable[[CodeField], Mesh] | None,
    per_shape: Path | None,
    seed: int,
) -> dict[str, Any]:
    """Means over the shapes of a split."""
    import json

    from ppr.methods.common.reading.files import atomic_open
    from ppr.methods.imnet.evaluate import evaluate as measure
    from ppr.methods.imnet.evaluate import load_indices

    indices = load_indices(shapes, split, limit)
    records: list[dict[str, object]] = []
    with output.progress("evaluate", len(indices)) as advance:

        def measured(record: dict[str, object]) -> None:
            records.append(record)
            advance()

        means = measure(predictor, shapes, indices, mesh_of=mesh_of, seed=seed, each=measured)
    if per_shape is not None:
        with atomic_open(per_shape) as stream:
            stream.write("".join(json.dumps(output.finite(record)) + "\n" for record in records).encode())
    return {"split": split} | means


def of_generated(
    predictor: Predictor, shapes: Shapes, count: int, seed: int, prior: str | None, truncation: float, resolution: int
) -> dict[str, Any]:
    """Quality and variety of generated shapes against held-out ones, or training ones where none are held out."""
    from ppr.methods.imnet.evaluate import evaluate_generation, load_indices, true_surface

    split = "held-out" if len(shapes.held_out) else "train"
    reference = [true_surface(shapes, int(index), seed).points[:1024] for index in load_indices(shapes, split, count)]
    codes = predictor.sample(count, seed, truncation=truncation, kind=prior)
    result = evaluate_generation(predictor, codes, mesher(resolution, "all"), reference)
    return {"prior": prior or predictor.default_prior} | result
