"""Training the autoencoder: it learns a chair, keeps the codes, resumes exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import Meta, load_checkpoint, save_checkpoint
from ppr.methods.common.running.run import Run
from ppr.methods.imnet.config import PRESETS, TrainConfig
from ppr.methods.imnet.data import BoxShapes, fingerprint, load_shapes
from ppr.methods.imnet.infer import Predictor
from ppr.methods.imnet.network import AutoEncoder
from ppr.methods.imnet.shapes.boxes import load_boxes
from ppr.methods.imnet.shapes.voxels import voxel_centres
from ppr.methods.imnet.train import field_loss, train

from .runs import check_resumed_training, started
from .tables import chair, write_table

SMALL = {"gf_dim": 4, "ef_dim": 2, "z_dim": 6, "points": 64, "batch": 2, "val_shapes": 2, "least_steps": 1, "device": "cpu"}


@pytest.fixture(scope="module")
def overfitted(tmp_path_factory):
    """A training on one chair, which the file holds many times so that an epoch has many steps; its run and table."""
    folder = tmp_path_factory.mktemp("overfit")
    others = [chair(0.7, 0.3, 0.3, 0.2), chair(0.3, 0.8, 0.3, 0.1), chair(0.6, 0.6, 0.9, 0.1)]
    path = write_table(folder / "one.npz", [chair(0.5, 0.4, 0.5, 0.1)] * 60 + others, [0] * 60 + [1, 2, 4])
    sizes = {"gf_dim": 16, "ef_dim": 4, "z_dim": 16, "octaves": 4, "points": 1024, "batch": 1, "least_steps": 1, "recombine": 0.0}
    config = TrainConfig(data=[str(path)], limit=60, epochs=4, deform=0.0, lr=4e-3, val_shapes=1, device="cpu", seed=0, **sizes)
    run = started(folder / "run", config)
    train(config, run)
    return run, path


@pytest.mark.slow
def test_training_lowers_the_loss(overfitted):
    losses = [record["loss"] for record in overfitted[0].history()]
    assert len(losses) == 4
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.slow
def test_a_chair_that_is_trained_on_is_rebuilt(overfitted):
    run, path = overfitted
    model, truth = Predictor.load(str(run.best)), BoxShapes(load_boxes(path)).voxels(0)
    inside = model.field(model.encode([truth])[0])(voxel_centres(64)).reshape(64, 64, 64) > model.decoder.level
    iou = (inside & truth).sum() / (inside | truth).sum()
    assert iou >= 0.8
    best = load_checkpoint(run.best).meta.metrics["train_iou"]
    assert best == pytest.approx(iou, abs=0.05)  # the estimate from sampled voxels


@pytest.mark.slow
def test_the_best_checkpoint_holds_codes_and_names(overfitted):
    run, path = overfitted
    truth = BoxShapes(load_boxes(path)).voxels(0)
    for file in (run.best, run.last):
        model = Predictor.load(str(file))
        assert model.bank.names == [f"b000v{index:02d}" for index in range(60)]
        np.testing.assert_allclose(model.bank.codes, np.repeat(model.encode([truth]), 60, 0), atol=1e-5)
    meta = load_checkpoint(run.best).meta
    assert meta.data["names_sha256"] == fingerprint(load_shapes([str(path)]), [str(path)])["names_sha256"]
    assert meta.config["gf_dim"] == 16


def test_a_resumed_training_ends_with_the_same_weights(tmp_path, table):
    config = TrainConfig(data=[str(table)], epochs=3, **SMALL)
    check_resumed_training(train, config, tmp_path, at=(2, 2))


@pytest.mark.slow
def test_another_training_starts_from_a_finished_one(tmp_path, overfitted):
    """As `--init runs/…/best.safetensors`: with the rate at almost nothing the weights stay those it started from."""
    run, path = overfitted
    config = TrainConfig(
        **load_checkpoint(run.best).meta.config | {"data": [str(path)], "init": str(run.best), "lr": 1e-12, "epochs": 1, "limit": 2}
    )
    again = started(tmp_path / "again", config)
    train(config, again)
    before, after = load_checkpoint(run.best).state, load_checkpoint(again.last).state
    for key in before:
        if key != "codes":
            torch.testing.assert_close(after[key], before[key], atol=1e-6, rtol=0)
    assert after["codes"].shape == (2, 16)


def test_starting_from_another_architecture_is_refused(tmp_path, table):
    other = {"arch": "improved", "gf_dim": 4, "ef_dim": 2, "z_dim": 6}
    network = AutoEncoder(TrainConfig(**PRESETS["improved"] | other))
    meta = Meta(method="imnet", arch="improved", config=network.config.model_dump())
    path = save_checkpoint(tmp_path / "improved.safetensors", network.state_dict(), meta)
    config = TrainConfig(data=[str(table)], init=str(path), **SMALL)
    with pytest.raises(PprError, match="holds 'improved', not 'fast'") as caught:
        train(config, started(tmp_path / "run", config))
    assert caught.value.hint == "--arch improved"


def test_starting_from_another_size_is_refused(tmp_path, table):
    network = AutoEncoder(TrainConfig(**SMALL | {"gf_dim": 8}))
    meta = Meta(method="imnet", arch="fast", config=network.config.model_dump())
    path = save_checkpoint(tmp_path / "wide.safetensors", network.state_dict(), meta)
    config = TrainConfig(data=[str(table)], init=str(path), **SMALL)
    with pytest.raises(PprError, match="do not fit the network"):
        train(config, started(tmp_path / "run", config))


@pytest.mark.parametrize("recipe", ["improved", "paper"])
def test_the_authors_recipes_train(tmp_path, table, recipe):
    config = TrainConfig(**PRESETS[recipe] | SMALL | {"data": [str(table)], "epochs": 4, "init_scheme": "he", "lr": 1e-2, "points": 256})
    run = started(tmp_path / "run", config)
    train(config, run)
    history = run.history()
    assert [record["lr"] for record in history] == [1e-2] * 4  # constant
    assert 0 < history[-1]["loss"] < 0.95 * history[0]["loss"]
    meta = load_checkpoint(run.last).meta
    assert (meta.arch, meta.config["loss"]) == (recipe, "mse")
    assert load_checkpoint(run.last).state["codes"].shape == (6, 6)


def test_the_recipes_are_the_published_ones():
    paper, improved = (TrainConfig(**PRESETS[name]) for name in ("paper", "improved"))
    assert (paper.output, paper.skips, paper.z_dim, paper.batch, paper.norm) == ("sigmoid", 4, 128, 1, "batch")
    assert (improved.output, improved.skips, improved.z_dim, improved.batch, improved.norm) == ("clamp", 0, 256, 32, "instance")
    for recipe in (paper, improved):
        assert (recipe.lr, recipe.beta1, recipe.loss, recipe.octaves, recipe.init_scheme) == (5e-5, 0.5, "mse", 0, "paper")
        assert (recipe.progressive, recipe.schedule, recipe.ef_dim, recipe.gf_dim) == (True, "constant", 32, 128)


@pytest.mark.parametrize("output", ["logit", "clamp", "sigmoid"])
def test_the_losses_are_the_mean_over_all_points(output):
    config = TrainConfig(output=output)
    values, labels = torch.tensor([[0.2, 0.9], [0.6, 0.1]]), torch.tensor([[0.0, 1.0], [1.0, 1.0]])
    probability = torch.sigmoid(values) if output == "logit" else values
    squared = ((probability - labels) ** 2).mean()
    entropy = -(labels * probability.log() + (1 - labels) * (1 - probability).log()).mean()
    torch.testing.assert_close(field_loss(values, labels, config.model_copy(update={"loss": "mse"})), squared)
    torch.testing.assert_close(field_loss(values, labels, config), entropy, rtol=1e-4, atol=1e-5)


def test_cross_entropy_of_a_clamped_field_is_finite():
    config = TrainConfig(output="clamp")
    assert torch.isfinite(field_loss(torch.tensor([[-0.5, 1.2]]), torch.tensor([[1.0, 0.0]]), config))


def test_a_decoder_trained_alone_leaves_the_codes_as_they_are(table, tmp_path):
    runs = []
    for more in ({}, {"init": str(tmp_path / "0" / "last.safetensors"), "decoder_only": True}):
        config = TrainConfig(
            data=[str(table)], epochs=1, batch=2, least_steps=2, points=64, val_shapes=2, gf_dim=8, ef_dim=4, z_dim=8, **more
        )
        runs.append(started(tmp_path / str(len(runs)), config))
        train(config, runs[-1])
    before, after = (load_checkpoint(run.last, method="imnet").state for run in runs)
    moved = {name.split(".")[0] for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"generator"}


def test_a_decoder_cannot_be_trained_alone_from_nothing(table, tmp_path):
    with pytest.raises(UsageError, match="there is no encoder"):
        train(TrainConfig(data=[str(table)], decoder_only=True, device="cpu"), Run(tmp_path))


def test_training_runs_on_the_points_of_the_authors_file(tmp_path, points_file):
    config = TrainConfig(data=[str(points_file)], epochs=1, progressive=True, **SMALL)
    run = started(tmp_path / "run", config)
    train(config, run)
    assert load_checkpoint(run.last).meta.data["train"] == 11
    assert len(Predictor.load(str(run.last)).bank.names) == 11
