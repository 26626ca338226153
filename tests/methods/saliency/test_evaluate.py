"""Evaluation of a network and of ready-made maps."""

from __future__ import annotations

import csv
import json
import warnings
import zipfile
from pathlib import Path

import cv2
import numpy as np
import py_sod_metrics as sod
import pytest
from PIL import Image

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.saliency import evaluate as evaluating
from ppr.methods.saliency.baselines import centre_prior
from ppr.methods.saliency.evaluate import CENTRE, STRETCHED, TILE, Settings, evaluate
from ppr.methods.saliency.infer import Predictor
from ppr.methods.saliency.maps import Matched, match_maps, score_maps
from ppr.methods.saliency.metrics import RAW, Totals, score
from ppr.methods.saliency.pairs.find import find_pairs
from ppr.methods.saliency.pictures import worst_sheet
from ppr.methods.saliency.report import write_report


class Brightness:
    """A backend that finds bright pixels salient: quick, imperfect, and exactly reproducible."""

    arch, side, provider, whole = "brightness", 0, "none", False

    def __call__(self, rgb: np.ndarray) -> np.ndarray:
        return rgb.mean(axis=2, dtype=np.float32) / 255


@pytest.fixture
def predictor() -> Predictor:
    return Predictor(Brightness(), "none", Path("brightness"), 0)


def pairs_of(folder: Path):
    return find_pairs([folder]).pairs


