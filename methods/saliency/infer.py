"""Load once, call many times: from an image to its saliency map, and from a file to everything that is made of it.

With ONNX Runtime (the default) torch is never imported.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Protocol

import numpy as np
from PIL import Image

from ..common.errors import PprError, UsageError
from ..common.reading.images import Photo, decode_frames
from ..common.reading.inputs import Input
from ..common.reading.pipeline import staged
from .onnx_backend import OnnxBackend
from .products import video
from .products.destinations import Destinations
from .products.render import write
from .products.style import Style
from .saliency_map import Saliency, Summary
from .weights import EMBEDDED

log = logging.getLogger("ppr")

NATIVE_STEP = 32  # "native" rounds each side to a multiple of the coarsest stride
NATIVE_MAX = 1600  # and no side is longer than this: the receptive field does not grow with the image


class Backend(Protocol):
    """Runs a network on an image of the network's size."""

    arch: str
    side: int
    provider: str
    whole: bool  # takes the photo at its own size: pre- and post-processing are inside the graph

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        """(h, w, 3) uint8 -> (h, w) float32 in [0, 1]."""
        ...


class Predictor:
    """A network ready to be called: `predictor(rgb)` -> `Saliency`. A pure function of its input; safe to call from several threads."""

    def __init__(self, backend: Backend, kind: str, path: Path, side: int) -> None:
        self.backend, self.kind, self.path, self.side = backend, kind, path, side

    @classmethod
    def load(
        cls,
        model: str | Path = "ras-mobile",
        *,
        backend: Literal["auto", "onnx", "torch"] = "auto",
        device: str = "auto",
        threads: int | None = None,
        size: int | None = None,
    ) -> Predictor:
        """Load an embedded default, a .onnx or .safetensors file, or a run directory.

        Args:
            backend: auto takes ONNX Runtime where there is an .onnx, torch for other checkpoints.
            threads: of the CPU; all cores by default.
            size: side the image is resized to; 0 keeps its own (rounded to 32, at most 1600); None is the network's own choice.

        Raises:
            UsageError: a device or size that is not to be had.
            PprError: a file that cannot be loaded.
        """
        path = _find(model, backend)
        if backend == "auto":
            backend = "torch" if path.suffix == ".safetensors" else "onnx"
        loaded: Backend
        if backend == "torch":
            from .torch_backend import TorchBackend

            loaded = TorchBackend(path, device=device, threads=threads)
        else:
            loaded = OnnxBackend(path, device=device, threads=threads, side=size)
        return cls(loaded, backend, path, loaded.side if size is None else size)

    def describe(self) -> dict[str, Any]:
        """What this predictor is."""
        return {
            "arch": self.backend.arch,
            "side": self.side or "native",
            "backend": self.kind,
            "provider": self.backend.provider,
            "path": str(self.path),
        }

    def __call__(self, rgb: np.ndarray, *, full_size: tuple[int, int] | None = None, flip: bool = False) -> Saliency:
        """Predict.

        Args:
            rgb: (H, W, 3) uint8.
            full_size: (width, height) the map belongs to, where `rgb` is a reduced decode.
            flip: average with the mirrored image's mirrored map.
        """
        height, width = rgb.shape[:2]
        small = rgb if self.backend.whole else resize_to_side(rgb, self.side)
        probability = self.backend(small)
        if flip:
            probability = (probability + self.backend(np.ascontiguousarray(small[:, ::-1]))[:, ::-1]) / 2
        return Saliency(np.ascontiguousarray(probability), *(full_size or (width, height)))


def _find(model: str | Path, backend: str) -> Path:
    """The file of a model that the backend can run; of an embedded default auto takes the .onnx."""
    suffix = Path(model).suffix
    if backend == "onnx" and suffix == ".safetensors":
        raise UsageError(f"{model}: ONNX Runtime needs an .onnx file", hint="`ppr saliency export` writes one; or --backend torch")
    if backend == "torch" and suffix == ".onnx":
        raise UsageError(f"{model}: torch needs a .safetensors checkpoint", hint="--backend onnx")
    if backend == "onnx" or suffix == ".onnx":
        return EMBEDDED.find(model, ".onnx")
    path = EMBEDDED.find(model)
    if backend == "auto" and path == EMBEDDED.file(model):
        return EMBEDDED.file(model, ".onnx") or path
    return path


def resize_to_side(rgb: np.ndarray, side: int) -> np.ndarray:
    """Resize to a square of `side`, or for 0 to the nearest multiples of 32 of at most 1600; antialiased bilinear on 8-bit values."""
    height, width = rgb.shape[:2]
    target = (side, side)
    if not side:
        shrink = min(1.0, NATIVE_MAX / max(width, height))
        target = tuple(max(NATIVE_STEP, round(length * shrink / NATIVE_STEP) * NATIVE_STEP) for length in (width, height))
    if target == (width, height):
        return rgb
    # One axis at a time: Pillow chooses the order by the image's shape, and rounds between the two passes, so that an exported graph
    # could not do the same.
    columns = Image.fromarray(rgb).resize((target[0], height), Image.Resampling.BILINEAR)
    return np.asarray(columns.resize(target, Image.Resampling.BILINEAR))


