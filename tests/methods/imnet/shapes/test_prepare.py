"""From files to training data."""

from __future__ import annotations

import zipfile
from pathlib import Path, PurePosixPath

import numpy as np
import pytest

from ppr.methods.common.config import load_config
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.sources import Source
from ppr.methods.imnet.shapes.hdf5 import read_shapes
from ppr.methods.imnet.shapes.prepare import PrepareConfig, held_out, prepare
from ppr.methods.imnet.shapes.sampling import LIMITS
from ppr.methods.imnet.shapes.shape_files import ShapeFile
from ppr.methods.imnet.shapes.voxels import VoxelGrid, fill_holes, max_pool, write_binvox

CUBE = "\n".join(
    ["OFF", "8 12 0"]
    + [f"{x} {y} {z}" for x in (0, 1) for y in (0, 2) for z in (0, 5)]
    + ["3 0 1 3", "3 0 3 2", "3 4 6 7", "3 4 7 5", "3 0 4 5", "3 0 5 1", "3 2 3 7", "3 2 7 6", "3 0 2 6", "3 0 6 4", "3 1 5 7", "3 1 7 3"]
)


def files(folder: Path) -> list[ShapeFile]:
    return [
        ShapeFile(Source(str(path)), PurePosixPath(path.relative_to(folder).as_posix()))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]


@pytest.fixture
def shapes(tmp_path, stool) -> Path:
    """Folder with a stool in three formats, one of them in the ModelNet layout, and two bad files."""
    folder = tmp_path / "shapes"
    (folder / "seats/test").mkdir(parents=True)
    write_binvox(folder / "seats/test/stool.binvox", VoxelGrid(stool))
    np.save(folder / "seats/half.npy", stool[:, ::-1].astype(np.float32))
    np.savez_compressed(folder / "many.npz", voxels=np.stack([stool, np.zeros_like(stool), stool[::-1]]))
    (folder / "cut.binvox").write_bytes((folder / "seats/test/stool.binvox").read_bytes()[:-2])
    (folder / "notes.txt").write_text("no shape")
    return folder


def test_sound_shapes_are_written_and_bad_ones_told(tmp_path, shapes, stool):
    errors, progress = [], []
    statistics = prepare(
        files(shapes),
        tmp_path / "data.h5",
        PrepareConfig(held_out=0),
        failed=errors.append,
        done=lambda done, total: progress.append((done, total)),
    )
    found = read_shapes(tmp_path / "data.h5")
    assert found.names == ["many/00000", "many/00002", "seats/half", "seats/test/stool"]
    assert found.splits == ["train", "train", "train", "test"]
    assert found.points_per_level == LIMITS["improved"]
    assert found.unit(16) == 256
    assert sorted(error.message.split(str(shapes))[1].split(": ", 1)[0] for error in errors) == ["/cut.binvox", "/many.npz", "/notes.txt"]
    assert progress == [(step, 6) for step in range(1, 7)]
    filled = fill_holes(stool)[0]
    np.testing.assert_array_equal(found.voxels([0])[0], filled)
    np.testing.assert_array_equal(found.voxels([2])[0], filled[:, ::-1])
    assert (statistics.shapes, statistics.train, statistics.test, statistics.failed) == (4, 3, 1, 3)
    assert statistics.native_sides == {64: 4}
    assert statistics.filled == pytest.approx(24 / stool.sum())
    # The first and the last are the same stool, one for training and one for tests.
    assert statistics.duplicates[-1] == ("many/00000", "seats/test/stool")
    assert statistics.leaked == 1
    assert statistics.fingerprint == found.meta["fingerprint"]


