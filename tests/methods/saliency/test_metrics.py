"""The measures: known values, agreement with the toolkit, empty masks, boundary IoU."""

from __future__ import annotations

import warnings

import cv2
import numpy as np
import py_sod_metrics as sod
import pytest
from hypothesis import given, settings
from hypothesis.strategies import floats, integers

from ppr.methods.saliency import naive
from ppr.methods.saliency.metrics import LABELS, RAW, Totals, boundary_iou, score, score_all
from ppr.methods.saliency.pairs.procedural import scene

BOX = np.zeros((60, 80), np.uint8)
BOX[10:30, 20:50] = 255


def metrics(*pairs: tuple[np.ndarray, np.ndarray], stretch: bool = True) -> dict[str, float]:
    totals = Totals()
    for saliency, mask in pairs:
        totals.add(score(saliency, mask, stretch=stretch))
    return totals.metrics()


def noisy_maps(count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Imperfect maps of procedural scenes, some of them faint."""
    pairs = []
    for index in range(count):
        _image, mask = scene(72, 56, seed=5, index=index)
        rng = np.random.default_rng(index)
        blurred = cv2.GaussianBlur(mask, (0, 0), 4).astype(float)
        found = (0.3 + 0.1 * index) * np.roll(blurred, 3, axis=1) + rng.uniform(0, 40, mask.shape)
        pairs.append((np.clip(found, 0, 255).astype(np.uint8), mask))
    return pairs


def test_every_metric_has_a_label():
    assert list(metrics((BOX, BOX))) == list(LABELS)


def test_perfect_map():
    found = metrics((BOX, BOX))
    expected = {"mae": 0, "s": 1, "weighted_f": 1, "max_f": 1, "adaptive_f": 1, "iou": 1, "boundary_iou": 1, "max_e": 1.0002}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-5)


def test_inverted_map():
    found = metrics((255 - BOX, BOX))
    expected = {"mae": 1, "s": 0, "weighted_f": 0, "adaptive_f": 0, "iou": 0, "boundary_iou": 0}
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_black_map():
    found = metrics((np.zeros_like(BOX), BOX))
    assert found["mae"] == pytest.approx(0.125)
    assert found["s"] == pytest.approx(0.4375)
    assert found["max_f"] == pytest.approx(0.15663, abs=1e-5)
    assert found["iou"] == 0


def test_agrees_with_the_toolkit_run_directly():
    """The same maps through PySODMetrics' own accumulation, with its own stretching."""
    pairs = noisy_maps(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measures = [sod.MAE(), sod.Smeasure(), sod.WeightedFmeasure(), sod.Emeasure(), sod.Fmeasure(beta=0.3)]
    for saliency, mask in pairs:
        for measure in measures:
            measure.step(saliency, mask)
    mae, s, wf, e, f = [measure.get_results() for measure in measures]
    found = metrics(*pairs)
    expected = {
        "mae": mae["mae"],
        "s": s["sm"],
        "weighted_f": wf["wfm"],
        "max_e": e["em"]["curve"].max(),
        "mean_e": e["em"]["curve"].mean(),
        "max_f": f["fm"]["curve"].max(),
        "mean_f": f["fm"]["curve"].mean(),
        "adaptive_f": f["fm"]["adp"],
    }
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    totals = Totals()
    for saliency, mask in pairs:
        totals.add(score(saliency, mask))
    np.testing.assert_allclose(totals.curve("precision"), f["pr"]["p"], atol=1e-12)
    np.testing.assert_allclose(totals.curve("recall"), f["pr"]["r"], atol=1e-12)


def test_raw_column_scores_the_map_as_it_is():
    """A faint copy of the mask is perfect once stretched; as it is, its error is the missing brightness."""
    faint = (BOX // 5).astype(np.uint8)
    scores = score_all({"map": faint}, BOX, "map")
    assert scores["map"].mae == 0
    assert scores[RAW].mae == pytest.approx(0.125 * (1 - 51 / 255))
    assert scores[RAW].iou == 0
    direct = sod.MAE()
    direct.step(faint / 255, BOX > 127, normalize=False)
    assert scores[RAW].mae == pytest.approx(direct.get_results()["mae"], abs=1e-12)


def test_empty_masks_count_for_mae_s_and_e_only():
    black = np.zeros_like(BOX)
    pairs = noisy_maps(3)
    totals = Totals()
    for saliency, mask in [*pairs, (black, black)]:
        totals.add(score(saliency, mask))
    alone, with_empty = metrics(*pairs), totals.metrics()
    assert (totals.images, totals.empty) == (4, 1)
    for name in ("max_f", "mean_f", "adaptive_f", "weighted_f", "iou", "boundary_iou"):
        assert with_empty[name] == pytest.approx(alone[name], abs=1e-12)
    assert with_empty["mae"] == pytest.approx(alone["mae"] * 3 / 4)
    assert with_empty["s"] == pytest.approx((alone["s"] * 3 + 1) / 4)


def test_only_empty_masks_leave_f_undefined():
    black = np.zeros_like(BOX)
    found = metrics((black, black))
    assert found["mae"] == 0
    assert found["s"] == 1
    assert np.isnan([found[name] for name in ("max_f", "mean_f", "adaptive_f", "weighted_f", "iou", "boundary_iou")]).all()


def test_shapes_must_agree():
    with pytest.raises(ValueError, match=r"[Ss]hape"):
        score(BOX[:-1], BOX)


@pytest.mark.parametrize("number", range(5))
def test_measures_are_those_of_their_papers(number):
    """The toolkit's histograms against one threshold after the other, and its S against the equations."""
    saliency, mask = noisy_maps(5)[number]
    found, truth = score(saliency, mask), mask > 127
    values = stretched(saliency)
    precision, recall, f = naive.precision_recall_f(values, truth)
    np.testing.assert_allclose(found.precision, precision, atol=1e-12)
    np.testing.assert_allclose(found.recall, recall, atol=1e-12)
    np.testing.assert_allclose(found.f_curve, f, atol=1e-12)
    np.testing.assert_allclose(found.e_curve, naive.e_curve(values, truth), atol=1e-9)
    assert found.adaptive_f == pytest.approx(naive.adaptive_f(values, truth), abs=1e-12)
    assert found.s == pytest.approx(naive.s_measure(values, truth), abs=1e-9)
    assert found.mae == pytest.approx(np.abs(values - truth).mean(), abs=1e-12)


def stretched(saliency: np.ndarray) -> np.ndarray:
    values = saliency / 255
    return (values - values.min()) / (values.max() - values.min())


def test_weighted_f_is_that_of_its_paper():
    """On a map that is even on the object: which of two object pixels is nearest then does not matter."""
    _image, mask = scene(40, 30, seed=5, index=2)
    found = np.where(mask > 127, 180, np.random.default_rng(0).integers(0, 255, mask.shape)).astype(np.uint8)
    expected = naive.weighted_f(stretched(found), mask > 127)
    assert score(found, mask).weighted_f == pytest.approx(expected, abs=1e-9)
    assert 0.1 < expected < 0.9


@settings(max_examples=10, deadline=None)
@given(seed=integers(0, 10_000), share=floats(0.2, 0.8))
def test_boundary_iou_agrees_with_looking_at_every_window(seed, share):
    rng = np.random.default_rng(seed)
    height, width = rng.integers(20, 90, 2)
    masks = [cv2.resize(rng.random((5, 6)), (int(width), int(height))) > share for _ in range(2)]
    assert boundary_iou(*masks) == pytest.approx(naive.boundary_iou(*masks))


def test_boundary_iou_sees_what_iou_forgives():
    """A dilated large disc keeps its IoU and loses its contour."""
    truth = cv2.circle(np.zeros((200, 200), np.uint8), (100, 100), 80, 255, -1)
    grown = cv2.dilate(truth, np.ones((9, 9), np.uint8))
    scores = score(grown, truth)
    assert scores.iou > 0.85
    assert scores.boundary_iou < 0.3
