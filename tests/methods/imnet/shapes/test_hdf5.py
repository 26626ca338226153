"""The authors' HDF5 layout: what is written comes back, rows are read on demand, and what does not fit is refused."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.imnet.shapes.hdf5 import coordinates, read_codes, read_shapes, write_codes
from ppr.methods.imnet.shapes.hdf5_writer import write_shapes
from ppr.methods.imnet.shapes.sampling import LIMITS, Samples


def random_samples(scheme, seed):
    rng = np.random.default_rng(seed)
    unit = {level: 256 if scheme == "improved" else level for level in LIMITS[scheme]}
    return {
        level: Samples(rng.integers(0, unit[level], (count, 3), np.uint8), rng.integers(0, 2, (count, 1), np.uint8))
        for level, count in LIMITS[scheme].items()
    }


def write(path, scheme="improved", count=3, **options):
    written = []
    with write_shapes(path, scheme, {"note": "test"}, **options) as writer:
        for index in range(count):
            voxels = np.random.default_rng(index).random((64, 64, 64)) < 0.1
            written.append((voxels, random_samples(scheme, index)))
            writer.add(f"stühle/{index}", "test" if index == 1 else "train", *written[-1])
    return written


@pytest.mark.parametrize(("scheme", "units"), [("improved", (256, 256)), ("paper", (16, 64))])
def test_what_is_written_comes_back(tmp_path, scheme, units):
    written = write(tmp_path / "data.h5", scheme)
    shapes = read_shapes(tmp_path / "data.h5")
    assert (shapes.count, shapes.names, shapes.splits) == (3, ["stühle/0", "stühle/1", "stühle/2"], ["train", "test", "train"])
    assert shapes.points_per_level == LIMITS[scheme]
    assert (shapes.unit(16), shapes.unit(64)) == units
    assert (shapes.meta["note"], shapes.meta["scheme"], shapes.meta["format"]) == ("test", scheme, 1)
    assert shapes.rows("train").tolist() == [0, 2]
    assert shapes.rows("test").tolist() == [1]
    assert shapes.name(1) == "stühle/1"
    # Any order, with repetitions: HDF5 itself reads ascending rows only.
    for rows in ([2, 0, 2], slice(None), np.array([1]), []):
        expected = [written[index] for index in np.arange(3)[rows]]
        assert len(shapes.voxels(rows)) == len(expected)
        for row, (voxels, samples) in enumerate(expected):
            np.testing.assert_array_equal(shapes.voxels(rows)[row], voxels)
            np.testing.assert_array_equal(shapes.points(32, rows)[row], samples[32].points)
            np.testing.assert_array_equal(shapes.values(16, rows)[row], samples[16].values)


def test_the_layout_is_the_authors(tmp_path):
    write(tmp_path / "data.h5", "paper", count=1)
    with h5py.File(tmp_path / "data.h5") as file:
        found = {name: (file[name].shape, str(file[name].dtype)) for name in file if name not in ("names", "splits")}
    assert found == {
        "voxels": ((1, 64, 64, 64, 1), "uint8"),
        **{f"points_{level}": ((1, count, 3), "uint8") for level, count in LIMITS["paper"].items()},
        **{f"values_{level}": ((1, count, 1), "uint8") for level, count in LIMITS["paper"].items()},
    }


def test_the_authors_file_is_read_and_its_unit_detected(imnet_data):
    shapes = read_shapes(imnet_data / "official_samplechair_vox.hdf5")
    assert (shapes.count, shapes.points_per_level) == (3, {16: 4096, 32: 8192, 64: 32768})
    assert [shapes.unit(level) for level in (16, 32, 64)] == [16, 32, 64]
    assert shapes.name(2) == "official_samplechair_vox/00002"
    for level in (16, 32, 64):
        found = shapes.coordinates(level, slice(None))
        assert np.abs(found).max() == pytest.approx(0.5 - 0.5 / level)


@pytest.mark.parametrize(("largest", "unit"), [(15, (16, 64)), (16, (64, 64)), (63, (64, 64)), (64, (256, 256)), (255, (256, 256))])
def test_the_unit_is_detected_from_the_largest_index(tmp_path, largest, unit):
    write(tmp_path / "data.h5", count=2)
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        del file.attrs["ppr"]
        file["points_16"][:] = 0
        file["points_16"][1, 7, 2] = largest
    shapes = read_shapes(tmp_path / "data.h5")
    assert (shapes.unit(16), shapes.unit(64)) == unit


@given(index=st.integers(0, 255), unit=st.sampled_from([16, 32, 64, 256]))
def test_coordinates_are_cell_centres(index, unit):
    found = coordinates(np.array([[index % unit] * 3], np.uint8), unit)
    assert found.dtype == np.float32
    assert abs(float(found[0, 0]) - ((index % unit + 0.5) / unit - 0.5)) < 1e-7
    assert coordinates(np.array([[0, unit - 1, 0]], np.uint8), unit)[0, :2].sum() == 0


def test_the_same_shapes_give_the_same_bytes_and_fingerprint(tmp_path):
    for name in ("a", "b"):
        write(tmp_path / f"{name}.h5")
    write(tmp_path / "c.h5", count=2)
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    marks = [read_shapes(tmp_path / f"{name}.h5").meta["fingerprint"] for name in "abc"]
    assert marks[0] == marks[1] != marks[2]


def test_nothing_is_left_of_a_file_that_fails(tmp_path):
    with pytest.raises(PprError, match="no usable shape"), write_shapes(tmp_path / "data.h5", "paper", {}):
        pass
    with pytest.raises(KeyboardInterrupt), write_shapes(tmp_path / "data.h5", "paper", {}) as writer:
        writer.add("a", "train", np.ones((64, 64, 64), bool), random_samples("paper", 0))
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []
    write(tmp_path / "data.h5", count=1)
    with pytest.raises(UsageError, match="exists already"):
        write(tmp_path / "data.h5", count=1)
    write(tmp_path / "data.h5", count=2, overwrite=True)
    assert read_shapes(tmp_path / "data.h5").count == 2


def replace(file, name, array):
    del file[name]
    file[name] = array


DAMAGE = [
    (lambda f: f.pop("voxels"), "no data set 'voxels'"),
    (lambda f: f.pop("values_32"), "no data set 'values_32'"),
    (lambda f: f.pop("points_32"), "no data set 'points_32'"),
    (lambda f: [f.pop(f"{kind}_{level}") for kind in ("points", "values") for level in (16, 32, 64)], "no sampled points"),
    (lambda f: replace(f, "voxels", np.zeros((2, 32, 32, 32, 1), np.uint8)), "'voxels' is uint8 [2, 32, 32, 32, 1], not uint8 [n, 64"),
    (lambda f: replace(f, "points_16", np.zeros((2, 4096, 3), np.float32)), "'points_16' is float32"),
    (lambda f: replace(f, "points_16", np.zeros((3, 4096, 3), np.uint8)), "'points_16' is uint8 [3, 4096, 3], not uint8 [2, n, 3]"),
    (lambda f: replace(f, "values_16", np.zeros((2, 4095, 1), np.uint8)), "not uint8 [2, 4096, 1]"),
    (lambda f: replace(f, "names", np.zeros(2)), "'names' is float64"),
    (lambda f: replace(f, "splits", ["train"]), "not a string for each of the 2 shapes"),
    (lambda f: replace(f, "voxels", h5py.ExternalLink("/etc/passwd", "voxels")), "link to another file"),
    (lambda f: f.attrs.modify("ppr", "{"), "not JSON"),
    (lambda f: f.attrs.modify("ppr", "[1]"), "not a JSON object"),
    (lambda f: f.attrs.modify("ppr", json.dumps({"unit": 7})), "on a grid of 7"),
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "data.h5"
    write(path, count=2)
    return path.read_bytes()


@pytest.mark.parametrize(("damage", "part"), DAMAGE, ids=[part[:30] for _damage, part in DAMAGE])
def test_what_does_not_fit_is_refused(tmp_path, sound, damage, part):
    path = tmp_path / "data.h5"
    path.write_bytes(sound)
    with h5py.File(path, "r+") as file:
        damage(file)
    with pytest.raises(PprError) as caught:
        read_shapes(path)
    assert part in caught.value.message
    assert caught.value.message.startswith(str(path))


def test_data_kept_in_another_file_are_refused(tmp_path, sound):
    (tmp_path / "secret").write_bytes(b"x" * 64**3 * 2)
    (tmp_path / "data.h5").write_bytes(sound)
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        del file["voxels"]
        file.create_dataset("voxels", (2, 64, 64, 64, 1), np.uint8, external=[(str(tmp_path / "secret"), 0, h5py.h5f.UNLIMITED)])
    with pytest.raises(PprError, match="is kept in another file"):
        read_shapes(tmp_path / "data.h5")


def test_numbers_that_cannot_be_are_refused_when_they_are_read(tmp_path, sound):
    (tmp_path / "data.h5").write_bytes(sound)
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        file["voxels"][1, 5, 5, 5] = 2
        file["values_64"][1, 5] = 9
        file.attrs["ppr"] = json.dumps({"unit": 64})
        file["points_16"][:] = 63
    shapes = read_shapes(tmp_path / "data.h5")
    assert shapes.voxels([0]).max() == 1
    assert shapes.points(16, [0]).max() == 63
    for read in (lambda: shapes.voxels([1]), lambda: shapes.values(64, [1]), lambda: shapes.points(64, [0])):
        with pytest.raises(PprError, match=r"not just 0 and 1|outside a grid"):
            read()


def test_a_file_that_claims_to_be_huge_costs_nothing(tmp_path):
    """A million shapes that were never stored: opening reads shapes and types, and rows one by one."""
    path = tmp_path / "huge.h5"
    with h5py.File(path, "w") as file:
        for name, shape in (("voxels", (64, 64, 64, 1)), ("points_16", (4096, 3)), ("values_16", (4096, 1))):
            file.create_dataset(name, (10**6, *shape), np.uint8, chunks=(1, *shape))
    assert path.stat().st_size < 100_000
    shapes = read_shapes(path)
    assert shapes.count == 10**6
    assert shapes.voxels([10**6 - 1]).sum() == 0
    with h5py.File(tmp_path / "chunk.h5", "w") as file:
        file.create_dataset("voxels", (10**4, 64, 64, 64, 1), np.uint8, chunks=(5000, 64, 64, 64, 1))
    with pytest.raises(PprError, match="chunks of more than 256 MiB"):
        read_shapes(tmp_path / "chunk.h5")


@pytest.mark.parametrize("content", [b"", b"not HDF5 at all"])
def test_files_that_are_not_hdf5_are_refused(tmp_path, content):
    (tmp_path / "data.h5").write_bytes(content)
    with pytest.raises(PprError, match="not an HDF5 file"):
        read_shapes(tmp_path / "data.h5")
    with pytest.raises(PprError, match="No such file"):
        read_shapes(tmp_path / "absent.h5")


def test_codes_come_back_as_float32(tmp_path):
    codes = np.random.default_rng(0).random((5, 128))
    write_codes(tmp_path / "z.hdf5", codes)
    back = read_codes(tmp_path / "z.hdf5")
    assert back.dtype == np.float32
    np.testing.assert_allclose(back, codes, atol=1e-7)
    write_codes(tmp_path / "z.hdf5", np.where(np.arange(5)[:, None] == 3, np.nan, codes))
    with pytest.raises(PprError, match="code 3 has a NaN"):
        read_codes(tmp_path / "z.hdf5")


@pytest.mark.parametrize("array", [np.zeros(5, np.float32), np.zeros((5, 4), int), np.zeros((0, 4), np.float32)])
def test_what_are_no_codes_is_refused(tmp_path, array):
    with h5py.File(tmp_path / "z.hdf5", "w") as file:
        file["zs"] = array
    with pytest.raises(PprError, match="not floats"):
        read_codes(tmp_path / "z.hdf5")