def toolkit_on(maps: Path, masks: Path) -> dict[str, float]:
    """PySODMetrics run by hand on two folders of PNGs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        measures = {"mae": sod.MAE(), "s": sod.Smeasure(), "wf": sod.WeightedFmeasure(), "e": sod.Emeasure(), "f": sod.Fmeasure(beta=0.3)}
    for path in sorted(masks.iterdir()):
        for measure in measures.values():
            measure.step(cv2.imread(str(maps / path.name), cv2.IMREAD_GRAYSCALE), cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    found = {name: measure.get_results() for name, measure in measures.items()}
    return {
        "mae": found["mae"]["mae"],
        "s": found["s"]["sm"],
        "weighted_f": found["wf"]["wfm"],
        "max_e": found["e"]["em"]["curve"].max(),
        "mean_e": found["e"]["em"]["curve"].mean(),
        "max_f": found["f"]["fm"]["curve"].max(),
        "mean_f": found["f"]["fm"]["curve"].mean(),
        "adaptive_f": found["f"]["fm"]["adp"],
    }


def test_numbers_are_those_of_the_toolkit_on_the_saved_maps(scenes, predictor, tmp_path):
    folder = scenes(5)
    evaluation = evaluate(predictor, pairs_of(folder), Settings(raw=True), save_maps=tmp_path / "maps")
    expected = toolkit_on(tmp_path / "maps", folder / "masks")
    found = evaluation.metrics()
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-9)
    again = score_maps(match_maps(tmp_path / "maps", folder / "masks")[0], Settings(raw=True))
    for name in (STRETCHED, RAW):
        assert again.metrics(name) == pytest.approx(evaluation.metrics(name), abs=1e-12)
    assert evaluation.speed()["fps"] == pytest.approx(1000 / evaluation.speed()["ms"])
    assert again.speed() is None


def test_maps_are_scored_at_the_masks_size(scenes, saliency_checkpoint):
    """The network sees 64 x 64 of a 50 x 70 image; a mismatch of map and mask would raise in the toolkit."""
    network = Predictor.load(saliency_checkpoint, backend="torch", device="cpu", size=64, threads=1)
    evaluation = evaluate(network, pairs_of(scenes(2, size=(50, 70))), Settings())
    assert [(row["width"], row["height"]) for row in evaluation.rows] == [(50, 70)] * 2
    assert 0 < evaluation.metrics()["mae"] < 1


@pytest.mark.slow
def test_a_pool_of_processes_gives_the_same(scenes, predictor):
    pairs = pairs_of(scenes(4))
    alone, pooled = (evaluate(predictor, pairs, Settings(workers=workers, raw=True)) for workers in (0, 1))
    assert pooled.metrics() == alone.metrics()
    assert pooled.metrics(RAW) == alone.metrics(RAW)
    assert [row["name"] for row in pooled.rows] == [row["name"] for row in alone.rows]


def test_chunks_change_nothing(scenes, predictor, monkeypatch):
    pairs = pairs_of(scenes(7))
    whole = evaluate(predictor, pairs, Settings())
    monkeypatch.setattr(evaluating, "CHUNK_IMAGES", 3)
    assert evaluate(predictor, pairs, Settings()).metrics() == whole.metrics()
    monkeypatch.setattr(evaluating, "CHUNK_PIXELS", 1)
    small = evaluate(predictor, pairs, Settings())
    assert (small.images, small.metrics()) == (7, whole.metrics())


def test_bad_pairs_are_reported_and_left_out(scenes, predictor):
    folder = scenes(4)
    sound = evaluate(predictor, [pair for pair in pairs_of(folder) if pair.name in ("scene0", "scene3")], Settings())
    image = (folder / "images/scene1.png").read_bytes()
    (folder / "images/scene1.png").write_bytes(image[: len(image) // 2])
    cv2.imwrite(str(folder / "masks/scene2.png"), np.zeros((9, 9), np.uint8))
    errors: list[PprError] = []
    evaluation = evaluate(predictor, pairs_of(folder), Settings(failed=errors.append))
    assert evaluation.metrics() == sound.metrics()
    assert [("scene1.png" in str(e), "9x9" in str(e)) for e in errors] == [(True, False), (False, True)]
    (folder / "images/scene0.png").write_bytes(b"")
    (folder / "images/scene3.png").write_bytes(b"")
    with pytest.raises(PprError, match="nothing could be evaluated"):
        evaluate(predictor, pairs_of(folder), Settings())


def test_the_worst_images_are_kept_worst_first(scenes, predictor):
    pairs = pairs_of(scenes(6))
    evaluation = evaluate(predictor, pairs, Settings(worst=3))
    by_error = sorted(evaluation.rows, key=lambda row: -row["mae"])
    assert [entry.name for entry in evaluation.worst] == [row["name"] for row in by_error[:3]]
    assert [entry.mae for entry in evaluation.worst] == [row["mae"] for row in by_error[:3]]
    sheet = worst_sheet(evaluation.worst)
    assert sheet.height > 3 * 48
    worst = cv2.imread(evaluation.worst[0].image.path)[..., ::-1]
    shown = np.asarray(sheet)
    left = (TILE - 64) // 2
    assert (shown[:48, left : left + 64] == worst).all()


def test_levels_are_totalled_beside_the_map(scenes, predictor):
    def halves(rgb: np.ndarray) -> dict[str, np.ndarray]:
        return {"/32": np.zeros(rgb.shape[:2], np.uint8), "/4": predictor(rgb).mask()}

    evaluation = evaluate(predictor, pairs_of(scenes(3)), Settings(), levels=halves)
    assert evaluation.metrics("/4") == evaluation.metrics()
    assert evaluation.metrics("/32")["mae"] == pytest.approx(np.mean([row["level_32_mae"] for row in evaluation.rows]))
    assert evaluation.metrics("/32")["iou"] == 0


def test_the_baseline_is_scored_on_the_same_images_and_changes_nothing_else(scenes, predictor):
    """Alike for a network and for anyone's maps; a pair that is left out is left out for all."""
    folder = scenes(4)
    (folder / "images/scene1.png").write_bytes(b"")
    plain, beside = (evaluate(predictor, pairs_of(folder), Settings(baseline=baseline)) for baseline in (False, True))
    assert beside.metrics() == plain.metrics()
    masks = [cv2.imread(str(folder / f"masks/scene{index}.png"), cv2.IMREAD_GRAYSCALE) for index in (0, 2, 3)]
    scores = [score(centre_prior(*mask.shape), mask) for mask in masks]
    priors = Totals()
    for entry in scores:
        priors.add(entry)
    assert beside.metrics(CENTRE) == priors.metrics()
    assert [row["centre_mae"] for row in beside.rows] == [entry.mae for entry in scores]
    record = beside.record()
    assert (record["centre"], record["left_out"], record["images"]) == (priors.metrics(), 1, 3)
    assert "centre" not in plain.record()
    matched = match_maps(folder / "masks", folder / "masks")[0]
    assert score_maps(matched, Settings(baseline=True)).totals[CENTRE].images == 4


