"""`ppr saliency infer`: from photos to masks and what can be made of them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output
from ..inputs import Input, expand
from ._job import Job, plan_job

if TYPE_CHECKING:
    from ppr.methods.common.reading.images import Photo
    from ppr.methods.saliency.infer import Predictor, Saliency

KINDS = ("mask", "cutout", "overlay", "heatmap", "outline", "crop", "json")
FORMATS = ("png", "webp", "jpg", "npy", "tiff16")
OWN_OUTPUT = (".saliency.", ".cutout.", ".overlay.", ".heatmap.", ".outline.", ".crop.")


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@options.out("Output file or folder; '-' writes one picture to stdout. [default: beside the input]")
@click.option("--as", "kinds", multiple=True, type=click.Choice(KINDS), help="What to make; repeatable. [default: mask]")
@click.option(
    "--bg",
    "background",
    default="transparent",
    show_default=True,
    metavar="BG",
    help="Cut-outs stand on: transparent, blur, #rrggbb, FILE.",
)
@click.option("--threshold", metavar="T", help="Binarise at a number in (0, 1), 'adaptive' (twice the mean) or 'otsu'.")
@click.option(
    "--normalize/--raw", "stretch", default=False, help="Stretch each map to the full range, or leave it as predicted. [default: raw]"
)
@options.net_size()
@options.backend
@options.checkpoint("ras-mobile")
@options.device
@options.threads
@click.option("--refine", "edges", type=click.Choice(["none", "guided", "grabcut"]), default="none", help="Align edges with the photo's.")
@click.option("--largest", is_flag=True, help="Keep the largest part only.")
@click.option(
    "--min-area", type=click.FloatRange(0, 1), default=0.0, metavar="SHARE", help="Drop parts smaller than this share of the image."
)
@click.option("--feather", type=click.FloatRange(0, 1000), default=0.0, metavar="PIXELS", help="Soften the edge.")
@click.option("--tta", type=click.Choice(["flip"]), default=None, help="Average with the mirrored image's map.")
@click.option("--frames", is_flag=True, help="All frames of animations and pages of TIFFs, not the first only.")
@click.option("--recursive", "-r", is_flag=True, help="Look into sub-folders.")
@click.option("--keep-tree/--flat", default=True, help="Keep sub-folders below --out. [default: keep]")
@click.option("--suffix", default=None, metavar="TEXT", help="Between name and extension, instead of '.saliency', '.cutout' …")
@click.option(
    "--format", "format", type=click.Choice(FORMATS), default=None, help="Picture format; npy and tiff16 hold finer masks. [default: png]"
)
@options.overwrite
@click.option("--skip-existing", is_flag=True, help="Leave out inputs whose results are all there: resumes an interrupted folder.")
@click.option("--report", type=options.PATH, default=None, metavar="FILE.jsonl", help="Also append each result's record to a file.")
@click.option("--watch", is_flag=True, help="Afterwards wait for new files in the given folders, until Ctrl-C.")
@click.option("--fail-fast", is_flag=True, help="Stop at the first bad file.")
@options.json_lines
@options.quiet
def infer(
    inputs: tuple[str, ...], out: Path | None, kinds: tuple[str, ...], as_json: bool, report: Path | None, watch: bool, **given: Any
) -> int:
    """Predict what catches the eye in every image of INPUTS: files, folders, globs, zips, videos, or '-' for stdin."""
    from ppr.methods.common.reading.images import SUFFIXES
    from ppr.methods.saliency.products.video import VIDEO_SUFFIXES

    recursive, fail_fast = given["recursive"], given["fail_fast"]
    batch = output.Batch(fail_fast=fail_fast)
    items = expand(inputs, suffixes=SUFFIXES | VIDEO_SUFFIXES, recursive=recursive, ignore=OWN_OUTPUT, failure=batch.failure)
    job = plan_job(items, out, kinds, given, watch=watch)
    if watch and not any(Path(argument).is_dir() for argument in inputs):
        raise UsageError("--watch: needs a folder among the inputs")
    predictor = load_predictor(given)
    as_json = as_json or "json" in kinds
    started = time.monotonic()

    def handle(todo: list[Input]) -> None:
        with output.progress("infer", len(todo)) as advance:
            for record in results(predictor, job, todo, batch):
                if record:
                    tell(record, as_json=as_json, quiet=job.to_stdout)
                    if report:
                        append(report, record)
                advance()

    handle(items)
    if watch:
        output.note("watching; Ctrl-C stops")
        for fresh in watched(inputs, items, recursive=recursive):
            handle(fresh)
    batch.summary(time.monotonic() - started)
    return batch.exit_code()


def parse_size(text: str | None) -> int | None:
    """`--size`: None for the network's own, 0 for native, or a side in pixels.

    Raises:
        UsageError: not a side between 32 and 4096.
    """
    if text is None or text == "native":
        return None if text is None else 0
    if not text.isdigit() or not 32 <= int(text) <= 4096:
        raise UsageError(f"--size {text}: not a size", hint="pixels from 32 to 4096, or native")
    return int(text)


def load_predictor(given: dict[str, Any]) -> Predictor:
    """The predictor that --checkpoint, --backend, --device, --threads and --size ask for."""
    from ppr.methods.saliency.infer import Predictor

    return Predictor.load(
        given["checkpoint"], backend=given["backend"], device=given["device"], threads=given["threads"], size=parse_size(given["size"])
    )


def results(predictor: Predictor, job: Job, items: list[Input], batch: output.Batch) -> Iterator[dict[str, Any] | None]:
    """Process the inputs; yields a record for each picture, and None for an input that was skipped or failed."""
    from ppr.methods.common.reading.pipeline import staged
    from ppr.methods.saliency.products.video import VIDEO_SUFFIXES

    def load(item: Input) -> list[Photo]:
        if item.source.suffix in VIDEO_SUFFIXES:
            return []
        return load_photos(item, job, predictor.side)

    def predict(photos: list[Photo]) -> list[tuple[Saliency, float]]:
        found = []
        for photo in photos:
            start = time.perf_counter()
            saliency = predictor(photo.rgb, full_size=photo.full_size, flip=job.flip)
            found.append((saliency, 1000 * (time.perf_counter() - start)))
        return found

    def finish(item: Input, photos: list[Photo], found: list[tuple[Saliency, float]]) -> list[dict[str, Any]]:
        if item.source.suffix in VIDEO_SUFFIXES:
            return [convert_video(item, job, predictor)]
        return [make(item, job, photo, saliency, ms) for photo, (saliency, ms) in zip(photos, found, strict=True)]

    todo = [item for item in items if not (job.skip_existing and all_there(item, job))]
    batch.skipped += len(items) - len(todo)
    for _item, outcome in staged(todo, load, predict, finish):
        if isinstance(outcome, PprError):
            batch.failure(outcome)
            yield None
        else:
            batch.done += 1
            yield from outcome


def all_there(item: Input, job: Job) -> bool:
    """Whether every result of an input exists. Of an animation the first frame is looked at."""
    frame = 0 if job.frames else None
    return bool(job.kinds) and all(job.destinations.path(item, kind, frame).exists() for kind in job.kinds)


def load_photos(item: Input, job: Job, side: int) -> list[Photo]:
    """Decode an input, reduced where only a mask is wanted; notices go to the log."""
    import logging

    from ppr.methods.common.reading.images import decode_frames

    reduced = 4 * side if job.mask_only and side else None
    photos = decode_frames(item.read(), item.name, at_least=reduced, limit=None if job.frames else 1)
    for notice in photos[0].notices:
        logging.getLogger("ppr").info("%s: %s", item.name, notice)
    return photos


def make(item: Input, job: Job, photo: Photo, saliency: Saliency, ms: float) -> dict[str, Any]:
    """Render and write one image's pictures; returns its record."""
    import numpy as np

    from ppr.methods.saliency.products import refine, render

    frame = photo.frame if job.frames else None
    record: dict[str, Any] = (
        {"path": item.name} | ({"frame": frame} if frame is not None else {}) | saliency.summary() | {"ms": round(ms, 1)}
    )
    if not job.kinds:
        return record
    mask = saliency.mask(stretch=job.stretch)
    if job.refinement.needed:
        mask = refine.refine(mask, photo.rgb, job.refinement)
    written = []
    for kind in job.kinds:
        picture = render.render(kind, photo, mask, job.background, record["box"])
        if kind == "mask" and job.destinations.format in ("npy", "tiff16") and not job.refinement.needed:
            fine = (
                saliency.resized() if not job.stretch else type(saliency)(saliency.stretched(), saliency.width, saliency.height).resized()
            )
            picture = fine if job.destinations.format == "npy" else np.rint(fine * 65535).astype(np.uint16)
        elif kind == "mask" and job.destinations.format == "npy":
            picture = mask.astype(np.float32) / 255
        data = render.encode(picture, job.destinations.format)
        if job.to_stdout:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
            written.append("-")
        else:
            path = job.destinations.path(item, kind, frame)
            render.write(data, path, overwrite=job.overwrite or job.skip_existing)
            written.append(str(path))
    return record | {"written": written}


