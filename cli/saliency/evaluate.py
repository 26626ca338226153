"""`ppr saliency evaluate`: score a network, or ready-made maps, against ground truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output
from .infer import load_predictor

if TYPE_CHECKING:
    from ppr.methods.saliency.evaluate import Evaluation, Levels, Settings

NETWORK_ONLY = ("checkpoint", "size", "backend", "device", "threads", "levels", "save_maps")
COLUMNS = {"stretched": "stretched", "raw": "as is", "centre": "centre prior"}  # what is scored on each set, and what it is called
STRETCH_NOTE = "every map is min-max stretched before it is scored, as the field's toolkit does"


@click.command()
@options.data("Image/mask pairs: folder, zip, list of pairs, or a name from `ppr data list`; repeatable.")
@click.option("--pred", type=options.PATH, default=None, metavar="DIR|ZIP", help="Ready-made maps to score instead of a network.")
@click.option("--gt", type=options.PATH, default=None, metavar="DIR|ZIP", help="The masks (or pairs) that --pred belongs to.")
@click.option("--resize", is_flag=True, help="Bring maps of --pred to their masks' size instead of leaving them out.")
@options.model("ras-mobile")
@options.net_size()
@options.backend
@options.device
@options.threads
@click.option("--levels", is_flag=True, help="A second table: MAE, max F and S of every level's own map (through torch).")
@click.option("--raw", is_flag=True, help="A second column: maps scored as they are, without stretching.")
@click.option("--baseline", is_flag=True, help="A further column: a blob in the middle that does not look at the image.")
@click.option("--save-maps", type=options.PATH, default=None, metavar="DIR", help="Keep the 8-bit maps as PNG files.")
@click.option("--report", type=options.PATH, default=None, metavar="DIR", help="metrics.json, images.csv, pr.csv, pr.png and worst.png.")
@click.option("--worst", type=click.IntRange(0, 200), default=12, show_default=True, help="Images on the report's sheet of the worst.")
@click.option("--workers", type=click.IntRange(0, 64), default=None, help="Processes for the metrics; 0: none. [default: by the work]")
@click.option("--limit", type=click.IntRange(1), default=None, metavar="N", help="Only the first N pairs of each set.")
@options.overwrite
@options.json_lines
@options.quiet
@click.pass_context
def evaluate(
    context: click.Context,
    data: tuple[str, ...],
    pred: Path | None,
    gt: Path | None,
    resize: bool,
    levels: bool,
    raw: bool,
    baseline: bool,
    save_maps: Path | None,
    report: Path | None,
    worst: int,
    workers: int | None,
    limit: int | None,
    overwrite: bool,
    as_json: bool,
    **network: Any,
) -> int:
    """Score a network on image/mask pairs, or anyone's maps against their masks.

    F has beta^2 = 0.3; max and mean F and E are those of the mean curve; images with an empty mask are left out of F and IoU. ms is the
    median time of the network with its resizing, while nothing else of this command runs.

    \b
    ppr saliency evaluate --data ecssd.zip --data duts_te.zip --raw
    ppr saliency evaluate --data ecssd.zip --levels --report report/
    ppr saliency evaluate --pred maps/ --gt ecssd.zip
    """
    check_form(context, data, pred, gt, resize)
    for folder, option in ((save_maps, "--save-maps"), (report, "--report")):
        refuse_filled(folder, option, overwrite=overwrite)
    from ppr.methods.saliency.evaluate import Settings

    batch = output.Batch()
    settings = Settings(raw=raw, baseline=baseline, workers=workers, worst=worst if report else 0, failed=batch.failure)
    if pred is not None and gt is not None:
        records, evaluations = score_folder(pred, gt, settings, batch, resize=resize, limit=limit)
    else:
        records, evaluations = score_network(data, network, settings, batch, save_maps, levels=levels, limit=limit)
    batch.done = sum(evaluation.images for evaluation in evaluations)
    labels = distinct([record["data"] for record in records])
    if report is not None:
        write_reports(report, labels, records, evaluations)
    if as_json:
        for record in records:
            output.emit_json(record)
    else:
        show(labels, records)
    output.note(STRETCH_NOTE + ("" if raw else "; --raw adds a column without"))
    return batch.finish()


def check_form(context: click.Context, data: tuple[str, ...], pred: Path | None, gt: Path | None, resize: bool) -> None:
    """Refuse a mixture of the command's two forms.

    Raises:
        UsageError: naming the option that does not belong.
    """
    if (pred is None) != (gt is None):
        present, absent = ("--pred", "--gt") if gt is None else ("--gt", "--pred")
        raise UsageError(f"{present}: needs {absent} as well", hint="`--pred maps/ --gt masks/` scores ready-made maps")
    if (pred is None) == (not data):
        raise UsageError("give either --data (to run a network) or --pred and --gt (to score ready-made maps)")
    if pred is None:
        if resize:
            raise UsageError(
                "--resize: only with --pred", hint="a network's maps have the images' size; `ppr saliency data check` finds bad masks"
            )
        return
    for name in NETWORK_ONLY:
        if context.get_parameter_source(name) == ParameterSource.COMMANDLINE:
            raise UsageError(f"--{name.replace('_', '-')}: concerns a network, and --pred scores ready-made maps", hint="leave it out")


def refuse_filled(folder: Path | None, option: str, *, overwrite: bool) -> None:
    """Raise a UsageError for a folder that holds something, without --overwrite, and for a file."""
    if folder is None or not folder.exists():
        return
    if not folder.is_dir():
        raise UsageError(f"{option} {folder}: is a file, not a folder")
    if not overwrite and any(folder.iterdir()):
        raise UsageError(f"{option} {folder}: is not empty", hint="give --overwrite to replace files of the same names, or another folder")


def score_network(
    data: tuple[str, ...],
    network: dict[str, Any],
    settings: Settings,
    batch: output.Batch,
    save_maps: Path | None,
    *,
    levels: bool,
    limit: int | None,
) -> tuple[list[dict[str, Any]], list[Evaluation]]:
    """One record and evaluation for each data set. Every set is found before the first is scored."""
    from dataclasses import replace

    from ppr.methods.common.reading.datasets import resolve
    from ppr.methods.saliency.evaluate import evaluate as measure
    from ppr.methods.saliency.pairs.find import find_pairs

    sets = [(name, find_pairs([resolve(name)]).pairs[:limit]) for name in data]
    predictor = load_predictor(network)
    inside = level_source(network) if levels else None
    records, evaluations = [], []
    for (name, pairs), label in zip(sets, distinct(data), strict=True):
        maps = save_maps / label if save_maps and len(sets) > 1 else save_maps
        with output.progress(label, len(pairs)) as advance:
            evaluation = measure(predictor, pairs, replace(settings, done=advance), levels=inside, save_maps=maps)
        records.append({"data": name, "network": predictor.describe()} | evaluation.record())
        evaluations.append(evaluation)
    return records, evaluations


def level_source(network: dict[str, Any]) -> Levels:
    """The network in torch, for its levels. An embedded default's name stands for its checkpoint here.

    Raises:
        UsageError: an .onnx file, whose inside is closed.
    """
    if str(network["checkpoint"]).endswith(".onnx"):
        raise UsageError("--levels: needs a .safetensors checkpoint", hint="an ONNX file gives its final map only")
    from functools import partial

    import torch

    from ppr.methods.common.running.devices import resolve_device
    from ppr.methods.saliency.levels import level_masks
    from ppr.methods.saliency.torch_backend import load_network

    loaded, meta = load_network(network["checkpoint"])
    kind, index = resolve_device(network["device"])
    if network["threads"]:
        torch.set_num_threads(network["threads"])
    return partial(level_masks, loaded.to(torch.device(kind, index[0] if index else 0)), meta.arch, side=network["size"])


def score_folder(
    pred: Path, gt: Path, settings: Settings, batch: output.Batch, *, resize: bool, limit: int | None
) -> tuple[list[dict[str, Any]], list[Evaluation]]:
    """The record and evaluation of ready-made maps; masks without a map are a failure, maps without a mask a note."""
    from dataclasses import replace

    from ppr.methods.saliency.maps import match_maps, score_maps

    matched, missing, extra = match_maps(pred, gt)
    if missing:
        batch.failure(PprError(f"{pred}: no map for {len(missing)} of {len(matched) + len(missing)} masks ({examples(missing)})"))
    if extra:
        output.note(f"note: {len(extra)} maps in {pred} have no mask and are not scored ({examples(extra)})")
    with output.progress(pred.name, len(matched[:limit])) as advance:
        evaluation = score_maps(matched[:limit], replace(settings, done=advance), resize=resize)
    record = {"data": str(gt), "maps": str(pred)} | evaluation.record() | {"missing": len(missing), "extra": len(extra)}
    return [record], [evaluation]


def examples(names: Sequence[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", …" if len(names) > count else "")


def distinct(names: Sequence[str]) -> list[str]:
    """A short label for each data set, no two the same."""
    labels: list[str] = []
    for name in names:
        path = Path(name)
        short = (path.stem if path.suffix else path.name) or "data"
        labels.append(short if short not in labels else f"{short}-{len(labels) + 1}")
    return labels


def write_reports(folder: Path, labels: list[str], records: list[dict[str, Any]], evaluations: list[Evaluation]) -> None:
    from ppr.methods.saliency.report import write_report

    for label, record, evaluation in zip(labels, records, evaluations, strict=True):
        for path in write_report(folder / label if len(labels) > 1 else folder, evaluation, output.finite(record)):
            output.note(str(path))


def show(labels: list[str], records: list[dict[str, Any]]) -> None:
    """Tables for a person: metrics down, data sets across; then the levels of each set."""
    from ppr.methods.saliency.metrics import LABELS

    columns = {
        f"{label} ({COLUMNS[kind]})": (record, kind)
        for label, record in zip(labels, records, strict=True)
        for kind in COLUMNS
        if kind in record
    }
    rows: list[dict[str, Any]] = [
        {"metric": text} | {column: record[kind][name] for column, (record, kind) in columns.items()} for name, text in LABELS.items()
    ]
    counts = {"images": "images", "empty_masks": "empty masks", "left_out": "left out"}
    rows += [{"metric": text} | {column: record[name] for column, (record, _kind) in columns.items()} for name, text in counts.items()]
    if records[0]["speed"]:
        speeds = {"ms": "ms per image", "fps": "images per second"}
        rows += [{"metric": text} | {c: record["speed"][name] for c, (record, _kind) in columns.items()} for name, text in speeds.items()]
    output.table(rows, as_json=False)
    for label, record in zip(labels, records, strict=True):
        levels = [{"level": row["level"], "MAE": row["mae"], "max F": row["max_f"], "S": row["s"]} for row in record.get("levels", [])]
        output.table(levels, as_json=False, title=f"{label}, level by level")
