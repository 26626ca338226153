"""Measure a network, or ready-made maps (`maps.py`), against ground truth.

Images are taken in chunks: first the network runs on a chunk with the machine to itself, which makes its time worth reporting, then
the metrics of the chunk are computed, in a pool of processes for larger sets. Nothing grows with the data set but one row an image.
"""

from __future__ import annotations

import contextlib
import functools
import heapq
import multiprocessing
import signal
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import cv2
import numpy as np

from ..common.errors import PprError
from ..common.measuring.cores import usable_cores
from ..common.reading.files import atomic_open
from ..common.reading.images import reduced
from ..common.reading.sources import Source
from .baselines import centre_prior
from .infer import Predictor
from .metrics import RAW, ImageScores, Totals, score_all
from .pairs.find import Pair, file_names, read_pair

STRETCHED = "stretched"  # the map itself, scored as the toolkit does
CENTRE = "centre"  # the centre prior, a baseline
CHUNK_IMAGES = 64
CHUNK_PIXELS = 64 << 20  # of all maps of a chunk together; a chunk holds at least one image
TILE = 240  # longest side of what is kept of the worst images

Levels = Callable[[np.ndarray], dict[str, np.ndarray]]  # (H, W, 3) uint8 -> level name -> (H, W) uint8


@dataclass(frozen=True)
class Item:
    """An image's mask and the maps to score against it.

    Shapes:
        mask (H, W) uint8 in {0, 255}; maps: name -> (H, W) uint8, among them STRETCHED.
    """

    name: str
    mask: np.ndarray
    maps: dict[str, np.ndarray]
    image: Source | None = None
    milliseconds: float | None = None


@dataclass(frozen=True)
class Worst:
    """One of the images with the largest error, reduced: truth and found (h, w) uint8."""

    name: str
    mae: float
    truth: np.ndarray
    found: np.ndarray
    image: Source | None


def ignore(*_anything: object) -> None:
    """Tell nobody."""


@dataclass(frozen=True)
class Settings:
    """How to measure, and whom to tell.

    Args:
        raw: score the maps a second time without stretching.
        baseline: score the centre prior on the same images, too.
        workers: processes for the metrics; 0 uses this one, None decides by the number of images.
        worst: how many of the worst images to keep.
        failed: called with the error of each image that is left out.
        done: called after each image.
    """

    raw: bool = False
    baseline: bool = False
    workers: int | None = None
    worst: int = 0
    failed: Callable[[PprError], object] = ignore
    done: Callable[[], object] = ignore


@dataclass
class Evaluation:
    """What was measured: totals by name (STRETCHED, RAW, CENTRE, and levels such as "/32"), a row an image, and the worst images, worst
    first; `left_out` counts the images that could not be used."""

    totals: dict[str, Totals] = field(default_factory=dict)
    rows: list[dict[str, object]] = field(default_factory=list)
    worst: list[Worst] = field(default_factory=list)
    milliseconds: list[float] = field(default_factory=list)
    left_out: int = 0

    @property
    def images(self) -> int:
        return self.totals[STRETCHED].images

    @property
    def empty(self) -> int:
        """Images whose mask holds no object; they count for MAE, S and E only."""
        return self.totals[STRETCHED].empty

    def metrics(self, name: str = STRETCHED) -> dict[str, float]:
        return self.totals[name].metrics()

    def speed(self) -> dict[str, float] | None:
        """Median time of the network with its resizing and normalisation, in ms, and the rate that follows; None for ready-made maps."""
        if not self.milliseconds:
            return None
        typical = median(self.milliseconds)
        return {"ms": typical, "fps": 1000 / typical}

    def levels(self) -> list[str]:
        """Names of the levels that were measured, coarsest first."""
        return [name for name in self.totals if name.startswith("/")]

    def record(self) -> dict[str, Any]:
        """The numbers as plain values; each of the maps (and of the baseline's) has all metrics under its name."""
        record: dict[str, Any] = {"images": self.images, "empty_masks": self.empty, "left_out": self.left_out}
        record |= {name: self.metrics(name) for name in (STRETCHED, RAW, CENTRE) if name in self.totals}
        record["speed"] = self.speed()
        return record | ({"levels": [{"level": name} | self.metrics(name) for name in self.levels()]} if self.levels() else {})


def evaluate(
    predictor: Predictor,
    pairs: Sequence[Pair],
    settings: Settings | None = None,
    *,
    levels: Levels | None = None,
    save_maps: Path | None = None,
) -> Evaluation:
    """Run a network on image/mask pairs and score its maps at the images' size. `maps.score_maps` scores anyone's maps alike.

    Args:
        levels: gives the maps of the coarser levels as well (`levels.level_masks`).
        save_maps: a folder for the 8-bit maps that are scored.

    Raises:
        PprError: not one pair could be evaluated. Single bad pairs go to `settings.failed`.
    """
    settings = settings or Settings()
    return tally(_predicted(predictor, pairs, settings, levels, save_maps), len(pairs), settings)


