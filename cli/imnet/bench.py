"""`ppr imnet bench`: the extractors side by side on the same shapes, and what runs the decoder fastest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output
from . import _shape_source

if TYPE_CHECKING:
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
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.field import limited

    with limited(threads):
        if runtimes:
            output.table(runtime_rows(Predictor.load(checkpoint), threads), as_json=as_json)
            return
        fields = box_fields(count) if field == "boxes" else network_fields(Predictor.load(checkpoint), count)
        for resolution in resolutions or (64, 128):
            rows = compare(fields, resolution, modes or ("sparse", "dense", "mise"), seed_grid)
            output.table(rows, as_json=as_json, title=None if as_json else f"{resolution}^3, mean of {len(fields)} shapes")


def network_fields(model: Predictor, count: int) -> list[tuple[Callable[..., Any], float]]:
    """Fields of shapes the model knows, with their levels."""
    step = max(1, len(model.bank.codes) // count)
    return [(model.field(code), model.decoder.level) for code in model.bank.codes[::step][:count]]


def box_fields(count: int) -> list[tuple[Callable[..., Any], float]]:
    """Exact occupancy of bundled chairs, as distances in unit-box coordinates so that it has a slope."""
    from ppr.methods.imnet.data import BUNDLED
    from ppr.methods.imnet.shapes.boxes import load_boxes

    table = load_boxes(BUNDLED)
    step = max(1, len(table) // count)
    return [(table[index].depth, 0.0) for index in range(0, len(table), step)][:count]


def compare(
    fields: Sequence[tuple[Callable[..., Any], float]], resolution: int, modes: Sequence[str], seed_grid: int
) -> list[dict[str, Any]]:
    """A row a mode, with means over the fields."""
    from ppr.exports.mesh.extract import Extraction, extract

    found: dict[str, list[Any]] = {mode: [] for mode in modes}
    seconds = dict.fromkeys(modes, 0.0)
    with output.progress("bench", len(fields) * len(modes)) as advance:
        for field, level in fields:
            for mode in modes:
                settings = Extraction(resolution=resolution, level=level, mode=mode, seed_grid=seed_grid, refine=0, keep="all")  # type: ignore[arg-type]
                started = time.perf_counter()
                try:
                    found[mode].append(extract(field, settings))
                except UsageError as error:
                    output.note(f"{mode} at {resolution}: {error.message}")
                    found[mode].append(None)
                seconds[mode] += time.perf_counter() - started
                advance()
    usable = {mode: runs for mode, runs in found.items() if all(run is not None for run in runs)}
    if not usable:
        raise PprError(f"no extractor can work at {resolution}")
    truth = usable.get("dense") or usable.get("sparse") or next(iter(usable.values()))
    base = "sparse" if "sparse" in usable else next(iter(usable))
    rows = []
    for mode, runs in usable.items():
        queries = sum(run.stats.queries for run in runs)
        missed = sum(missing(run.cells, full.cells) for run, full in zip(runs, truth, strict=True))
        rows.append(
            {
                "mode": mode,
                "resolution": resolution,
                "queries": queries // len(runs),
                "queries_ratio": queries / sum(run.stats.queries for run in usable[base]),
                "seconds": seconds[mode] / len(runs),
                "seconds_ratio": seconds[mode] / seconds[base],
                "cells": sum(len(run.cells) for run in runs) // len(runs),
                "missed": missed / sum(len(full.cells) for full in truth),
            }
        )
    return rows


def missing(cells: Any, truth: Any) -> int:
    """How many of the cells `truth` int [n, 3] are not among `cells`."""
    import numpy as np

    # Padding cells have index -1; one added makes every index a digit of a number in base 2^12.
    keys, wanted = (((found + 1) @ np.array([1 << 24, 1 << 12, 1])) for found in (cells, truth))
    return int((~np.isin(wanted, keys)).sum())


def runtime_rows(model: Predictor, threads: int | None, points: int = 65_536) -> list[dict[str, Any]]:
    """Points a second of the same decoder in three runtimes, at the extractor's batch size."""
    import tempfile
    from pathlib import Path

    import numpy as np
    import torch

    from ppr.exports import onnx
    from ppr.exports.imnet import export_field, load_decoder

    torch.set_num_threads(threads or torch.get_num_threads())
    batch, code = 8192, model.bank.codes[0]
    cloud = np.random.default_rng(0).uniform(-0.5, 0.5, (points, 3)).astype(np.float32)
    field, decoder, codes = model.field(code), load_decoder(model.path)[0], torch.from_numpy(code)[None]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "decoder.onnx"
        export_field(model.path, path, "onnx", code=None, occupancy=False, opset=18, overwrite=True)
        session = onnx.session(path, threads=threads)

    @torch.inference_mode()
    def in_torch(part: Any) -> None:
        decoder(torch.from_numpy(part)[None], codes)

    calls: dict[str, Callable[[Any], Any]] = {
        "numpy": field,
        "torch": in_torch,
        "onnxruntime": lambda part: session.run(None, {"points": part, "code": code}),
    }
    parts = [cloud[start : start + batch] for start in range(0, points, batch)]
    best = dict.fromkeys(calls, float("inf"))
    for _round in range(5):  # in turn, so that a busy moment of the machine hits all of them
        for name, call in calls.items():
            started = time.perf_counter()
            for part in parts:
                call(part)
            best[name] = min(best[name], time.perf_counter() - started)
    return [{"runtime": name, "points_per_second": points / value, "ratio": best["numpy"] / value} for name, value in best.items()]
