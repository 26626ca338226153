"""Finding image/mask pairs in every layout the data sets come in."""

from __future__ import annotations

import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.sources import Source
from ppr.methods.saliency.pairs.find import Pair, file_names, find_pairs, read_pair, scan
from ppr.methods.saliency.pairs.procedural import scene

STEMS = ("0001", "ILSVRC2012_test_00000003", "sun_a.b")


def write(path: Path, picture: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), picture[..., ::-1] if picture.ndim == 3 else picture)


def lay_out(folder: Path, image: str, mask: str) -> Path:
    """Write three pairs; `image` and `mask` are paths with {} for the stem."""
    for index, stem in enumerate(STEMS):
        picture, truth = scene(40, 30, seed=0, index=index)
        write(folder / image.format(stem), picture)
        write(folder / mask.format(stem), truth)
    return folder


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder.parent))
        archive.writestr("__MACOSX/._junk.png", b"resource fork")
    return path


LAYOUTS = [
    ("images/{}.jpg", "masks/{}.png"),
    ("imgs/{}.jpg", "gt/{}.png"),
    ("img/{}.png", "gts/{}.png"),
    ("Image/{}.webp", "GT/{}.png"),
    ("images/{}.jpg", "ground_truth_mask/{}.png"),
    ("DUTS-TE-Image/{}.jpg", "DUTS-TE-Mask/{}.png"),
    ("test/images/{}.jpg", "test/masks/{}.png"),
    ("Image/train/{}.jpg", "Mask/train/{}.png"),
    ("{}.jpg", "{}.png"),
    ("{}.webp", "{}.png"),
    ("MSRA10K_Imgs_GT/Imgs/{}.jpg", "MSRA10K_Imgs_GT/Imgs/{}.png"),
    ("{}.jpg", "masks/{}.png"),
]


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
@pytest.mark.parametrize(("image", "mask"), LAYOUTS)
def test_layouts(tmp_path, image, mask, packed):
    folder = lay_out(tmp_path / "set", image, mask)
    found = find_pairs([zipped(folder) if packed else folder])
    assert [pair.image.stem for pair in found.pairs] == [pair.mask.stem for pair in found.pairs] == sorted(STEMS)
    assert (found.images_alone, found.masks_alone) == ([], [])
    for pair in found.pairs:
        picture, truth = read_pair(pair)
        expected = scene(40, 30, seed=0, index=STEMS.index(pair.image.stem))
        assert (truth == expected[1]).all()
        assert np.abs(picture.astype(int) - expected[0]).mean() < 12


@pytest.mark.parametrize(("name", "separator"), [("list.txt", " "), ("list.lst", "\t"), ("list.csv", ",")])
def test_list_file(tmp_path, name, separator):
    lay_out(tmp_path, "pictures/{}.jpg", "truth/{}_m.png")
    lines = [f"pictures/{stem}.jpg{separator}truth/{stem}_m.png" for stem in STEMS]
    (tmp_path / name).write_text("# image mask\n\n" + "\n".join(lines) + "\n", encoding="utf-8")
    found = find_pairs([tmp_path / name])
    assert [(pair.image.stem, pair.mask.stem) for pair in found.pairs] == [(stem, f"{stem}_m") for stem in sorted(STEMS)]


def test_list_file_errors_name_the_line(tmp_path):
    lay_out(tmp_path, "images/{}.jpg", "masks/{}.png")
    listing = tmp_path / "list.txt"
    listing.write_text("images/0001.jpg masks/0001.png\nimages/0001.jpg\n")
    with pytest.raises(PprError, match=r"list\.txt:2: .*found 1 word"):
        find_pairs([listing])
    listing.write_text("images/0001.jpg masks/absent.png\n")
    with pytest.raises(PprError, match=r"list\.txt:1: .*absent\.png: no such file"):
        find_pairs([listing])
    listing.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(PprError, match=r"list\.txt: not a list file"):
        find_pairs([listing])


