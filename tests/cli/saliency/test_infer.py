"""`ppr saliency infer` as a person and as a pipeline use it: names, kinds, streams, bad files, exit codes."""

from __future__ import annotations

import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ppr.methods.saliency.pairs.procedural import scene
from ppr.methods.saliency.weights import EMBEDDED

from ...waiting import ctrl_c_after

DEMO = EMBEDDED.folder.parent / "demo"
INFER = [sys.executable, "-m", "ppr.cli.main", "saliency", "infer"]


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return Path(shutil.copy(DEMO / "cat.jpg", tmp_path / "cat.jpg"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """a.png, a.jpg (equal stems), sub/a.png, and a text file."""
    root = tmp_path / "photos"
    (root / "sub").mkdir(parents=True)
    for index, name in enumerate(("a.png", "a.jpg", "sub/a.png", "sub/b.png")):
        Image.fromarray(scene(80, 60, seed=3, index=index)[0]).save(root / name)
    (root / "notes.txt").write_text("not an image")
    return root


def names(path: Path) -> list[str]:
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())


def test_one_photo_gets_a_mask_of_its_size_beside_it(ppr, photo):
    answer = ppr("saliency", "infer", photo)
    assert answer.code == 0
    mask = Image.open(photo.with_name("cat.saliency.png"))
    assert (mask.mode, mask.size) == ("L", (640, 360))
    assert 0.2 < (np.asarray(mask) > 127).mean() < 0.6
    assert "object" in answer.out
    assert names(photo.parent) == ["cat.jpg", "cat.saliency.png"]


def test_it_works_without_network_and_without_torch(photo):
    """With sockets forbidden and torch made impossible to import, a cold start still gives a mask."""
    code = (
        "import sys, socket\n"
        "def forbidden(*a, **k): raise OSError('no network')\n"
        "socket.socket.connect = forbidden; socket.getaddrinfo = forbidden\n"
        "for name in ('torch', 'onnx', 'matplotlib', 'pydantic', 'scipy', 'sklearn', 'skimage'): sys.modules[name] = None\n"
        f"sys.argv = ['ppr', 'saliency', 'infer', {str(photo)!r}]\n"
        "from ppr.cli.main import main\nmain()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert photo.with_name("cat.saliency.png").exists()


@pytest.mark.parametrize("kind", ["cutout", "overlay", "heatmap", "outline", "crop"])
def test_every_kind_is_written_under_its_name(ppr, photo, kind):
    assert ppr("saliency", "infer", photo, "--as", kind).code == 0
    picture = Image.open(photo.with_name(f"cat.{kind}.png"))
    assert picture.mode == ("RGBA" if kind == "cutout" else "RGB")
    assert picture.size == (640, 360) or kind == "crop"


def test_json_is_one_object_a_line_that_jq_can_read(ppr, photo, tmp_path):
    answer = ppr("saliency", "infer", photo, DEMO / "owl.jpg", "--as", "json")
    cat, owl = answer.records
    assert answer.code == 0
    assert {"path", "width", "height", "object", "coverage", "box", "centroid", "confidence", "ms"} <= set(cat)
    assert cat["object"] is True
    assert len(owl["box"]) == 4
    assert names(tmp_path) == ["cat.jpg"], "json alone writes no picture"


def test_records_can_be_collected_in_a_file(ppr, photo, tmp_path):
    report = tmp_path / "log" / "report.jsonl"
    for _ in range(2):
        assert ppr("saliency", "infer", photo, "--overwrite", "--report", report).code == 0
    records = [json.loads(line) for line in report.read_text().splitlines()]
    assert [record["written"] for record in records] == [[str(photo.with_name("cat.saliency.png"))]] * 2


def test_a_folder_keeps_its_tree_and_equal_stems_apart(ppr, folder, tmp_path):
    out = tmp_path / "out"
    answer = ppr("saliency", "infer", folder, "-r", "-o", out)
    assert answer.code == 0
    assert names(out) == ["a.jpg.saliency.png", "a.png.saliency.png", "sub/a.saliency.png", "sub/b.saliency.png"]


def test_flat_output_does_not_collide_either(ppr, folder, tmp_path):
    out = tmp_path / "out"
    assert ppr("saliency", "infer", folder, "-r", "--flat", "-o", out).code == 0
    assert len(names(out)) == 4
    assert all("/" not in name for name in names(out))


def test_own_output_is_not_read_again(ppr, folder):
    assert ppr("saliency", "infer", folder).code == 0
    before = names(folder)
    assert ppr("saliency", "infer", folder, "--overwrite").code == 0
    assert names(folder) == before


def test_globs_and_zips_are_inputs(ppr, folder, tmp_path):
    answer = ppr("saliency", "infer", str(folder / "*.png"), "--as", "json")
    assert len(answer.records) == 1
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as packed:
        for name in ("a.png", "sub/b.png", "notes.txt"):
            packed.write(folder / name, name)
    assert ppr("saliency", "infer", archive, "-o", tmp_path / "unzipped").code == 0
    assert names(tmp_path / "unzipped") == ["a.saliency.png", "sub/b.saliency.png"]


def test_stdin_to_stdout(photo):
    done = subprocess.run([*INFER, "-"], input=photo.read_bytes(), capture_output=True, timeout=300, check=False)
    assert done.returncode == 0
    assert Image.open(io.BytesIO(done.stdout)).size == (640, 360)
    assert b"object" in done.stderr


def test_a_batch_survives_bad_files_and_its_exit_code_says_so(ppr, photo, tmp_path):
    bad = {"empty.jpg": b"", "text.png": b"hello", "short.jpg": photo.read_bytes()[:3000], "half.jpg": photo.read_bytes()[:20000]}
    for name, data in bad.items():
        (tmp_path / name).write_bytes(data)
    answer = ppr("saliency", "infer", *[tmp_path / name for name in bad], tmp_path / "absent.jpg", photo)
    assert answer.code == 1
    for message in (
        "empty.jpg: empty file",
        "text.png: not an image",
        "short.jpg: damaged or truncated",
        "half.jpg: damaged",
        "absent.jpg: no such file",
    ):
        assert message in answer.err
    assert "1 done" in answer.err
    assert "5 failed" in answer.err
    assert "Traceback" not in answer.err
    assert photo.with_name("cat.saliency.png").exists()


def test_fail_fast_stops_at_the_first(ppr, photo, tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"")
    answer = ppr("saliency", "infer", tmp_path / "a.jpg", photo, "--fail-fast")
    assert answer.code == 1
    assert not photo.with_name("cat.saliency.png").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["absent.jpg"], "absent.jpg: no such file"),
        (["{empty}"], "no file of a readable kind in this folder"),
        (["{photo}", "-o", "{photo}"], "would replace the input"),
        (["{photo}", "-o", "x.xyz"], "no output format"),
        (["{photo}", "-o", "x.png", "--as", "mask", "--as", "cutout"], "one file for several results"),
        (["{photo}", "--threshold", "2"], "not a threshold"),
        (["{photo}", "--size", "7"], "7 is not in the range 32<=x<=4096"),
        (["{photo}", "--bg", "nope"], "not a background"),
        (["{photo}", "--as", "cutout", "--format", "jpg"], "holds no transparency"),
        (["{photo}", "--device", "cuda"], "no NVIDIA driver"),
        (["{photo}", "--device", "tpu"], "not a device"),
        (["{photo}", "--overwrite", "--skip-existing"], "contradict"),
        (["{photo}", "--watch"], "needs a folder"),
        (["{photo}", "--as", "picture"], "picture"),
    ],
)
def test_wrong_commands_are_usage_errors(ppr, photo, tmp_path, arguments, message):
    if "cuda" in arguments and Path("/proc/driver/nvidia/version").exists():
        pytest.skip("this machine has CUDA")
    (tmp_path / "empty").mkdir()
    filled = [argument.format(photo=photo, empty=tmp_path / "empty") for argument in arguments]
    answer = ppr("saliency", "infer", *filled)
    assert answer.code == 2
    assert message in answer.err
    assert "Traceback" not in answer.err


