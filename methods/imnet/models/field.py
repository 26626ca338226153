"""The implicit decoder in NumPy: a field that is asked for millions of points, without torch.

On CPUs NumPy's matrix product kept up with torch and ONNX Runtime on these narrow layers (`ppr imnet bench --runtimes`), and it starts
in a tenth of the time. What the code adds to the first layer (and to the layers with a skip) is computed once per shape.
"""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError
from ...common.measuring.cores import usable_cores
from ..config import NetworkConfig

if TYPE_CHECKING:
    from threadpoolctl import ThreadpoolController

Float = NDArray[np.float32]
SLOPE = 0.02
_threads: ContextVar[int | None] = ContextVar("threads", default=None)
CHUNK = 512  # points whose hidden layers stay near a core


def fourier_features(points: Float, octaves: int) -> Float:
    """float32 [n, 3] -> [n, 3 + 6 octaves]: the point, then sin and cos of pi 2^k p for each octave k."""
    if not octaves:
        return points
    angles = (points[:, None] * (math.pi * 2.0 ** np.arange(octaves))[:, None]).reshape(len(points), -1).astype(np.float32)
    return np.concatenate([points, np.sin(angles), np.cos(angles)], axis=1)


@dataclass(frozen=True)
class _Layer:
    """One linear layer.

    Attributes:
        weight: float32 (hidden + features, out): rows for the layer before, then for the point's features where it takes them.
        hidden: how many of the rows belong to the layer before.
        bias: float32 (out,), what the code adds among it.
    """

    weight: Float
    hidden: int
    bias: Float


class Decoder:
    """The decoder of a checkpoint, ready to make a field of any code.

    Args:
        state: arrays `generator.linear_<i>.weight|bias` of the checkpoint.
        config: sizes and form.

    Raises:
        PprError: weights that are missing, misshapen or not finite.
    """

    def __init__(self, state: Mapping[str, NDArray[np.floating]], config: NetworkConfig) -> None:
        self.config = config
        self.point_dim = 3 + 6 * config.octaves
        self.weights: list[tuple[Float, Float]] = []
        sizes = [0, *config.decoder_widths, 1]
        for i in range(1, len(sizes)):
            extra = self.point_dim + config.z_dim if i == 1 or i - 1 <= config.skips else 0
            expected = (sizes[i], sizes[i - 1] + extra)
            try:
                weight, bias = state[f"generator.linear_{i}.weight"], state[f"generator.linear_{i}.bias"]
            except KeyError as error:
                raise PprError(f"the checkpoint has no {error.args[0]}", hint="`ppr info FILE` tells what it holds") from error
            if weight.shape != expected or bias.shape != expected[:1]:
                raise PprError(f"linear_{i}: weight {weight.shape}, not {expected}", hint="does --arch belong to these weights?")
            if not (np.isfinite(weight).all() and np.isfinite(bias).all()):
                raise PprError(f"linear_{i}: weights that are not finite", hint="use an earlier checkpoint")
            self.weights.append((np.ascontiguousarray(weight.T, np.float32), bias.astype(np.float32)))

    @property
    def level(self) -> float:
        """The field's value on the surface at probability 0.5."""
        return 0.0 if self.config.output == "logit" else 0.5

    def value_of(self, probability: float) -> float:
        """The field's value where the occupancy probability is `probability`."""
        return math.log(probability / (1 - probability)) if self.config.output == "logit" else probability

    def probability_of(self, value: float) -> float:
        """The occupancy probability a field value stands for."""
        return 1 / (1 + math.exp(-min(max(value, -700.0), 700.0))) if self.config.output == "logit" else value

    def field(self, code: NDArray[np.floating]) -> CodeField:
        """The field of one shape.

        Raises:
            PprError: a code of another length, or one that is not finite.
        """
        return CodeField(self, check_code(code, self.config.z_dim))


def check_code(code: NDArray[np.floating], length: int) -> Float:
    """A code as float32 [length].

    Raises:
        PprError: another length, or values that are not finite.
    """
    code = np.asarray(code, np.float32).reshape(-1)
    if len(code) != length:
        raise PprError(f"a code of {len(code)} numbers, but this network takes {length}", hint="was it made with another checkpoint?")
    if not np.isfinite(code).all():
        raise PprError("the code holds NaN or infinity")
    return code


class _Workspace:
    """Where the layers of one chunk are put, so that the millions of values on the way are not allocated anew for every chunk.

    Fresh memory is handed out page by page, and that took a fifth of the decoder's time.

    Attributes:
        inputs: float32 (CHUNK, w) a layer: what it reads. The input's features lie in the last columns where the layer takes them.
        output: float32 (CHUNK, 1) of the last layer.
        scaled: float32 (CHUNK, the widest) scratch.
    """

    def __init__(self, layers: Sequence[_Layer]) -> None:
        self.inputs = [np.empty((CHUNK, layer.weight.shape[0]), np.float32) for layer in layers]
        self.output = np.empty((CHUNK, 1), np.float32)
        self.scaled = np.empty((CHUNK, max(layer.weight.shape[0] for layer in layers)), np.float32)


