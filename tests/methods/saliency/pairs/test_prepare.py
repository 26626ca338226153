"""Writing clean data sets."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.saliency.pairs.find import find_pairs, read_pair
from ppr.methods.saliency.pairs.prepare import prepare, synthesise
from ppr.methods.saliency.pairs.procedural import scene


def pairs_of(path: Path):
    return find_pairs([path]).pairs


@pytest.mark.parametrize("out", ["clean.zip", "clean"])
def test_images_are_reduced_and_masks_stay_exact_in_size(scenes, tmp_path, out):
    folder = scenes(3, size=(90, 60))
    assert prepare(pairs_of(folder), tmp_path / out, longest=45) == 3
    clean = pairs_of(tmp_path / out)
    assert [pair.name for pair in clean] == ["scene0", "scene1", "scene2"]
    for index, pair in enumerate(clean):
        image, mask = read_pair(pair)
        assert image.shape == (30, 45, 3)
        _full, truth = scene(90, 60, seed=0, index=index)
        assert (mask == 255 * (truth.reshape(30, 2, 45, 2).mean((1, 3)) > 127)).all()
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_enlarged_and_grey_masks_are_cut(scenes, tmp_path):
    folder = scenes(1)
    path = folder / "masks/scene0.png"
    mask = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(path), np.where(mask > 0, 200, 90).astype(np.uint8))
    prepare(pairs_of(folder), tmp_path / "clean", longest=500)
    written = tmp_path / "clean/masks/scene0.png"
    assert (cv2.imread(str(written), cv2.IMREAD_GRAYSCALE) == mask).all()
    with Image.open(written) as picture:
        assert picture.mode == "1"
    assert cv2.imread(str(tmp_path / "clean/images/scene0.jpg")).shape == (48, 64, 3)


def test_photos_come_out_upright(scenes, tmp_path):
    folder = scenes(1)
    image, mask = scene(64, 48, seed=0, index=0)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(image).copy()).save(folder / "images/scene0.png", exif=exif)
    prepare(pairs_of(folder), tmp_path / "clean.zip", quality=98)
    (pair,) = pairs_of(tmp_path / "clean.zip")
    upright, truth = read_pair(pair)
    assert np.abs(upright.astype(int) - image).mean() < 6
    assert (truth == mask).all()


def test_the_same_data_give_the_same_bytes(scenes, tmp_path):
    folder = scenes(2)
    for name in ("a.zip", "b.zip"):
        prepare(pairs_of(folder), tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        assert {info.date_time[0] for info in archive.infolist()} == {1980}


def test_bad_pairs_are_left_out(scenes, tmp_path):
    folder = scenes(3)
    (folder / "images/scene1.png").write_bytes(b"broken")
    errors: list[PprError] = []
    assert prepare(pairs_of(folder), tmp_path / "clean.zip", failed=errors.append) == 2
    assert len(errors) == 1
    assert "scene1.png" in str(errors[0])
    assert [pair.name for pair in pairs_of(tmp_path / "clean.zip")] == ["scene0", "scene2"]


@pytest.mark.parametrize("out", ["clean.zip", "clean"])
def test_nothing_is_written_when_no_pair_is_sound(scenes, tmp_path, out):
    folder = scenes(1)
    (folder / "images/scene0.png").write_bytes(b"broken")
    with pytest.raises(PprError, match="no pair is sound"):
        prepare(pairs_of(folder), tmp_path / out)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_existing_output_is_kept(scenes, tmp_path):
    pairs = pairs_of(scenes(1))
    archive, folder = tmp_path / "clean.zip", tmp_path / "clean"
    archive.write_bytes(b"precious")
    folder.mkdir()
    (folder / "notes.txt").write_text("precious")
    for out in (archive, folder):
        with pytest.raises(UsageError, match="exists already"):
            prepare(pairs, out)
    with pytest.raises(UsageError, match="exists already"):
        prepare(pairs, folder, overwrite=True)
    assert archive.read_bytes() == b"precious"
    assert prepare(pairs, archive, overwrite=True) == 1
    assert len(pairs_of(archive)) == 1


def test_equal_names_of_two_sets_do_not_collide(scenes, tmp_path):
    first, second = scenes(2, name="a"), scenes(2, name="b", seed=1)
    pairs = find_pairs([first, second]).pairs
    assert prepare(pairs, tmp_path / "both.zip") == 4
    assert sorted(pair.name for pair in pairs_of(tmp_path / "both.zip")) == ["scene0", "scene0-2", "scene1", "scene1-2"]


def test_synthetic_sets_are_scenes(tmp_path):
    synthesise(tmp_path / "scenes.zip", 3, (64, 48), seed=7)
    pairs = pairs_of(tmp_path / "scenes.zip")
    assert [pair.name for pair in pairs] == ["scene-00000", "scene-00001", "scene-00002"]
    image, mask = read_pair(pairs[2])
    expected = scene(64, 48, seed=7, index=2)
    assert (mask == expected[1]).all()
    assert np.abs(image.astype(int) - expected[0]).mean() < 8
