"""Looking inside the network."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

from ppr.methods.saliency import pictures
from ppr.methods.saliency.infer import Predictor
from ppr.methods.saliency.levels import attention_on_object, level_masks, look, summary
from ppr.methods.saliency.network import ARCHITECTURES, disable_reverse_attention
from ppr.methods.saliency.pairs.procedural import scene
from ppr.methods.saliency.torch_backend import load_network

RGB = scene(90, 60, seed=2)[0]


def test_the_finest_level_is_the_predictors_map(saliency_checkpoint):
    network, meta = load_network(saliency_checkpoint)
    maps = level_masks(network, meta.arch, RGB, 96)
    assert list(maps) == ["/32", "/16", "/8", "/4"]
    final = Predictor.load(saliency_checkpoint, backend="torch", device="cpu", size=96)(RGB).mask()
    assert final.shape == maps["/4"].shape == (60, 90)
    assert np.abs(maps["/4"].astype(int) - final).max() <= 1
    assert (look(network, meta.arch, RGB, 96)[1] == maps["/4"]).all()
    assert not np.array_equal(maps["/32"], maps["/4"])


def test_views_follow_the_papers_numbers_and_equations(saliency_checkpoint):
    network, meta = load_network(saliency_checkpoint)
    views, _found = look(network, meta.arch, RGB, 96)
    assert [(view.number, view.stride, view.saliency.shape) for view in views] == [
        (6, 32, (3, 3)),
        (5, 16, (6, 6)),
        (4, 8, (12, 12)),
        (3, 4, (24, 24)),
    ]
    assert views[0].attention is None
    assert views[0].residual is None
    for coarse, view in pairwise(views):
        logit = torch.logit(torch.from_numpy(coarse.saliency))[None, None]
        upsampled = torch.nn.functional.interpolate(logit, view.saliency.shape, mode="bilinear", align_corners=False)[0, 0].numpy()
        np.testing.assert_allclose(view.attention, 1 / (1 + np.exp(upsampled)), atol=1e-4)
        np.testing.assert_allclose(view.saliency, 1 / (1 + np.exp(-upsampled - view.residual)), atol=1e-4)


def test_the_2018_network_has_six_levels():
    network = ARCHITECTURES["ras-vgg16"].build().eval()
    views, _found = look(network, "ras-vgg16", scene(64, 48, seed=0)[0])
    assert [(view.number, view.stride) for view in views] == [(6, 32), (5, 16), (4, 8), (3, 4), (2, 2), (1, 1)]
    assert views[-1].saliency.shape == (64, 64)


def test_the_ablation_attends_everywhere(saliency_checkpoint):
    network, meta = load_network(saliency_checkpoint)
    disable_reverse_attention(network)
    views, _found = look(network, meta.arch, RGB, 96)
    assert all((view.attention == 1).all() for view in views[1:])
    found = np.full((60, 90), 255, np.uint8)
    found[30:] = 0
    assert [row.get("attention_elsewhere") for row in summary(views, found)] == [None, 1, 1, 1]


def test_attention_on_the_object_and_elsewhere(saliency_checkpoint):
    network, meta = load_network(saliency_checkpoint)
    view = look(network, meta.arch, RGB, 96)[0][-1]
    found = np.zeros((60, 90), np.uint8)
    found[:, :45] = 255
    on, off = attention_on_object(view, found)
    assert on == pytest.approx(view.attention[:, :12].mean(), abs=1e-6)
    assert off == pytest.approx(view.attention[:, 12:].mean(), abs=1e-6)
    assert np.isnan(attention_on_object(view, np.zeros_like(found))[0])


def test_figure_titles_every_map_with_level_and_stride(saliency_checkpoint):
    network, meta = load_network(saliency_checkpoint)
    views, found = look(network, meta.arch, RGB, 64)
    figure = pictures.inside(RGB, found, views, "title")
    titles = {axes.get_title() for axes in figure.axes if axes.get_title()}
    strides = {6: 32, 5: 16, 4: 8, 3: 4}
    expected = {f"{letter}{n} (stride {s})" for n, s in strides.items() for letter in ("SAR" if n < 6 else "S")}
    assert titles == expected | {"input", "final map"}
    (residual,) = next(axes for axes in figure.axes if axes.get_title() == "R3 (stride 4)").images
    assert residual.norm.vmin == -residual.norm.vmax


def test_large_photographs_are_shown_reduced(saliency_checkpoint):
    network, meta = load_network(saliency_checkpoint)
    photo = np.repeat(np.repeat(RGB, 20, 0), 20, 1)
    views, found = look(network, meta.arch, photo, 64)
    assert found.shape == (1200, 1800)
    figure = pictures.inside(photo, found, views, "large")
    assert max(image.get_array().shape[1] for axes in figure.axes for image in axes.images) <= 640
