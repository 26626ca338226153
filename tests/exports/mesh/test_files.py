"""Mesh files that other programs open, and what is done to meshes before."""

from __future__ import annotations

import dataclasses
import io
import json

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.exports.mesh.extract import vertex_normals
from ppr.exports.mesh.files import NEUTRAL, WRITERS, colorize, decimate, mesh_bytes, place, smooth, write_mesh
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.meshes import Mesh, read_mesh, report, srgb_to_linear
from ppr.methods.common.reading.open3d_library import import_open3d


def torus() -> Mesh:
    made = trimesh.creation.torus(0.3, 0.08)
    plain = Mesh(np.array(made.vertices)[:, [0, 2, 1]] * [1, 1, -1], np.array(made.faces, np.int64))
    return colorize(dataclasses.replace(plain, normals=vertex_normals(plain)), "normal")


TORUS = torus()


@pytest.fixture(scope="module")
def open3d():
    """Decimation and smoothing degrade without open3d and the system libraries it wants; their tests do, too."""
    try:
        return import_open3d()
    except PprError as error:
        pytest.skip(f"{error.message} ({error.hint})")


@pytest.mark.parametrize("suffix", list(WRITERS))
def test_trimesh_reads_back_what_was_written(tmp_path, suffix):
    path = tmp_path / f"torus.{suffix}"
    write_mesh(path, TORUS, overwrite=False)
    peer = trimesh.load_mesh(path, process=False)
    assert len(peer.faces) == len(TORUS.faces)
    peer.merge_vertices(merge_norm=True, merge_tex=True)
    assert peer.is_watertight
    assert peer.volume == pytest.approx(report(TORUS).volume, rel=1e-5)
    assert np.allclose(peer.bounds, report(TORUS).bounds, atol=1e-6)
    ours = read_mesh(path)
    assert np.allclose(ours.vertices[ours.faces], TORUS.vertices[TORUS.faces], atol=1e-7)
    assert report(ours).watertight


@pytest.mark.parametrize("suffix", ["obj", "ply"])
def test_colours_come_back_from_obj_and_ply(tmp_path, suffix):
    path = tmp_path / f"torus.{suffix}"
    write_mesh(path, TORUS, overwrite=False)
    assert np.array_equal(read_mesh(path).colors[:, :3], TORUS.colors)


def test_normals_are_in_obj_and_ply():
    lines = mesh_bytes(TORUS, "obj").decode().splitlines()
    assert np.allclose(np.loadtxt([line[3:] for line in lines if line.startswith("vn ")]), TORUS.normals, atol=1e-4)
    assert lines[-1] == "f " + " ".join(f"{v + 1}//{v + 1}" for v in TORUS.faces[-1])
    header, body = mesh_bytes(TORUS, "ply").split(b"end_header\n", 1)
    assert b"property float nx\nproperty float ny\nproperty float nz\nproperty uchar red" in header
    rows = np.frombuffer(body, np.dtype([("position", "<f4", 3), ("normal", "<f4", 3), ("color", "u1", 3)]), len(TORUS.vertices))
    assert np.allclose(rows["normal"], TORUS.normals, atol=1e-6)


def test_glb_has_linear_colours_normals_and_a_material_that_is_no_metal(tmp_path):
    path = tmp_path / "torus.glb"
    write_mesh(path, TORUS, overwrite=False)
    tree = gltf(path.read_bytes())
    (primitive,) = tree["meshes"][0]["primitives"]
    assert {"POSITION", "NORMAL", "COLOR_0"} <= set(primitive["attributes"])
    material = tree["materials"][primitive["material"]]["pbrMetallicRoughness"]
    assert material["metallicFactor"] == 0
    assert material.get("baseColorFactor", [1, 1, 1, 1]) == [1, 1, 1, 1]
    peer = trimesh.load_mesh(path, process=False, skip_materials=True)
    assert np.array_equal(peer.visual.vertex_colors[:, :3], srgb_to_linear(TORUS.colors))
    assert np.abs(read_mesh(path).colors[:, :3].astype(int) - TORUS.colors).max() <= 7


def test_glb_without_colours_is_light_and_neutral():
    tree = gltf(mesh_bytes(Mesh(TORUS.vertices, TORUS.faces), "glb"))
    (primitive,) = tree["meshes"][0]["primitives"]
    assert "COLOR_0" not in primitive["attributes"]
    color = tree["materials"][primitive["material"]]["pbrMetallicRoughness"]["baseColorFactor"]
    assert np.allclose(color[:3], (np.array(NEUTRAL) / 255) ** 2.2, atol=0.02)


def gltf(data: bytes) -> dict:
    assert data[:4] == b"glTF"
    length = int.from_bytes(data[12:16], "little")
    return json.loads(data[20 : 20 + length])


