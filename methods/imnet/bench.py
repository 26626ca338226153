"""Extractors side by side on the same shapes, and what runs the decoder fastest."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..common.errors import PprError, UsageError
from ..common.measuring.cores import torch_threads
from ..common.measuring.timing import Clock, in_turns
from .data import BUNDLED
from .infer import Predictor
from .shapes.boxes import load_boxes

if TYPE_CHECKING:
    from onnxruntime import InferenceSession
    from torch import nn

log = logging.getLogger("ppr")

BATCH = 8192  # points a call, as the extractors ask
POINTS, ROUNDS = 65_536, 5  # of the runtimes
Float: TypeAlias = NDArray[np.float32]


@dataclass(frozen=True)
class Shape:
    """A field (points [n, 3] -> values [n]) and its value on the surface."""

    field: Callable[[Float], Float]
    level: float


@dataclass(frozen=True)
class Found:
    """What an extractor made of a shape: how many points it asked for, and int64 [n, 3] indices of the active cells, -1 for padding."""

    queries: int
    cells: NDArray[np.int64]


Extractor: TypeAlias = Callable[[Shape], Found]


@dataclass(frozen=True)
class Cost:
    """Means over the shapes.

    Args:
        queries_ratio, seconds_ratio: to those of `sparse`, or of the first extractor where it is left out.
        missed: share of the active cells of `dense` (else `sparse`, else the first) that were not found.
    """

    mode: str
    queries: int
    queries_ratio: float
    seconds: float
    seconds_ratio: float
    cells: int
    missed: float


def known_shapes(model: Predictor, count: int) -> list[Shape]:
    """Shapes that the model knows, spread over its bank."""
    step = max(1, len(model.bank.codes) // count)
    return [Shape(model.field(code), model.decoder.level) for code in model.bank.codes[::step][:count]]


def exact_chairs(count: int) -> list[Shape]:
    """Bundled chairs of boxes, as distances in unit-box coordinates so that they have a slope."""
    table = load_boxes(BUNDLED)
    step = max(1, len(table) // count)
    return [Shape(table[index].depth, 0.0) for index in range(0, len(table), step)][:count]


def compare(
    shapes: Sequence[Shape],
    extractors: Mapping[str, Extractor],
    advance: Callable[[], object] = lambda: None,
    *,
    clock: Clock = time.perf_counter,
) -> list[Cost]:
    """All extractors on each shape in turn. One that refuses its settings is left out, and the log says so.

    Args:
        advance: called after each extraction.

    Raises:
        PprError: none can work.
    """
    found: dict[str, list[Found]] = {mode: [] for mode in extractors}
    seconds = dict.fromkeys(extractors, 0.0)
    for shape in shapes:
        for mode, extract in extractors.items():
            if mode in found:
                began = clock()
                try:
                    found[mode].append(extract(shape))
                except UsageError as error:
                    log.warning("%s is left out: %s", mode, error.message)
                    del found[mode]
                seconds[mode] += clock() - began
            advance()
    if not found:
        raise PprError("no extractor can work at this resolution")
    first = next(iter(found))
    truth, base = found.get("dense") or found.get("sparse") or found[first], "sparse" if "sparse" in found else first
    costs = []
    for mode, runs in found.items():
        queries = sum(run.queries for run in runs)
        missed = sum(missing(run.cells, full.cells) for run, full in zip(runs, truth, strict=True))
        costs.append(
            Cost(
                mode=mode,
                queries=queries // len(runs),
                queries_ratio=queries / sum(run.queries for run in found[base]),
                seconds=seconds[mode] / len(runs),
                seconds_ratio=seconds[mode] / seconds[base],
                cells=sum(len(run.cells) for run in runs) // len(runs),
                missed=missed / sum(len(full.cells) for full in truth),
            )
        )
    return costs


def missing(cells: NDArray[np.int64], truth: NDArray[np.int64]) -> int:
    """How many of the cells `truth` [n, 3] are not among `cells`."""
    # Padding cells have index -1; one added makes every index a digit of a number in base 2^12.
    keys, wanted = (((found + 1) @ np.array([1 << 24, 1 << 12, 1])) for found in (cells, truth))
    return int((~np.isin(wanted, keys)).sum())


@dataclass(frozen=True)
class Speed:
    """Of the decoder in one runtime; the ratio is to NumPy's."""

    runtime: str
    points_per_second: float
    ratio: float


def runtimes(
    model: Predictor,
    decoder: nn.Module,
    session: InferenceSession,
    threads: int | None,
    *,
    clock: Clock = time.perf_counter,
) -> list[Speed]:
    """The same decoder in NumPy, torch and ONNX Runtime on the same points, at the extractor's batch size; the best of five rounds each.

    Args:
        decoder: of the model, points [1, n, 3] and a code [1, z] -> values.
        session: of the file exported from it, with inputs `points` and `code`.
        threads: of torch; its own choice by default. The others have theirs already.
    """
    import torch

    code = model.bank.codes[0]
    field, codes = model.field(code), torch.from_numpy(code)[None]
    cloud = np.random.default_rng(0).uniform(-0.5, 0.5, (POINTS, 3)).astype(np.float32)
    parts = [cloud[start : start + BATCH] for start in range(0, POINTS, BATCH)]

    @torch.inference_mode()
    def in_torch(part: Float) -> Any:
        return decoder(torch.from_numpy(part)[None], codes)

    calls: dict[str, Callable[[Float], Any]] = {
        "numpy": field,
        "torch": in_torch,
        "onnxruntime": lambda part: session.run(None, {"points": part, "code": code}),
    }

    def over_all(call: Callable[[Float], Any]) -> Callable[[], None]:
        def work() -> None:
            for part in parts:
                call(part)

        return work

    with torch_threads(threads or torch.get_num_threads()):
        found = in_turns({name: over_all(call) for name, call in calls.items()}, ROUNDS, warm=0, clock=clock)
    return [Speed(name, POINTS / timing.least, found["numpy"].least / timing.least) for name, timing in found.items()]
