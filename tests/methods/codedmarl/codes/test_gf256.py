"""GF(256) against multiplication by shift and add, and its linear algebra against elimination entry by entry."""

from __future__ import annotations

import numpy as np
import pytest

from ppr.methods.codedmarl import naive
from ppr.methods.codedmarl.codes import gf256


def test_the_table_is_carry_less_multiplication_modulo_the_polynomial():
    expected = np.array([[naive.multiply(a, b) for b in range(256)] for a in range(256)])
    np.testing.assert_array_equal(gf256.PRODUCT, expected)


def test_every_element_but_0_has_its_inverse():
    elements = np.arange(1, 256)
    np.testing.assert_array_equal(gf256.PRODUCT[elements, gf256.INVERSE[elements]], 1)


@pytest.mark.parametrize("coefficient", [0, 1, 2, 29, 255])
def test_a_multiple_is_added_symbol_by_symbol(coefficient):
    random = np.random.default_rng(coefficient)
    total, symbols = random.integers(0, 256, (2, 1000), dtype=np.uint8)
    expected = [int(t) ^ naive.multiply(coefficient, int(s)) for t, s in zip(total, symbols, strict=True)]
    gf256.add_multiple(total, coefficient, symbols)
    np.testing.assert_array_equal(total, expected)


@pytest.mark.parametrize("size", [1, 2, 8, 40])
def test_the_inverse_of_a_matrix_undoes_it(size):
    random = np.random.default_rng(size)
    matrix = random.integers(0, 256, (size, size), dtype=np.uint8)
    while gf256.rank(matrix) < size:
        matrix = random.integers(0, 256, (size, size), dtype=np.uint8)
    np.testing.assert_array_equal(gf256.matmul(gf256.inverse(matrix), matrix), np.eye(size))


def test_a_singular_matrix_has_no_inverse():
    with pytest.raises(ValueError, match="singular"):
        gf256.inverse(np.array([[1, 2], [2, 4]], np.uint8))  # the second row is twice the first: 2 * 2 = 4


@pytest.mark.parametrize("rank", [0, 1, 3, 6])
def test_a_product_of_thin_matrices_has_their_rank(rank):
    random = np.random.default_rng(rank)
    left = np.vstack([np.eye(rank), random.integers(0, 256, (9 - rank, rank))]).astype(np.uint8)
    right = np.hstack([np.eye(rank), random.integers(0, 256, (rank, 6 - rank))]).astype(np.uint8)
    matrix = gf256.matmul(left, right)
    reduced, pivots, kept = gf256.reduce(matrix)
    assert len(pivots) == rank == gf256.rank(matrix)
    np.testing.assert_array_equal(reduced[:, pivots], np.eye(rank))
    assert naive.rank(matrix[kept], "gf256") == naive.rank(matrix, "gf256") == rank


def test_a_batch_is_judged_as_its_matrices_are():
    random = np.random.default_rng(0)
    matrices = random.integers(0, 2, (300, 4, 4), dtype=np.uint8)  # few values: many of them are deficient
    verdict = gf256.full_rank(matrices)
    assert 50 < verdict.sum() < 250
    assert verdict.tolist() == [naive.rank(matrix, "gf256") == 4 for matrix in matrices]


def test_a_span_grows_by_what_is_new_and_knows_its_unit_vectors():
    span = gf256.Span(3)
    assert span.add(np.array([1, 2, 0], np.uint8)) and not span.add(np.array([2, 4, 0], np.uint8))
    assert not span.determined().any()
    assert span.add(np.array([0, 7, 0], np.uint8))
    assert span.determined().tolist() == [True, True, False]
    assert not span.add(np.zeros(3, np.uint8)) and len(span) == 2
