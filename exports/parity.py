"""How far a file is from the network it came from: measured on several inputs and all outputs, and refused where nothing was measured."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ppr.methods.common.errors import PprError

#: Tensors in, one tensor or several out.
Computation = Callable[..., "Tensor | Sequence[Tensor]"]
BROKEN = "the checkpoint does not compute numbers: export another, or train again"


@dataclass(frozen=True)
class Tolerance:
    """How far a file may be from torch. Another shape or kind of number, NaN and infinity are always too far, on either side.

    Args:
        largest: difference of one floating-point value.
        average: difference of a floating-point output's values, averaged over them and over the cases.
        levels: difference of one value of an integer output; 0 wants them equal.
    """

    largest: float = 1e-5
    average: float = math.inf
    levels: int = 0


USUAL = Tolerance()


@dataclass(frozen=True)
class Parity:
    """What was measured, each the worst of all outputs."""

    max_difference: float
    mean_difference: float
    max_levels: int
    cases: int


@dataclass
class _Differences:
    """Of one output, over the cases."""

    largest: float = 0.0
    averages: list[float] = field(default_factory=list)
    levels: int = 0

    @property
    def average(self) -> float:
        return sum(self.averages) / len(self.averages) if self.averages else 0.0

    def add(self, found: Tensor, expected: Tensor) -> None:
        if not found.numel():
            return
        difference = (found.double() - expected.double()).abs()
        if found.is_floating_point():
            self.largest = max(self.largest, difference.max().item())
            self.averages.append(difference.mean().item())
        elif not torch.equal(found.long(), expected.long()):  # float64 does not tell all integers apart
            self.levels = max(self.levels, 1, int(difference.max()))


def compare(
    found: Computation, expected: Computation, cases: Sequence[Sequence[Tensor]], outputs: Sequence[str], tolerance: Tolerance
) -> Parity:
    """Measure a file against torch.

    Args:
        found: runs the file.
        expected: the network in torch.
        outputs: a name for each output.

    Raises:
        PprError: the two differ in the number of outputs, in a shape or kind, or by more than the tolerance, or one of them computes NaN
            or infinity.
    """
    differences = {name: _Differences() for name in outputs}
    with torch.no_grad():
        for case in cases:
            theirs, ours = _listed(found(*case)), _listed(expected(*case))
            if not len(theirs) == len(ours) == len(outputs):
                raise PprError(f"has {len(theirs)} outputs where torch has {len(ours)} and {len(outputs)} are named")
            for name, one, other in zip(outputs, theirs, ours, strict=True):
                _refuse_other_kind(name, one, other)
                differences[name].add(one, other)
    for name, measured in differences.items():
        for value, limit, how in (
            (measured.largest, tolerance.largest, ""),
            (measured.average, tolerance.average, " on average"),
            (measured.levels, tolerance.levels, ""),
        ):
            if not value <= limit:
                raise PprError(f"{name!r} differs from torch by {_shown(value)}{how}, more than {_shown(limit)}")
    all_of_them = differences.values()
    return Parity(
        max_difference=max(one.largest for one in all_of_them),
        mean_difference=max(one.average for one in all_of_them),
        max_levels=max(one.levels for one in all_of_them),
        cases=len(cases),
    )


def _shown(value: float) -> str:
    return str(value) if isinstance(value, int) else f"{value:.2g}"


def _listed(outputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    return [outputs] if isinstance(outputs, Tensor) else list(outputs)


def _refuse_other_kind(name: str, found: Tensor, expected: Tensor) -> None:
    """Refuse a pair of which no difference could be told."""
    if found.shape != expected.shape:
        raise PprError(f"{name!r} has the shape {list(found.shape)} where torch has {list(expected.shape)}")
    if found.is_floating_point() != expected.is_floating_point():
        raise PprError(f"{name!r} is {str(found.dtype)[6:]} where torch has {str(expected.dtype)[6:]}")
    if not torch.isfinite(expected).all():
        raise PprError(f"torch computes NaN or infinity in {name!r}", hint=BROKEN)
    if not torch.isfinite(found).all():
        raise PprError(f"{name!r} holds NaN or infinity where torch has numbers")
