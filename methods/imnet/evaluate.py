"""Measure a model: how well it rebuilds shapes, beside nearest-neighbour retrieval; and how good what it generates is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..common.errors import PprError
from ..common.reading.meshes import Mesh, report, sample_surface
from . import metrics
from .data import BoxShapes, Index, Shapes
from .infer import Predictor
from .models.field import CodeField
from .shapes.boxes import BoxUnion
from .shapes.voxels import SIDE, voxel_centres

MeshOf = Callable[[CodeField], Mesh]
SURFACE_POINTS = 30_000  # fewer, and two samples of one surface lie further than 1 % apart in places


def evaluate(
    predictor: Predictor,
    shapes: Shapes,
    indices: Index | None = None,
    *,
    mesh_of: MeshOf | None = None,
    retrieval: bool = True,
    seed: int = 0,
    each: Callable[[dict[str, object]], object] = lambda _record: None,
) -> dict[str, float]:
    """Rebuild shapes from their voxels and compare; means over the shapes.

    Args:
        indices: of the shapes; None for all that are held out.
        mesh_of: makes a mesh of a field, for what compares surfaces.
        retrieval: look for the most similar training shape, the baseline to beat.
        each: told of every shape's record when it is measured.

    Returns:
        see `summary`.
    """
    chosen = load_indices(shapes, "held-out", 0) if indices is None else indices
    records = []
    for record in measure(predictor, shapes, chosen, mesh_of=mesh_of, retrieval=retrieval, seed=seed):
        records.append(record)
        each(record)
    return summary(records)


def measure(
    predictor: Predictor, shapes: Shapes, indices: Index, *, mesh_of: MeshOf | None = None, retrieval: bool = True, seed: int = 0
) -> Iterator[dict[str, object]]:
    """One record a shape: IoU and MSE at 64^3; with `mesh_of` also Chamfer distance, normal consistency, F-score and watertightness.

    With `retrieval`, `nearest_iou` is the IoU of the training shape most similar to it by IoU.
    """
    centres = voxel_centres(SIDE)
    packed = np.stack([np.packbits(shapes.voxels(int(i))) for i in shapes.train]) if retrieval else None
    for index in indices:
        truth = shapes.voxels(int(index))
        field = predictor.field(predictor.encode([truth])[0])
        values = field(centres)
        record: dict[str, object] = {"name": shapes.name(int(index))}
        record["iou"] = metrics.iou(values > predictor.decoder.level, truth.reshape(-1))
        record["mse"] = float(np.mean((occupancy(values, predictor) - truth.reshape(-1)) ** 2))
        if packed is not None:
            others = packed if index not in shapes.train else packed[shapes.train != index]
            if len(others):
                record["nearest_iou"] = metrics.nearest_by_iou(truth.reshape(-1), others)[1]
        if mesh_of is not None:
            record |= surface_record(field, mesh_of, true_surface(shapes, int(index), seed), seed)
        yield record


def occupancy(values: NDArray[np.float32], predictor: Predictor) -> NDArray[np.float32]:
    """Field values as probabilities in [0, 1]."""
    if predictor.config.output == "logit":
        return (1 / (1 + np.exp(-np.clip(values, -80, 80)))).astype(np.float32)
    return np.clip(values, 0, 1)


def surface_record(field: CodeField, mesh_of: MeshOf, truth: metrics.Surface, seed: int) -> dict[str, object]:
    """Surface metrics of a field's mesh; a field without surface scores the worst values."""
    try:
        mesh = mesh_of(field)
    except PprError:
        return {"chamfer": float("nan"), "normals": 0.0, "fscore": 0.0, "watertight": False, "components": 0}
    found = report(mesh)
    sampled = metrics.Surface(*sample_surface(mesh, SURFACE_POINTS, seed))
    return {**metrics.surface_metrics(sampled, truth), "watertight": found.watertight, "components": found.components}


def true_surface(shapes: Shapes, index: int, seed: int) -> metrics.Surface:
    """Points on a shape's surface: exact for box unions, on the voxels' faces for grids."""
    if isinstance(shapes, BoxShapes):
        return box_surface(shapes.table[index], SURFACE_POINTS, seed)
    return voxel_surface(shapes.voxels(index), SURFACE_POINTS, seed)


