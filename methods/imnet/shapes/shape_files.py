"""From a file of a mesh or of voxels, on disk or in a zip, to solid shapes on the 256^3 grid with y up."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath, PurePosixPath
from typing import Literal

import numpy as np
from pydantic import Field

from ...common.config import BaseConfig
from ...common.errors import PprError, UsageError
from ...common.reading import meshes
from ...common.reading.meshes import Mesh
from ...common.reading.sources import Source
from . import occupancy, voxel_files
from .hdf5 import FINE
from .voxel_files import Grids, open_grids
from .voxels import SIDE, Bool, fill_holes, max_pool, resample, to_side

SUFFIXES = (*meshes.SUFFIXES, *voxel_files.SUFFIXES)


class ReadConfig(BaseConfig):
    """What inside means for a file."""

    up: Literal["y", "z"] = Field("y", description="the axis that points upwards in the files; the data have y")
    solid: Literal["winding", "flood"] = Field("winding", description="inside of a mesh: by winding numbers, or whatever no flood reaches")
    strict: bool = Field(False, description="refuse meshes that are open or cross themselves")
    fill: bool = Field(True, description="fill the hollows of voxel grids")


@dataclass(frozen=True)
class ShapeFile:
    """A file to read; `relative` is its path below the folder it was found in."""

    source: Source
    relative: PurePosixPath

    @property
    def is_mesh(self) -> bool:
        return self.source.suffix in meshes.SUFFIXES


@dataclass(frozen=True)
class Solid:
    """A shape that was read.

    Args:
        occupied: bool [256, 256, 256], y up.
        doubtful: the mesh is open or crosses itself.
        native_side: voxels a side of the grid in the file; 0 for a mesh.
        filled: voxels added by filling hollows, as a share of those there were.
    """

    occupied: Bool
    doubtful: bool = False
    native_side: int = 0
    filled: float = 0.0


def encoder_grid(path: Path) -> Bool:
    """A voxel file, or a mesh that is normalised and voxelised, as the grid bool [64, 64, 64] that the encoder sees.

    Raises:
        UsageError: neither by its suffix.
        PprError: a file that cannot be read or holds no solid.
    """
    check_suffix(path, SUFFIXES)
    if path.suffix.lower() in meshes.SUFFIXES:
        solid = occupancy.voxelise(occupancy.normalise(meshes.read_mesh(path)), FINE)
        occupancy.check(solid, str(path), strict=False)
        return max_pool(solid.occupied, FINE // SIDE)
    return resample(voxel_files.read_voxels(path), SIDE).occupied


def check_suffix(path: PurePath, known: Iterable[str]) -> None:
    """Refuse a file by its name.

    Raises:
        UsageError: its suffix is none of those known; the hint lists them.
    """
    if path.suffix.lower() not in known:
        names = ", ".join(sorted(suffix.removeprefix(".") for suffix in known))
        raise UsageError(f"{path}: '{path.suffix}' is no format known here", hint=f"one of: {names}")


def grids_in(file: ShapeFile) -> int | None:
    """How many grids a file of voxels lists; None for a file of one shape.

    Raises:
        UsageError: neither a mesh nor voxels, by its suffix.
        PprError: a file that may hold many cannot be read.
    """
    if file.source.suffix not in SUFFIXES:
        raise UsageError(f"{file.source}: not a shape by its suffix", hint=f"can be read: {' '.join(s[1:] for s in SUFFIXES)}")
    if file.is_mesh or file.source.suffix == ".binvox":
        return None
    with _on_disk(file.source) as path, open_grids(path) as grids:
        return None if grids.single else grids.count


def solids(file: ShapeFile, indices: Sequence[int], config: ReadConfig) -> Iterator[Solid | PprError]:
    """The shapes of a file with these numbers (0 where it holds one), each or the error that it has."""
    try:
        with _on_disk(file.source) as path:
            if file.is_mesh:
                yield _of_mesh(path, config)
                return
            with open_grids(path) as grids:
                for index in indices:
                    try:
                        yield _of_voxels(grids, index, config)
                    except PprError as error:
                        yield _renamed(error, path, file.source)
    except PprError as error:
        yield error


@contextlib.contextmanager
def _on_disk(source: Source) -> Iterator[Path]:
    """A path to a file; one in a zip is unpacked for as long as the block runs, and errors name it by its place in the zip."""
    if not source.archive:
        yield Path(source.path)
        return
    with tempfile.TemporaryDirectory(prefix="ppr-") as folder:
        path = Path(folder) / f"shape{source.suffix}"
        path.write_bytes(source.read())
        try:
            yield path
        except PprError as error:
            raise _renamed(error, path, source) from error


def _renamed(error: PprError, path: Path, source: Source) -> PprError:
    return type(error)(error.message.replace(str(path), str(source)), hint=error.hint)


def _of_mesh(path: Path, config: ReadConfig) -> Solid:
    mesh = meshes.read_mesh(path)
    try:
        mesh = occupancy.normalise(_y_up(mesh) if config.up == "z" else mesh)
    except PprError as error:
        raise PprError(f"{path}: {error.message}", hint=error.hint) from error
    solid = occupancy.flood(mesh, FINE) if config.solid == "flood" else occupancy.voxelise(mesh, FINE)
    occupancy.check(solid, str(path), strict=config.strict)
    return Solid(solid.occupied, solid.doubtful)


def _y_up(mesh: Mesh) -> Mesh:
    """z-up positions turned by -90 degrees about x: (x, y, z) -> (x, z, -y)."""
    return replace(mesh, vertices=mesh.vertices[:, [0, 2, 1]] * np.array([1, 1, -1]), normals=None)


def _of_voxels(grids: Grids, index: int, config: ReadConfig) -> Solid:
    occupied = grids.read(index).occupied
    if config.up == "z":
        occupied = occupied.transpose(0, 2, 1)[:, :, ::-1]
    occupied, filled = fill_holes(occupied) if config.fill else (occupied, 0.0)
    fine = to_side(occupied, FINE)
    if not fine.any():
        raise PprError(f"a grid of {len(occupied)}^3 is empty at {FINE}^3", hint=f"use a grid whose side is a multiple of {FINE}")
    return Solid(fine, native_side=len(occupied), filled=filled)
