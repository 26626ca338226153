"""`ppr imnet prepare`: what it says, writes and returns."""

from __future__ import annotations

import json

import click
import numpy as np
import pytest

from ppr.cli.imnet.prepare import prepare
from ppr.methods.common.errors import UsageError
from ppr.methods.imnet.shapes.hdf5 import read_shapes


@pytest.fixture
def grids(tmp_path):
    """A folder of four voxel grids, two of them variants of one base."""
    folder = tmp_path / "grids"
    folder.mkdir()
    for index, name in enumerate(["a_1", "a_2", "b_1", "c_1"]):
        grid = np.zeros((32, 32, 32), bool)
        grid[8 : 16 + index, 8:24, 10:20] = True
        np.save(folder / f"{name}.npy", grid)
    return folder


def call(capsys, *arguments):
    """Exit code and what was said; `prepare` is a command of its own here, so that errors arrive as they were raised."""
    capsys.readouterr()
    with prepare.make_context("prepare", [str(argument) for argument in arguments]) as context:
        code = prepare.invoke(context)
    return code, *capsys.readouterr()


def test_a_folder_becomes_a_file(tmp_path, grids, capsys):
    code, out, err = call(capsys, grids, "--out", tmp_path / "data.h5", "--group-by", "^.", "--held-out", "0.34")
    assert code == 0
    assert "data.h5" in out
    assert "4 of 32^3" in err
    shapes = read_shapes(tmp_path / "data.h5")
    assert shapes.names == ["a_1", "a_2", "b_1", "c_1"]
    assert shapes.splits[0] == shapes.splits[1]
    assert set(shapes.splits) == {"train", "test"}


def test_json_counts_and_a_bad_file_gives_exit_code_1(tmp_path, grids, capsys):
    (grids / "bad.npz").write_bytes(b"PK")
    code, out, err = call(capsys, grids, "-o", tmp_path / "data.h5", "--json", "--scheme", "paper", "--quiet")
    record = json.loads(out)
    assert code == 1
    assert (record["shapes"], record["failed"], record["native_sides"]) == (4, 1, {"32": 4})
    assert "bad.npz: damaged, or not an .npz file" in err
    assert read_shapes(tmp_path / "data.h5").unit(32) == 32


def test_output_is_neither_replaced_nor_read(tmp_path, grids, capsys):
    out = grids / "data.h5"
    call(capsys, grids, "-o", out)
    before = out.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        call(capsys, grids, "-o", out)
    call(capsys, grids, "-o", out, "--overwrite")
    assert out.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "error", "part"),
    [
        (["{grids}", "-o", "data.npz"], UsageError, "the data are HDF5"),
        (["{grids}/nothing", "-o", "data.h5"], UsageError, "no such file"),
        (["{grids}", "-o", "data.h5", "--group-by", "("], UsageError, "not a regular expression"),
        (["{grids}", "-o", "data.h5", "--up", "x"], click.UsageError, "not one of"),
        (["{grids}", "-o", "data.h5", "--held-out", "1"], click.UsageError, "not in the range"),
    ],
)
def test_wrong_commands_write_nothing(tmp_path, grids, capsys, monkeypatch, arguments, error, part):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error) as caught:
        call(capsys, *(argument.format(grids=grids) for argument in arguments))
    assert part in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["grids"]
