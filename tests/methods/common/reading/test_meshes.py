"""Reading, welding, judging, cleaning and sampling meshes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading import meshes
from ppr.methods.common.reading.meshes import Mesh, keep_components, linear_to_srgb, read_mesh, report, sample_surface, srgb_to_linear, weld


def shape(made: trimesh.Trimesh, offset: tuple[float, float, float] = (0, 0, 0)) -> Mesh:
    return Mesh(np.array(made.vertices) + offset, np.array(made.faces, np.int64))


def joined(*parts: Mesh) -> Mesh:
    starts = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [part.faces + start for part, start in zip(parts, starts, strict=False)]
    return Mesh(np.concatenate([part.vertices for part in parts]), np.concatenate(faces))


SPHERE = shape(trimesh.creation.icosphere(2, 0.3))
TORUS = shape(trimesh.creation.torus(1.0, 0.25))
CUBE = shape(trimesh.creation.box())


@pytest.mark.parametrize(("mesh", "euler"), [(SPHERE, 2), (TORUS, 0), (CUBE, 2)])
def test_closed_shapes_agree_with_trimesh(mesh, euler):
    found, peer = report(mesh), trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    assert (found.watertight, found.manifold, found.components, found.euler) == (True, True, 1, euler)
    assert found.volume == pytest.approx(peer.volume)
    assert found.area == pytest.approx(peer.area)
    assert np.allclose(found.bounds, peer.bounds)


def test_volume_does_not_depend_on_the_place_and_turns_with_the_faces():
    far = Mesh(SPHERE.vertices + 1e4, SPHERE.faces)
    assert report(far).volume == pytest.approx(report(SPHERE).volume, rel=1e-5)
    assert report(Mesh(SPHERE.vertices, SPHERE.faces[:, ::-1])).volume == pytest.approx(-report(SPHERE).volume)


def test_one_turned_face_is_not_watertight_but_manifold():
    faces = SPHERE.faces.copy()
    faces[5] = faces[5, ::-1]
    found = report(Mesh(SPHERE.vertices, faces))
    assert not found.watertight
    assert found.manifold
    assert found.euler == 2


def test_a_missing_face_is_a_hole():
    found = report(Mesh(SPHERE.vertices, SPHERE.faces[1:]))
    assert not found.watertight
    assert found.manifold
    assert found.euler == 1


def test_two_cubes_that_share_an_edge_or_a_corner_are_not_manifold():
    edge = weld(joined(CUBE, shape(trimesh.creation.box(), (1, 1, 0))))
    corner = weld(joined(CUBE, shape(trimesh.creation.box(), (1, 1, 1))))
    assert not report(edge).manifold
    assert not report(edge).watertight
    assert len(corner.vertices) == 15
    assert not report(corner).manifold
    assert report(corner).watertight


def test_vertices_without_faces_do_not_count():
    found = report(Mesh(np.concatenate([SPHERE.vertices, [[9, 9, 9]]]), SPHERE.faces))
    assert (found.vertices, found.components, found.euler) == (len(SPHERE.vertices), 1, 2)
    assert found.bounds[1][0] < 1


def test_an_empty_mesh_has_a_report():
    found = report(Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64)))
    assert (found.vertices, found.faces, found.components, found.watertight) == (0, 0, 0, False)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_welding_undoes_a_soup_of_triangles(seed):
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(TORUS.faces))
    soup = Mesh(TORUS.vertices[TORUS.faces[order]].reshape(-1, 3), np.arange(3 * len(order)).reshape(-1, 3))
    assert report(soup).components == len(order)
    welded = weld(soup)
    assert len(welded.vertices) == len(TORUS.vertices)
    assert report(welded).watertight
    assert np.array_equal(welded.vertices[welded.faces], TORUS.vertices[TORUS.faces[order]])


def test_welding_keeps_order_colours_and_what_lies_apart():
    colors = np.arange(3 * len(SPHERE.vertices)).reshape(-1, 3).astype(np.uint8)
    same = weld(Mesh(SPHERE.vertices, SPHERE.faces, colors=colors))
    assert np.array_equal(same.vertices, SPHERE.vertices)
    assert np.array_equal(same.colors, colors)
    close = weld(Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 1e-6, 0]]), np.array([[0, 1, 2], [3, 1, 2], [0, 3, 3]])))
    assert (len(close.vertices), len(close.faces)) == (4, 2)


def test_floaters_go_and_limbs_stay():
    crumb = Mesh(SPHERE.vertices * 0.05 + [2, 0, 0], SPHERE.faces)  # 0.0125 % of the volume
    half = Mesh(SPHERE.vertices * 0.8 + [0, 2, 0], SPHERE.faces)
    mesh = joined(crumb, SPHERE, half)
    kept = keep_components(mesh)
    assert (report(kept.mesh).components, kept.components, kept.dropped) == (2, 2, 1)
    kept = keep_components(mesh, "largest")
    assert (report(kept.mesh).components, kept.components, kept.dropped) == (1, 1, 2)
    assert np.allclose(kept.mesh.vertices, SPHERE.vertices)
    everything = keep_components(mesh, "all")
    assert (everything.mesh, everything.components, everything.dropped) == (mesh, 3, 0)
    assert keep_components(mesh, 0.6).dropped == 2


def test_components_are_measured_where_they_are():
    """A far part is no larger for being far: volumes are taken about each part's own middle, open parts included."""
    open_far = Mesh(SPHERE.vertices[:, ::-1] * 0.9 + [500, 0, 0], SPHERE.faces[8:])
    kept = keep_components(joined(open_far, SPHERE), "largest")
    assert kept.dropped == 1
    assert np.allclose(kept.mesh.vertices, SPHERE.vertices)


