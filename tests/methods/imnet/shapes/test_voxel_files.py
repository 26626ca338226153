"""Voxel grids in .npy, .npz and .h5 files."""

from __future__ import annotations

import pickle
import zipfile

import h5py
import numpy as np
import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.imnet.shapes.voxel_files import open_grids, read_voxels
from ppr.methods.imnet.shapes.voxels import VoxelGrid, write_binvox


def small() -> np.ndarray:
    grid = np.zeros((6, 6, 6), bool)
    grid[1:4, 2:3, 1:5] = True
    return grid


@pytest.mark.parametrize("values", [small(), small().astype(np.uint8) * 255, small() * 0.6, np.where(small(), 3, -2)])
@pytest.mark.parametrize("shape", [(6, 6, 6), (6, 6, 6, 1), (1, 6, 6, 6), (1, 6, 6, 6, 1)])
def test_one_grid_in_every_format(tmp_path, values, shape):
    array = values.reshape(shape)
    np.save(tmp_path / "a.npy", array)
    np.savez_compressed(tmp_path / "a.npz", grid=array, label=np.array([3]))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["voxels"] = array
        file["points_16"] = np.zeros((1, 4, 3), np.uint8)
    write_binvox(tmp_path / "a.binvox", VoxelGrid(small()))
    for suffix in ("npy", "npz", "h5", "binvox"):
        np.testing.assert_array_equal(read_voxels(tmp_path / f"a.{suffix}").occupied, small())


def test_many_grids_are_read_one_by_one(tmp_path):
    stack = np.stack([small(), ~small()])
    np.save(tmp_path / "a.npy", stack)
    np.savez(tmp_path / "bits.npz", bits=np.packbits(np.pad(stack, [(0, 0), (0, 2), (0, 2), (0, 2)]).reshape(2, -1), axis=1))
    np.testing.assert_array_equal(read_voxels(tmp_path / "a.npy", 1).occupied, ~small())
    with open_grids(tmp_path / "bits.npz") as grids:
        assert (grids.count, grids.single) == (2, False)
        np.testing.assert_array_equal(grids.read(1).occupied[:6, :6, :6], ~small())
    with pytest.raises(UsageError, match="holds 2 grids"):
        read_voxels(tmp_path / "a.npy")
    with pytest.raises(UsageError, match="no grid 2"):
        read_voxels(tmp_path / "a.npy", 2)


def test_packed_modelnet_chairs(imnet_data):
    with open_grids(imnet_data / "modelnet10_chair_vox32.npz") as grids:
        assert grids.count == 800
        assert grids.read(799).side == 32


def refused(path, part, kind=PprError):
    with pytest.raises(kind) as caught:
        read_voxels(path)
    assert part in caught.value.message
    assert str(path) in caught.value.message


def test_pickles_are_not_opened(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("unpickled",))

    (tmp_path / "pickled.npy").write_bytes(pickle.dumps(Trap()))
    refused(tmp_path / "pickled.npy", "not an .npy file")
    np.save(tmp_path / "objects.npy", np.array([[[Trap()]]], dtype=object), allow_pickle=True)
    refused(tmp_path / "objects.npy", "not an .npy file")
    np.savez(tmp_path / "objects.npz", voxels=np.array([[[Trap()]]], dtype=object), allow_pickle=True)
    refused(tmp_path / "objects.npz", "'voxels' is object")


def test_a_huge_array_is_refused_before_it_is_read(tmp_path):
    """The header of 10^15 voxels and no data: allocation would fail loudly, the message says what was found."""
    header = np.lib.format.header_data_from_array_1_0(np.zeros((1, 1, 1), np.uint8)) | {"shape": (100_000,) * 3}
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive, archive.open("voxels.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, header)
    refused(tmp_path / "huge.npz", "[100000, 100000, 100000]")
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("voxels", (2000, 2000, 2000), np.uint8, chunks=(1, 100, 100))
    refused(tmp_path / "huge.h5", "a grid of 2000 x 2000 x 2000")
    np.save(tmp_path / "long.npy", np.ones((1, 1, 1025), bool))
    refused(tmp_path / "long.npy", "a grid of 1 x 1 x 1025")


@pytest.mark.parametrize(
    ("arrays", "part"),
    [
        ({"a": small(), "b": small()}, "2 arrays could be the voxel grid"),
        ({"a": np.ones(3)}, "no array is a voxel grid"),
        ({}, "no array is a voxel grid"),
        ({"voxels": np.ones((2, 2))}, "an array [2, 2] is no voxel grid"),
        ({"voxels": np.full((2, 2, 2), "x")}, "voxels of type"),
        ({"voxels": np.full((2, 2, 2), np.nan)}, "has a NaN"),
        ({"voxels": np.full((2, 2, 2), 0.5)}, "the voxel grid is empty"),
        ({"voxels": np.zeros((0, 2, 2, 2))}, "holds no grid"),
        ({"bits": np.zeros((2, 9), np.uint8)}, "'bits' is uint8 [2, 9]"),
    ],
)
def test_what_is_no_grid_is_refused(tmp_path, arrays, part):
    np.savez(tmp_path / "a.npz", **arrays)
    refused(tmp_path / "a.npz", part)


def test_damaged_files_and_unknown_suffixes(tmp_path):
    np.save(tmp_path / "whole.npy", small())
    (tmp_path / "cut.npy").write_bytes((tmp_path / "whole.npy").read_bytes()[:200])
    refused(tmp_path / "cut.npy", "not an .npy file")
    np.savez_compressed(tmp_path / "whole.npz", voxels=small())
    (tmp_path / "cut.npz").write_bytes((tmp_path / "whole.npz").read_bytes()[:150])
    refused(tmp_path / "cut.npz", "not an .npz file")
    refused(tmp_path / "absent.npz", "No such file")
    refused(tmp_path / "shape.vox", "not a file of voxels by its suffix", UsageError)


def test_voxels_in_another_file_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "real.h5", "w") as file:
        file["voxels"] = small()
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["voxels"] = h5py.ExternalLink(str(tmp_path / "real.h5"), "voxels")
    refused(tmp_path / "link.h5", "link to another file")
    with h5py.File(tmp_path / "group.h5", "w") as file:
        file.create_group("voxels")
    refused(tmp_path / "group.h5", "not a data set")
