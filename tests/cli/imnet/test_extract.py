"""`ppr imnet extract`: any implicit function to a mesh."""

from __future__ import annotations

import numpy as np
import pytest

from ppr.methods.common.reading.meshes import read_mesh, report


def test_a_python_function_becomes_a_mesh(ppr, fields):
    answer = ppr("imnet", "extract", "--field", "some_fields:sphere", "--level", "0", "-r", "64", "-o", "s.ply", "--json")
    assert answer.code == 0, answer.err
    mesh = read_mesh(fields / "s.ply")
    assert report(mesh).euler == 2
    assert np.abs(np.linalg.norm(mesh.vertices, axis=1) - 0.3).max() < 1e-4
    assert (mesh.vertices * read_mesh(fields / "s.ply").vertices).sum() > 0
    assert answer.records[0]["volume"] == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=2e-3)


def test_a_signed_distance_is_negated_and_its_level_is_zero(ppr, fields):
    (record,) = ppr("imnet", "extract", "--field", "some_fields:torus", "--negate", "-r", "48", "-o", "t.ply", "--json").records
    assert (report(read_mesh(fields / "t.ply")).euler, record["level"], record["components"]) == (0, 0.0, 1)


def test_a_column_of_values_is_taken_too(ppr, fields):
    assert ppr("imnet", "extract", "--field", "some_fields:column", "--level", "0", "-r", "32", "-o", "c.ply").code == 0


def test_a_surface_that_leaves_the_box_is_closed_and_said(ppr, fields):
    answer = ppr(
        "imnet", "extract", "--field", "some_fields:sphere", "--level", "0", "--box", "-0.2", "0.2", "-r", "32", "-o", "s.ply", "--json"
    )
    assert answer.code == 0, answer.err
    assert answer.records[0]["clipped"] and answer.records[0]["watertight"]
    assert "leaves the box" in answer.err


@pytest.mark.slow
def test_an_exported_shape_gives_the_mesh_that_mesh_gives(ppr, fields):
    assert ppr("imnet", "export", "--shape", "1", "--logits", "--out", "shape.onnx").code == 0
    options = ("-r", "48", "--no-normals")
    (extracted,) = ppr("imnet", "extract", "--onnx", "shape.onnx", *options, "-o", "a.ply", "--json").records
    (meshed,) = ppr("imnet", "mesh", "--shape", "1", *options, "-o", "b.ply", "--json").records
    assert extracted["cells"] == meshed["cells"]
    a, b = read_mesh(fields / "a.ply").vertices, read_mesh(fields / "b.ply").vertices
    assert np.abs(a - b).max() < 1e-5


@pytest.mark.slow
def test_a_decoder_needs_a_code_of_its_length(ppr, fields):
    assert ppr("imnet", "export", "--out", "decoder.onnx").code == 0
    assert "takes a code, too" in ppr("imnet", "extract", "--onnx", "decoder.onnx", "-o", "a.ply").err
    np.save("z.npy", np.zeros(7, np.float32))
    answer = ppr("imnet", "extract", "--onnx", "decoder.onnx", "--code", "z.npy", "-o", "a.ply")
    assert answer.code == 2
    assert "a code of 7 numbers, but the model takes 128" in answer.err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--field", "some_fields:empty"), 3, "its maximum is 0.25"),
        (("--field", "some_fields:broken"), 1, "IndexError"),
        (("--field", "some_fields:absent"), 2, "has no 'absent'"),
        (("--field", "some_fields:NUMBER"), 2, "is no function"),
        (("--field", "absent_module:f"), 2, "importing 'absent_module' failed"),
        (("--field", "some_fields"), 2, "not of the form module:function"),
        (("--field", "some_fields:sphere", "--box", "1", "0"), 2, "not below"),
        (("--onnx", "absent.onnx"), 1, "cannot be read"),
        ((), 2, "give --onnx FILE or --field"),
    ],
)
def test_what_is_wrong_is_said(ppr, fields, arguments, code, message):
    answer = ppr("imnet", "extract", *arguments, "-o", "out.ply")
    assert (answer.code, message in answer.err) == (code, True), answer.err
    assert not (fields / "out.ply").exists()
