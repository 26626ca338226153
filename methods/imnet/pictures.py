"""What a person would look at: sheets of shapes, and the map on which shapes with like codes lie near each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..common.drawing.sheets import contact_sheet

Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Plane:
    """Codes seen along their first two principal components.

    Attributes:
        positions: float64 [n, 2], around 0, in units of the codes.
        explained: the share of the codes' variance along each of the two axes.
    """

    positions: Doubles
    explained: tuple[float, float]


@dataclass(frozen=True)
class Grid:
    """The cells of a plane that hold shapes; row 0 is the top one, where the second coordinate is highest.

    Attributes:
        shapes: (row, column) -> the shape that lies nearest to the middle of that cell.
    """

    rows: int
    columns: int
    shapes: dict[tuple[int, int], int]


def principal_plane(codes: NDArray[np.floating]) -> Plane:
    """Project codes [n, z] on the plane in which they vary most.

    An axis points to where its largest loading is positive, so that the same codes always give the same picture and not its mirror image.
    """
    centred = codes.astype(np.float64) - codes.mean(axis=0, dtype=np.float64)
    scores, sizes, axes = np.linalg.svd(centred, full_matrices=False)
    rank = min(2, len(sizes))
    signs = np.sign(axes[np.arange(rank), np.abs(axes[:rank]).argmax(axis=1)])
    positions, explained = np.zeros((len(codes), 2)), np.zeros(2)
    positions[:, :rank] = scores[:, :rank] * sizes[:rank] * signs
    explained[:rank] = sizes[:rank] ** 2 / (np.square(sizes).sum() or 1.0)
    return Plane(positions, (float(explained[0]), float(explained[1])))


def grid(positions: Doubles, across: int) -> Grid:
    """Lay square cells over positions [n, 2], `across` of them along the longer side of the rectangle that holds all."""
    low, high = positions.min(axis=0), positions.max(axis=0)
    side = float((high - low).max()) / across or 1.0
    columns, rows = np.maximum(np.ceil((high - low) / side - 1e-9), 1).astype(int).tolist()
    margin = (np.array([columns, rows]) * side - (high - low)) / 2
    places = (positions - low + margin) / side
    cells = np.clip(places.astype(int), 0, [columns - 1, rows - 1])
    distances = np.linalg.norm(places - (cells + 0.5), axis=1)
    nearest: dict[tuple[int, int], int] = {}
    for shape in np.argsort(distances, kind="stable").tolist():
        column, row = cells[shape].tolist()
        nearest.setdefault((rows - 1 - row, column), shape)
    return Grid(rows, columns, nearest)


def draw_map(pictures: Mapping[int, Image.Image], laid: Grid, tile: int) -> Image.Image:
    """The map: in each cell the picture of its shape, `tile` pixels a side; a shape without one leaves its cell empty.

    Args:
        pictures: of shapes by their row in the positions that were laid out.
    """
    empty = Image.new("RGB", (tile, tile), "white")
    shown = {cell: pictures.get(shape, empty) for cell, shape in laid.shapes.items()}
    return contact_sheet([shown.get((row, column), empty) for row in range(laid.rows) for column in range(laid.columns)], laid.columns)


def sheet(pictures: Sequence[tuple[str, Image.Image]], columns: int | None = None) -> Image.Image:
    """Named pictures as one; about square unless the number of columns is given."""
    names, images = zip(*pictures, strict=True)
    return contact_sheet(images, columns or max(1, round((1.4 * len(images)) ** 0.5)), names)