def box_surface(shape: BoxUnion, count: int, seed: int) -> metrics.Surface:
    """Points spread evenly over the outside of a union of boxes."""
    triangles = shape.triangles().reshape(-1, 3)
    soup = Mesh(triangles.astype(np.float64), np.arange(len(triangles)).reshape(-1, 3))
    kept: list[NDArray[np.float64]] = []
    for attempt in range(100):
        points, normals = sample_surface(soup, 2 * count, seed + attempt)
        # A face of one box inside another is no surface: a step outwards must leave the solid.
        outside = ~shape.occupancy((points + 1e-4 * normals).astype(np.float32))
        kept.append(np.concatenate([points, normals], 1)[outside])
        if sum(map(len, kept)) >= count:
            break
    both = np.concatenate(kept)[:count]
    return metrics.Surface(both[:, :3], both[:, 3:])


def voxel_surface(voxels: NDArray[np.bool_], count: int, seed: int) -> metrics.Surface:
    """Points spread evenly over the faces between occupied and free voxels of the cube [-0.5, 0.5]^3."""
    padded = np.pad(voxels, 1)
    faces = []
    for axis in range(3):
        for sign in (-1, 1):
            cells = np.argwhere(padded & ~np.roll(padded, -sign, axis)) - 1
            normal = np.zeros(3)
            normal[axis] = sign
            faces.append(np.concatenate([cells + 0.5 + 0.5 * normal, np.broadcast_to(normal, cells.shape)], 1))
    table = np.concatenate(faces)
    rng = np.random.default_rng(seed)
    chosen = table[rng.integers(len(table), size=count)]
    spread = rng.uniform(-0.5, 0.5, (count, 3)) * (chosen[:, 3:] == 0)
    return metrics.Surface((chosen[:, :3] + spread) / voxels.shape[0] - 0.5, chosen[:, 3:])


def summary(records: Sequence[dict[str, object]]) -> dict[str, float]:
    """Means over the shapes; shapes without a surface are left out of the Chamfer mean and counted as `empty`."""
    result: dict[str, float] = {"shapes": len(records)}
    for key in ("iou", "mse", "nearest_iou", "chamfer", "normals", "fscore", "watertight"):
        values = np.array([float(record[key]) for record in records if key in record])  # type: ignore[arg-type]
        if len(values):
            result[key] = float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")
    if records and "chamfer" in records[0]:
        result["empty"] = float(sum(np.isnan(float(record["chamfer"])) for record in records))  # type: ignore[arg-type]
    return result


def evaluate_generation(
    predictor: Predictor, codes: NDArray[np.float32], mesh_of: MeshOf, reference: Sequence[metrics.Float], *, points: int = 1024
) -> dict[str, float]:
    """Quality and variety of generated shapes.

    Args:
        codes: of the generated shapes.
        mesh_of: with all components kept.
        reference: surface points of real shapes, `points` each.

    Returns:
        coverage and mmd; `non_empty`; `dominant`, the share of all shapes whose largest component has at least 90 % of the volume;
        `spread`, the mean pairwise Chamfer distance, beside that of the reference; `copies`, codes equal to a training code.
    """
    clouds, dominant = [], 0
    for code in codes:
        try:
            mesh = mesh_of(predictor.field(code))
        except PprError:
            continue
        clouds.append(sample_surface(mesh, points, 0)[0])
        dominant += largest_share(mesh) >= 0.9
    if len(clouds) < 2:
        raise PprError(f"only {len(clouds)} of {len(codes)} generated shapes have a surface", hint="use another --prior or --truncation")
    known = {row.tobytes() for row in predictor.bank.codes}
    table = metrics.chamfer_table(clouds, list(reference))
    return {
        "shapes": float(len(codes)),
        "non_empty": len(clouds) / len(codes),
        "dominant": dominant / len(codes),
        **metrics.coverage_and_mmd(table),
        "spread": metrics.mean_pairwise(metrics.chamfer_table(clouds, clouds)),
        "reference_spread": metrics.mean_pairwise(metrics.chamfer_table(reference, reference)),
        "copies": float(sum(row.tobytes() in known for row in codes)),
    }


def largest_share(mesh: Mesh) -> float:
    """Volume of the largest component as a share of all components' volume."""
    from ..common.reading.meshes import component_volumes

    volumes = np.abs(component_volumes(mesh))
    return float(volumes.max() / volumes.sum()) if volumes.sum() else 0.0


def load_indices(shapes: Shapes, split: str, limit: int, path: Path | None = None) -> Index:
    """Shapes of a split, spread evenly where only `limit` are wanted.

    Raises:
        PprError: the split is empty.
    """
    indices = {"train": shapes.train, "held-out": shapes.held_out, "all": np.concatenate([shapes.train, shapes.held_out])}[split]
    if not len(indices):
        raise PprError(f"{path or 'the data'}: no {split} shapes", hint="--split all")
    if limit and limit < len(indices):
        indices = indices[np.linspace(0, len(indices) - 1, limit).round().astype(int)]
    return indices
