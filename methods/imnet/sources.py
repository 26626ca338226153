"""Which shapes a `--data` argument stands for."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..common.errors import UsageError
from .data import BoxShapes, Shapes
from .shapes.boxes import load_boxes

BUNDLED = Path(__file__).parent / "demo" / "box_chairs.npz"


def load_shapes(data: Sequence[str]) -> Shapes:
    """Shapes of a file: `.npz` of box unions or HDF5 from `prepare`; of nothing, the bundled chairs.

    Raises:
        UsageError: more than one file, or another suffix.
        PprError: the file cannot be read.
    """
    if len(data) > 1:
        raise UsageError("training takes one data file", hint="`ppr imnet prepare A B --out data.h5` makes one of several")
    path = Path(data[0]) if data else BUNDLED
    if path.suffix == ".npz":
        return BoxShapes(load_boxes(path))
    if path.suffix in (".h5", ".hdf5"):
        from .point_shapes import PointShapes

        return PointShapes(path)
    raise UsageError(f"{path}: neither .npz of box unions nor HDF5", hint="`ppr imnet prepare` makes HDF5 of meshes and voxels")


def fingerprint(shapes: Shapes, data: Sequence[str]) -> dict[str, Any]:
    """What a checkpoint says about its data: file, numbers of shapes, SHA-256 of the names in order."""
    names = "\n".join(shapes.name(int(index)) for index in [*shapes.train, *shapes.held_out])
    return {
        "file": Path(data[0]).name if data else BUNDLED.name,
        "train": len(shapes.train),
        "held_out": len(shapes.held_out),
        "names_sha256": hashlib.sha256(names.encode()).hexdigest(),
    }
