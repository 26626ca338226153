"""What the commands say and return when a field, a code, a file or a checkpoint cannot be used. No file is left behind then."""

from __future__ import annotations

import builtins
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from ppr.methods.common.reading.meshes import read_mesh, report
from ppr.methods.common.running.checkpoint import load_checkpoint, save_checkpoint
from ppr.methods.imnet.weights import EMBEDDED

from ...waiting import ctrl_c_after

SMALL = ("--resolution", "32", "--refine", "0")


def refused(answer, code: int, *parts: str, out: Path) -> None:
    """The command ended with that code, said all that, showed no traceback and wrote nothing."""
    assert answer.code == code, answer.err
    assert [part for part in parts if part not in answer.err] == [], answer.err
    assert answer.err.count("Error") == 1 and "Traceback" not in answer.err
    assert not out.exists()


def test_a_field_without_surface_names_its_extreme_value(ppr, tmp_path):
    out = tmp_path / "a.obj"
    refused(ppr("imnet", "mesh", *SMALL, "--level", "0.99999999", "-o", out), 3, "its maximum is 0.9", "try --level", out=out)
    answer = ppr("imnet", "mesh", *SMALL, "--level", "1e-100", "-o", out)
    refused(answer, 3, "above the level", "everywhere: its minimum is", "try --level", out=out)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_code_that_is_not_finite_is_refused(ppr, tmp_path, bad):
    code = np.full(128, 0.5, np.float32)
    code[7] = bad
    np.save(tmp_path / "z.npy", code)
    out = tmp_path / "a.obj"
    refused(ppr("imnet", "mesh", *SMALL, "--code", tmp_path / "z.npy", "-o", out), 1, "NaN or infinity", out=out)


def test_a_code_of_another_length_is_refused_with_both_sizes(ppr, tmp_path):
    np.save(tmp_path / "z.npy", np.full(256, 0.5, np.float32))
    out = tmp_path / "a.obj"
    answer = ppr("imnet", "mesh", *SMALL, "--code", tmp_path / "z.npy", "-o", out)
    refused(answer, 1, "a code of 256 numbers, but this network takes 128", out=out)


def damaged(path: Path, change: str) -> Path:
    """The embedded model with something wrong about it."""
    checkpoint = load_checkpoint(EMBEDDED.folder / "chairs.safetensors", method="imnet")
    state, meta = dict(checkpoint.state), checkpoint.meta
    if change == "weights":
        state["generator.linear_3.weight"] = state["generator.linear_3.weight"].clone()
        state["generator.linear_3.weight"][0, 0] = float("nan")
    elif change == "arch":
        meta = replace(meta, arch="paper", config=meta.config | {"arch": "paper"})
    elif change == "unknown arch":
        meta = replace(meta, arch="newest", config=meta.config | {"arch": "newest"})
    elif change == "method":
        meta = replace(meta, method="saliency")
    save_checkpoint(path, state, meta)
    return path


