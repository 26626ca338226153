"""Measure a predictor on this machine: latency of the network alone, the whole way from file to mask, and peak memory."""

from __future__ import annotations

import io
import multiprocessing
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from PIL import Image

from ..common.measuring.memory import peak_memory
from ..common.reading import images
from .infer import Predictor, resize_to_side
from .pairs.procedural import scene
from .products.render import encode
from .saliency_map import Saliency


@dataclass(frozen=True)
class Setting:
    """One row of the table."""

    checkpoint: str
    backend: str
    size: int
    threads: int
    device: str = "cpu"


@dataclass(frozen=True)
class Measurement:
    """Milliseconds of one image; `peak_mb` is the largest memory of a process that did nothing else."""

    backend: str
    size: int
    threads: int
    provider: str
    net_p50: float
    net_p95: float
    fps: float
    decode: float
    pre: float
    post: float
    whole: float
    peak_mb: float | None


def measure(setting: Setting, *, seconds: float, photo_size: tuple[int, int] = (400, 300)) -> Measurement:
    """Measure in a fresh process, so that memory and thread pools are this setting's own. Warm-up is left out.

    Args:
        seconds: how long to repeat the network.
        photo_size: of the synthetic JPEG that goes the whole way.

    Raises:
        PprError: the setting cannot be loaded here.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_measure, setting, seconds, photo_size).result()


def _measure(setting: Setting, seconds: float, photo_size: tuple[int, int]) -> Measurement:
    import cv2

    cv2.setNumThreads(setting.threads)
    predictor = Predictor.load(
        setting.checkpoint,
        backend=setting.backend,  # type: ignore[arg-type]
        device=setting.device,
        threads=setting.threads,
        size=setting.size,
    )
    stream = io.BytesIO()
    Image.fromarray(scene(*photo_size, seed=0)[0]).save(stream, "JPEG", quality=90)
    data = stream.getvalue()
    stages: dict[str, list[float]] = {"decode": [], "pre": [], "net": [], "post": []}
    rounds, deadline = 0, time.perf_counter() + seconds
    while rounds < 8 or time.perf_counter() < deadline:
        marks = [time.perf_counter()]
        rgb = images.decode(data, "bench.jpg", at_least=4 * setting.size or None).rgb
        marks.append(time.perf_counter())
        small = resize_to_side(rgb, predictor.side)
        marks.append(time.perf_counter())
        probability = predictor.backend(small)
        marks.append(time.perf_counter())
        encode(Saliency(probability, *photo_size).mask(), "png")
        marks.append(time.perf_counter())
        rounds += 1
        if rounds > 3:
            for name, start, end in zip(stages, marks, marks[1:], strict=False):
                stages[name].append(1000 * (end - start))
    median, peak = {name: statistics.median(times) for name, times in stages.items()}, peak_memory()
    return Measurement(
        backend=setting.backend,
        size=setting.size,
        threads=setting.threads,
        provider=predictor.backend.provider,
        net_p50=round(median["net"], 2),
        net_p95=round(float(np.percentile(stages["net"], 95)), 2),
        fps=round(1000 / median["net"], 1),
        decode=round(median["decode"], 2),
        pre=round(median["pre"], 2),
        post=round(median["post"], 2),
        whole=round(sum(median.values()), 2),
        peak_mb=peak and round(peak),
    )


def table(settings: list[Setting], *, seconds: float) -> list[dict[str, Any]]:
    """Measure all settings twice, interleaved, and keep the faster of each: one disturbance then spoils no row."""
    found: dict[Setting, Measurement] = {}
    for _ in range(2):
        for setting in settings:
            measured = measure(setting, seconds=seconds / 2)
            if setting not in found or measured.net_p50 < found[setting].net_p50:
                found[setting] = measured
    slowest = {(s.size, s.threads): found[s].net_p50 for s in settings if s.backend == "torch"}
    rows = []
    for setting in settings:
        row = asdict(found[setting])
        reference = slowest.get((setting.size, setting.threads))
        row["vs torch"] = round(reference / row["net_p50"], 2) if reference else None
        rows.append(row)
    return rows
