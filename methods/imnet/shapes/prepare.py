"""From meshes and voxel files to the HDF5 file that networks are trained on (section 4)."""

from __future__ import annotations

import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field, NonNegativeInt, field_validator

from ...common.errors import PprError
from ...common.reading.files import free_name
from .hdf5 import FINE
from .hdf5_writer import ShapeWriter, write_shapes
from .occupancy import require_igl
from .sampling import sample
from .shape_files import ReadConfig, ShapeFile, Solid, grids_in, solids
from .voxels import SIDE, max_pool

SPLITS = ("train", "test")
MAX_SOURCES = 100  # file names kept in the attribute of the HDF5 file
MAX_NAME = 200  # characters of each of them

log = logging.getLogger("ppr")


class PrepareConfig(ReadConfig):
    """How shapes become training data."""

    scheme: Literal["improved", "paper"] = Field(
        "improved", description="points of the authors' 2020 code, on 256^3, or of the paper, on 64^3"
    )
    held_out: float = Field(0.1, ge=0, lt=1, description="share held out for tests, unless folders say train and test")
    group_by: str = Field("", description="regular expression on names; shapes with the same match are held out together")
    seed: NonNegativeInt = Field(0, description="fixes the points and what is held out")

    @field_validator("group_by")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"not a regular expression ({error})") from error
        return pattern


@dataclass
class Statistics:
    """What was written, and what is remarkable about it.

    Args:
        failed: files and shapes that were left out.
        occupied: mean share of 64^3 voxels that are occupied.
        filled: mean share of voxels that filling hollows added, over the voxel grids.
        ambiguous: names of meshes that are open or cross themselves.
        duplicates: pairs of names with equal voxels, the earlier one first.
        leaked: how many of these pairs have one in train and one in test.
        native_sides: how many voxel grids had which side.
        fingerprint: SHA-256 of all that was written.
    """

    train: int = 0
    test: int = 0
    failed: int = 0
    occupied: float = 0.0
    filled: float = 0.0
    ambiguous: list[str] = field(default_factory=list)
    duplicates: list[tuple[str, str]] = field(default_factory=list)
    leaked: int = 0
    native_sides: Counter[int] = field(default_factory=Counter)
    fingerprint: str = ""

    @property
    def shapes(self) -> int:
        return self.train + self.test

    def record(self) -> dict[str, Any]:
        """As plain JSON values."""
        sides = {str(side): count for side, count in sorted(self.native_sides.items())}
        pairs = [list(pair) for pair in self.duplicates]
        return {"shapes": self.shapes} | vars(self) | {"duplicates": pairs, "native_sides": sides}


@dataclass(frozen=True)
class _Shape:
    """One shape of a file; `index` is its number in a file that holds many."""

    index: int
    name: str
    split: str


Failed = Callable[[PprError], object]


def prepare(
    files: Sequence[ShapeFile],
    out: Path,
    config: PrepareConfig,
    *,
    overwrite: bool = False,
    failed: Failed = lambda _error: None,
    done: Callable[[int, int], object] = lambda _done, _total: None,
) -> Statistics:
    """Write all sound shapes of `files`, one in memory at a time; the same arguments give the same bytes.

    Meshes are centred and scaled to a bounding-box diagonal of 1; voxel grids are taken as they lie in their cube. Either becomes 256^3,
    from which points are sampled, and 64^3 by max-pooling. A shape is named by its file's relative path; a folder called train or test
    on that path says where it belongs.

    Args:
        failed: called with the error of each file or shape that is left out.
        done: called with the shapes tried so far and the number of all.

    Raises:
        UsageError: `out` exists, without `overwrite`.
        PprError: not one shape is sound (nothing is written then), or there are meshes and libigl cannot be imported.
    """
    building = _Building(config)

    def failure(error: PprError) -> None:
        building.statistics.failed += 1
        failed(error)

    if any(file.is_mesh for file in files):
        require_igl()
    plan = _plan(files, config, failure)
    names = [file.relative.name[:MAX_NAME] for file in files[:MAX_SOURCES]]
    meta = {"config": config.model_dump(mode="json"), "files": len(files), "sources": names}
    tried, total = 0, sum(len(shapes) for _file, shapes in plan)
    with write_shapes(out, config.scheme, meta, overwrite=overwrite) as writer:
        for file, shapes in plan:
            for shape, solid in zip(shapes, solids(file, [shape.index for shape in shapes], config), strict=False):
                if isinstance(solid, PprError):
                    failure(solid)
                else:
                    building.add(writer, shape, solid)
                tried += 1
                done(tried, total)
        building.statistics.fingerprint = writer.fingerprint
    return building.finish()