@pytest.mark.parametrize(
    ("change", "code", "part"),
    [
        ("weights", 1, "weights that are not finite"),
        ("arch", 1, "not (768"),
        ("unknown arch", 2, "arch='newest'"),
        ("method", 1, "a checkpoint of 'saliency', not of 'imnet'"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(ppr, tmp_path, change, code, part):
    out, checkpoint = tmp_path / "a.obj", damaged(tmp_path / "model.safetensors", change)
    refused(ppr("imnet", "mesh", *SMALL, "--checkpoint", checkpoint, "-o", out), code, "model.safetensors", part, out=out)


def test_weights_without_metadata_are_refused(ppr, tmp_path):
    from safetensors.numpy import save_file

    save_file({"generator.linear_1.weight": np.zeros((3, 3), np.float32)}, tmp_path / "plain.safetensors")
    out = tmp_path / "a.obj"
    answer = ppr("imnet", "mesh", *SMALL, "--checkpoint", tmp_path / "plain.safetensors", "-o", out)
    refused(answer, 1, "plain.safetensors", "metadata", out=out)


def test_grids_of_other_sides_and_types_are_taken_and_what_was_done_is_said(ppr, tmp_path, voxels):
    grid = np.load(voxels)
    finer = grid.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    inputs = {"float": grid * 0.6 + 0.2, "finer": finer, "oblong": grid[:, 2:62]}
    for name, array in inputs.items():
        np.save(tmp_path / f"{name}.npy", array)
    (expected,) = ppr("imnet", "encode", voxels).records
    for name, said in (("float", ""), ("finer", "128^3 resampled to 64^3 (max-pool)"), ("oblong", "64 x 60 x 64 voxels, padded to a cube")):
        answer = ppr("imnet", "encode", tmp_path / f"{name}.npy")
        assert answer.code == 0
        assert said in answer.err
        assert answer.records[0]["code"] == expected["code"]


def test_an_empty_grid_is_refused(ppr, tmp_path):
    np.save(tmp_path / "none.npy", np.full((64, 64, 64), 0.5))
    out = tmp_path / "a.obj"
    answer = ppr("imnet", "mesh", *SMALL, "--voxels", tmp_path / "none.npy", "-o", out)
    refused(answer, 1, "none.npy: the voxel grid is empty", "0.5", out=out)


def test_an_open_mesh_is_prepared_with_a_warning_and_refused_by_strict(ppr, tmp_path):
    box = trimesh.creation.box((0.5, 0.4, 0.6))
    box.update_faces(np.arange(len(box.faces)) > 1)
    (tmp_path / "meshes").mkdir()
    box.export(tmp_path / "meshes/open.off")
    data = tmp_path / "data.h5"
    strict = ppr("imnet", "prepare", tmp_path / "meshes", "--strict", "-o", data)
    assert (strict.code, data.exists()) == (1, False)
    assert "open.off: inside and outside are ambiguous" in strict.err
    answer = ppr("imnet", "prepare", tmp_path / "meshes", "-o", data)
    assert answer.code == 0, answer.err
    assert "warning" in answer.err and "% of" in answer.err


@pytest.fixture(scope="module")
def image_encoder(tmp_path_factory) -> Path:
    """An image encoder with random weights: enough to see what becomes of a picture before it."""
    import torch

    from ppr.methods.common.running.checkpoint import Meta
    from ppr.methods.imnet.models.svr import METHOD, SingleView

    torch.manual_seed(0)
    return save_checkpoint(tmp_path_factory.mktemp("svr") / "svr.safetensors", SingleView(128, 4).state_dict(), Meta(METHOD, "svr"))


def test_pictures_of_any_kind_become_codes_and_a_dark_background_is_warned_about(ppr, tmp_path, image_encoder):
    figure = np.full((200, 120, 3), 255, np.uint8)
    figure[60:150, 40:90] = (90, 60, 30)
    transparent = np.dstack([figure, np.where(figure[..., 0] < 255, 255, 0).astype(np.uint8)])
    transparent[transparent[..., 3] == 0] = 0
    dark = np.where(figure == 255, 120, figure).astype(np.uint8)
    for name, pixels in {"rgb": figure, "rgba": transparent, "dark": dark}.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
    codes = {}
    for name in ("rgb", "rgba", "dark"):
        answer = ppr("imnet", "encode", tmp_path / f"{name}.png", "--image-checkpoint", image_encoder)
        assert answer.code == 0, answer.err
        codes[name] = answer.records[0]["code"]
        assert ("background" in answer.err) == (name == "dark")
    assert codes["rgb"] == codes["rgba"] != codes["dark"]


def test_without_an_image_encoder_a_picture_is_refused(ppr, tmp_path):
    checkpoint = damaged(tmp_path / "model.safetensors", "nothing")
    picture = np.full((64, 64), 255, np.uint8)
    picture[20:40, 20:40] = 0
    Image.fromarray(picture).save(tmp_path / "a.png")
    out = tmp_path / "a.obj"
    answer = ppr("imnet", "mesh", *SMALL, "--checkpoint", checkpoint, "--image", tmp_path / "a.png", "-o", out)
    refused(answer, 1, "no image encoder belongs to it", "--image-checkpoint", out=out)


@pytest.mark.parametrize(
    ("arguments", "code", "listed"),
    [
        (("mesh", "-o", "chair.xyz"), 2, {"obj", "ply", "stl", "off", "glb"}),
        (("extract", "--onnx", "field.onnx", "-o", "chair.xyz"), 2, {"obj", "ply", "stl", "off", "glb"}),
        (("mesh", "-o", "chair.obj", "--preview", "chair.tga"), 2, {"png", "jpg", "webp"}),
        (("list", "--map", "map.gif"), 2, {"png", "jpg", "webp"}),
        (("mesh", "-o", "chair.obj", "--voxels", "chair.vox"), 2, {"binvox", "npy", "npz", "h5", "obj", "off", "ply", "stl", "glb"}),
        (("encode", "chair.vox"), 1, {"binvox", "npy", "npz", "h5", "obj", "off", "ply", "stl", "glb", "png", "jpg"}),
        (("infer", "chair.vox", "-o", "out"), 1, {"binvox", "npy", "npz", "h5", "obj", "off", "ply", "stl", "glb", "png", "jpg"}),
        (("prepare", "chair.vox", "-o", "data.h5"), 1, {"binvox", "npy", "npz", "h5", "obj", "off", "ply", "stl", "glb"}),
    ],
)
def test_an_unknown_suffix_is_answered_with_the_known_ones(ppr, tmp_path, monkeypatch, arguments, code, listed):
    monkeypatch.chdir(tmp_path)
    Path("chair.vox").write_bytes(b"VOX")
    answer = ppr("imnet", *arguments)
    assert answer.code == code, answer.err
    (hint,) = (line for line in answer.err.splitlines() if line.startswith("  hint:"))
    assert listed <= set(re.findall(r"\w+", hint))
    assert [path.name for path in tmp_path.iterdir()] == ["chair.vox"]


def test_force_lifts_the_limit_of_the_resolution(ppr, tmp_path):
    out = tmp_path / "a.obj"
    refused(ppr("imnet", "mesh", "-r", "1025", "-o", out), 2, "at most 1024, or give --force", out=out)
    answer = ppr("imnet", "mesh", "-r", "1025", "--force", "--shape", "absent", "-o", out)
    refused(answer, 2, "no shape of that name", out=out)


@pytest.mark.slow
def test_without_open3d_only_decimation_and_smoothing_are_missing(ppr, tmp_path, monkeypatch):
    real = builtins.__import__

    def without(name, *arguments, **options):
        if name.partition(".")[0] == "open3d":
            raise ModuleNotFoundError("No module named 'open3d'", name="open3d")
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    out = tmp_path / "a.obj"
    for option in (("--faces", "100"), ("--smooth", "2")):
        refused(ppr("imnet", "mesh", *SMALL, *option, "-o", out), 1, "'open3d'", "pip install 'ppr[mesh]'", out=out)
    assert ppr("imnet", "mesh", *SMALL, "-o", out, "--preview", tmp_path / "a.png").code == 0
    assert report(read_mesh(out)).watertight
    assert Image.open(tmp_path / "a.png").size == (3 * 512, 512)


@pytest.mark.usefixtures("undrawn")
def test_ctrl_c_during_training_saves_and_exits_130(ppr, tmp_path):
    run = tmp_path / "run"
    tiny = ("gf_dim=4", "ef_dim=2", "z_dim=8", "points=64", "val_shapes=2", "batch=8", "limit=16", "least_steps=4")
    settings = [word for setting in tiny for word in ("--set", setting)]
    with ctrl_c_after((run / "metrics.jsonl").exists):
        stopped = ppr("imnet", "train", *settings, "--epochs", "100000", "--json", "--out", run)
    assert stopped.records[0]["epoch"] == 1
    assert stopped.code == 130
    assert "Traceback" not in stopped.err
    assert (run / "resume.pt").is_file()
    saved = load_checkpoint(run / "last.safetensors", method="imnet").meta
    assert saved.epoch >= 1


def test_a_failed_write_keeps_the_file_that_was_there(ppr, tmp_path, monkeypatch):
    """A full disk in the middle of a mesh: the old file stays whole, and no temporary one lies beside it."""
    out = tmp_path / "a.obj"
    out.write_text("old")

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        answer = ppr("imnet", "mesh", *SMALL, "-o", out, "--overwrite")
    assert answer.code == 1
    assert "No space left on device" in answer.err
    assert (out.read_text(), [path.name for path in tmp_path.iterdir()]) == ("old", ["a.obj"])
    assert ppr("imnet", "mesh", *SMALL, "-o", out, "--overwrite").code == 0
    assert out.read_text() != "old"