def test_a_wrong_checkpoint_says_what_there_is(ppr, photo, tmp_path):
    assert "ras-mobile" in ppr("saliency", "infer", photo, "--checkpoint", "ras-mobil").err
    (tmp_path / "x.safetensors").write_bytes(b"\0" * 50)
    answer = ppr("saliency", "infer", photo, "--checkpoint", tmp_path / "x.safetensors")
    assert (answer.code, "x.safetensors: not a safetensors file" in answer.err) == (1, True)


def test_existing_output_is_kept_unless_told_otherwise(ppr, photo):
    target = photo.with_name("cat.saliency.png")
    target.write_bytes(b"precious")
    answer = ppr("saliency", "infer", photo)
    assert (answer.code, "exists already" in answer.err) == (1, True)
    assert target.read_bytes() == b"precious"
    assert ppr("saliency", "infer", photo, "--skip-existing").code == 0
    assert target.read_bytes() == b"precious"
    assert ppr("saliency", "infer", photo, "--overwrite").code == 0
    assert target.read_bytes()[:4] == b"\x89PNG"


def test_exif_orientation_gives_the_mask_a_viewer_would_show(ppr, photo, tmp_path):
    upright = Image.open(photo)
    lossless, turned = tmp_path / "upright.png", tmp_path / "turned.png"
    upright.save(lossless)
    exif = Image.Exif()
    exif[0x0112] = 6  # the viewer turns the stored picture by 90 degrees clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(turned, exif=exif)
    assert ppr("saliency", "infer", lossless, turned).code == 0
    masks = [np.asarray(Image.open(tmp_path / f"{name}.saliency.png")) for name in ("upright", "turned")]
    assert (masks[0] == masks[1]).all()