def test_several_sets_are_joined(tmp_path):
    first = lay_out(tmp_path / "a", "images/{}.jpg", "masks/{}.png")
    second = lay_out(tmp_path / "b", "{}.jpg", "{}.png")
    assert len(find_pairs([first, zipped(second)]).pairs) == 6


def test_orphans_are_told_apart(tmp_path):
    folder = lay_out(tmp_path / "set", "images/{}.jpg", "masks/{}.png")
    (folder / "masks/0001.png").unlink()
    write(folder / "masks/lonely.png", scene(20, 20, seed=0)[1])
    (folder / "images/.hidden.jpg").write_bytes(b"")
    (folder / "readme.txt").write_text("not an image")
    found = scan(folder)
    assert len(found.pairs) == 2
    assert [Path(source.path).name for source in found.images_alone] == ["0001.jpg"]
    assert [Path(source.path).name for source in found.masks_alone] == ["lonely.png"]


def test_equal_stems_in_one_folder_lose_no_file_silently(tmp_path):
    folder = lay_out(tmp_path / "set", "images/{}.jpg", "masks/{}.png")
    write(folder / "images/0001.png", scene(40, 30, seed=9)[0])
    write(folder / "masks/0001.bmp", scene(40, 30, seed=9)[1])
    found = scan(folder)
    assert [(pair.image.suffix, pair.mask.suffix) for pair in found.pairs] == [(".jpg", ".png")] * 3
    assert [Path(source.path).name for source in found.images_alone] == ["0001.png"]
    assert [Path(source.path).name for source in found.masks_alone] == ["0001.bmp"]


def test_a_folder_without_pairs_is_refused(tmp_path):
    lay_out(tmp_path, "images/{}.jpg", "masks/other_{}.png")
    with pytest.raises(UsageError, match=r"no image/mask pairs \(3 images, 3 masks"):
        find_pairs([tmp_path])
    with pytest.raises(UsageError, match="no such file or folder"):
        find_pairs([tmp_path / "absent"])


def test_fingerprint_depends_on_the_names(tmp_path):
    folder = lay_out(tmp_path / "set", "images/{}.jpg", "masks/{}.png")
    before = find_pairs([folder]).fingerprint()
    assert before["pairs"] == 3
    (folder / "images/0001.jpg").unlink()
    assert find_pairs([folder]).fingerprint()["names_sha256"] != before["names_sha256"]


def pair_of(folder: Path, image: np.ndarray, mask: np.ndarray) -> Pair:
    write(folder / "i.png", image)
    write(folder / "m.png", mask)
    return Pair("i", Source(str(folder / "i.png")), Source(str(folder / "m.png")))


def test_masks_of_other_kinds_are_cut_to_two_levels(tmp_path):
    image, mask = scene(40, 30, seed=1)
    for kind in (mask // 255, np.repeat(mask[..., None], 3, 2), np.where(mask > 0, 128, 127).astype(np.uint8)):
        assert (read_pair(pair_of(tmp_path, image, kind))[1] == mask).all()


def test_a_mask_of_another_size_is_refused_unless_resizing(tmp_path):
    image, mask = scene(40, 30, seed=1)
    pair = pair_of(tmp_path, image, cv2.resize(mask, (80, 60), interpolation=cv2.INTER_NEAREST))
    with pytest.raises(PprError, match=r"m\.png: is 80x60, its image is 40x30"):
        read_pair(pair)
    _image, resized = read_pair(pair, resize_masks=True)
    assert resized.shape == (30, 40)
    assert (resized == mask).mean() > 0.98


def test_file_names_are_safe_and_distinct():
    source = Source("x")
    names = ["a/b", "../../etc/passwd", "/etc/x.jpg", "set/a.jpg", "set/a.png", "a/b", "v1.5"]
    assert file_names([Pair(name, source, source) for name in names]) == [
        "a/b",
        "etc/passwd",
        "etc/x",
        "set/a",
        "set/a-2",
        "a/b-2",
        "v1.5",
    ]