@dataclass(frozen=True)
class Order:
    """What to make of every input.

    Args:
        kinds: of pictures (`products.destinations.KINDS`); none where the numbers alone are wanted.
        destinations: where the pictures go.
        flip: average each map with the mirrored image's.
        frames: take all frames of an animation, not the first only.
        replace: write over what is there.
        stream: takes the picture instead of a file.
    """

    kinds: tuple[str, ...]
    destinations: Destinations
    style: Style = field(default_factory=Style)
    flip: bool = False
    frames: bool = False
    replace: bool = False
    stream: BinaryIO | None = None

    def done(self, item: Input) -> bool:
        """Whether every result of an input exists. Of an animation the first frame is looked at."""
        frame = 0 if self.frames else None
        return bool(self.kinds) and all(self.destinations.path(item, kind, frame).exists() for kind in self.kinds)


@dataclass(frozen=True)
class Result:
    """What was found in one image (or frame, or video) and written about it; `ms` is the time of the network, of a video that of a frame.

    Args:
        frame: its number, where all frames of an animation are taken.
        frames: of a video, whose summary holds means.
        written: names of files; "-" for the stream. None where no picture was asked for.
    """

    path: str
    summary: Summary
    ms: float
    frame: int | None = None
    frames: int | None = None
    written: list[str] | None = None

    def record(self) -> dict[str, Any]:
        """As one flat object."""
        numbers = {"frame": self.frame, **asdict(self.summary), "frames": self.frames, "ms": round(self.ms, 1), "written": self.written}
        absent = [name for name in ("frame", "frames", "written") if numbers[name] is None]
        return {"path": self.path} | {name: value for name, value in numbers.items() if name not in absent}


def produce(predictor: Predictor, order: Order, items: Iterable[Input]) -> Iterator[tuple[Input, list[Result] | PprError]]:
    """Read, predict, refine, render and write each input, in order; one that fails gives its error instead of results.

    Reading the next inputs and writing the last ones overlap with the network.
    """

    def read(item: Input) -> list[Photo]:
        if _is_video(item):
            return []
        only_small = set(order.kinds) <= {"mask"} and order.style.refinement.edges == "none" and predictor.side
        photos = decode_frames(
            item.read(), item.name, at_least=4 * predictor.side if only_small else None, limit=None if order.frames else 1
        )
        for notice in photos[0].notices:
            log.info("%s: %s", item.name, notice)
        return photos

    def predict(photos: list[Photo]) -> list[tuple[Saliency, float]]:
        found = []
        for photo in photos:
            start = time.perf_counter()
            saliency = predictor(photo.rgb, full_size=photo.full_size, flip=order.flip)
            found.append((saliency, 1000 * (time.perf_counter() - start)))
        return found

    def render_and_write(item: Input, photos: list[Photo], found: list[tuple[Saliency, float]]) -> list[Result]:
        if _is_video(item):
            return [_convert_video(predictor, order, item)]
        return [_finish(order, item, photo, saliency, ms) for photo, (saliency, ms) in zip(photos, found, strict=True)]

    yield from staged(items, read, predict, render_and_write)


def _is_video(item: Input) -> bool:
    return item.source.suffix in video.VIDEO_SUFFIXES


def _finish(order: Order, item: Input, photo: Photo, saliency: Saliency, ms: float) -> Result:
    """Render and write one image's pictures."""
    frame = photo.frame if order.frames else None
    summary = saliency.summary()
    if not order.kinds:
        return Result(item.name, summary, ms, frame)
    written = []
    for kind, data in order.style.pictures(photo, saliency, order.kinds, summary.box):
        if order.stream is not None:
            order.stream.write(data)
            order.stream.flush()
            written.append("-")
        else:
            path = order.destinations.path(item, kind, frame)
            write(data, path, overwrite=order.replace)
            written.append(str(path))
    return Result(item.name, summary, ms, frame, written=written)


def _convert_video(predictor: Predictor, order: Order, item: Input) -> Result:
    """Render every frame of a video into a video beside it, of the first picture kind."""
    if item.source.archive:
        raise PprError(f"{item.name}: videos inside archives are not read", hint="unpack it first")
    kind = order.kinds[0] if order.kinds else "mask"
    path = order.destinations.path(item, kind).with_suffix(".mp4")
    start = time.perf_counter()
    made = video.convert(Path(item.source.path), path, predictor, kind, order.style, overwrite=order.replace)
    ms = 1000 * (time.perf_counter() - start) / made.frames
    return Result(item.name, made.summary, ms, frames=made.frames, written=[str(path)])
