"""Procedural scenes: deterministic, with exact masks."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from ppr.methods.saliency.pairs.procedural import MIN_CONTRAST, scene


def test_a_scene_is_a_function_of_its_arguments():
    first, again = scene(80, 60, seed=3, index=2), scene(80, 60, seed=3, index=2)
    assert all((a == b).all() for a, b in zip(first, again, strict=True))
    for other in (scene(80, 60, seed=4, index=2), scene(80, 60, seed=3, index=1)):
        assert (first[0] != other[0]).mean() > 0.5


@pytest.mark.parametrize("size", [(8, 8), (33, 97), (320, 240)])
def test_image_and_mask_have_the_size_asked_for(size):
    image, mask = scene(*size, seed=0)
    assert image.shape == (size[1], size[0], 3)
    assert mask.shape == (size[1], size[0])
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) <= {0, 255}


def test_objects_differ_from_the_background_and_fill_a_part_of_the_image():
    coverage = []
    for index in range(30):
        image, mask = scene(96, 72, seed=1, index=index)
        coverage.append(mask.mean() / 255)
        inside = cv2.erode(mask, np.ones((5, 5), np.uint8)) > 0
        outside = cv2.dilate(mask, np.ones((15, 15), np.uint8)) == 0
        distances = np.linalg.norm(image[inside].astype(float) - image[outside].mean(0), axis=1)
        assert np.median(distances) > MIN_CONTRAST / 2
    assert min(coverage) > 0.01
    assert max(coverage) < 0.8
