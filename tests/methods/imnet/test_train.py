"""Training the autoencoder: it learns a chair, keeps the codes, resumes exactly; points of files come with their own labels."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest
import torch

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import Meta, load_checkpoint, save_checkpoint
from ppr.methods.common.running.run import Run
from ppr.methods.imnet.config import PRESETS, TrainConfig
from ppr.methods.imnet.data import BUNDLED, BoxShapes, IoUSample, PointShapes, TrainBatches, fingerprint, load_shapes
from ppr.methods.imnet.infer import Predictor
from ppr.methods.imnet.network import AutoEncoder
from ppr.methods.imnet.shapes.boxes import load_boxes
from ppr.methods.imnet.shapes.voxels import voxel_centres
from ppr.methods.imnet.train import field_loss, train

from .runs import check_resumed_training, started

SMALL = {"gf_dim": 4, "ef_dim": 2, "z_dim": 6, "points": 64, "batch": 2, "val_shapes": 2, "least_steps": 1, "device": "cpu"}


def chair(seat, height, back, thick):
    """Rows of a chair of six boxes."""
    half, legs = seat / 2 - thick / 2, height / 2
    rows = [[0, height, 0, seat, thick, seat], [0, height + back / 2, -half, seat, back, thick]]
    rows += [[x, legs, z, thick, height, thick] for x in (-half, half) for z in (-half, half)]
    return np.array([[*row, 1, 0, 0, 0, 1, 0] for row in rows], np.float32)


def write_table(path, rows, bases):
    np.savez(path, boxes=np.stack(rows), n=np.full(len(rows), 6), base=np.array(bases))
    return path


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """Chairs of the bases 0 to 3, two of each; base 3 is held out."""
    rows = [chair(0.4 + 0.05 * index, 0.4, 0.5 - 0.03 * index, 0.08) for index in range(8)]
    return write_table(tmp_path_factory.mktemp("table") / "four.npz", rows, [0, 0, 1, 1, 2, 2, 3, 3])


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


def test_batches_depend_on_the_epoch_alone_and_reach_every_shape(table):
    shapes, config = load_shapes([str(table)]), TrainConfig(data=[str(table)], **SMALL)
    batches = TrainBatches(shapes, shapes.train, config)
    assert batches.steps == 3
    first, again, other = ([batch.points for batch in batches(epoch)] for epoch in (4, 4, 5))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])
    seen = []

    class Noted(BoxShapes):
        def draw(self, indices, config, progress, rng):
            seen.extend(indices)
            return super().draw(indices, config, progress, rng)

    list(TrainBatches(Noted(load_boxes(table)), shapes.train, config)(0))
    assert sorted(seen) == shapes.train.tolist() == [0, 1, 2, 3, 4, 5]


def test_undeformed_batches_show_the_shape_whose_points_they_label(table):
    shapes = BoxShapes(load_boxes(table))
    batch = shapes.draw(np.array([5, 1]), TrainConfig(deform=0.0, recombine=0.0, points=200), 0.0, np.random.default_rng(0))
    assert batch.voxels.shape == (2, 1, 64, 64, 64)
    for row, index in enumerate((5, 1)):
        np.testing.assert_array_equal(batch.voxels[row, 0].numpy() > 0, shapes.voxels(index))
        np.testing.assert_array_equal(batch.labels[row].numpy(), shapes.table[index].occupancy(batch.points[row].numpy()))


def test_deformed_batches_label_the_shape_that_is_shown(table):
    shapes = BoxShapes(load_boxes(table))
    batch = shapes.draw(np.array([5, 1]), TrainConfig(deform=1.0, points=4000, near=0.0), 0.0, np.random.default_rng(0))
    for row, index in enumerate((5, 1)):
        assert (batch.voxels[row, 0].numpy() != shapes.voxels(index)).mean() > 0.01
        cells = ((batch.points[row].numpy() + 0.5) * 64).astype(int).clip(0, 63)
        shown = batch.voxels[row, 0].numpy()[tuple(cells.T)]
        assert (shown != batch.labels[row].numpy()).mean() < 0.03  # voxels are coarse, and up to half a voxel thicker


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


def test_augmentation_has_faded_at_the_end_of_the_training(table):
    """With the last 40 % to settle, half of it is left at 80 %, and nothing at the end."""
    shapes = BoxShapes(load_boxes(table))
    config = TrainConfig(deform=1.0, recombine=1.0, settle=0.4, points=8)
    plain = np.stack([shapes.voxels(index) for index in range(6)])

    def changed(progress: float) -> float:
        batches = [shapes.draw(np.arange(6), config, progress, np.random.default_rng(seed)).voxels[:, 0].numpy() > 0 for seed in range(12)]
        return float(np.mean([(batch != plain).any((1, 2, 3)) for batch in batches]))

    assert changed(0.0) == changed(0.59) == 1.0
    assert 0.4 < changed(0.8) < 0.95
    assert changed(1 - 1e-9) == 0.0


def test_the_iou_of_a_sample_estimates_that_of_the_grid(table):
    truth = BoxShapes(load_boxes(table)).voxels(0)
    guess = np.roll(truth, 2, axis=0)
    sample = IoUSample.draw(truth, np.random.default_rng(0))
    cells = ((sample.points.numpy() + 0.5) * 64).astype(int)
    np.testing.assert_array_equal(truth[tuple(cells.T)], sample.occupied.numpy())
    exact = (truth & guess).sum() / (truth | guess).sum()
    assert sample.iou(torch.from_numpy(guess[tuple(cells.T)])) == pytest.approx(exact, abs=0.03)
    assert sample.iou(sample.occupied) == 1
    assert sample.iou(~sample.occupied) == 0


COUNTS = {16: 30, 32: 40, 64: 50}


@pytest.fixture
def points_file(tmp_path):
    """Twelve shapes in the authors' layout, without names; a shape's labels are random, so that only its own fit its points."""
    rng = np.random.default_rng(0)
    with h5py.File(tmp_path / "points.hdf5", "w") as file:
        file.create_dataset("voxels", data=(rng.random((12, 64, 64, 64, 1)) < 0.1).astype(np.uint8))
        for level, count in COUNTS.items():
            cells = np.stack([rng.permutation(level**3)[:count] for _ in range(12)])
            file.create_dataset(f"points_{level}", data=np.stack(np.unravel_index(cells, (level,) * 3), -1).astype(np.uint8))
            file.create_dataset(f"values_{level}", data=rng.integers(0, 2, (12, count, 1), np.uint8))
        file.attrs["ppr"] = json.dumps({"unit": "R"})
    return tmp_path / "points.hdf5"


@pytest.mark.parametrize(("progress", "level"), [(0.0, 16), (0.32, 16), (0.34, 32), (0.66, 32), (0.67, 64), (0.999, 64)])
def test_progressive_training_goes_from_coarse_points_to_fine_ones(points_file, progress, level):
    shapes, rng = PointShapes(points_file), np.random.default_rng(0)
    batch = shapes.draw(np.array([0, 3]), TrainConfig(progressive=True, points=1000), progress, rng)
    assert batch.points.shape == (2, COUNTS[level], 3)
    cells = (batch.points.numpy() + 0.5) * level - 0.5
    np.testing.assert_allclose(cells, cells.round(), atol=1e-4)
    assert shapes.draw(np.array([0]), TrainConfig(points=1000), progress, rng).points.shape[1] == COUNTS[64]


@pytest.mark.parametrize("level", [16, 32, 64])
def test_labels_are_the_files_values_at_those_points(points_file, level):
    shapes = PointShapes(points_file)
    config = TrainConfig(progressive=True, points=20)
    rows = np.array([7, 2, 7])
    batch = shapes.draw(rows, config, {16: 0.0, 32: 0.5, 64: 0.9}[level], np.random.default_rng(0))
    with h5py.File(points_file) as file:
        points, values, voxels = file[f"points_{level}"][:], file[f"values_{level}"][:], file["voxels"][:]
    for place, row in enumerate(rows):
        known = {tuple(point): value for point, value in zip(points[row].tolist(), values[row, :, 0].tolist(), strict=True)}
        cells = np.rint((batch.points[place].numpy() + 0.5) * level - 0.5).astype(int)
        assert [known[tuple(cell)] for cell in cells.tolist()] == batch.labels[place].tolist()
        assert len(np.unique(cells, axis=0)) == 20
        np.testing.assert_array_equal(batch.voxels[place, 0].numpy(), voxels[row, ..., 0])
    assert not torch.equal(batch.points[0], batch.points[2])  # drawn anew for the same shape


def test_a_file_without_splits_keeps_every_tenth_shape(points_file):
    shapes = load_shapes([str(points_file)])
    assert shapes.held_out.tolist() == [9]
    assert shapes.train.tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11]


def test_shapes_of_a_file_without_names_have_names_of_their_own(points_file):
    shapes = PointShapes(points_file)
    assert len({shapes.name(index) for index in range(12)}) == 12


def test_a_files_splits_are_its_own(points_file):
    with h5py.File(points_file, "a") as file:
        file.create_dataset("splits", data=[b"test"] * 2 + [b"train"] * 10)
        file.create_dataset("names", data=[f"shape {index}".encode() for index in range(12)])
    shapes = PointShapes(points_file)
    assert shapes.held_out.tolist() == [0, 1]
    assert shapes.name(4) == "shape 4"


def test_training_runs_on_the_points_of_the_authors_file(tmp_path, points_file):
    config = TrainConfig(data=[str(points_file)], epochs=1, progressive=True, **SMALL)
    run = started(tmp_path / "run", config)
    train(config, run)
    assert load_checkpoint(run.last).meta.data["train"] == 11
    assert len(Predictor.load(str(run.last)).bank.names) == 11


def test_without_a_file_the_bundled_chairs_are_meant():
    shapes = load_shapes([])
    assert len(shapes.train) + len(shapes.held_out) == 2220
    assert fingerprint(shapes, [])["file"] == BUNDLED.name


def test_a_fingerprint_knows_another_order(table, tmp_path):
    full = load_boxes(table)
    swapped = write_table(tmp_path / "four.npz", list(full.boxes), [1, 1, 0, 0, 2, 2, 3, 3])
    first, second = (fingerprint(load_shapes([str(path)]), [str(path)]) for path in (table, swapped))
    assert (first["train"], first["held_out"], first["file"]) == (second["train"], second["held_out"], second["file"]) == (6, 2, "four.npz")
    assert first["names_sha256"] != second["names_sha256"]


@pytest.mark.parametrize("data", [["a.npz", "b.npz"], ["chairs.zip"], ["chairs"]])
def test_what_is_no_data_file_is_a_usage_error(data):
    with pytest.raises(UsageError):
        load_shapes(data)