def test_samples_are_even_and_on_the_surface():
    mesh = shape(trimesh.creation.box((1, 2, 3)))
    points, normals = sample_surface(mesh, 22_000, seed=1)
    onto = np.abs(points / [0.5, 1, 1.5]).max(axis=1)
    assert np.allclose(onto, 1)
    shares = [np.mean(np.abs(normals[:, axis]) > 0.5) for axis in range(3)]
    assert np.allclose(shares, np.array([6, 3, 2]) / 11, atol=0.015)
    assert (np.einsum("ni,ni->n", points, normals) > 0).all()
    assert np.array_equal(points, sample_surface(mesh, 22_000, seed=1)[0])
    assert not np.array_equal(points, sample_surface(mesh, 22_000, seed=2)[0])
    face = points[np.abs(normals[:, 2]) > 0.5]
    assert np.allclose(np.cov(face[:, :2].T), np.diag([1 / 12, 4 / 12]), atol=0.02)


def test_a_surface_without_area_cannot_be_sampled():
    with pytest.raises(PprError, match="without area"):
        sample_surface(Mesh(np.zeros((3, 3)), np.array([[0, 1, 2]])), 5, seed=0)


def exported(path: Path, made: trimesh.Trimesh | trimesh.Scene) -> Path:
    made.export(path)
    return path


@pytest.mark.parametrize("suffix", ["obj", "off", "ply", "stl", "glb"])
def test_every_format_reads_closed(tmp_path, suffix):
    mesh = read_mesh(exported(tmp_path / f"a.{suffix}", trimesh.creation.torus(1.0, 0.25)))
    found = report(mesh)
    assert (found.vertices, found.faces, found.watertight, found.euler) == (len(TORUS.vertices), len(TORUS.faces), True, 0)
    assert found.volume == pytest.approx(report(TORUS).volume, rel=1e-5)


