"""The slow forms by what is known of them: tables, textbook examples, and what a hand can add up."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ppr.methods.codedmarl import naive


def test_products_are_those_of_the_published_tables():
    """Powers of x modulo 0x11d, as in tables of Reed-Solomon codes: x^8 = 29, x^9 = 58, x^255 = 1."""
    power, powers = 1, []
    for _ in range(255):
        power = naive.multiply(power, 2)
        powers.append(power)
    assert powers[7:9] == [29, 58] and powers[-1] == 1 and len(set(powers)) == 255
    assert naive.multiply(3, 3) == 5 and naive.multiply(0, 77) == 0


def test_ranks_by_hand():
    rows = np.array([[1, 3], [3, 5]])  # over GF(256) the second row is three times the first
    assert (naive.rank(rows), naive.rank(rows, "gf256")) == (2, 1)
    assert naive.rank_galois([[1, 1, 0], [0, 1, 1], [1, 0, 1]]) == 2 and naive.rank_galois([[0, 0]]) == 0
    assert naive.rank(np.array([[1e-12, 0], [0, 1e12], [0, 0]])) == 2
    assert naive.determined(np.array([[1, 1, 0], [0, 0, 5], [2, 2, 1]])) == {2}


def test_erasures_by_hand():
    """Three learners that hold an agent each, and a fourth that holds both of the first two."""
    matrix = np.array([[1.0, 0], [0, 1.0], [0, 1.0], [1.0, 1.0]])
    assert [naive.decodable_fraction(matrix, lost) for lost in (1, 2, 3)] == [1, 5 / 6, 0]
    assert naive.tolerance(matrix) == 1 and naive.surplus(matrix != 0) == 1
    assert naive.condition(np.array([[5.0, 0], [3.0, 3.0]])) == pytest.approx(np.linalg.cond([[1, 0], [0.5**0.5, 0.5**0.5]]))


def test_waits_by_hand():
    """One update takes 1 s, the shares .5 s: whoever of the two is late holds up an uncoded iteration."""
    assert naive.waits(np.eye(2), 1, delay=3.0, update=1.0, transfer=0.5) == [4.5, 4.5]
    assert naive.waits(np.array([[1.0], [1.0]]), 1, delay=3.0, update=1.0, transfer=0.5) == [1.5, 1.5]
    assert naive.first_decodable(np.eye(2), np.array([1.0, math.inf])) == math.inf


def test_a_ring_forgets_the_oldest():
    assert naive.ring(range(5), 3) == [2, 3, 4] and naive.ring(range(2), 3) == [0, 1]


def test_a_particle_by_hand():
    """From rest to the right for a step of .1 s; then it goes by that velocity, and keeps three quarters of it."""
    place, velocity = naive.moved((1.0, 2.0), (0.0, 0.0), [0, 0, 1, 0, 0], [], 5.0, math.inf)
    assert place == (1, 2) and velocity == (0.5, 0)
    assert naive.moved(place, velocity, [1, 9, 9, 0, 0], [], 5.0, math.inf) == ((1.05, 2), (0.375, 0))
    assert naive.moved(place, velocity, [0] * 5, [], 5.0, 0.3)[1] == (pytest.approx(0.3), 0)
    left, right = naive.push((0, 0), (0.2, 0), 0.3), naive.push((0.2, 0), (0, 0), 0.3)
    assert left == (pytest.approx(-10), 0) and right == (pytest.approx(10), 0) and naive.push((1, 1), (1, 1), 0.3) == (0, 0)
