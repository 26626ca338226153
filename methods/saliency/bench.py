"""Measure a predictor on this machine: latency of the network alone, the whole way from file to mask, and peak memory."""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from ..common.measuring.timing import Timing, in_fresh_process
from ..common.reading import images
from .infer import Predictor, resize_to_side
from .pairs.procedural import scene
from .products.render import encode
from .saliency_map import Saliency

WARM_ROUNDS, LEAST_ROUNDS = 3, 8  # that do not count, and with them


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
    spent = in_fresh_process(_stages, setting, seconds, photo_size)
    provider, stages = spent.result
    median = {name: 1000 * timing.median for name, timing in stages.items()}
    return Measurement(
        backend=setting.backend,
        size=setting.size,
        threads=setting.threads,
        provider=provider,
        net_p50=round(median["net"], 2),
        net_p95=round(1000 * stages["net"].percentile(95), 2),
        fps=round(1000 / median["net"], 1),
        decode=round(median["decode"], 2),
        pre=round(median["pre"], 2),
        post=round(median["post"], 2),
        whole=round(sum(median.values()), 2),
        peak_mb=spent.peak_mb and round(spent.peak_mb),
    )


def _stages(setting: Setting, seconds: float, photo_size: tuple[int, int]) -> tuple[str, dict[str, Timing]]:
    """What runs the network, and the seconds of each stage."""
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
    while rounds < LEAST_ROUNDS or time.perf_counter() < deadline:
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
        if rounds > WARM_ROUNDS:
            for name, start, end in zip(stages, marks, marks[1:], strict=False):
                stages[name].append(end - start)
    return predictor.backend.provider, {name: Timing(tuple(times)) for name, times in stages.items()}


@dataclass(frozen=True)
class Compared:
    """A measurement, and how many times as fast it is as torch with the same size and threads, where that was measured."""

    measurement: Measurement
    vs_torch: float | None


def compare(settings: Sequence[Setting], *, seconds: float) -> list[Compared]:
    """Measure all settings twice, interleaved, and keep the faster of each: one disturbance then spoils no row."""
    found: dict[Setting, Measurement] = {}
    for _ in range(2):
        for setting in settings:
            measured = measure(setting, seconds=seconds / 2)
            if setting not in found or measured.net_p50 < found[setting].net_p50:
                found[setting] = measured
    torch = {(setting.size, setting.threads): found[setting].net_p50 for setting in settings if setting.backend == "torch"}
    compared = []
    for setting in settings:
        peer = torch.get((setting.size, setting.threads))
        compared.append(Compared(found[setting], round(peer / found[setting].net_p50, 2) if peer else None))
    return compared
