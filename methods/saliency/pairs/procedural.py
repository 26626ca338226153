"""Procedural scenes with exact masks: textured background, one to three textured objects, shadow, uneven light, noise.

They need no download and no licence, train a network far enough to try the commands, and serve the tests as data.
"""

from __future__ import annotations

import cv2
import numpy as np

MIN_CONTRAST = 70.0  # distance between the mean colours of an object and the background, of 441


def scene(width: int, height: int, *, seed: int, index: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """One image and its mask, a function of its arguments alone.

    Args:
        width, height: size in pixels, at least 8.
        seed, index: the data set and the scene in it.

    Returns:
        image (H, W, 3) uint8 RGB, mask (H, W) uint8 in {0, 255}.
    """
    rng = np.random.default_rng((seed, index))
    base = rng.uniform(30, 225, 3)
    image = texture(width, height, base, rng)
    mask = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(1, 4)):
        blob = shape(width, height, rng)
        image = _paste(image, blob, texture(width, height, _contrasting(base, rng), rng), rng)
        mask = np.maximum(mask, blob)
    return _photograph(image, rng), np.where(mask > 0.5, 255, 0).astype(np.uint8)


def texture(width: int, height: int, base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Noise of several grains around the colour `base`, sometimes with stripes. (H, W, 3) float32, 0 to 255 but not clipped."""
    x = np.tile(base.astype(np.float32), (height, width, 1))
    for octave in range(1, 5):
        grid = rng.standard_normal((2**octave + 1, 2**octave + 1, 3)).astype(np.float32)
        x += rng.uniform(4, 24) / octave * cv2.resize(grid, (width, height), interpolation=cv2.INTER_CUBIC)
    if rng.random() < 0.3:
        rows, columns = np.mgrid[:height, :width].astype(np.float32)
        angle, period = rng.uniform(0, np.pi), rng.uniform(0.04, 0.2) * min(width, height)
        wave = np.sin(2 * np.pi * (columns * np.cos(angle) + rows * np.sin(angle)) / period)
        x += rng.uniform(5, 25) * wave[..., None]
    return x


def shape(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """A smooth or cornered blob with soft edges. (H, W) float32 in [0, 1]."""
    corners = int(rng.choice([3, 4, 5, 120, 120, 120]))
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + rng.uniform(0, 2 * np.pi)
    radii = np.ones(corners)
    if corners > 10:
        for frequency in range(2, 6):
            radii += rng.uniform(0, 0.35 / frequency) * np.cos(frequency * angles + rng.uniform(0, 2 * np.pi))
    size = rng.uniform(0.16, 0.34) * min(width, height)
    points = size * radii[:, None] * np.stack([np.cos(angles), np.sin(angles)], 1) * (1, rng.uniform(0.6, 1))
    turn = rng.uniform(0, np.pi)
    points = points @ np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    points += rng.uniform(0.25, 0.75, 2) * (width, height)
    canvas = np.zeros((height, width), np.uint8)
    # Sixteenths of a pixel keep small scenes smooth.
    cv2.fillPoly(canvas, [np.round(points * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return canvas.astype(np.float32) / 255


def _contrasting(base: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random colour at least MIN_CONTRAST away from `base`; half of the RGB cube always is."""
    while True:
        colour = rng.uniform(10, 245, 3)
        if np.linalg.norm(colour - base) >= MIN_CONTRAST:
            return colour


def _paste(image: np.ndarray, blob: np.ndarray, surface: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put an object with a blurred shadow on the image."""
    height, width = blob.shape
    offset = rng.uniform(-0.05, 0.05, 2) * min(width, height)
    shift = np.array([[1, 0, offset[0]], [0, 1, offset[1]]], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(blob, shift, (width, height)), (0, 0), max(0.5, 0.03 * min(width, height)))
    darkened = image * (1 - rng.uniform(0, 0.5) * shadow[..., None])
    return darkened * (1 - blob[..., None]) + surface * blob[..., None]


def _photograph(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Uneven light, a slight blur, sensor noise. -> (H, W, 3) uint8."""
    height, width = image.shape[:2]
    light = 1 + np.linspace(-1, 1, width) * rng.uniform(-0.2, 0.2) + np.linspace(-1, 1, height)[:, None] * rng.uniform(-0.2, 0.2)
    blurred = cv2.GaussianBlur(image * light[..., None], (0, 0), rng.uniform(0.3, 1.0))
    return np.clip(blurred + rng.uniform(0, 8) * rng.standard_normal(image.shape), 0, 255).astype(np.uint8)
