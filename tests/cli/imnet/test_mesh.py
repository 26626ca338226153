"""`ppr imnet mesh`: files, sources, finishing and what goes wrong."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
import trimesh
from PIL import Image

from ppr.cli.main import run
from ppr.methods.common.reading.meshes import read_mesh, report

SMALL = ("--resolution", "40", "--refine", "1")


@pytest.mark.slow
def test_a_chair_is_written_closed_and_outward_without_any_option(ppr, tmp_path):
    answer = ppr("imnet", "mesh", "--out", tmp_path / "chair.obj", "--preview", tmp_path / "chair.png", "--json")
    assert answer.code == 0, answer.err
    (record,) = answer.records
    found = report(read_mesh(tmp_path / "chair.obj"))
    assert found.watertight and found.volume > 0
    assert (record["watertight"], record["faces"], record["components"]) == (True, found.faces, found.components)
    picture = np.asarray(Image.open(tmp_path / "chair.png").convert("L"))
    assert 0.02 < (picture < 250).mean() < 0.9


@pytest.mark.parametrize("suffix", ["obj", "ply", "stl", "off", "glb"])
def test_every_format_reads_back_with_the_same_faces(ppr, tmp_path, suffix):
    path = tmp_path / f"chair.{suffix}"
    (record,) = ppr("imnet", "mesh", *SMALL, "--out", path, "--color", "height", "--json").records
    read = trimesh.load(path, force="mesh", process=False)
    assert len(read.faces) == record["faces"]
    read.merge_vertices(merge_norm=True, merge_tex=True)
    assert read.is_watertight
    if suffix in ("ply", "glb"):
        colors = read_mesh(path).colors
        assert colors is not None and len(np.unique(colors, axis=0)) > 3


def test_several_outputs_hold_the_same_mesh(ppr, tmp_path):
    assert ppr("imnet", "mesh", *SMALL, "-o", tmp_path / "a.ply", "-o", tmp_path / "b.off").code == 0
    assert len(read_mesh(tmp_path / "a.ply").faces) == len(read_mesh(tmp_path / "b.off").faces)


def test_a_dash_writes_ply_to_stdout(tmp_path, capfdbinary):
    assert run(["imnet", "mesh", *SMALL, "--out", "-"]) == 0
    (tmp_path / "piped.ply").write_bytes(capfdbinary.readouterr().out)
    assert report(read_mesh(tmp_path / "piped.ply")).watertight


def test_up_scale_and_floor_place_the_mesh(ppr, tmp_path):
    path = tmp_path / "chair.ply"
    ppr("imnet", "mesh", *SMALL, "-o", path, "--up", "z", "--scale", "0.9", "--on-floor", "--center")
    low, high = read_mesh(path).vertices.min(0), read_mesh(path).vertices.max(0)
    assert max(high - low) == pytest.approx(0.9, rel=1e-5)
    assert low[2] == pytest.approx(0, abs=1e-6)
    assert (low + high)[:2] == pytest.approx([0, 0], abs=1e-5)


def test_a_seed_gives_the_same_new_shape_every_time(ppr, tmp_path):
    for name in ("a", "b"):
        assert ppr("imnet", "mesh", *SMALL, "--seed", "5", "-o", tmp_path / f"{name}.stl").code == 0
    ppr("imnet", "mesh", *SMALL, "--seed", "6", "-o", tmp_path / "c.stl")
    a, b, c = ((tmp_path / f"{name}.stl").read_bytes() for name in "abc")
    assert a == b != c


def test_voxels_become_a_mesh(ppr, tmp_path, voxels):
    answer = ppr("imnet", "mesh", *SMALL, "--voxels", voxels, "-o", tmp_path / "table.obj", "--json")
    assert answer.code == 0, answer.err
    assert answer.records[0]["watertight"]


def test_a_code_from_a_file_gives_the_known_shape(ppr, tmp_path):
    assert ppr("imnet", "edit", "--mix", "1*2", "--save-code", tmp_path / "z.npy").code == 0
    for name, options in (("a", ("--code", tmp_path / "z.npy")), ("b", ("--shape", "2"))):
        assert ppr("imnet", "mesh", *SMALL, *options, "-o", tmp_path / f"{name}.stl").code == 0
    assert (tmp_path / "a.stl").read_bytes() == (tmp_path / "b.stl").read_bytes()


def test_generated_codes_flow_through_a_pipe(ppr, tmp_path, monkeypatch):
    lines = ppr("imnet", "generate", "-n", "2", "--seed", "3").out
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BufferedReader(io.BytesIO(lines.encode()))))
    answer = ppr("imnet", "mesh", "--batch", *SMALL, "--out", tmp_path / "out" / "{i:03d}.glb", "--json")
    assert answer.code == 0, answer.err
    assert [record["i"] for record in answer.records] == [0, 1]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000.glb", "001.glb"]


def test_a_bad_code_in_a_batch_is_left_out(ppr, tmp_path):
    good = json.loads(ppr("imnet", "generate", "-n", "1").out)
    codes = tmp_path / "codes.jsonl"
    codes.write_text("\n".join(json.dumps(record) for record in ({"name": "short", "code": [0.5]}, good)))
    answer = ppr("imnet", "mesh", "--batch", *SMALL, "--code", codes, "--out", tmp_path / "{name}.ply")
    assert answer.code == 1
    assert "short: a code of 1 numbers, but this network takes 128" in answer.err
    assert (tmp_path / f"{good['name']}.ply").exists()


def test_a_name_in_a_template_cannot_leave_its_folder(ppr, tmp_path):
    record = json.loads(ppr("imnet", "generate", "-n", "1").out) | {"name": "../../evil"}
    (tmp_path / "codes.jsonl").write_text(json.dumps(record))
    answer = ppr("imnet", "mesh", "--batch", *SMALL, "--code", tmp_path / "codes.jsonl", "--out", tmp_path / "in" / "{name}.ply")
    assert answer.code == 0, answer.err
    assert [path.name for path in (tmp_path / "in").iterdir()] == ["evil.ply"]


def test_an_empty_field_is_an_error_of_its_own_and_writes_nothing(ppr, tmp_path):
    answer = ppr("imnet", "mesh", "--level", "0.99999999", "-o", tmp_path / "none.obj", "--resolution", "32")
    assert answer.code == 3
    assert "its maximum is 0.9" in answer.err and "--level" in answer.err
    assert not (tmp_path / "none.obj").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("-o", "chair.xyz"), "no mesh format known here"),
        ((), "nothing to write"),
        (("-o", "a.obj", "--resolution", "2048"), "at most 1024, or give --force"),
        (("-o", "a.obj", "--shape", "0", "--seed", "1"), "name different shapes"),
        (("-o", "a.obj", "--shape", "nope"), "no shape of that name"),
        (("-o", "a.obj", "--shape", "100000"), "there are"),
        (("-o", "a.obj", "--checkpoint", "absent.safetensors"), "no such file or model"),
        (("-o", "a.obj", "--color", "plaid"), "not known"),
        (("-o", "a.obj", "--preview", "a.bmp2"), "not a picture format"),
        (("--batch", "-o", "same.obj", "--code", "x.npy"), "every mesh of the batch would have that name"),
        (("--batch", "-o", "{j}.obj", "--code", "x.npy"), "is not known"),
        (("-o", "-", "--json"), "both want stdout"),
        (("-o", "a.obj", "--truncation", "0.5", "--seed", "1", "--prior", "gan"), "needs the weights of a latent GAN"),
    ],
)
def test_a_wrong_command_says_what_is_wrong(ppr, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    answer = ppr("imnet", "mesh", *arguments)
    assert answer.code == 2
    assert message in answer.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"hello\n", "line 1: not JSON"),
        (b'{"code": [NaN, 1]}', "2 numbers, but"),
        (b"\x93NUMPY\x01\x00", "not an .npy file"),
    ],
)
def test_a_bad_code_file_is_named(ppr, tmp_path, content, message):
    (tmp_path / "z.npy").write_bytes(content)
    answer = ppr("imnet", "mesh", "--code", tmp_path / "z.npy", "-o", tmp_path / "a.obj")
    assert answer.code == 1
    assert message in answer.err


def test_existing_files_stay(ppr, tmp_path):
    (tmp_path / "a.obj").write_text("mine")
    answer = ppr("imnet", "mesh", "-o", tmp_path / "a.obj")
    assert (answer.code, (tmp_path / "a.obj").read_text()) == (2, "mine")
    assert "--overwrite" in answer.err


def test_an_empty_voxel_grid_is_refused(ppr, tmp_path):
    np.save(tmp_path / "none.npy", np.zeros((64, 64, 64), bool))
    answer = ppr("imnet", "mesh", "--voxels", tmp_path / "none.npy", "-o", tmp_path / "a.obj")
    assert answer.code == 1
    assert "empty" in answer.err
