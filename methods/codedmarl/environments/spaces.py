"""Spaces of gymnasium as vectors: what networks see of an observation, and what becomes of their outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from ...common.errors import UsageError

Floats = NDArray[np.float32]

#: Larger vectors are pictures or tables, which fully connected networks should not get.
MAX_NUMBERS = 100_000


class ObservationCodec(NamedTuple):
    """A vector of `size` numbers from an observation."""

    size: int
    encode: Callable[[Any], Floats]


class ActionCodec(NamedTuple):
    """An action of the environment from `size` numbers in [0, 1]; see `AgentSpec.kind`."""

    size: int
    kind: Literal["discrete", "box"]
    decode: Callable[[Floats], Any]


def observation_codec(space: Any, owner: str) -> ObservationCodec:
    """Of a one-dimensional Box the numbers, of a Discrete a one-hot vector.

    Args:
        owner: environment and agent, for the message.

    Raises:
        UsageError: another space.
    """
    if isinstance(space, Discrete):
        choices = int(_bounded(space.n, owner))
        return ObservationCodec(choices, lambda number: np.eye(1, choices, int(number) - int(space.start), dtype=np.float32)[0])
    if isinstance(space, Box) and len(space.shape) == 1 and space.shape[0]:
        size = _bounded(space.shape[0], owner)
        return ObservationCodec(size, lambda vector: _vector(vector, size, owner))
    raise UsageError(
        f"{owner} observes a {_brief(space)}: only a Box of one dimension or a Discrete can be used here", hint="wrap it so that it is flat"
    )


def action_codec(space: Any, owner: str) -> ActionCodec:
    """For a one-dimensional continuous Box the range between its bounds, for a Discrete the largest weight.

    Raises:
        UsageError: another space, or bounds that are not finite.
    """
    if isinstance(space, Discrete):
        return ActionCodec(int(_bounded(space.n, owner)), "discrete", lambda weights: int(np.argmax(weights)) + int(space.start))
    if not (isinstance(space, Box) and len(space.shape) == 1 and space.shape[0] and np.issubdtype(space.dtype, np.floating)):
        raise UsageError(
            f"{owner} acts in a {_brief(space)}: only a continuous Box of one dimension or a Discrete can be used here",
            hint="wrap it so that its actions are flat",
        )
    if not space.is_bounded():
        raise UsageError(f"{owner} acts in a Box without bounds, {_brief(space)}", hint="wrap it so that low and high are finite")
    low, high, dtype = space.low.astype(np.float64), space.high.astype(np.float64), space.dtype
    return ActionCodec(
        _bounded(space.shape[0], owner),
        "box",
        lambda fractions: (low + (high - low) * np.clip(fractions, 0, 1)).clip(low, high).astype(dtype),
    )


def _vector(vector: Any, size: int, owner: str) -> Floats:
    numbers = np.asarray(vector, dtype=np.float32)
    if numbers.shape != (size,):
        raise UsageError(f"{owner} was given an observation of shape {numbers.shape}, its space says ({size},)")
    return numbers


def _bounded(size: Any, owner: str) -> int:
    if size > MAX_NUMBERS:
        raise UsageError(f"{owner} has a space of {size:,} numbers, more than {MAX_NUMBERS:,}")
    return int(size)


def _brief(space: Any) -> str:
    text = str(space).splitlines()[0] if space is not None else "nothing"
    return text if len(text) <= 80 else f"{text[:79]}…"
