"""The chain from a field to files: what it gives, and what it is expected to take against what it takes."""

from __future__ import annotations

import io
import math
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from ppr.exports.mesh.extract import EmptyFieldError, Extraction
from ppr.exports.mesh.meshing import Finish, Meshing, Outputs, expected_cost
from ppr.methods.common.errors import UsageError
from ppr.methods.common.reading.meshes import read_mesh

MEASURED = """
import numpy as np
from ppr.exports.mesh.extract import Extraction, extract
from ppr.exports.mesh.files import mesh_bytes
from ppr.methods.common.measuring.memory import peak_memory

def made(resolution):
    field = lambda points: np.float32(0.3) - np.sqrt(np.einsum("ni,ni->n", points, points))
    extracted = extract(field, Extraction(level=0.0, resolution=resolution, refine=3), normals=lambda points: points)
    mesh_bytes(extracted.mesh, "obj")
    return extracted.stats

made(32)
before = peak_memory()
stats = made(256)
print((peak_memory() - before) * 1e6, stats.queries + stats.refine_queries)
"""


def test_the_expected_cost_is_within_a_factor_of_two_of_a_measured_one():
    answer = subprocess.run([sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True).stdout.split()
    memory, values = map(float, answer)
    expected_values, expected_memory = expected_cost(256)
    assert memory / 2 < expected_memory < 2 * memory
    assert expected_values == pytest.approx(values, rel=0.3)


class Ball:
    """A ball of radius 0.3 in logits: the value at a distance r is 10 (0.3 - r)."""

    def __call__(self, points):
        return (10 * (0.3 - np.linalg.norm(points, axis=1))).astype(np.float32)

    def gradient(self, points):
        return (-10 * points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float32)

    def values_and_gradients(self, points):
        return self(points), self.gradient(points)

    def value_of(self, probability):
        return math.log(probability / (1 - probability))

    def probability_of(self, value):
        return 1 / (1 + math.exp(-value))


COARSE = Extraction(resolution=24, seed_grid=12)


def radii(mesh):
    return np.linalg.norm(mesh.vertices, axis=1)


@pytest.mark.parametrize("probability", [0.5, 0.8])
def test_the_surface_lies_where_the_field_says_the_probability_is(probability):
    made = Meshing(COARSE)(Ball(), "ball", probability=probability)
    np.testing.assert_allclose(radii(made.mesh), 0.3 - math.log(probability / (1 - probability)) / 10, atol=1e-3)
    np.testing.assert_allclose(made.mesh.normals, made.mesh.vertices / radii(made.mesh)[:, None], atol=1e-3)
    record = made.record
    assert (record["name"], record["level"], record["files"]) == ("ball", probability, [])
    assert 0 < record["min_value"] < probability < record["max_value"] <= 1 / (1 + math.exp(-3))
    assert record["watertight"] and record["components"] == 1


def test_a_function_has_its_own_level_and_box_and_the_same_normals():
    settings = Extraction(resolution=24, seed_grid=12, level=-1.0, box=(-1.0, 1.0))
    made = Meshing(settings).of_function(Ball(), "ball")
    np.testing.assert_allclose(radii(made.mesh), 0.4, atol=2e-3)
    np.testing.assert_allclose(made.mesh.normals, made.mesh.vertices / radii(made.mesh)[:, None], atol=1e-2)
    assert made.record["level"] == -1.0


def test_everything_asked_for_is_written_once_the_mesh_is_finished(tmp_path):
    pipe = io.BytesIO()
    outputs = Outputs([tmp_path / "ball.obj", tmp_path / "ball.stl"], tmp_path / "ball.png", pipe)
    outputs.check()
    made = Meshing(COARSE, Finish(up="z", scale=2.0, on_floor=True, normals=False, color="height"))(Ball(), "ball", outputs)
    assert made.record["files"] == [str(tmp_path / "ball.obj"), str(tmp_path / "ball.stl")]
    assert made.record["preview"] == str(tmp_path / "ball.png")
    low, high = made.record["bounds"]
    assert np.ptp([low, high], axis=0).max() == pytest.approx(2.0)
    assert low[2] == pytest.approx(0.0, abs=1e-9)
    assert made.record["volume"] == pytest.approx(4 / 3 * math.pi, rel=0.02)
    assert made.mesh.normals is None and made.mesh.colors is not None
    for path in outputs.meshes:
        np.testing.assert_allclose(np.sort(read_mesh(path).vertices.max(0)), np.sort(made.mesh.vertices.max(0)), atol=1e-5)
    assert pipe.getvalue().startswith(b"ply")
    assert Image.open(outputs.preview).width == 3 * 512


def test_an_empty_shape_is_told_in_probabilities():
    with pytest.raises(EmptyFieldError, match=r"never rises above the level 0\.99\d*: its maximum is 0\.95"):
        Meshing(COARSE)(Ball(), "ball", probability=0.99)


@pytest.mark.parametrize(("name", "message"), [("a.xyz", "no mesh format"), ("a.obj", "exists")])
def test_what_cannot_be_written_is_refused_before_the_work(tmp_path, name, message):
    (tmp_path / "a.obj").write_text("mine")
    with pytest.raises(UsageError, match=message):
        Outputs([tmp_path / name]).check()
    (tmp_path / "a.png").write_text("mine")
    for preview in ("a.png", "a.txt"):
        with pytest.raises(UsageError):
            Outputs(preview=tmp_path / preview).check()
    Outputs([tmp_path / "a.obj"], tmp_path / "a.png", overwrite=True).check()


def test_a_colour_that_is_none_is_refused():
    with pytest.raises(UsageError, match="colour 'mauve' is not known"):
        Finish(color="mauve")
