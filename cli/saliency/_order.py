"""From the options of one `ppr saliency infer` to what it shall make, settled before the first image is read."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ppr.methods.common.errors import UsageError
from ppr.methods.common.reading.inputs import Input
from ppr.methods.saliency.products.destinations import Destinations

if TYPE_CHECKING:
    from ppr.methods.saliency.infer import Order


def plan(items: list[Input], out: Path | None, kinds: tuple[str, ...], given: dict[str, Any], *, watch: bool) -> Order:
    """Settle every choice before the first image is read.

    Raises:
        UsageError: choices that contradict each other.
    """
    from ppr.methods.saliency.infer import Order
    from ppr.methods.saliency.products.refine import Refinement, parse_threshold
    from ppr.methods.saliency.products.render import Background
    from ppr.methods.saliency.products.style import Style

    pictures = tuple(dict.fromkeys(kind for kind in kinds if kind != "json")) or (() if "json" in kinds else ("mask",))
    if given["overwrite"] and given["skip_existing"]:
        raise UsageError("--overwrite and --skip-existing contradict each other")
    from_stdin = any(item.is_stdin for item in items)
    to_stdout = str(out) == "-" or (from_stdin and out is None and bool(pictures))
    if to_stdout and (len(items) > 1 or len(pictures) != 1):
        raise UsageError("one picture at a time fits into stdout", hint="give --out FOLDER for several")
    if to_stdout and sys.stdout.isatty():
        raise UsageError("not writing a picture to the terminal", hint="redirect it (> mask.png) or give --out FILE")
    if from_stdin and watch:
        raise UsageError("--watch: needs folders, not stdin")
    destinations = Destinations.plan(
        None if to_stdout else out,
        items,
        pictures,
        given["format"],
        given["suffix"],
        keep_tree=given["keep_tree"],
        many=watch or given["frames"],
    )
    background = Background.parse(given["background"])
    if "cutout" in pictures and background.kind == "transparent" and destinations.format in ("jpg", "tiff16"):
        raise UsageError(f"--format {destinations.format}: holds no transparency", hint="use png or webp, or give a --bg")
    if set(pictures) - {"mask"} and destinations.format == "tiff16":
        raise UsageError("--format tiff16: is for masks", hint="use png or webp for the other kinds")
    refinement = Refinement(given["edges"], parse_threshold(given["threshold"]), given["largest"], given["min_area"], given["feather"])
    return Order(
        kinds=pictures,
        destinations=destinations,
        style=Style(background, refinement, given["stretch"], destinations.format),
        flip=given["tta"] == "flip",
        frames=given["frames"],
        replace=given["overwrite"] or given["skip_existing"],
        stream=sys.stdout.buffer if to_stdout else None,
    )
