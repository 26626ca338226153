"""Views of a shape for single-view reconstruction: box unions rendered by ray casting, and images from files. No torch here.

The camera is like that of the 3D-R2N2 renderings: a shape with a bounding-box diagonal of 1 fills most of a square picture on white,
seen from 25 to 30 degrees above, from any side; y is up.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ...common.errors import PprError
from ...common.reading import images
from .boxes import BoxUnion

log = logging.getLogger("ppr")
Float = NDArray[np.float32]
UInt8 = NDArray[np.uint8]

SIDE = 128  # of the image encoder's input
RENDERING_SIDE = 137  # of the 3D-R2N2 pictures, of which the authors' code uses the centre
ELEVATIONS = (25.0, 30.0)  # degrees
DISTANCE = 2.0  # from the shape's centre to the camera
HALF_FIELD = 0.52  # half the width of what is seen at the shape's centre
LIGHT = (-0.45, 0.75, 0.5)  # towards the light, in the camera's right, up and back; it turns with the camera, so no side is ever black
AMBIENT, DIFFUSE = 0.25, 0.6  # their sum stays below 1, the background
WHITE = 0.9  # what counts as near white
WHITE_SHARE = 0.75  # of the border; a large object may touch it
BLANK = 0.02  # contrast below which there is nothing in a picture


@dataclass(frozen=True)
class Camera:
    """Where a picture is taken from: position and the picture's axes, float64 [3] each.

    The ray through picture coordinates (x, y) in [-1, 1], y up, is position + t (forward + x right + y up); t is the depth.
    `right` and `up` are scaled by the field of view, `forward` has length 1.
    """

    position: NDArray[np.float64]
    forward: NDArray[np.float64]
    right: NDArray[np.float64]
    up: NDArray[np.float64]

    @classmethod
    def around(cls, azimuth: float, elevation: float) -> Camera:
        """Looks at the origin; azimuth 0 is on the +z axis, 90 on the +x axis (degrees)."""
        a, e = np.radians(azimuth), np.radians(elevation)
        back = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        right = np.array([np.cos(a), 0.0, -np.sin(a)])
        field = HALF_FIELD / DISTANCE
        return cls(DISTANCE * back, -back, field * right, field * np.cross(back, right))

    def project(self, points: Float) -> NDArray[np.float64]:
        """Points [..., 3] in front of the camera -> picture coordinates [..., 2]."""
        seen = points - self.position
        scale = (self.right @ self.right) * (seen @ self.forward)
        return np.stack([seen @ self.right, seen @ self.up], -1) / scale[..., None]


def pixel_centres(size: int) -> Float:
    """Picture coordinates of the centres of a row of pixels, ascending, float32 [size]."""
    return ((2 * np.arange(size) + 1) / size - 1).astype(np.float32)


def cast_boxes(shape: BoxUnion, camera: Camera, size: int) -> tuple[Float, Float]:
    """The nearest surface on every pixel's ray, by the slab test of every box on the rays through its bounding rectangle.

    Returns:
        depth float32 [size, size], infinite where nothing is hit; brightness float32 [size, size], 1 there. Row 0 is the top.
    """
    depth = np.full((size, size), np.inf, np.float32)
    brightness = np.ones((size, size), np.float32)
    x, y = pixel_centres(size), -pixel_centres(size)
    low, high = _rectangles(shape, camera, size)
    # In a box's coordinates the ray is start + t direction, and the direction is linear in x and y.
    start = (shape.matrix @ camera.position + shape.offset).astype(np.float32)
    steps = (shape.matrix @ np.stack([camera.forward, camera.right, camera.up], 1)).astype(np.float32)
    shades = _shades(shape, camera, start)
    for box in range(len(start)):
        (x0, y0), (x1, y1) = low[box], high[box]
        near = np.empty((3, max(y1 - y0, 0), max(x1 - x0, 0)), np.float32)
        far = np.full(near.shape[1:], np.inf, np.float32)
        for axis, (ahead, across, upward) in enumerate(steps[box]):
            direction = (ahead + upward * y[y0:y1])[:, None] + across * x[x0:x1]
            direction[np.abs(direction) < 1e-9] = 1e-9  # parallel to the slab: it is passed at infinity
            inverse = 1 / direction
            centre, half = inverse * -start[box, axis], np.abs(inverse)
            np.subtract(centre, half, out=near[axis])
            np.minimum(far, centre + half, out=far)
        entry = near.max(0)
        seen = (entry <= far) & (entry < depth[y0:y1, x0:x1])
        depth[y0:y1, x0:x1][seen] = entry[seen]
        brightness[y0:y1, x0:x1][seen] = shades[box, near.argmax(0)[seen]]
    return depth, brightness


def _rectangles(shape: BoxUnion, camera: Camera, size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """First and one-past-last pixel (column, row) of every box, [K, 2] each."""
    corners = camera.project(shape.corners) * [1, -1]
    low = np.floor((corners.min(1) + 1) / 2 * size - 0.5)
    high = np.ceil((corners.max(1) + 1) / 2 * size + 0.5)
    return np.clip(low, 0, size).astype(np.intp), np.clip(high, 0, size).astype(np.intp)


def _shades(shape: BoxUnion, camera: Camera, start: Float) -> Float:
    """Lambert brightness of each box's three faces that the camera can see, float32 [K, 3]."""
    normals = np.sign(start)[:, :, None] * shape.matrix / np.linalg.norm(shape.matrix, axis=2, keepdims=True)
    axes = np.stack([camera.right, camera.up, -camera.forward])
    light = np.asarray(LIGHT) @ (axes / np.linalg.norm(axes, axis=1, keepdims=True)) / np.linalg.norm(LIGHT)
    return (AMBIENT + DIFFUSE * np.maximum(normals @ light, 0)).astype(np.float32)


