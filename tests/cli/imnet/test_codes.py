"""Codes in and out: generate, encode, interpolate, edit, list, infer."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.meshes import read_mesh
from ppr.methods.imnet.pictures import grid

SMALL = ("--resolution", "40", "--refine", "1")


def test_the_first_generated_codes_do_not_depend_on_how_many_are_asked_for(ppr):
    one, three = (ppr("imnet", "generate", "-n", count, "--seed", "9").records for count in (1, 3))
    assert one[0]["code"] == three[0]["code"] != three[1]["code"]


def test_generate_writes_codes_meshes_and_a_sheet(ppr, tmp_path):
    assert ppr("imnet", "generate", "-n", "2", "-o", tmp_path / "z.npy").code == 0
    assert np.load(tmp_path / "z.npy").shape == (2, 128)
    answer = ppr("imnet", "generate", "-n", "2", *SMALL, "-o", tmp_path / "m", "--format", "stl", "--contact", tmp_path / "s.png")
    assert answer.code == 0, answer.err
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["0000.stl", "0001.stl"]
    assert Image.open(tmp_path / "s.png").width > 300


@pytest.mark.slow
def test_interpolation_begins_and_ends_with_the_two_shapes(ppr, tmp_path):
    answer = ppr("imnet", "interpolate", "0", "4", "--steps", "4", *SMALL, "--mesh-dir", tmp_path / "m", "--gif", tmp_path / "m.gif")
    assert answer.code == 0, answer.err
    for index, shape in ((0, "0"), (3, "4")):
        ppr("imnet", "mesh", "--shape", shape, *SMALL, "-o", tmp_path / f"{shape}.obj")
        assert (tmp_path / f"{shape}.obj").read_bytes() == (tmp_path / "m" / f"{index:04d}.obj").read_bytes()
    assert Image.open(tmp_path / "m.gif").n_frames == 4
    assert all(len(read_mesh(path).faces) for path in (tmp_path / "m").iterdir())


def test_a_mixture_with_weight_one_is_the_shape_itself(ppr, tmp_path):
    for name, mix in (("a", "3"), ("b", "0.25*3 + .75*3"), ("c", "3 + 5 - 5")):
        assert ppr("imnet", "edit", "--mix", mix, "--save-code", tmp_path / f"{name}.npy").code == 0
    a, b, c = (np.load(tmp_path / f"{name}.npy") for name in "abc")
    assert a == pytest.approx(b, abs=1e-6) and a == pytest.approx(c, abs=1e-6)


@pytest.mark.parametrize("mix", ["", "0.5*", "3 4", "0.5**3", "+"])
def test_a_mixture_that_cannot_be_read_is_refused(ppr, tmp_path, mix):
    answer = ppr("imnet", "edit", "--mix", mix, "-o", tmp_path / "a.obj")
    assert answer.code == 2
    assert "--mix" in answer.err


def test_encode_gives_one_code_for_the_same_solid_in_every_form(ppr, tmp_path, voxels):
    np.savez(tmp_path / "grid.npz", voxels=np.load(voxels))
    answer = ppr("imnet", "encode", voxels, tmp_path / "grid.npz")
    assert answer.code == 0, answer.err
    a, b = answer.records
    assert a["code"] == b["code"]
    assert ppr("imnet", "encode", voxels, "-o", tmp_path / "z.h5").code == 0
    with h5py.File(tmp_path / "z.h5") as file:
        assert file["zs"][0].tolist() == pytest.approx(a["code"])


def test_encode_reports_a_bad_file_and_does_the_rest(ppr, tmp_path, voxels):
    (tmp_path / "bad.binvox").write_bytes(b"#binvox 1\ndim 8 8")
    answer = ppr("imnet", "encode", tmp_path / "bad.binvox", voxels)
    assert answer.code == 1
    assert len(answer.records) == 1
    assert "bad.binvox" in answer.err


def test_infer_writes_mesh_code_and_picture_beside_each_other(ppr, tmp_path, voxels):
    answer = ppr("imnet", "infer", voxels, *SMALL, "-o", tmp_path / "out", "--save-code", "--preview", "--json")
    assert answer.code == 0, answer.err
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"table.imnet.obj", "table.imnet.npy", "table.imnet.png"}
    assert answer.records[0]["input"] == str(voxels)


def test_list_names_every_shape_once_and_draws_some(ppr, tmp_path):
    names = [json.loads(line)["name"] for line in ppr("imnet", "list", "--json").out.splitlines()]
    assert len(set(names)) == len(names) > 10
    answer = ppr("imnet", "list", "--limit", "2", "-r", "32", "--contact", tmp_path / "s.png")
    assert (answer.code, answer.out.strip()) == (0, str(tmp_path / "s.png"))


def test_the_map_shows_the_listed_shapes_where_their_codes_lie(ppr, tmp_path):
    """Two families lie apart, and just the cells that hold shapes have something drawn in them."""
    picture = tmp_path / "map.png"
    options = ("--match", "b000v0", "--match", "b012v0", "--map", picture, "--columns", "6", "--json")
    answer = ppr("imnet", "list", *options)
    assert answer.code == 0, answer.err
    *records, path = answer.out.splitlines()
    assert path == str(picture)
    listed = [json.loads(line) for line in records]
    assert {record["name"][:4] for record in listed} == {"b000", "b012"}
    places = np.array([record["map"] for record in listed])
    first = np.array([record["name"].startswith("b000") for record in listed])
    middles = [places[members].mean(axis=0) for members in (first, ~first)]
    assert np.linalg.norm(places[first] - middles[0], axis=1).max() < np.linalg.norm(places[first] - middles[1], axis=1).min()
    with Image.open(picture) as image:
        assert max(image.size) == 6 * 96
        dark = np.asarray(image.convert("L")).reshape(image.height // 96, 96, -1, 96).min(axis=(1, 3)) < 200
    occupied = grid(places, 6)
    assert {tuple(cell) for cell in np.argwhere(dark).tolist()} == set(occupied.shapes)


def test_the_map_is_not_put_over_a_file_and_nothing_is_left_half_written(ppr, tmp_path, monkeypatch):
    picture = tmp_path / "map.png"
    picture.write_text("mine")
    options = ("imnet", "list", "--limit", "1", "-r", "16", "--map", picture)
    answer = ppr(*options)
    assert (answer.code, picture.read_text()) == (2, "mine")
    assert "--overwrite" in answer.err
    with monkeypatch.context() as patch:
        patch.setattr(Image.Image, "save", interrupted_save)
        assert ppr(*options, "--overwrite").code != 0
    assert (picture.read_text(), [path.name for path in tmp_path.iterdir()]) == ("mine", ["map.png"])
    assert ppr(*options, "--overwrite").code == 0
    assert Image.open(picture).size == (96, 96)


def interrupted_save(_image: Image.Image, path, **_options) -> None:
    """Half a file, and then no more room."""
    Path(path).write_bytes(b"\x89PNG")
    raise PprError("no space left")


def test_nothing_to_do_is_an_error(ppr, tmp_path):
    assert ppr("imnet", "interpolate", "0", "1").code == 2
    assert ppr("imnet", "encode").code == 2
    assert ppr("imnet", "edit", "--mix", "1").code == 2
    assert ppr("imnet", "generate", "--out", tmp_path / "one.obj").code == 2
