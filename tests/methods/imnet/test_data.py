"""From files to batches: shapes come with their own points and labels, in an order that the seed fixes."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import torch

from ppr.methods.common.errors import UsageError
from ppr.methods.imnet.config import TrainConfig
from ppr.methods.imnet.data import BUNDLED, BoxShapes, IoUSample, PointShapes, TrainBatches, check, fingerprint, load_shapes
from ppr.methods.imnet.shapes.boxes import load_boxes

from .tables import COUNTS, write_table


def test_batches_depend_on_the_epoch_alone_and_reach_every_shape(table):
    shapes, config = load_shapes([str(table)]), TrainConfig(data=[str(table)], batch=2, least_steps=1)
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
        check(TrainConfig(data=data))
