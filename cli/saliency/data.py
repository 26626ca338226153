"""`ppr saliency data`: check, prepare and synthesise image/mask pairs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from .. import options, output
from ..types import Size

if TYPE_CHECKING:
    from ppr.methods.saliency.pairs.check import Report

SHOWN = 8  # findings of a kind that are named in the table


@click.group()
def data() -> None:
    """Image/mask pairs: check them, write clean sets, or make some up.

    \b
    ppr saliency data check DUTS-TR/ --against ecssd.zip
    ppr saliency data prepare DUTS-TR/ --longest 320 -o duts_tr.zip
    ppr saliency data synth --count 500 -o scenes.zip
    """


@data.command(short_help="Find what is wrong with image/mask pairs.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@click.option("--against", multiple=True, metavar="TESTSET", help="A test set whose images must not be in the data; repeatable.")
@options.json_lines
@options.quiet
def check(paths: tuple[str, ...], against: tuple[str, ...], as_json: bool) -> int:
    """Read every pair and report what is wrong: files, sizes, masks, near-duplicates. Exit code 1 means errors, warnings alone give 0.

    Near-duplicates have 64-bit difference hashes (dHash) that differ in at most 4 bits, and 16 x 16 thumbnails that correlate by .95.
    """
    from ppr.methods.common.reading.datasets import resolve
    from ppr.methods.saliency.pairs import check as checking

    places, tests = [resolve(path) for path in paths], [resolve(path) for path in against]
    with output.progress("check", None) as advance:
        report = checking.check(places, tests, done=advance)
    if as_json:
        found = [{"kind": f.kind, "severity": f.severity, "files": list(f.files), "detail": f.detail} for f in report.findings]
        output.emit_json(report.summary() | {"findings": found})
    else:
        show(report)
    return 1 if report.count("error") or not report.pairs else 0


def show(report: Report) -> None:
    """A line about the data, a table of the kinds of findings, and examples of each."""
    from ppr.methods.saliency.pairs.check import KINDS

    summary = report.summary()
    line = f"{report.pairs} pairs, {summary['errors']} errors, {summary['warnings']} warnings"
    if report.sizes:
        sides = summary["longest_side"]
        line += f"; longest side {sides['min']} to {sides['max']} (median {sides['median']}); {100 * summary['mean_coverage']:.1f} % object"
    click.echo(line)
    kinds = [kind for kind in KINDS if any(finding.kind == kind for finding in report.findings)]
    counts = {kind: sum(finding.kind == kind for finding in report.findings) for kind in kinds}
    output.table([{"": KINDS[k][0], "finding": k, "count": counts[k], "meaning": KINDS[k][1]} for k in kinds], as_json=False)
    for kind in kinds:
        for finding in [f for f in report.findings if f.kind == kind][:SHOWN]:
            click.echo(f"{kind}: {' ~ '.join(finding.files)}" + (f" ({finding.detail})" if finding.detail else ""))
        if counts[kind] > SHOWN:
            click.echo(f"{kind}: … and {counts[kind] - SHOWN} more (--json lists all)")


@data.command(short_help="Write a clean set: one layout, binary masks.")
@click.argument("paths", nargs=-1, required=True, metavar="PATH...")
@options.out("New .zip, or folder, with images/ and masks/.", required=True)
@click.option("--longest", type=click.IntRange(16, 8192), default=None, help="Longest side in pixels; larger images are reduced.")
@click.option("--quality", type=click.IntRange(1, 100), default=90, show_default=True, help="Of the JPEGs.")
@options.overwrite
@options.quiet
def prepare(paths: tuple[str, ...], out: Path, longest: int | None, quality: int, overwrite: bool) -> int:
    """Write a clean set: upright images, masks cut at > 127, all of one layout. Bad pairs are reported and left out (exit code 1)."""
    from ppr.methods.common.reading.datasets import resolve
    from ppr.methods.saliency.pairs.find import find_pairs
    from ppr.methods.saliency.pairs.prepare import prepare as write

    pairs = find_pairs([resolve(path) for path in paths]).pairs
    batch = output.Batch()
    with output.progress("prepare", len(pairs)) as advance:
        batch.done = write(pairs, out, longest=longest or 0, quality=quality, overwrite=overwrite, failed=batch.failure, done=advance)
    click.echo(str(out))
    return batch.finish()


@data.command(short_help="Make up scenes with exact masks.")
@options.out("New .zip, or folder, with images/ and masks/.", required=True)
@click.option("--count", type=click.IntRange(1, 1_000_000), default=200, show_default=True, help="How many scenes.")
@click.option("--size", type=Size(16, 9999), default="256x192", show_default=True, help="Their size in pixels.")
@options.seed
@options.overwrite
@options.quiet
def synth(out: Path, count: int, size: tuple[int, int], seed: int | None, overwrite: bool) -> None:
    """Make up scenes with exact masks (textured objects, shadow, noise), to try training and evaluation without any data."""
    from ppr.methods.saliency.pairs.prepare import synthesise

    with output.progress("synth", count) as advance:
        synthesise(out, count, size, seed=seed or 0, overwrite=overwrite, done=advance)
    click.echo(str(out))