def test_the_centre_prior_is_a_hill_in_the_middle():
    prior = centre_prior(40, 60)
    assert (prior.shape, prior.dtype) == ((40, 60), np.uint8)
    assert (prior == prior[::-1, ::-1]).all()
    assert prior[20, 30] == prior.max() > 250
    assert prior[20, 30 + 15] == pytest.approx(255 * np.exp(-0.5), abs=6)  # a quarter of a side is one standard deviation
    assert prior[0, 0] < 10


def test_report_files_hold_the_numbers(scenes, predictor, tmp_path):
    folder = scenes(4)
    cv2.imwrite(str(folder / "masks/scene2.png"), np.zeros((48, 64), np.uint8))
    evaluation = evaluate(predictor, pairs_of(folder), Settings(raw=True, worst=2))
    written = write_report(tmp_path / "report", evaluation, {"mae": evaluation.metrics()["mae"]})
    assert sorted(path.name for path in written) == ["images.csv", "metrics.json", "pr.csv", "pr.png", "worst.png"]
    assert json.loads((tmp_path / "report/metrics.json").read_text()) == {"mae": evaluation.metrics()["mae"]}
    rows = list(csv.DictReader((tmp_path / "report/images.csv").open()))
    assert np.mean([float(row["mae"]) for row in rows]) == pytest.approx(evaluation.metrics()["mae"], abs=1e-6)
    assert [row["empty_mask"] for row in rows] == ["0", "0", "1", "0"]
    curve = list(csv.DictReader((tmp_path / "report/pr.csv").open()))
    assert [int(row["threshold"]) for row in curve] == list(range(255, -1, -1))
    assert float(curve[-1]["stretched_recall"]) == 1
    assert max(float(row["raw_f"]) for row in curve) == pytest.approx(evaluation.metrics(RAW)["max_f"], abs=1e-6)
    for name in ("pr.png", "worst.png"):
        assert min(Image.open(tmp_path / "report" / name).size) > 100


def test_truths_against_themselves_and_inverted(scenes, tmp_path):
    masks = scenes(3) / "masks"
    same = score_maps(match_maps(masks, masks)[0], Settings()).metrics()
    assert [same[name] for name in ("mae", "s", "max_f", "weighted_f", "iou", "boundary_iou")] == pytest.approx(
        [0, 1, 1, 1, 1, 1], abs=1e-9
    )
    inverted = tmp_path / "inverted"
    inverted.mkdir()
    for path in masks.iterdir():
        cv2.imwrite(str(inverted / path.name), 255 - cv2.imread(str(path), cv2.IMREAD_GRAYSCALE))
    assert score_maps(match_maps(inverted, masks)[0], Settings()).metrics()["mae"] == pytest.approx(1)


def test_maps_and_masks_are_matched_by_name(scenes, tmp_path):
    folder = scenes(4)
    maps = tmp_path / "maps"
    (maps / "more").mkdir(parents=True)
    for name in ("scene0", "scene2", "stranger", "more/scene1"):
        cv2.imwrite(str(maps / f"{name}.jpg"), np.zeros((48, 64), np.uint8))
    (maps / "notes.txt").write_text("not a map")
    for truth in (folder, folder / "masks"):
        matched, missing, extra = match_maps(maps, truth)
        assert [entry.name for entry in matched] == ["scene0", "scene2"]
        assert (missing, extra) == (["scene1", "scene3"], ["more/scene1", "stranger"])
        assert [entry.image is not None for entry in matched] == [truth == folder] * 2