def _plan(files: Sequence[ShapeFile], config: PrepareConfig, failure: Failed) -> list[tuple[ShapeFile, list[_Shape]]]:
    """The shapes of every file, with unique names, and which of them are held out."""
    taken: set[str] = set()
    plan: list[tuple[ShapeFile, list[_Shape]]] = []
    for file in files:
        try:
            count = grids_in(file)
        except PprError as error:
            failure(error)
            continue
        stem = free_name(str(file.relative.with_suffix("")), taken)
        names = [stem] if count is None else [f"{stem}/{index:05d}" for index in range(count)]
        split = next((part for part in reversed(file.relative.parts[:-1]) if part in SPLITS), "")
        plan.append((file, [_Shape(index, name, split) for index, name in enumerate(names)]))
    tests = held_out([shape.name for _file, shapes in plan for shape in shapes if not shape.split], config)
    return [
        (file, [shape if shape.split else replace(shape, split=SPLITS[shape.name in tests]) for shape in shapes]) for file, shapes in plan
    ]


def held_out(names: Sequence[str], config: PrepareConfig) -> frozenset[str]:
    """The names to hold out: `config.held_out` of the groups, at least one of several, chosen by a hash of seed and group.

    A group is what the first bracket of `config.group_by` matches in a name, or its whole match; a name without a match is alone.
    """
    groups: dict[str, list[str]] = {}
    for name in names:
        match = re.search(config.group_by, name) if config.group_by else None
        key = name if match is None else match[0] if not match.re.groups or match[1] is None else match[1]
        groups.setdefault(key, []).append(name)
    count = round(config.held_out * len(groups))
    if config.held_out and len(groups) > 1:
        count = max(count, 1)
    ranked = sorted(groups, key=lambda group: hashlib.sha256(f"{config.seed}:{group}".encode()).digest())
    return frozenset(name for group in ranked[:count] for name in groups[group])


class _Building:
    """Counts what is written; `seen` has the first shape with each set of voxels."""

    def __init__(self, config: PrepareConfig) -> None:
        self.config = config
        self.statistics = Statistics()
        self.seen: dict[bytes, _Shape] = {}

    def add(self, writer: ShapeWriter, shape: _Shape, solid: Solid) -> None:
        statistics, voxels = self.statistics, max_pool(solid.occupied, FINE // SIDE)
        # Seeded by the name, so that a shape gets the same points whatever else is prepared with it.
        seed = int.from_bytes(hashlib.sha256(f"{self.config.seed}:{shape.name}".encode()).digest()[:8], "big")
        writer.add(shape.name, shape.split, voxels, sample(solid.occupied, self.config.scheme, seed))
        statistics.train += shape.split == "train"
        statistics.test += shape.split == "test"
        statistics.occupied += float(voxels.mean())
        statistics.filled += solid.filled
        if solid.native_side:
            statistics.native_sides[solid.native_side] += 1
        if solid.doubtful:
            statistics.ambiguous.append(shape.name)
        first = self.seen.setdefault(hashlib.sha256(np.packbits(voxels).tobytes()).digest(), shape)
        if first is not shape:
            statistics.duplicates.append((first.name, shape.name))
            statistics.leaked += first.split != shape.split

    def finish(self) -> Statistics:
        """The statistics, with sums made means; the log is told what someone who trains on the file should know."""
        statistics = self.statistics
        statistics.occupied /= statistics.shapes
        statistics.filled /= max(statistics.native_sides.total(), 1)
        other = [f"{count} of {side}^3" for side, count in sorted(statistics.native_sides.items()) if side != SIDE]
        if other:
            log.info("voxel grids resampled to %d^3: %s", SIDE, ", ".join(other))
        if statistics.duplicates:
            log.info("%d shapes have the same voxels as an earlier one", len(statistics.duplicates))
        if statistics.leaked:
            log.warning("%d of the equal shapes lie in train and in test: results on the test set will flatter", statistics.leaked)
        return statistics
