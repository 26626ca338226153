"""From a mesh to a trained model and back: prepare, train, evaluate, mesh, export, for all four models."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

TINY = (
    "--set",
    "gf_dim=8",
    "--set",
    "ef_dim=4",
    "--set",
    "z_dim=16",
    "--set",
    "points=256",
    "--set",
    "val_shapes=2",
    "--set",
    "least_steps=2",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """HDF5 of four boxes with a tower each."""
    from ppr.cli.main import run

    folder = tmp_path_factory.mktemp("solids")
    for index in range(4):
        low = trimesh.creation.box((0.6, 0.2, 0.4))
        tower = trimesh.creation.box((0.2, 0.5, 0.2))
        tower.apply_translation((-0.15 + 0.1 * index, 0.2, 0))
        (low + tower).export(folder / f"solid{index}.off")
    assert run(["imnet", "prepare", str(folder), "--out", str(folder / "data.h5"), "--held-out", "0.25", "--quiet"]) in (0, 1)
    return folder / "data.h5"


@pytest.mark.slow
def test_prepared_shapes_train_evaluate_mesh_and_export(ppr, tmp_path, data):
    run = tmp_path / "run"
    answer = ppr("imnet", "train", data, *TINY, "--epochs", "2", "--batch", "2", "--out", run)
    assert answer.code == 0, answer.err
    best = run / "best.safetensors"
    assert answer.out.strip() == str(best)
    (scores,) = ppr("imnet", "evaluate", "--checkpoint", best, "--data", data, "--split", "train", "--json").records
    assert scores["shapes"] == 3 and 0 <= scores["iou"] <= 1 and scores["nearest_iou"] > 0.2
    assert len(ppr("imnet", "list", "--checkpoint", best).out.splitlines()) == 3
    codes = ppr("imnet", "generate", "--checkpoint", best, "-n", "2").records
    assert len(codes[0]["code"]) == 16
    assert ppr("imnet", "export", "--checkpoint", best, "--out", tmp_path / "d.onnx").code == 0
    assert ppr("imnet", "export", "--checkpoint", best, "--format", "safetensors", "--half", "--out", tmp_path / "s.safetensors").code == 0
    assert ppr("imnet", "train", "--resume", run).code == 0


def test_the_latent_gan_and_the_image_encoder_train_on_a_model(ppr, tmp_path):
    answer = ppr("imnet", "train", "--model", "gan", "--epochs", "1", "--set", "width=16", "--out", tmp_path / "gan")
    assert answer.code == 0, answer.err
    options = ("--epochs", "1", "--set", "width=4", "--set", "val_shapes=2", "--set", "batch=64")
    table = tmp_path / "few.npz"
    from ppr.methods.imnet.data import BUNDLED

    with np.load(BUNDLED) as arrays:
        kept = np.r_[0:8, 60:64]
        np.savez(table, **{key: arrays[key][kept] for key in ("boxes", "n", "base")})
    answer = ppr("imnet", "train", table, "--model", "svr", *options, "--out", tmp_path / "svr")
    assert answer.code == 0, answer.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--model", "2d", "--recipe", "improved"), "has none of that name"),
        (("--model", "2d", "--limit", "3"), "has no such setting"),
        (("absent.h5",), "absent.h5"),
        (("--set", "gf_dmi=3"), "did you mean 'gf_dim'"),
        (("--resume", "absent"), "not a run directory"),
    ],
)
def test_a_wrong_training_is_refused_before_a_run_is_made(ppr, tmp_path, arguments, message):
    out = () if "--resume" in arguments else ("--out", tmp_path / "run")
    answer = ppr("imnet", "train", *arguments, *out)
    assert answer.code in (1, 2)
    assert message in answer.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("model", ["ae", "gan", "svr", "2d"])
def test_the_printed_configuration_is_accepted(ppr, tmp_path, model):
    import yaml

    from ppr.methods.imnet.tasks import TASKS

    text = ppr("imnet", "config", "--model", model).out
    assert TASKS[model].config(**yaml.safe_load(text)) == TASKS[model].config()
