"""What a network has to beat: a map that does not look at the image."""

from __future__ import annotations

import numpy as np

SPREAD = 0.25  # standard deviation as a fraction of each side; a guess, fitted to no data


def centre_prior(height: int, width: int) -> np.ndarray:
    """People photograph what they mean in the middle: a Gaussian around it, as wide as the image is. -> (H, W) uint8.

    It has no labels and no budget, which a trained network has; what it lacks most is the image.
    """
    rows, columns = (((np.arange(length) + 0.5) / length - 0.5) / SPREAD for length in (height, width))
    return np.rint(255 * np.exp(-0.5 * (rows[:, None] ** 2 + columns**2))).astype(np.uint8)
