"""What a surface is expected to take, against what it takes."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ppr.cli.imnet._surface import expected_cost

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


def test_twice_the_resolution_costs_four_times_as_much_and_the_refusal_says_it(ppr, tmp_path):
    (_values, memory), (values, larger) = expected_cost(1024), expected_cost(2048)
    assert larger == 4 * memory
    answer = ppr("imnet", "mesh", "-r", "2048", "-o", tmp_path / "a.obj")
    assert (answer.code, (tmp_path / "a.obj").exists()) == (2, False)
    assert f"about {values / 1e6:.0f} million values and {larger / 1e9:.0f} GB" in answer.err