def _predicted(
    predictor: Predictor, pairs: Sequence[Pair], settings: Settings, levels: Levels | None, save_maps: Path | None
) -> Iterator[Item]:
    warm = False
    for pair, name in zip(pairs, file_names(pairs), strict=True):
        try:
            rgb, mask = read_pair(pair)
        except PprError as error:
            settings.failed(error)
            continue
        if not warm:
            predictor(rgb)
            warm = True
        start = time.perf_counter()
        saliency = predictor(rgb)
        milliseconds = 1000 * (time.perf_counter() - start)
        maps = {STRETCHED: saliency.mask()} | (levels(rgb) if levels else {})
        if save_maps is not None:
            _save_map(save_maps / f"{name}.png", maps[STRETCHED])
        yield Item(name, mask, maps, pair.image, milliseconds)


def _save_map(path: Path, saliency: np.ndarray) -> None:
    with atomic_open(path) as stream:
        stream.write(cv2.imencode(".png", saliency, [cv2.IMWRITE_PNG_COMPRESSION, 3])[1].tobytes())


def tally(items: Iterable[Item], count: int, settings: Settings) -> Evaluation:
    """Score the items and add everything up.

    Args:
        count: how many items to expect; decides whether a pool pays.

    Raises:
        PprError: there was nothing to score.
    """
    evaluation = Evaluation()
    workers = settings.workers
    if workers is None:
        # A worker needs seconds to import the toolkit, an image takes about 40 ms.
        workers = min(8, usable_cores()) if count > 100 else 0
    worst: list[tuple[float, int, Worst]] = []
    with _scorer(workers) as scorer:
        for chunk in _chunks(_with_baseline(items) if settings.baseline else items):
            raws = [STRETCHED if settings.raw else None] * len(chunk)
            for item, scores in zip(chunk, scorer([i.maps for i in chunk], [i.mask for i in chunk], raws), strict=True):
                for name, score in scores.items():
                    evaluation.totals.setdefault(name, Totals()).add(score)
                evaluation.rows.append(_row(item, scores))
                if item.milliseconds is not None:
                    evaluation.milliseconds.append(item.milliseconds)
                if settings.worst:
                    _keep_worst(worst, settings.worst, item, scores[STRETCHED].mae, len(evaluation.rows))
                settings.done()
    if not evaluation.rows:
        raise PprError("nothing could be evaluated", hint="every pair was left out, for the reasons above")
    evaluation.left_out = count - len(evaluation.rows)
    evaluation.worst = [entry for _mae, _order, entry in sorted(worst, key=lambda entry: entry[:2], reverse=True)]
    return evaluation


def _with_baseline(items: Iterable[Item]) -> Iterator[Item]:
    for item in items:
        yield replace(item, maps=item.maps | {CENTRE: centre_prior(*item.mask.shape)})


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    pixels = 0
    for item in items:
        chunk.append(item)
        pixels += item.mask.size * len(item.maps)
        if len(chunk) == CHUNK_IMAGES or pixels >= CHUNK_PIXELS:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


@contextlib.contextmanager
def _scorer(workers: int) -> Iterator[Callable[..., Iterator[dict[str, ImageScores]]]]:
    """`score_all` over lists of arguments, in `workers` processes or, for 0, in this one."""
    if not workers:
        yield functools.partial(map, score_all)
        return
    # Spawned, because the network's threads do not survive a fork.
    pool = ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"), initializer=_start_worker)
    try:
        yield functools.partial(_submit, pool)
    except BrokenProcessPool as error:
        raise PprError(
            "a metrics process died, perhaps for lack of memory", hint="--workers 0 computes them in the main process"
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _submit(pool: ProcessPoolExecutor, *arguments: list[Any]) -> Iterator[dict[str, ImageScores]]:
    """`pool.map(score_all, ...)`. Workers start in here; an interrupt ignored meanwhile stays ignored in them, also while they import."""
    if threading.current_thread() is not threading.main_thread():
        return pool.map(score_all, *arguments)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return pool.map(score_all, *arguments)
    finally:
        signal.signal(signal.SIGINT, handler)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    cv2.setNumThreads(1)


def _row(item: Item, scores: dict[str, ImageScores]) -> dict[str, object]:
    main = scores[STRETCHED]
    row: dict[str, object] = {"name": item.name, "width": item.mask.shape[1], "height": item.mask.shape[0], "empty_mask": int(main.empty)}
    row |= {name: getattr(main, name) for name in ("mae", "s", "weighted_f", "adaptive_f", "iou", "boundary_iou")}
    row |= {"max_f": float(main.f_curve.max()), "max_e": float(main.e_curve.max())}
    row |= {name.replace("/", "level_") + "_mae": score.mae for name, score in scores.items() if name != STRETCHED}
    return row | ({} if item.milliseconds is None else {"ms": round(item.milliseconds, 3)})


def _keep_worst(worst: list[tuple[float, int, Worst]], limit: int, item: Item, mae: float, order: int) -> None:
    # Earlier images win ties; `-order` also keeps the heap from comparing arrays.
    if len(worst) < limit or (mae, -order) > worst[0][:2]:
        entry = Worst(item.name, mae, reduced(item.mask, TILE), reduced(item.maps[STRETCHED], TILE), item.image)
        (heapq.heappush if len(worst) < limit else heapq.heapreplace)(worst, (mae, -order, entry))
