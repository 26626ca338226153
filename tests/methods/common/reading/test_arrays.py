"""Arrays of .npz and .npy files: what was saved is read, and what is damaged or dangerous is refused by name."""

from __future__ import annotations

import io
import pickle
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.arrays import array_headers, map_array, parse_array, read_array, read_arrays

ARRAYS = {"a": np.arange(6, dtype=np.int16).reshape(2, 3), "b": np.array(["x", "yz"]), "c": np.float32(0.5)}


def saved(array) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_what_was_saved_is_read(tmp_path, save):
    save(tmp_path / "a.npz", **ARRAYS)
    found = read_arrays(tmp_path / "a.npz")
    assert {name: (array.dtype, array.tolist()) for name, array in found.items()} == {
        name: (np.asarray(array).dtype, np.asarray(array).tolist()) for name, array in ARRAYS.items()
    }
    assert list(read_arrays(tmp_path / "a.npz", ("b", "absent"))) == ["b"]
    headers = array_headers(tmp_path / "a.npz")
    assert headers["a"].shape == (2, 3) and headers["a"].dtype == np.int16 and headers["a"].nbytes == 12
    assert list(headers) == list(ARRAYS)


def test_one_array_is_read_mapped_and_parsed_to_the_same(tmp_path):
    array = np.asfortranarray(np.random.default_rng(0).random((5, 7)))
    np.save(tmp_path / "a.npy", array)
    for found in (read_array(tmp_path / "a.npy"), map_array(tmp_path / "a.npy"), parse_array((tmp_path / "a.npy").read_bytes(), "stdin")):
        np.testing.assert_array_equal(found, array)
    mapped = map_array(tmp_path / "a.npy")
    assert isinstance(mapped, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        mapped[0, 0] = 1


class Trap:
    """Fails the test when it is unpickled."""

    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


@pytest.mark.parametrize("read", [read_array, map_array, lambda path: parse_array(path.read_bytes(), str(path))])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"text",
        pickle.dumps(Trap()),
        saved(np.array([Trap()], dtype=object)),
        saved(np.ones(100))[:-8],
        saved(np.ones(1)).replace(b"(1,)", b"(-1,"),
        saved(np.ones(1)).replace(b"(1,)", b"1   "),
        saved(np.ones(1)).replace(b"'<f8'", b"'<q9'"),
        saved(np.ones(1)).replace(b"{'descr'", b"('descr'"),
    ],
)
def test_a_bad_npy_is_refused_by_name(tmp_path, read, content):
    (tmp_path / "bad.npy").write_bytes(content)
    with pytest.raises(PprError, match=r"bad\.npy"):
        read(tmp_path / "bad.npy")


@given(place=st.integers(0, 127), byte=st.integers(0, 255))
def test_a_changed_byte_of_the_header_is_an_array_or_an_error_of_ours(place, byte):
    data = bytearray(saved(np.ones(3)))
    data[place] = byte
    try:
        parse_array(bytes(data), "stdin")
    except PprError as error:
        assert error.message.startswith("stdin")


def test_a_damaged_header_is_refused_without_a_warning_of_pythons_own(recwarn):
    with pytest.raises(PprError, match="stdin"):
        parse_array(saved(np.ones(3)).replace(b"descr", b"d\\scr"), "stdin")
    assert [str(warning.message) for warning in recwarn] == []


def test_a_bad_npz_is_refused_by_name(tmp_path):
    np.savez_compressed(tmp_path / "good.npz", a=np.arange(10_000))
    content = (tmp_path / "good.npz").read_bytes()
    middle = len(content) // 2
    huge = np.lib.format.header_data_from_array_1_0(np.zeros(1, np.uint8)) | {"shape": (1 << 33,)}
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive, archive.open("a.npy", "w") as member:
        np.lib.format.write_array_header_1_0(member, huge)
    np.savez(tmp_path / "trap.npz", a=np.array([Trap()], dtype=object))
    damaged = content[:middle] + bytes(byte ^ 0x5A for byte in content[middle : middle + 40]) + content[middle + 40 :]
    for name, data in (("empty", b""), ("text", b"no zip"), ("cut", content[:-40]), ("damaged", damaged)):
        (tmp_path / f"{name}.npz").write_bytes(data)
    for name, part in (
        ("absent", "No such file"),
        ("empty", "not an .npz file"),
        ("text", "not an .npz file"),
        ("cut", "not an .npz file"),
        ("damaged", "damaged"),
        ("huge", "says it has 8 GiB, more than 4"),
        ("trap", "'a' holds pickled Python objects"),
    ):
        with pytest.raises(PprError, match=rf"{name}\.npz") as caught:
            read_arrays(tmp_path / f"{name}.npz")
        assert part in caught.value.message


def test_a_header_that_promises_more_than_the_file_has_is_not_allocated(tmp_path):
    header = np.lib.format.header_data_from_array_1_0(np.zeros(1)) | {"shape": (1 << 28,)}
    with (tmp_path / "a.npy").open("wb") as stream:
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(bytes(8))
    with pytest.raises(PprError, match=r"says it has 2,147,483,648 bytes, the file has"):
        read_array(tmp_path / "a.npy")
    np.save(tmp_path / "b.npy", np.ones(100))
    with pytest.raises(PprError, match="more than"):
        read_array(tmp_path / "b.npy", max_bytes=799)
    assert len(read_array(tmp_path / "b.npy", max_bytes=800)) == 100
