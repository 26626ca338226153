"""A saliency map: masks of any size, stretching, numbers about the object."""

from __future__ import annotations

import numpy as np

from ppr.methods.saliency.saliency_map import Saliency


def test_large_masks_round_as_small_ones_do():
    """Above 4 megapixels the mask is upsampled in 16 bits; its levels are those of the float way."""
    probability = np.random.default_rng(0).random((64, 64), dtype=np.float32)
    saliency = Saliency(probability, 2300, 2000)
    expected = np.rint(saliency.fine() * 255)
    assert np.abs(saliency.mask().astype(float) - expected).max() <= 1
    assert (saliency.mask() == expected).mean() > 0.98


def test_stretching_does_not_make_an_object_out_of_noise():
    flat = Saliency(np.full((8, 8), 0.02, np.float32) + np.linspace(0, 0.04, 64, dtype=np.float32).reshape(8, 8), 8, 8)
    assert flat.mask(stretch=True).max() < 20
    faint = Saliency(np.linspace(0.1, 0.4, 64, dtype=np.float32).reshape(8, 8), 8, 8)
    assert (faint.mask(stretch=True).min(), faint.mask(stretch=True).max()) == (0, 255)


def test_summary_of_a_known_box():
    probability = np.zeros((60, 80), np.float32)
    probability[10:30, 20:50] = 1
    summary = Saliency(probability, 160, 120).summary()
    assert summary.box == [40, 20, 100, 60]
    assert summary.centroid == [70.0, 40.0]
    assert summary.coverage == 12.5
    assert summary.confidence == 1.0