def test_the_parts_of_a_scene_stand_where_they_stand(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(trimesh.creation.box(), transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    scene.add_geometry(trimesh.creation.box(), transform=trimesh.transformations.scale_matrix(2))
    found = report(read_mesh(exported(tmp_path / "a.glb", scene)))
    assert found.components == 2
    assert np.allclose(found.bounds, [(-1, -1, -1), (5.5, 1, 1)])


def test_polygons_are_cut_and_seams_welded(tmp_path):
    path = tmp_path / "quads.obj"
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    quads = [(1, 2, 4, 3), (5, 7, 8, 6), (1, 5, 6, 2), (3, 4, 8, 7), (1, 3, 7, 5), (2, 6, 8, 4)]
    texture = "".join(f"vt {u} {v}\n" for u, v in [(0, 0), (1, 0), (1, 1), (0, 1), (0.5, 0.5)])
    faces = "".join("f " + " ".join(f"{v}/{(i + n) % 5 + 1}" for i, v in enumerate(quad)) + "\n" for n, quad in enumerate(quads))
    path.write_text("mtllib nowhere.mtl\n" + "".join(f"v {x} {y} {z}\n" for x, y, z in corners) + texture + faces)
    found = report(read_mesh(path))
    assert (found.vertices, found.faces, found.watertight) == (8, 12, True)
    assert abs(found.volume) == pytest.approx(1)


def test_vertex_colours_are_read(tmp_path):
    made = trimesh.creation.box()
    made.visual.vertex_colors = np.arange(32).reshape(8, 4) * 7
    assert np.array_equal(read_mesh(exported(tmp_path / "a.ply", made)).colors, made.visual.vertex_colors)


@pytest.mark.parametrize("suffix", ["obj", "off", "ply", "stl", "glb"])
@pytest.mark.parametrize("content", [b"", b"\x00" * 300, b"hello\nworld\n", bytes(range(256)) * 8], ids=["empty", "zeros", "text", "noise"])
def test_what_is_no_mesh_is_named(tmp_path, suffix, content):
    path = tmp_path / f"bad.{suffix}"
    path.write_bytes(content)
    with pytest.raises(PprError, match=r"bad\."):
        read_mesh(path)


@pytest.mark.parametrize("suffix", ["off", "ply", "stl", "glb"])
def test_half_a_file_is_named(tmp_path, suffix):
    path = exported(tmp_path / f"cut.{suffix}", trimesh.creation.icosphere(3))
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(PprError, match=r"cut\."):
        read_mesh(path)


def test_a_cut_obj_names_a_vertex_that_is_not_there(tmp_path):
    path = tmp_path / "cut.obj"
    path.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n")
    with pytest.raises(PprError, match=r"cut\.obj"):
        read_mesh(path)


def test_points_without_faces_and_nan_are_refused(tmp_path):
    cloud, broken = tmp_path / "cloud.obj", tmp_path / "nan.off"
    cloud.write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    broken.write_text("OFF\n3 1 0\n0 0 nan\n1 0 0\n0 1 0\n3 0 1 2\n")
    with pytest.raises(PprError, match="cloud"):
        read_mesh(cloud)
    with pytest.raises(PprError, match="1 vertices are not at finite positions"):
        read_mesh(broken)


def test_absent_unknown_and_huge_files(tmp_path, monkeypatch):
    with pytest.raises(PprError, match=r"none\.ply: cannot be read"):
        read_mesh(tmp_path / "none.ply")
    with pytest.raises(UsageError, match="no mesh format") as caught:
        read_mesh(tmp_path / "a.fbx")
    assert caught.value.hint == "one of: obj, off, ply, stl, glb"
    path = exported(tmp_path / "large.stl", trimesh.creation.box())
    monkeypatch.setattr(meshes, "MAX_FILE_BYTES", 100)
    with pytest.raises(PprError, match="larger than"):
        read_mesh(path)


@given(st.integers(0, 255), st.integers(0, 255))
def test_linear_colours_come_back(value, alpha):
    color = np.array([[value, 255 - value, 128, alpha]], np.uint8)
    linear = srgb_to_linear(color)
    assert linear[0, 3] == alpha
    assert linear[0, 2] == 55  # mid grey reflects about a fifth of the light
    back = linear_to_srgb(linear).astype(int)
    assert np.abs(back - color).max() <= 7  # eight bits are coarse for dark linear values


def test_neither_torch_nor_a_mesh_library_is_imported():
    code = "import sys, ppr.methods.common.reading.meshes; print([m for m in ('torch', 'open3d', 'trimesh') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_real_meshes(request):
    folder = Path(__file__).parents[5] / "shared/data/imnet"
    if not (folder / "spot.obj").is_file():
        pytest.skip("no real meshes")
    assert report(read_mesh(folder / "spot.obj")).watertight
    assert not report(read_mesh(folder / "suzanne_open.obj")).watertight