def test_png_and_lossless_webp_of_the_same_pixels_give_the_same_mask(ppr, photo, tmp_path):
    Image.open(photo).save(tmp_path / "p.png")
    Image.open(photo).save(tmp_path / "w.webp", lossless=True)
    assert ppr("saliency", "infer", tmp_path / "p.png", tmp_path / "w.webp").code == 0
    assert (np.asarray(Image.open(tmp_path / "p.saliency.png")) == np.asarray(Image.open(tmp_path / "w.saliency.png"))).all()


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "RGBA", "I;16", "1", "F"])
def test_every_kind_of_picture_is_taken(ppr, tmp_path, mode):
    image = Image.fromarray(scene(90, 70, seed=5)[0])
    image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257) if mode == "I;16" else image.convert(mode)
    path = tmp_path / ("x.tif" if mode in ("CMYK", "F") else "x.png")
    image.save(path)
    assert ppr("saliency", "infer", path).code == 0
    assert Image.open(tmp_path / "x.saliency.png").size == (90, 70)


def test_a_cutout_keeps_the_inputs_own_transparency(ppr, photo, tmp_path):
    image = Image.open(photo).convert("RGBA")
    image.putalpha(Image.new("L", image.size, 100))
    image.save(tmp_path / "own.png")
    assert ppr("saliency", "infer", tmp_path / "own.png", "--as", "cutout").code == 0
    assert np.asarray(Image.open(tmp_path / "own.cutout.png"))[..., 3].max() <= 100


def test_animations_first_frame_or_all(ppr, tmp_path):
    frames = [Image.fromarray(scene(64, 48, seed=9, index=i)[0]) for i in range(3)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:])
    answer = ppr("saliency", "infer", tmp_path / "a.gif")
    assert (answer.code, "3 frames, only the first is used" in answer.err) == (0, True)
    assert ppr("saliency", "infer", tmp_path / "a.gif", "--frames", "-o", tmp_path / "all").code == 0
    assert names(tmp_path / "all") == ["a.0000.saliency.png", "a.0001.saliency.png", "a.0002.saliency.png"]


def test_plain_pictures_have_no_object(ppr, tmp_path):
    rng = np.random.default_rng(0)
    pictures = {"wall": np.full((100, 150, 3), 180), "noise": rng.integers(0, 256, (100, 150, 3)), "dot": np.full((1, 1, 3), 9)}
    for name, pixels in pictures.items():
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / f"{name}.png")
    answer = ppr("saliency", "infer", *[tmp_path / f"{name}.png" for name in pictures], "--as", "json")
    assert answer.code == 0
    assert [record["object"] for record in answer.records] == [False] * 3


