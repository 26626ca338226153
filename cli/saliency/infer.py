"""`ppr saliency infer`: from photos to masks and what can be made of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.inputs import Input
from ppr.methods.saliency.products.destinations import EXTENSIONS, KINDS, MARKERS

from .. import options, output
from ..inputs import expand
from ._order import plan

if TYPE_CHECKING:
    from ppr.methods.saliency.infer import Order, Predictor


@click.command()
@click.argument("inputs", nargs=-1, required=True)
@options.out("Output file or folder; '-' writes one picture to stdout. [default: beside the input]")
@click.option("--as", "kinds", multiple=True, type=click.Choice((*KINDS, "json")), help="What to make; repeatable. [default: mask]")
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
@options.model("ras-mobile")
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
    "--format",
    "format",
    type=click.Choice(tuple(EXTENSIONS)),
    default=None,
    help="Picture format; npy and tiff16 hold finer masks. [default: png]",
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

    batch = output.Batch(fail_fast=given["fail_fast"])
    recursive = given["recursive"]
    items = expand(inputs, suffixes=SUFFIXES | VIDEO_SUFFIXES, recursive=recursive, ignore=MARKERS, failure=batch.failure)
    order = plan(items, out, kinds, given, watch=watch)
    if watch and not any(Path(argument).is_dir() for argument in inputs):
        raise UsageError("--watch: needs a folder among the inputs")
    predictor = load_predictor(given)

    def tell(record: dict[str, Any]) -> None:
        if order.stream is not None:
            output.note(line(record))
        elif as_json or "json" in kinds:
            output.emit_json(record)
        else:
            click.echo(line(record))
        if report:
            append(report, record)

    todo = [item for item in items if not (given["skip_existing"] and order.done(item))]
    batch.skipped = len(items) - len(todo)
    process(predictor, order, todo, batch, tell)
    if watch:
        output.note("watching; Ctrl-C stops")
        for fresh in watched(inputs, items, recursive=recursive):
            process(predictor, order, fresh, batch, tell)
    return batch.finish()


def process(predictor: Predictor, order: Order, items: list[Input], batch: output.Batch, tell: Callable[[dict[str, Any]], None]) -> None:
    """Make what was ordered of each input, tell the result of each picture, and count what failed."""
    from ppr.methods.saliency.infer import produce

    with batch.progress("infer", len(items)) as advance:
        for _item, outcome in produce(predictor, order, items):
            if isinstance(outcome, PprError):
                batch.failure(outcome)
            else:
                batch.done += 1
                for result in outcome:
                    tell(result.record())
            advance()


def load_predictor(given: dict[str, Any]) -> Predictor:
    """The predictor that --checkpoint, --backend, --device, --threads and --size ask for."""
    from ppr.methods.saliency.infer import Predictor

    return Predictor.load(
        given["checkpoint"], backend=given["backend"], device=given["device"], threads=given["threads"], size=given["size"]
    )


def line(record: dict[str, Any]) -> str:
    """A record for a person."""
    target = ", ".join(record.get("written", [])) or record["path"]
    what = (
        f"object {record['coverage']:.1f} %, box {record['box']}, confidence {record['confidence']:.2f}"
        if record["object"]
        else "no object"
    )
    return f"{target}  {record['width']}x{record['height']}  {what}  {record['ms']:.0f} ms"


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
                found = expand([folder], suffixes=SUFFIXES, recursive=recursive, ignore=MARKERS)
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