def test_maps_written_beside_their_images_are_recognised(scenes):
    """`infer` writes scene0.saliency.png next to scene0.png; the photo itself is no map."""
    folder = scenes(2)
    for index in range(2):
        mask = (folder / f"masks/scene{index}.png").read_bytes()
        (folder / f"images/scene{index}.saliency.png").write_bytes(mask)
    matched, missing, _extra = match_maps(folder / "images", folder / "masks")
    assert missing == []
    assert score_maps(matched, Settings()).metrics()["mae"] == 0


def test_what_cannot_be_matched_is_refused(scenes, tmp_path):
    masks = scenes(2) / "masks"
    other = tmp_path / "other"
    other.mkdir()
    with pytest.raises(UsageError, match="no images"):
        match_maps(other, masks)
    cv2.imwrite(str(other / "a.png"), np.zeros((4, 4), np.uint8))
    with pytest.raises(UsageError, match="no map has the name of a mask"):
        match_maps(other, masks)
    cv2.imwrite(str(other / "a.jpg"), np.zeros((4, 4), np.uint8))
    with pytest.raises(PprError, match="two files are called 'a'"):
        match_maps(other, masks)


def test_a_map_of_another_size_is_an_error_unless_resized(scenes, tmp_path):
    masks = scenes(2) / "masks"
    maps = tmp_path / "maps"
    maps.mkdir()
    for path in masks.iterdir():
        mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
        cv2.imwrite(str(maps / path.name), cv2.resize(mask, (128, 96), interpolation=cv2.INTER_NEAREST) if "0" in path.name else mask)
    matched = match_maps(maps, masks)[0]
    errors: list[PprError] = []
    assert score_maps(matched, Settings(failed=errors.append)).images == 1
    assert [("128x96" in str(e) and "64x48" in str(e), e.hint) for e in errors] == [
        (True, "give --resize to bring maps to their masks' size")
    ]
    resized = score_maps(matched, Settings(failed=errors.append), resize=True)
    assert (resized.images, len(errors)) == (2, 1)
    assert resized.metrics()["mae"] < 0.03


def test_dark_maps_are_not_taken_for_zero_one_masks(scenes, tmp_path):
    masks = scenes(1) / "masks"
    maps = tmp_path / "maps"
    maps.mkdir()
    mask = cv2.imread(str(masks / "scene0.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(maps / "scene0.png"), mask // 255)
    raw = score_maps(match_maps(maps, masks)[0], Settings(raw=True)).metrics(RAW)
    assert raw["mae"] == pytest.approx(mask.mean() / 255 * 254 / 255)


def test_cutouts_are_not_scored_as_maps(scenes, tmp_path):
    masks = scenes(1) / "masks"
    maps = tmp_path / "maps"
    maps.mkdir()
    mask = cv2.imread(str(masks / "scene0.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(maps / "scene0.png"), np.dstack([mask, mask, mask, mask]))
    errors: list[PprError] = []
    with pytest.raises(PprError, match="nothing could be evaluated"):
        score_maps(match_maps(maps, masks)[0], Settings(failed=errors.append))
    assert "transparency" in str(errors[0])


def test_a_common_folder_is_no_part_of_the_names(scenes, tmp_path):
    masks = scenes(2) / "masks"
    with zipfile.ZipFile(tmp_path / "maps.zip", "w") as archive:
        for path in masks.iterdir():
            archive.write(path, f"results/ours/{path.name}")
    matched, missing, extra = match_maps(tmp_path / "maps.zip", masks)
    assert ([entry.name for entry in matched], missing, extra) == (["scene0", "scene1"], [], [])


def test_real_masks_score_perfectly_against_themselves(saliency_data):
    pairs = find_pairs([saliency_data / "ecssd_test.zip"]).pairs
    assert len(pairs) == 500
    found = score_maps([Matched(pair.name, pair.mask, pair.mask, pair.image) for pair in pairs[::100]], Settings()).metrics()
    assert [found[name] for name in ("mae", "s", "max_f", "boundary_iou")] == pytest.approx([0, 1, 1, 1], abs=1e-6)
