"""Checking data: every kind of defect is found, and nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppr.methods.common.errors import UsageError
from ppr.methods.saliency import naive
from ppr.methods.saliency.pairs.check import KINDS, Fingerprints, check, collect, near_duplicates
from ppr.methods.saliency.pairs.procedural import scene


def kinds(report) -> dict[str, int]:
    return dict(Counter(finding.kind for finding in report.findings))


def the_finding(report, kind: str):
    (finding,) = [finding for finding in report.findings if finding.kind == kind]
    return finding


def rewrite(path: Path, change) -> None:
    cv2.imwrite(str(path), change(cv2.imread(str(path), cv2.IMREAD_UNCHANGED)))


def test_sound_data_have_no_findings(scenes):
    report = check([scenes(6)])
    assert report.findings == []
    summary = report.summary()
    assert (summary["pairs"], summary["errors"], summary["warnings"]) == (6, 0, 0)
    assert summary["longest_side"] == {"min": 64, "median": 64, "max": 64}
    masks = [scene(64, 48, seed=0, index=index)[1] for index in range(6)]
    assert summary["mean_coverage"] == pytest.approx(np.mean(masks) / 255, abs=1e-4)


DEFECTS = {
    "size mismatch": lambda folder: rewrite(folder / "masks/scene1.png", lambda mask: mask[:-1]),
    "grey mask": lambda folder: rewrite(folder / "masks/scene1.png", lambda mask: cv2.GaussianBlur(mask, (0, 0), 2)),
    "inverted mask": lambda folder: rewrite(folder / "masks/scene1.png", lambda mask: np.where(np.arange(64) < 62, 255, 0) + 0 * mask),
    "empty mask": lambda folder: rewrite(folder / "masks/scene1.png", lambda mask: 0 * mask),
    "image alone": lambda folder: (folder / "masks/scene1.png").unlink(),
    "mask alone": lambda folder: (folder / "images/scene1.png").unlink(),
    "unreadable": lambda folder: (folder / "images/scene1.png").write_bytes(b"\x89PNG\r\n\x1a\nnot really"),
    "near-duplicate": lambda folder: (folder / "images/scene1.png").write_bytes((folder / "images/scene0.png").read_bytes()),
}


@pytest.mark.parametrize("kind", DEFECTS)
def test_one_defect_is_one_finding(scenes, kind):
    folder = scenes(4)
    DEFECTS[kind](folder)
    report = check([folder])
    assert kinds(report) == {kind: 1}
    assert any("scene1" in file for file in the_finding(report, kind).files)
    assert report.count(KINDS[kind][0]) == 1


def test_details_say_how_bad_it_is(scenes):
    folder = scenes(3)
    DEFECTS["size mismatch"](folder)
    rewrite(folder / "masks/scene2.png", lambda mask: mask // 255 * 3)
    report = check([folder])
    assert the_finding(report, "size mismatch").detail == "mask 64x47, image 64x48"
    assert the_finding(report, "empty mask").detail == "brightest value 3 of 255"
    assert the_finding(report, "grey mask").detail.endswith("% of the pixels")
    assert [finding.severity for finding in report.findings] == ["error", "warning", "warning"]


def test_an_unreadable_mask_and_image_are_two_findings(scenes):
    folder = scenes(2)
    for part in ("images", "masks"):
        (folder / part / "scene0.png").write_bytes(b"")
    assert [finding.detail for finding in check([folder]).findings] == ["empty file (0 bytes)"] * 2


def test_every_defect_at_once_is_reported_errors_first(scenes):
    folder = scenes(8)
    for number, (kind, spoil) in enumerate(DEFECTS.items()):
        if kind != "near-duplicate":
            spoil_one = folder.parent / f"one{number}"
            scenes(2, name=spoil_one.name, seed=number + 1)
            spoil(spoil_one)
    report = check([folder, *sorted(folder.parent.glob("one*"))])
    assert kinds(report) == {kind: 1 for kind in DEFECTS if kind != "near-duplicate"}
    severities = [finding.severity for finding in report.findings]
    assert severities == sorted(severities)


def test_reencoded_and_resized_copies_in_a_test_set_are_found(scenes):
    data, test = scenes(5, name="data", size=(120, 90)), scenes(3, name="test", size=(120, 90), seed=1)
    photo = cv2.imread(str(data / "images/scene3.png"))
    cv2.imwrite(str(test / "images/renamed.jpg"), cv2.resize(photo, (91, 66), interpolation=cv2.INTER_AREA), [cv2.IMWRITE_JPEG_QUALITY, 60])
    report = check([data], [test])
    finding = the_finding(report, "in the test set")
    assert [Path(file).name for file in finding.files] == ["scene3.png", "renamed.jpg"]
    assert kinds(report) == {"in the test set": 1}
    assert report.count("error") == 1


def plain_with_object(place: int, colour: tuple[int, int, int]) -> np.ndarray:
    """A product photo: an object of some colour on white."""
    image = np.full((90, 120, 3), 255, np.uint8)
    return cv2.circle(image, (60, place), 25, colour, -1)


def test_objects_on_plain_grounds_are_not_copies_of_each_other():
    """Equal hashes, different thumbnails."""
    prints = collect([("red", plain_with_object(45, (200, 30, 30))), ("green", plain_with_object(45, (30, 160, 60)))])
    assert (prints.hashes[0] != prints.hashes[1]).sum() <= 4
    assert list(near_duplicates(prints)) == []


def test_images_of_one_colour_are_copies_if_the_colour_is_the_same():
    blanks = [(str(value), np.full((20, 30, 3), value, np.uint8)) for value in (10, 10, 200)]
    assert [(a, b) for a, b, _bits, _correlation in near_duplicates(collect(blanks))] == [(0, 1)]


def test_near_duplicates_agree_with_comparing_every_pair():
    """Blocks of the matrix product against a plain double loop, on hashes that are often close."""
    rng = np.random.default_rng(0)
    hashes = np.tile(rng.random(64) < 0.5, (40, 1)) ^ (rng.random((40, 64)) < 0.04)
    thumbnails = np.tile(np.eye(1, 768, dtype=np.float32), (40, 1))
    prints = Fingerprints([str(i) for i in range(40)], hashes, thumbnails, np.zeros((40, 3)))
    expected = {(a, b): bits for (a, b), bits in naive.close_hashes(hashes, hashes).items() if a < b}
    assert {(a, b): bits for a, b, bits, _correlation in near_duplicates(prints)} == expected
    assert 0 < len(expected) < 780
    other = Fingerprints(prints.names[:7], hashes[:7], thumbnails[:7], prints.means[:7])
    across = {(a, b) for a, b, _bits, _correlation in near_duplicates(prints, other)}
    assert across == set(naive.close_hashes(hashes, hashes[:7]))


def test_an_absent_path_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no such file or folder"):
        check([tmp_path / "absent"])


def test_real_test_sets_have_no_image_twice(saliency_data):
    report = check([saliency_data / "duts_te.zip"])
    assert report.pairs == 300
    assert report.count("error") == 0
