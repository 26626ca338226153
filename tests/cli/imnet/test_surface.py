"""What a surface is expected to take is said where it is too much."""

from __future__ import annotations

from ppr.exports.mesh.meshing import expected_cost


def test_twice_the_resolution_costs_four_times_as_much_and_the_refusal_says_it(ppr, tmp_path):
    (_values, memory), (values, larger) = expected_cost(1024), expected_cost(2048)
    assert larger == 4 * memory
    answer = ppr("imnet", "mesh", "-r", "2048", "-o", tmp_path / "a.obj")
    assert (answer.code, (tmp_path / "a.obj").exists()) == (2, False)
    assert f"about {values / 1e6:.0f} million values and {larger / 1e9:.0f} GB" in answer.err