class CodeField:
    """f(point) of one code: call it with points float32 [n, 3] in [-0.5, 0.5], get values float32 [n]."""

    def __init__(self, decoder: Decoder, code: Float) -> None:
        self.decoder, self.code = decoder, code
        points, self.layers = decoder.point_dim, []
        for i, (weight, bias) in enumerate(decoder.weights):
            hidden = 0 if i == 0 else decoder.weights[i - 1][0].shape[1]
            if weight.shape[0] > hidden:
                self.layers.append(_Layer(weight[: hidden + points], hidden, bias + code @ weight[hidden + points :]))
            else:
                self.layers.append(_Layer(weight, hidden, bias))
        self._idle: list[_Workspace] = []  # one a thread in the end; append and pop are atomic

    def value_of(self, probability: float) -> float:
        """The field's value where the occupancy probability is `probability`."""
        return self.decoder.value_of(probability)

    def probability_of(self, value: float) -> float:
        """The occupancy probability a field value stands for."""
        return self.decoder.probability_of(value)

    def __call__(self, points: Float) -> Float:
        values = np.empty(len(points), np.float32)

        def fill(part: slice) -> None:
            with self._workspace() as space:
                values[part] = self._chunk(points[part], space)

        _over_chunks(fill, len(points))
        return values

    def gradient(self, points: Float) -> Float:
        """Gradient of the field by the point, before the last activation, float32 [n, 3]; back-propagation by hand."""
        return self.values_and_gradients(points)[1]

    def values_and_gradients(self, points: Float) -> tuple[Float, Float]:
        """What calling the field gives, and `gradient`, for the price of the latter."""
        values, gradients = np.empty(len(points), np.float32), np.empty((len(points), 3), np.float32)

        def fill(part: slice) -> None:
            with self._workspace() as space:
                values[part] = self._chunk(points[part], space)
                gradients[part] = self._backward(points[part], space)

        _over_chunks(fill, len(points))
        return values, gradients

    @contextlib.contextmanager
    def _workspace(self) -> Iterator[_Workspace]:
        space = self._idle.pop() if self._idle else _Workspace(self.layers)
        yield space
        self._idle.append(space)

    def _chunk(self, points: Float, space: _Workspace) -> Float:
        """Values of at most CHUNK points; what every layer read stays in the workspace."""
        count = len(points)
        features = fourier_features(np.ascontiguousarray(points, np.float32), self.decoder.config.octaves)
        inputs = [rows[:count] for rows in space.inputs]
        for layer, rows in zip(self.layers, inputs, strict=True):
            rows[:, layer.hidden :] = features[:, : rows.shape[1] - layer.hidden]
        for layer, rows, following in zip(self.layers, inputs, [*inputs[1:], space.output[:count]], strict=True):
            width = layer.weight.shape[1]
            value = following[:, :width]
            np.matmul(rows, layer.weight, out=value)
            value += layer.bias
            if layer is not self.layers[-1]:
                np.maximum(value, np.multiply(value, SLOPE, out=space.scaled[:count, :width]), out=value)
        return activation(space.output[:count, 0].copy(), self.decoder.config.output)

    def _backward(self, points: Float, space: _Workspace) -> Float:
        """Gradients of the points that the workspace was last used for."""
        features = np.zeros((len(points), self.decoder.point_dim), np.float32)
        flow = np.ones((len(points), 1), np.float32)
        for layer, rows in zip(reversed(self.layers), reversed(space.inputs), strict=True):
            back = np.matmul(flow, layer.weight.T, out=space.scaled[: len(points), : layer.weight.shape[0]])
            if layer.hidden < back.shape[1]:
                features += back[:, layer.hidden :]
            # What the layer read is not negative where the one before went through its leaky ReLU unchanged. Choosing between two
            # products by `np.where` takes five times as long as multiplying by the slope.
            flow = np.multiply(rows[: len(points), : layer.hidden] >= 0, np.float32(1 - SLOPE), dtype=np.float32)
            flow += np.float32(SLOPE)
            flow *= back[:, : layer.hidden]
        gradient = features[:, :3].copy()
        octaves = self.decoder.config.octaves
        if octaves:
            scale = (math.pi * 2.0 ** np.arange(octaves))[:, None].astype(np.float32)
            angles = points[:, None] * scale
            sines, cosines = features[:, 3:].reshape(len(points), 2, octaves, 3).transpose(1, 0, 2, 3)
            gradient += (scale * (sines * np.cos(angles) - cosines * np.sin(angles))).sum(1)
        return gradient


@contextlib.contextmanager
def limited(threads: int | None) -> Iterator[None]:
    """Inside the block fields use that many cores; None for all there are."""
    token = _threads.set(threads)
    try:
        yield
    finally:
        _threads.reset(token)


def _over_chunks(work: Callable[[slice], None], count: int) -> None:
    """Call `work` with chunks of at most CHUNK, a thread a core.

    Each thread multiplies on its own core: the products are small, and the element-wise steps between them, which a BLAS with threads
    would leave to one core, cost a fifth of the time. Few points are dealt out evenly.
    """
    allowed = _threads.get() or usable_cores()
    size = max(1, min(CHUNK, -(-count // allowed)))
    parts = [slice(start, start + size) for start in range(0, count, size)]
    threads = min(allowed, len(parts))
    with _blas().limit(limits=1, user_api="blas"):
        if threads <= 1:
            for part in parts:
                work(part)
            return
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(work, parts))


@functools.cache
def _blas() -> ThreadpoolController:
    """Holds NumPy's BLAS; looking for the libraries of the process takes longer than a small batch of points."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def activation(value: Float, output: str) -> Float:
    """The decoder's last activation, as in `network.activation`."""
    if output == "sigmoid":
        return (1 / (1 + np.exp(-np.clip(value, -80, 80)))).astype(np.float32)
    if output == "clamp":
        return np.maximum(np.minimum(value, value * np.float32(0.01) + np.float32(0.99)), value * np.float32(0.01))
    return value