def test_samples_lie_on_the_shape(tmp_path, stool):
    write_binvox(tmp_path / "stool.binvox", VoxelGrid(stool))
    for scheme in ("improved", "paper"):
        prepare([*files(tmp_path)][:1], tmp_path / f"{scheme}.h5", PrepareConfig(scheme=scheme, fill=False))
        found = read_shapes(tmp_path / f"{scheme}.h5")
        for level in (16, 32, 64):
            side = 64 if scheme == "improved" else level
            grid = max_pool(stool, 64 // side)
            index = found.points(level, [0])[0] // (found.unit(level) // side)
            np.testing.assert_array_equal(grid[tuple(index.T)], found.values(level, [0])[0, :, 0])


TETRAHEDRON = "OFF\n4 4 0\n0 0 0\n3 0 0\n0 2 0\n0 0 5\n3 0 2 1\n3 0 1 3\n3 0 3 2\n3 1 2 3"


def voxels_of(folder: Path, config: PrepareConfig) -> np.ndarray:
    prepare(files(folder), folder.parent / "data.h5", config, overwrite=True)
    return read_shapes(folder.parent / "data.h5").voxels([0])[0].astype(bool)


def y_up(grid: np.ndarray) -> np.ndarray:
    """A grid with z up, voxel by voxel: what was at (x, y, z) comes to (x, z, -y)."""
    turned = np.zeros_like(grid)
    for x, y, z in np.argwhere(grid):
        turned[x, z, len(grid) - 1 - y] = True
    return turned


def test_meshes_and_voxels_are_turned_alike(tmp_path):
    """A corner of a box, which no turn or mirroring takes to itself."""
    (tmp_path / "mesh").mkdir()
    (tmp_path / "mesh/corner.off").write_text(TETRAHEDRON)
    upright, turned = (voxels_of(tmp_path / "mesh", PrepareConfig(up=up)) for up in ("y", "z"))
    expected = y_up(upright)
    assert np.count_nonzero(turned ^ expected) < 0.02 * expected.sum()  # a voxel's centre may lie on the surface
    (tmp_path / "grid").mkdir()
    np.save(tmp_path / "grid/corner.npy", upright)
    np.testing.assert_array_equal(voxels_of(tmp_path / "grid", PrepareConfig(up="z")), expected)
    np.testing.assert_array_equal(voxels_of(tmp_path / "grid", PrepareConfig(up="y")), upright)


def test_official_chairs_from_their_binvox_files(tmp_path, imnet_data):
    """Acceptance check 6, through the whole of it."""
    chosen = [ShapeFile(Source(str(path)), PurePosixPath(path.name)) for path in sorted(imnet_data.glob("*.binvox"))]
    prepare(chosen, tmp_path / "data.h5", PrepareConfig(scheme="paper"))
    ours, theirs = read_shapes(tmp_path / "data.h5"), read_shapes(imnet_data / "official_samplechair_vox.hdf5")
    np.testing.assert_array_equal(ours.voxels(slice(None)), theirs.voxels(slice(None)))
    assert ours.points_per_level == theirs.points_per_level
    assert ours.splits.count("test") == 1


def test_an_open_mesh_is_noted_or_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/open.off").write_text(CUBE.replace("8 12 0", "8 10 0").removesuffix("\n3 1 5 7\n3 1 7 3"))
    assert prepare(files(tmp_path / "in"), tmp_path / "a.h5", PrepareConfig()).ambiguous == ["open"]
    errors = []
    with pytest.raises(PprError, match="no usable shape"):
        prepare(files(tmp_path / "in"), tmp_path / "b.h5", PrepareConfig(strict=True), failed=errors.append)
    assert "open.off: inside and outside are ambiguous" in errors[0].message
    assert not (tmp_path / "b.h5").exists()


def test_shapes_in_a_zip_are_named_by_their_place_in_it(tmp_path, shapes):
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("seats/half.npy", "cut.binvox"):
            archive.write(shapes / name, name)
    members = [ShapeFile(Source(name, str(tmp_path / "all.zip")), PurePosixPath(name)) for name in ("seats/half.npy", "cut.binvox")]
    errors = []
    assert prepare(members, tmp_path / "data.h5", PrepareConfig(), failed=errors.append).shapes == 1
    assert read_shapes(tmp_path / "data.h5").names == ["seats/half"]
    assert errors[0].message.startswith(f"{tmp_path / 'all.zip'}:cut.binvox: the runs hold")


def test_names_stay_unique_and_results_repeatable(tmp_path, shapes):
    twice = [file for file in files(shapes) if file.source.suffix == ".npy"] * 2
    for name in ("a", "b"):
        prepare(twice, tmp_path / f"{name}.h5", PrepareConfig(seed=3))
    assert read_shapes(tmp_path / "a.h5").names == ["seats/half", "seats/half-2"]
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


def test_a_coarse_grid_becomes_64(tmp_path, stool):
    np.save(tmp_path / "coarse.npy", max_pool(stool, 2))
    statistics = prepare(files(tmp_path), tmp_path / "data.h5", PrepareConfig(fill=False))
    assert statistics.native_sides == {32: 1}
    np.testing.assert_array_equal(read_shapes(tmp_path / "data.h5").voxels([0])[0][::2, ::2, ::2], max_pool(stool, 2))


def test_a_group_is_held_out_as_a_whole():
    names = [f"base{base:02d}_variant{variant}" for base in range(20) for variant in range(5)]
    tests = held_out(names, PrepareConfig(held_out=0.2, group_by="^[^_]+"))
    assert len(tests) == 20
    bases = {name.split("_")[0] for name in tests}
    assert tests == {name for name in names if name.split("_")[0] in bases}
    assert held_out(names, PrepareConfig(held_out=0.2, group_by="base(..)")) != tests  # other groups, other choice, but whole again
    assert tests != held_out(names, PrepareConfig(held_out=0.2, group_by="^[^_]+", seed=1))
    assert tests == held_out(names[::-1], PrepareConfig(held_out=0.2, group_by="^[^_]+"))


def test_the_share_is_kept_to_and_one_of_a_few_is_held_out():
    names = [str(number) for number in range(100)]
    assert len(held_out(names, PrepareConfig(held_out=0.25))) == 25
    assert len(held_out(names[:3], PrepareConfig())) == 1
    assert not held_out(names[:1], PrepareConfig())
    assert not held_out(names, PrepareConfig(held_out=0))


def test_a_bad_pattern_is_a_wrong_command():
    with pytest.raises(UsageError, match="not a regular expression"):
        load_config(PrepareConfig, group_by="(")