def test_open3d_reads_ply_and_stl(open3d, tmp_path):
    for suffix in ("ply", "stl", "obj", "off"):
        path = tmp_path / f"torus.{suffix}"
        write_mesh(path, TORUS, overwrite=False)
        assert len(open3d.io.read_triangle_mesh(str(path)).triangles) == len(TORUS.faces)


@pytest.mark.parametrize("format", list(WRITERS))
def test_bytes_are_the_file(tmp_path, format):
    path = tmp_path / f"a.{format.upper()}"
    write_mesh(path, TORUS, overwrite=False)
    assert path.read_bytes() == mesh_bytes(TORUS, format)


def test_a_mesh_of_the_plainest_kind_is_written():
    plain = Mesh(TORUS.vertices.astype(np.float32), TORUS.faces)
    assert mesh_bytes(plain, "obj").startswith(b"v ")
    assert b"nx" not in mesh_bytes(plain, "ply")[:400]
    alpha = dataclasses.replace(plain, colors=np.full((len(plain.vertices), 4), 9, np.uint8))
    assert trimesh.load_mesh(io.BytesIO(mesh_bytes(alpha, "ply")), file_type="ply").visual.vertex_colors[0].tolist() == [9] * 4


def test_an_unknown_suffix_lists_the_known_and_writes_nothing(tmp_path):
    with pytest.raises(UsageError, match=r"a\.fbx: '\.fbx' is no mesh format") as caught:
        write_mesh(tmp_path / "a.fbx", TORUS, overwrite=True)
    assert caught.value.hint == "one of: obj, ply, stl, off, glb"
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten_unasked(tmp_path):
    path = tmp_path / "a.off"
    write_mesh(path, TORUS, overwrite=False)
    with pytest.raises(UsageError, match="exists already"):
        write_mesh(path, TORUS, overwrite=False)
    write_mesh(path, TORUS, overwrite=True)


def test_z_up_turns_heights_into_z_without_mirroring():
    turned = place(TORUS, up="z")
    assert np.allclose(turned.vertices[:, 2], TORUS.vertices[:, 1])
    assert np.allclose(turned.vertices[:, 0], TORUS.vertices[:, 0])
    assert report(turned).volume == pytest.approx(report(TORUS).volume)
    assert np.allclose(turned.normals, vertex_normals(turned))


@given(scale=st.floats(0.01, 100), up=st.sampled_from(["y", "z"]), shift=st.floats(-5, 5))
@settings(deadline=None)
def test_placing_gives_the_size_and_the_floor_asked_for(scale, up, shift):
    mesh = dataclasses.replace(TORUS, vertices=TORUS.vertices + shift)
    low, high = np.array(report(place(mesh, up=up, scale=scale, center=True, on_floor=True)).bounds)
    assert (high - low).max() == pytest.approx(scale)
    height = "xyz".index(up)
    assert low[height] == pytest.approx(0, abs=1e-9 * scale)
    assert np.allclose(np.delete(low + high, height), 0, atol=1e-9 * scale)
    assert np.allclose(place(mesh).vertices, mesh.vertices)


def test_sizes_that_are_none():
    for scale in (0.0, -1.0, np.nan):
        with pytest.raises(UsageError, match="cannot scale"):
            place(TORUS, scale=scale)


def test_colours_by_normal_height_and_name():
    by_normal = colorize(TORUS, "normal").colors
    top = TORUS.vertices[:, 1].argmax()
    assert by_normal[top, 1] > 250
    assert np.abs(by_normal[top, [0, 2]].astype(int) - 128).max() < 20
    by_height = colorize(TORUS, "height").colors.astype(int)
    assert by_height[top].sum() > by_height[TORUS.vertices[:, 1].argmin()].sum() + 150
    assert set(map(tuple, colorize(TORUS, "#c86432").colors.tolist())) == {(200, 100, 50)}
    for wrong in ("red", "#12345", "#12345g", "#1234567"):
        with pytest.raises(UsageError, match="is not known"):
            colorize(TORUS, wrong)


def test_decimation_keeps_the_shape_closed(open3d):
    small = decimate(TORUS, 600)
    assert 400 <= len(small.faces) <= 600
    assert report(small).watertight
    assert report(small).volume == pytest.approx(report(TORUS).volume, rel=0.1)
    assert small.colors.shape == small.normals.shape == small.vertices.shape
    assert decimate(TORUS, 10**6) is TORUS


def test_smoothing_takes_noise_away_and_little_volume(open3d):
    noise = np.random.default_rng(0).normal(0, 0.004, TORUS.vertices.shape)
    rough = dataclasses.replace(TORUS, vertices=TORUS.vertices + noise)
    smoothed = smooth(rough, 10)
    assert report(smoothed).area < 0.97 * report(rough).area
    assert report(smoothed).volume == pytest.approx(report(TORUS).volume, rel=0.05)
    assert np.array_equal(smoothed.faces, rough.faces)
    assert smooth(rough, 0) is rough


def test_too_few_faces_are_refused():
    with pytest.raises(UsageError, match="do not close a surface"):
        decimate(TORUS, 3)
