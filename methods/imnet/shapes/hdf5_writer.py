"""Write the HDF5 files that `hdf5.read_shapes` reads, shape by shape: memory does not grow with their number, but for their names."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ...common.errors import PprError
from ...common.reading.files import atomic_path
from .hdf5 import FINE
from .sampling import LIMITS, Samples, Scheme
from .voxels import SIDE, Bool

if TYPE_CHECKING:
    import h5py

FORMAT = 1
MAX_META_BYTES = 60_000  # HDF5 keeps an attribute of up to 64 kB
ROWS_AT_ONCE = 256  # by which data sets grow


class ShapeWriter:
    """Appends shapes to an open file."""

    def __init__(self, file: h5py.File, scheme: Scheme) -> None:
        self.file = file
        self.names: list[str] = []
        self.splits: list[str] = []
        self._digest = hashlib.sha256()
        self._create("voxels", (SIDE, SIDE, SIDE, 1))
        for level, count in LIMITS[scheme].items():
            self._create(f"points_{level}", (count, 3))
            self._create(f"values_{level}", (count, 1))

    def add(self, name: str, split: str, voxels: Bool, samples: Mapping[int, Samples]) -> None:
        """Append a shape: bool [64, 64, 64] and its samples by level."""
        arrays = {"voxels": voxels[..., None].astype(np.uint8)}
        for level, drawn in samples.items():
            arrays |= {f"points_{level}": drawn.points, f"values_{level}": drawn.values}
        row = len(self.names)
        for key, array in arrays.items():
            stored = self.file[key]
            if row == len(stored):
                stored.resize(row + ROWS_AT_ONCE, axis=0)
            stored[row] = array
            self._digest.update(array.tobytes())
        self._digest.update(f"{name}\n{split}\n".encode())
        self.names.append(name)
        self.splits.append(split)

    @property
    def fingerprint(self) -> str:
        """SHA-256 over names, splits and all numbers so far."""
        return self._digest.hexdigest()

    def finish(self, meta: Mapping[str, Any]) -> None:
        """Cut the data sets to what was added; store names, splits and the attribute `ppr`."""
        import h5py

        for stored in list(self.file.values()):
            stored.resize(len(self.names), axis=0)
        for key, texts in (("names", self.names), ("splits", self.splits)):
            self.file.create_dataset(key, data=texts, dtype=h5py.string_dtype())
        self.file.attrs["ppr"] = json.dumps({"format": FORMAT, **meta, "fingerprint": self.fingerprint})

    def _create(self, key: str, shape: tuple[int, ...]) -> None:
        # One shape a chunk: a training reads shapes in random order.
        self.file.create_dataset(key, (0, *shape), np.uint8, maxshape=(None, *shape), chunks=(1, *shape), compression="gzip")


@contextlib.contextmanager
def write_shapes(path: Path, scheme: Scheme, meta: Mapping[str, Any], *, overwrite: bool = False) -> Iterator[ShapeWriter]:
    """A writer into a new file, which appears when the block ends well, or not at all.

    Args:
        meta: what the attribute `ppr` says beside format, scheme, unit and fingerprint; at most 60 kB of JSON.

    Raises:
        UsageError: the file exists, without `overwrite`.
        PprError: not one shape was added, or the file cannot be written.
    """
    import h5py

    about = {"scheme": scheme, "unit": FINE if scheme == "improved" else "R", **meta}
    if len(json.dumps(about)) > MAX_META_BYTES:
        raise ValueError("more to say about the file than fits into an attribute")
    with atomic_path(path, overwrite=overwrite) as temporary, h5py.File(temporary, "w") as file:
        writer = ShapeWriter(file, scheme)
        yield writer
        if not writer.names:
            raise PprError(f"{path}: not written, because there is no usable shape")
        writer.finish(about)