def render_boxes(shape: BoxUnion, azimuth: float, elevation: float, size: int = SIDE, *, supersample: int = 1) -> UInt8:
    """A shaded grey picture on white.

    Args:
        shape: with a bounding box centred at 0 and a diagonal of 1 (`BoxUnion.normalised`); parts farther out are cut off.
        azimuth: of the camera in degrees; 0 looks from +z, 90 from +x.
        elevation: of the camera in degrees above the horizon.
        supersample: rays across a pixel; the pixel is their mean.

    Returns:
        uint8 [size, size], row 0 at the top.
    """
    _depth, brightness = cast_boxes(shape, Camera.around(azimuth, elevation), size * supersample)
    pixels = brightness.reshape(size, supersample, size, supersample).mean((1, 3))
    return np.rint(pixels * 255).astype(np.uint8)


def random_view(rng: np.random.Generator) -> tuple[float, float]:
    """Azimuth and elevation in degrees, uniform over the range of the 3D-R2N2 renderings."""
    return float(rng.uniform(0, 360)), float(rng.uniform(*ELEVATIONS))


def load_view(source: Path | bytes | Image.Image, name: str = "image") -> Float:
    """An image as the image encoder takes it: grey, square, 128 x 128, 1 - brightness, so that a white background is 0.

    Transparency is composited on white; a picture that is not square is padded with white. One of 137 x 137 is taken for a 3D-R2N2
    rendering, of which the authors use the middle. A background that is not near white is warned about.

    Args:
        source: path, encoded bytes or Pillow image.
        name: what to call bytes or a Pillow image in messages.

    Returns:
        float32 [1, 128, 128] in [0, 1].

    Raises:
        PprError: not an image that can be decoded, or a blank one.
    """
    if isinstance(source, Image.Image):
        rgba = source.convert("RGBA")
        grey = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("L")
    else:
        name = str(source) if isinstance(source, Path) else name
        try:
            grey = Image.fromarray(images.decode(source, name, at_least=SIDE).rgb).convert("L")
        except OSError as error:
            raise PprError(f"{name}: cannot be read ({error.strerror})") from error
    view = 1 - square(grey).astype(np.float32) / np.float32(255)
    border = np.concatenate([view[0], view[-1], view[1:-1, 0], view[1:-1, -1]])
    if (border <= 1 - WHITE).mean() < WHITE_SHARE:
        log.warning("%s: the background is not near white, which is all the network knows; cut the object out first", name)
    if view.max() - view.min() < BLANK:
        raise PprError(f"{name}: a blank picture, nothing to reconstruct", hint="give a picture of one object on white")
    return view[None]


def square(grey: Image.Image) -> UInt8:
    """A grey image, scaled to fit and centred on white, uint8 [128, 128]; the middle of one of 137 x 137."""
    if grey.size == (RENDERING_SIDE, RENDERING_SIDE):
        return centre_crop(np.asarray(grey))
    # Scaled before it is padded: a square around a picture of 1 x 10^8 pixels would not fit into memory.
    scale = SIDE / max(grey.size)
    width, height = (max(1, round(side * scale)) for side in grey.size)
    canvas = Image.new("L", (SIDE, SIDE), "white")
    canvas.paste(grey.resize((width, height), Image.Resampling.BILINEAR), ((SIDE - width) // 2, (SIDE - height) // 2))
    return np.asarray(canvas)


def centre_crop(pixels: UInt8) -> UInt8:
    """The middle 128 x 128 of pictures [..., H, W] at least that large; of an odd margin the smaller half lies above and left."""
    top, left = ((side - SIDE) // 2 for side in pixels.shape[-2:])
    return pixels[..., top : top + SIDE, left : left + SIDE]