def test_fine_formats(ppr, photo, tmp_path):
    assert ppr("saliency", "infer", photo, "-o", tmp_path / "m.npy").code == 0
    fine = np.load(tmp_path / "m.npy", allow_pickle=False)
    assert (fine.dtype, fine.shape) == (np.float32, (360, 640))
    assert ppr("saliency", "infer", photo, "-o", tmp_path / "m.tif").code == 0
    assert np.asarray(Image.open(tmp_path / "m.tif")).max() > 255
    assert ppr("saliency", "infer", photo, "-o", tmp_path / "m.png").code == 0
    assert np.abs(np.asarray(Image.open(tmp_path / "m.png")) / 255 - fine).max() <= 0.503 / 255


def test_mask_options_reach_the_mask(ppr, photo, tmp_path):
    assert ppr("saliency", "infer", photo, "-o", tmp_path / "b.png", "--threshold", "otsu", "--largest").code == 0
    assert set(np.unique(np.asarray(Image.open(tmp_path / "b.png")))) == {0, 255}
    assert ppr("saliency", "infer", photo, "-o", tmp_path / "g.png", "--refine", "guided", "--tta", "flip", "--size", "320").code == 0
    assert ppr("saliency", "infer", photo, "-o", tmp_path / "c.jpg", "--as", "cutout", "--bg", "#ff0000").code == 0
    assert np.asarray(Image.open(tmp_path / "c.jpg"))[0, 0].tolist() == pytest.approx([255, 0, 0], abs=12)


@pytest.mark.slow
def test_a_large_photo_takes_little_memory(tmp_path):
    """108 megapixels within 1.5 GB."""
    path = tmp_path / "large.jpg"
    Image.new("RGB", (12000, 9000), (120, 90, 60)).save(path, quality=60)
    code = (
        "import sys\n"
        f"sys.argv = ['ppr', 'saliency', 'infer', {str(path)!r}, '-q']\n"
        "from ppr.cli.main import run\nfrom ppr.methods.common.measuring.memory import peak_memory\n"
        "code = run(sys.argv[1:])\n"
        "print(code, round(peak_memory() or 0))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=True)
    code, megabytes = map(int, done.stdout.split()[-2:])
    assert code == 0
    assert 100 < megabytes < 1500
    assert Image.open(tmp_path / "large.saliency.png").size == (12000, 9000)


def test_a_closed_pipe_is_no_error(folder):
    command = f"{sys.executable} -m ppr.cli.main saliency infer {folder} -r --as json | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, timeout=300, check=False)
    assert len(done.stdout.splitlines()) == 1
    assert "Traceback" not in done.stderr
    assert "BrokenPipe" not in done.stderr


@pytest.mark.slow
def test_ctrl_c_ends_with_whole_files_and_the_folder_can_be_resumed(ppr, tmp_path):
    source = tmp_path / "many"
    source.mkdir()
    for index in range(120):
        Image.fromarray(scene(64, 48, seed=1, index=index)[0]).save(source / f"{index:03d}.png")
    out = tmp_path / "out"
    with ctrl_c_after(lambda: len(list(out.glob("*.png"))) >= 5):
        stopped = ppr("saliency", "infer", source, "-o", out)
    assert stopped.code == 130
    assert "Traceback" not in stopped.err
    done = sorted(out.glob("*.png"))
    for path in done:
        Image.open(path).load()
    assert [path for path in out.iterdir() if ".part" in path.name] == []
    resumed = ppr("saliency", "infer", source, "-o", out, "--skip-existing")
    assert resumed.code == 0
    assert len(list(out.glob("*.png"))) == 120
    assert f"{len(done)} skipped" in resumed.err


def test_watching_a_folder_picks_up_new_files(ppr, tmp_path):
    source, out = tmp_path / "inbox", tmp_path / "out"
    source.mkdir()
    Image.fromarray(scene(64, 48, seed=1)[0]).save(source / "first.png")
    # A file that is moved in is whole at once: one that a busy machine writes in pieces could look as if it had stopped growing.
    Image.fromarray(scene(64, 48, seed=2)[0]).save(tmp_path / "second.png")
    with ctrl_c_after(
        (out / "first.saliency.png").exists,
        lambda: (tmp_path / "second.png").rename(source / "second.png"),
        (out / "second.saliency.png").exists,
    ):
        answer = ppr("saliency", "infer", source, "-o", out, "--watch")
    assert answer.code == 130
    assert "Traceback" not in answer.err