def convert_video(item: Input, job: Job, predictor: Predictor) -> dict[str, Any]:
    """Render every frame of a video into a video beside it, one for the first picture kind."""
    from ppr.methods.saliency.products import video

    if item.source.archive:
        raise PprError(f"{item.name}: videos inside archives are not read", hint="unpack it first")
    kind = job.kinds[0] if job.kinds else "mask"
    path = job.destinations.path(item, kind).with_suffix(".mp4")
    return video.convert(
        Path(item.source.path), path, predictor, kind, job.background, job.refinement, overwrite=job.overwrite or job.skip_existing
    )


def tell(record: dict[str, Any], *, as_json: bool, quiet: bool) -> None:
    """A record as JSON on stdout, or as one line for a person (on stderr while a picture goes to stdout)."""
    if as_json and not quiet:
        output.emit_json(record)
        return
    target = ", ".join(record.get("written", [])) or record["path"]
    what = (
        f"object {record['coverage']:.1f} %, box {record['box']}, confidence {record['confidence']:.2f}"
        if record["object"]
        else "no object"
    )
    line = f"{target}  {record['width']}x{record['height']}  {what}  {record['ms']:.0f} ms"
    if quiet:
        output.note(line)
    else:
        click.echo(line)


def append(report: Path, record: dict[str, Any]) -> None:
    """Add one line to the report file."""
    try:
        report.parent.mkdir(parents=True, exist_ok=True)
        with report.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(output.finite(record), ensure_ascii=False) + "\n")
    except OSError as error:
        raise PprError(f"{report}: cannot be written ({error.strerror})", hint="choose another --report") from error


def watched(arguments: tuple[str, ...], seen: list[Input], *, recursive: bool, interval: float = 0.5) -> Iterator[list[Input]]:
    """New files in the given folders, once their size has stopped growing."""
    from ppr.methods.common.reading.images import SUFFIXES

    done = {item.source for item in seen}
    sizes: dict[str, int] = {}
    folders = [argument for argument in arguments if Path(argument).is_dir()]
    while True:
        fresh = []
        for folder in folders:
            try:
                found = expand([folder], suffixes=SUFFIXES, recursive=recursive, ignore=OWN_OUTPUT)
            except UsageError:  # emptied meanwhile
                continue
            for item in found:
                if item.source in done:
                    continue
                path = Path(item.source.path)
                size = path.stat().st_size if path.exists() else -1
                if size > 0 and sizes.get(item.source.path) == size:
                    done.add(item.source)
                    fresh.append(item)
                sizes[item.source.path] = size
        if fresh:
            yield fresh
        time.sleep(interval)
