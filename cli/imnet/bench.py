"""`ppr imnet bench`: the extractors side by side on the same shapes, and what runs the decoder fastest."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from .. import options, output
from . import _shape_source

if TYPE_CHECKING:
    from ppr.methods.imnet.bench import Extractor
    from ppr.methods.imnet.infer import Predictor


@click.command()
@click.option("--resolution", "-r", "resolutions", type=click.IntRange(16, 1024), multiple=True, help="Cells a side. [default: 64, 128]")
@click.option("--mode", "modes", type=click.Choice(["sparse", "dense", "mise"]), multiple=True, help="Extractors. [default: all]")
@click.option("--shapes", "count", type=click.IntRange(1), default=3, show_default=True, help="How many, spread over those known.")
@click.option("--field", type=click.Choice(["network", "boxes"]), default="network", show_default=True, help="Decoder, or exact chairs.")
@click.option("--seed-grid", type=click.IntRange(1, 512), default=32, show_default=True, help="Coarse cells a side of sparse and mise.")
@click.option("--runtimes", is_flag=True, help="Instead: points a second of the decoder in NumPy, torch and ONNX Runtime.")
@_shape_source.checkpoint
@options.threads
@options.json_lines
@options.quiet
def bench(
    resolutions: tuple[int, ...],
    modes: tuple[str, ...],
    count: int,
    field: str,
    seed_grid: int,
    runtimes: bool,
    checkpoint: str,
    threads: int | None,
    as_json: bool,
) -> None:
    """Compare extractors in one run: queries, seconds and cells missed, each also as a ratio to `sparse`. No refinement, no normals.

    `missed` is the share of the active cells of the dense grid (or of `sparse`, where dense is left out) that a mode did not find.

    \b
    ppr imnet bench
    ppr imnet bench -r 256 --shapes 3
    ppr imnet bench -r 512 --mode sparse --field boxes
    ppr imnet bench --runtimes
    """
    from ppr.methods.imnet import bench as measuring
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.field import limited

    with limited(threads):
        if runtimes:
            output.table(runtime_rows(Predictor.load(checkpoint), threads), as_json=as_json)
            return
        shapes = measuring.exact_chairs(count) if field == "boxes" else measuring.known_shapes(Predictor.load(checkpoint), count)
        for resolution in resolutions or (64, 128):
            extractors = {mode: extractor(mode, resolution, seed_grid) for mode in modes or ("sparse", "dense", "mise")}
            with output.progress("bench", len(shapes) * len(extractors)) as advance:
                costs = [asdict(cost) for cost in measuring.compare(shapes, extractors, advance)]
            rows = [{"mode": cost.pop("mode"), "resolution": resolution, **cost} for cost in costs]
            output.table(rows, as_json=as_json, title=None if as_json else f"{resolution}^3, mean of {len(shapes)} shapes")


def extractor(mode: str, resolution: int, seed_grid: int) -> Extractor:
    """How a shape is extracted: without refinement, nothing dropped."""
    from ppr.exports.mesh.extract import Extraction, extract
    from ppr.methods.imnet.bench import Found, Shape

    def work(shape: Shape) -> Found:
        settings = Extraction(resolution=resolution, level=shape.level, mode=mode, seed_grid=seed_grid, refine=0, keep="all")  # type: ignore[arg-type]
        found = extract(shape.field, settings)
        return Found(found.stats.queries, found.cells)

    return work


def runtime_rows(model: Predictor, threads: int | None) -> list[dict[str, Any]]:
    """A row a runtime; for ONNX Runtime the decoder is exported into a folder that is gone afterwards."""
    import tempfile
    from pathlib import Path

    from ppr.exports.imnet import export_field, load_decoder
    from ppr.methods.common.measuring.onnx_session import open_session
    from ppr.methods.imnet.bench import runtimes

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.onnx"
        export_field(model.path, path, "onnx", code=None, occupancy=False, opset=18, overwrite=True)
        session = open_session(path, threads=threads)
    return [asdict(speed) for speed in runtimes(model, load_decoder(model.path)[0], session, threads)]
