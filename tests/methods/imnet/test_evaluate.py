"""Shapes are measured against what is known of them: the network's own values, and surfaces with known faces."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.meshes import Mesh, component_volumes, weld
from ppr.methods.common.running.checkpoint import Meta, save_checkpoint
from ppr.methods.imnet import metrics
from ppr.methods.imnet.config import NetworkConfig
from ppr.methods.imnet.data import BoxShapes
from ppr.methods.imnet.evaluate import (
    SURFACE_POINTS,
    box_surface,
    evaluate,
    evaluate_generation,
    largest_share,
    load_indices,
    measure,
    summary,
    true_surface,
    voxel_surface,
)
from ppr.methods.imnet.infer import Predictor
from ppr.methods.imnet.network import AutoEncoder
from ppr.methods.imnet.shapes.boxes import BoxSet, BoxUnion


def box_row(centre, lengths):
    return [*centre, *lengths, 1, 0, 0, 0, 1, 0]


def box_mesh(centre=(0, 0, 0), lengths=(1, 1, 1)):
    triangles = BoxUnion.from_rows(np.array([box_row(centre, lengths)])).triangles().reshape(-1, 3).astype(np.float64)
    return weld(Mesh(triangles, np.arange(len(triangles)).reshape(-1, 3)), 1e-5)


def joined(*meshes):
    starts = np.cumsum([0] + [len(mesh.vertices) for mesh in meshes])
    faces = [mesh.faces + start for mesh, start in zip(meshes, starts, strict=False)]
    return Mesh(np.concatenate([mesh.vertices for mesh in meshes]), np.concatenate(faces))


def crossing_boxes():
    rotated = [0.05, 0, 0, 0.2, 0.6, 0.2, 0.8, 0.6, 0, -0.6, 0.8, 0]
    return BoxUnion.from_rows(np.array([box_row((0, 0, 0), (0.5, 0.2, 0.4)), rotated, box_row((0.1, 0, 0), (0.1, 0.1, 0.1))]))


def test_points_of_a_union_lie_on_its_outside_and_look_outwards():
    shape = crossing_boxes()
    surface = box_surface(shape, 5000, 0)
    assert surface.points.shape == surface.normals.shape == (5000, 3)
    np.testing.assert_allclose(np.linalg.norm(surface.normals, axis=1), 1)
    points = surface.points.astype(np.float32)
    # On a face of one box and inside no other: no box contains them, and one ends there.
    assert np.abs(shape.depth(points)).max() < 5e-3
    assert np.quantile(np.abs(shape.depth(points)), 0.99) < 1e-5
    assert not shape.occupancy((surface.points + 2e-4 * surface.normals).astype(np.float32)).mean() > 0.002
    assert shape.occupancy((surface.points - 2e-4 * surface.normals).astype(np.float32)).mean() > 0.998


def test_points_of_a_box_are_spread_by_area():
    lengths = np.array([0.6, 0.3, 0.2])
    surface = box_surface(BoxUnion.from_rows(np.array([box_row((0, 0, 0), lengths)])), 20_000, 1)
    areas = lengths.prod() / lengths
    for axis in range(3):
        for sign in (-1, 1):
            on_face = surface.normals[:, axis] * sign > 0.99
            assert on_face.mean() == pytest.approx(areas[axis] / areas.sum() / 2, abs=0.01)
            np.testing.assert_allclose(surface.points[on_face, axis], sign * lengths[axis] / 2, atol=1e-6)


def test_points_of_voxels_lie_on_their_faces_by_area():
    voxels = np.zeros((32, 32, 32), bool)
    voxels[4:12, 8:24, 0:8] = True  # touches a wall of the cube
    surface = voxel_surface(voxels, 20_000, 0)
    low, high = np.array([4, 8, 0]) / 32 - 0.5, np.array([12, 24, 8]) / 32 - 0.5
    areas = (high - low).prod() / (high - low)
    for axis in range(3):
        for sign, wall in ((-1, low), (1, high)):
            on_face = surface.normals[:, axis] == sign
            assert on_face.mean() == pytest.approx(areas[axis] / areas.sum() / 2, abs=0.01)
            np.testing.assert_allclose(surface.points[on_face, axis], wall[axis], atol=1e-12)
    assert (surface.points >= low - 1e-12).all()
    assert (surface.points <= high + 1e-12).all()
    for axis in range(3):
        spread = surface.points[surface.normals[:, axis] == 0][:, axis]
        assert spread.mean() == pytest.approx((low + high)[axis] / 2, abs=0.01)


def test_both_surfaces_of_a_shape_are_near_each_other():
    shapes = chairs()
    exact, coarse = true_surface(shapes, 0, 0), voxel_surface(shapes.voxels(0), SURFACE_POINTS, 0)
    assert len(exact.points) == SURFACE_POINTS
    assert metrics.chamfer(exact.points, coarse.points) < 2 * (1.5 / 64) ** 2


def chairs():
    """Three training shapes and a held-out one, each of two boxes."""
    rows = [[box_row((0, 0, 0), (0.5, 0.1, 0.5)), box_row((0, 0.2 + 0.05 * i, 0.2), (0.5, 0.5, 0.1 + 0.03 * i))] for i in range(4)]
    return BoxShapes(BoxSet(np.array(rows, np.float32), np.full(4, 2), np.array([0, 1, 2, 3])))


@pytest.fixture(scope="module", params=["logit", "clamp"])
def network(request):
    """Random weights, with the surface in the middle of what the field takes on."""
    torch.manual_seed(0)
    network = AutoEncoder(NetworkConfig(z_dim=6, ef_dim=2, gf_dim=4, output=request.param)).eval()
    with torch.no_grad():
        points = torch.rand(1, 4000, 3) - 0.5
        values = network.generator(points, torch.full((1, 6), 0.5))
        level = 0.0 if request.param == "logit" else 0.5
        network.generator.linear_7.bias += level - values.median()
    return network


@pytest.fixture
def model(tmp_path, network):
    meta = Meta(method="imnet", arch="fast", config=network.config.model_dump())
    codes = torch.rand(4, 6, generator=torch.Generator().manual_seed(0))
    return Predictor.load(str(save_checkpoint(tmp_path / "m.safetensors", network.state_dict() | {"codes": codes}, meta)))


def test_iou_and_mse_are_those_of_the_network_at_the_voxel_centres(model, network):
    shapes = chairs()
    records = []
    means = evaluate(model, shapes, np.array([3, 0]), each=records.append)
    axis = (torch.arange(64) + 0.5) / 64 - 0.5
    centres = torch.stack(torch.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(1, -1, 3)
    for record, index in zip(records, (3, 0), strict=True):
        truth = torch.from_numpy(shapes.voxels(index))
        with torch.no_grad():
            values = network(truth[None, None].float(), centres)[0]
        probability = values.sigmoid() if network.config.output == "logit" else values.clamp(0, 1)
        inside, solid = probability > 0.5, truth.reshape(-1)
        iou = ((inside & solid).sum() / (inside | solid).sum()).item()
        assert 0.01 < iou < 0.99
        assert record["iou"] == pytest.approx(iou, abs=1e-4)
        assert record["mse"] == pytest.approx((probability - solid.float()).square().mean().item(), abs=1e-4)
        others = [other for other in (0, 1, 2) if other != index]
        assert record["nearest_iou"] == pytest.approx(max(metrics.iou(shapes.voxels(other), truth.numpy()) for other in others))
    assert [record["name"] for record in records] == ["b003v00", "b000v00"]
    assert means == summary(records)


def test_held_out_shapes_are_measured_unless_others_are_asked_for(model):
    records = []
    means = evaluate(model, chairs(), each=records.append)
    assert [record["name"] for record in records] == ["b003v00"]
    assert means["shapes"] == 1


def test_without_retrieval_or_meshes_nothing_is_said_about_them(model):
    (record,) = measure(model, chairs(), np.array([1]), retrieval=False)
    assert set(record) == {"name", "iou", "mse"}


def test_a_single_training_shape_has_no_other_to_be_compared_with(model):
    """Its own nearest neighbour would be itself; there is no baseline then."""
    table = chairs().table
    shapes = BoxShapes(BoxSet(table.boxes[:1], table.count[:1], table.base[:1]))
    (record,) = measure(model, shapes, np.array([0]))
    assert 0 <= record["iou"] <= 1
    assert not record.get("nearest_iou", 0.0) > 0


def test_a_mesh_of_the_shape_itself_scores_best(model):
    shapes = chairs()
    truth = shapes.table[2]
    parts = [truth.triangles()[12 * box : 12 * box + 12].reshape(-1, 3).astype(np.float64) for box in range(2)]
    whole = joined(*[weld(Mesh(part, np.arange(36).reshape(-1, 3)), 1e-5) for part in parts])
    (record,) = measure(model, shapes, np.array([2]), mesh_of=lambda _field: whole)
    assert record["watertight"]
    assert record["components"] == 2
    # As good as another sample of the same surface: 10,000 points are not dense enough for an F-score of 1.
    ideal = metrics.surface_metrics(true_surface(shapes, 2, 1), true_surface(shapes, 2, 0))
    assert record["fscore"] == pytest.approx(ideal["fscore"], abs=0.06)
    assert record["chamfer"] == pytest.approx(ideal["chamfer"], abs=1e-3)
    assert record["normals"] == pytest.approx(ideal["normals"], abs=0.06)
    (far,) = measure(model, shapes, np.array([2]), mesh_of=lambda _field: box_mesh((0, 0, 0), (0.05, 0.05, 0.05)))
    assert far["chamfer"] > 10 * record["chamfer"]
    assert far["fscore"] < 0.2


def no_surface(_field):
    raise PprError("the field is empty")


def test_a_field_without_surface_scores_worst(model):
    (record,) = measure(model, chairs(), np.array([0]), mesh_of=no_surface, retrieval=False)
    assert math.isnan(record["chamfer"])
    assert (record["normals"], record["fscore"], record["watertight"], record["components"]) == (0.0, 0.0, False, 0)


def test_the_summary_leaves_out_and_counts_shapes_without_surface():
    records = [
        {"name": "a", "iou": 0.5, "mse": 0.1, "chamfer": 0.02, "normals": 0.8, "fscore": 0.6, "watertight": True},
        {"name": "b", "iou": 0.1, "mse": 0.3, "chamfer": float("nan"), "normals": 0.0, "fscore": 0.0, "watertight": False},
    ]
    found = summary(records)
    assert found == pytest.approx(
        {"shapes": 2, "iou": 0.3, "mse": 0.2, "chamfer": 0.02, "normals": 0.4, "fscore": 0.3, "watertight": 0.5, "empty": 1}
    )
    assert math.isnan(summary(records[1:])["chamfer"])
    assert summary([]) == {"shapes": 0}


def test_volumes_of_components_have_the_sign_of_their_faces():
    small, large = box_mesh((0, 0, 0), (1, 1, 1)), box_mesh((5, 1, 0), (2, 2, 2))
    np.testing.assert_allclose(sorted(component_volumes(joined(small, large))), [1, 8], rtol=1e-6)
    hollow = Mesh(small.vertices, small.faces[:, ::-1])
    np.testing.assert_allclose(sorted(component_volumes(joined(hollow, large))), [-1, 8], rtol=1e-6)


def test_the_largest_component_is_a_share_of_all_volumes():
    parts = [box_mesh((0, 0, 0), (1, 1, 1)), box_mesh((5, 1, 0), (2, 2, 2))]
    assert largest_share(joined(*parts)) == pytest.approx(8 / 9)
    assert largest_share(parts[1]) == pytest.approx(1)
    assert largest_share(Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64))) == 0


def test_generated_shapes_are_judged_by_variety_and_by_what_is_real(model):
    """Codes whose first number says what becomes of them: a long box, a flat one, two apart, nothing."""
    meshes = [
        box_mesh(lengths=(0.9, 0.1, 0.1)),
        box_mesh(lengths=(0.6, 0.02, 0.6)),
        joined(box_mesh((-0.3, 0, 0), (0.1, 0.1, 0.1)), box_mesh((0.3, 0, 0), (0.1, 0.1, 0.1))),
    ]
    codes = np.tile(np.arange(4, dtype=np.float32)[:, None], 6)
    codes[2] = model.bank.codes[1]

    def mesh_of(field):
        number = 2 if (field.code == model.bank.codes[1]).all() else int(field.code[0])
        return meshes[number] if number < 3 else no_surface(field)

    reference = [box_surface(BoxUnion.from_rows(np.array([box_row((0, 0, 0), lengths)])), 512, 0).points for lengths in ((0.9, 0.1, 0.1),)]
    reference.append(reference[0] + [0, 5.0, 0])
    found = evaluate_generation(model, codes, mesh_of, reference, points=512)
    assert found["shapes"] == 4
    assert found["non_empty"] == 3 / 4
    assert found["dominant"] == 2 / 4
    assert found["copies"] == 1
    assert found["coverage"] == 1 / 2
    assert found["mmd"] > 5
    assert found["reference_spread"] == pytest.approx(metrics.chamfer(*reference))
    assert 0 < found["spread"] < 1


def test_too_few_surfaces_cannot_be_judged(model):
    with pytest.raises(PprError, match="only 0 of 3 generated shapes have a surface"):
        evaluate_generation(model, np.zeros((3, 6), np.float32), no_surface, [])


def test_a_limit_takes_shapes_from_all_of_a_split():
    shapes = chairs()
    assert load_indices(shapes, "train", 0).tolist() == [0, 1, 2]
    assert load_indices(shapes, "train", 2).tolist() == [0, 2]
    assert load_indices(shapes, "held-out", 5).tolist() == [3]
    assert load_indices(shapes, "all", 0).tolist() == [0, 1, 2, 3]


def test_an_empty_split_is_refused():
    table = chairs().table
    shapes = BoxShapes(BoxSet(table.boxes[:1], table.count[:1], table.base[:1]))
    with pytest.raises(PprError, match="no held-out shapes"):
        load_indices(shapes, "held-out", 0)
