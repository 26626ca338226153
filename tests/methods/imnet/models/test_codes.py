"""Codes come out of files and pipes as they went in, and a bad line is named."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.imnet.models.codes import NamedCode, json_record, only, parse_codes, read_codes, write_codes

CODES = np.random.default_rng(0).random((3, 5)).astype(np.float32)


def stream(content: bytes) -> io.BufferedReader:
    return io.BufferedReader(io.BytesIO(content))


@pytest.mark.parametrize("suffix", [".npy", ".h5"])
def test_a_table_of_codes_comes_back_with_numbered_names(tmp_path, suffix):
    path = tmp_path / f"mine{suffix}"
    write_codes(path, CODES, overwrite=False)
    found = list(read_codes(path))
    assert [code.name for code in found] == ["mine-0000", "mine-0001", "mine-0002"]
    np.testing.assert_array_equal(np.stack([code.code for code in found]), CODES)
    with pytest.raises(UsageError, match="exists"):
        write_codes(path, CODES, overwrite=False)


def test_one_code_has_the_name_of_its_file(tmp_path):
    write_codes(tmp_path / "chair.npy", CODES[1], overwrite=False)
    found = only(list(read_codes(tmp_path / "chair.npy")), "chair.npy")
    assert found.name == "chair"
    np.testing.assert_array_equal(found.code, CODES[1])


def test_json_lines_give_the_same_float32_back():
    lines = [json.dumps(json_record(f"c{index}", code, file="x")) for index, code in enumerate(CODES)]
    found = list(parse_codes(stream("\n\n".join(lines).encode()), "pipe"))
    assert [code.name for code in found] == ["c0", "c1", "c2"]
    np.testing.assert_array_equal(np.stack([code.code for code in found]), CODES)


def test_lines_are_given_as_they_come():
    codes = parse_codes(stream(b'{"code": [1, 2]}\nbroken'), "pipe")
    first = next(codes)
    assert (first.name, first.code.tolist()) == ("pipe-0000", [1, 2])
    with pytest.raises(PprError, match="pipe, line 2"):
        next(codes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "pipe: empty"),
        (b'{"name": "a"}', "line 1: no JSON object with a list 'code'"),
        (b'{"code": "abc"}', "line 1"),
        (b"\x93NUMPY", "pipe"),
    ],
)
def test_what_holds_no_codes_is_refused(content, message):
    with pytest.raises(PprError, match=message):
        list(parse_codes(stream(content), "pipe"))


@pytest.mark.parametrize("array", [np.zeros((2, 3, 4)), np.array(["a"]), np.float32(3)])
def test_an_array_of_another_shape_or_type_is_refused(tmp_path, array):
    np.save(tmp_path / "bad.npy", array)
    with pytest.raises(PprError, match=r"not codes \[z\] or \[n, z\]"):
        list(read_codes(tmp_path / "bad.npy"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(PprError, match=r"absent\.npy: cannot be read"):
        list(read_codes(tmp_path / "absent.npy"))


@pytest.mark.parametrize("count", [0, 2])
def test_only_one_code_is_one_shape(count):
    with pytest.raises(UsageError, match=f"holds {count} codes"):
        only([NamedCode("a", CODES[0])] * count, "x.npy")
