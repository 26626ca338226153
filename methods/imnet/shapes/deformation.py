"""New chairs of known ones: stretched, sheared and thickened, or the top of one on the legs of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .boxes import BoxUnion


@dataclass(frozen=True)
class Deformation:
    """Random changes under which a chair stays a chair; every amount 0 leaves only a mirror image, half of the time.

    Args:
        stretch: largest log factor along each axis.
        shear: largest slope by which depth and height lean on each other.
        thickness: largest log factor on the two thinner half lengths of all boxes of a shape.
    """

    stretch: float = 0.3
    shear: float = 0.15
    thickness: float = 0.35

    def __call__(self, shape: BoxUnion, rng: np.random.Generator) -> BoxUnion:
        """A deformed copy, normalised again."""
        half = shape.half_lengths()
        thin = half < half.max(1, keepdims=True)
        factor = np.where(thin, np.exp(rng.uniform(-self.thickness, self.thickness)), 1.0).astype(np.float32)
        shape = BoxUnion(shape.matrix / factor[:, :, None], shape.offset / factor)
        linear = np.diag(np.exp(rng.uniform(-self.stretch, self.stretch, 3)))
        linear[0, 1] = rng.uniform(-self.shear, self.shear)
        linear[1, 0] = rng.uniform(-self.shear, self.shear) / 2
        linear[2] *= rng.choice([-1, 1])
        return shape.transformed(linear, np.zeros(3)).normalised()


def seat(shape: BoxUnion) -> int | None:
    """The box that looks like a chair's seat: the largest flat one in the middle of the height; None if there is none."""
    low, high = shape.extents()
    size, height = high - low, (low + high)[:, 1] / 2
    floor, top = low[:, 1].min(), high[:, 1].max()
    flat = size[:, 1] < 0.5 * np.minimum(size[:, 0], size[:, 2])
    middle = (height > floor + 0.2 * (top - floor)) & (height < floor + 0.75 * (top - floor))
    candidates = np.flatnonzero(flat & middle)
    return int(candidates[(size[candidates, 0] * size[candidates, 2]).argmax()]) if len(candidates) else None


def recombine(upper: BoxUnion, lower: BoxUnion, proportions: tuple[float, float] = (1.0, 1.0)) -> BoxUnion | None:
    """The seat and what is above it of one chair on what is below the seat of another, whose seat is stretched to fit.

    Args:
        proportions: factors on the height of what is above the seat, and of what is below it.

    Returns:
        the new chair, normalised; None where a seat is not found in both, or nothing is below it.
    """
    seats = seat(upper), seat(lower)
    if seats[0] is None or seats[1] is None:
        return None
    (low, high), (other_low, other_high) = upper.extents(), lower.extents()
    place, other_place = (low[seats[0]], high[seats[0]]), (other_low[seats[1]], other_high[seats[1]])
    above = (low + high)[:, 1] >= (place[0] + place[1])[1] - 1e-4
    below = (other_low + other_high)[:, 1] / 2 < other_place[0][1]
    if not below.any():
        return None
    scale = (place[1] - place[0]) / (other_place[1] - other_place[0])
    scale[1] = np.sqrt(scale[0] * scale[2]) * proportions[1]
    shift = (place[0] + place[1]) / 2 - scale * (other_place[0] + other_place[1]) / 2
    shift[1] = place[0][1] - scale[1] * other_place[0][1]
    legs = BoxUnion(lower.matrix[below], lower.offset[below]).transformed(np.diag(scale), shift)
    top = BoxUnion(upper.matrix[above], upper.offset[above]).transformed(
        np.diag([1.0, proportions[0], 1.0]), np.array([0.0, place[0][1] * (1 - proportions[0]), 0.0])
    )
    return BoxUnion(np.concatenate([top.matrix, legs.matrix]), np.concatenate([top.offset, legs.offset])).normalised()
