"""`ppr data`: the data sets that methods list, and where they are on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output

if TYPE_CHECKING:
    from ppr.methods.common.reading.datasets import Dataset

NAMES = click.argument("names", nargs=-1, required=True, metavar="NAME...")


@click.group()
def data() -> None:
    """List, fetch, locate and verify data sets. They lie in $PPR_HOME, or else in your cache folder (see `ppr doctor`)."""


@data.command("list")
@options.json_lines
@options.quiet
def list_datasets(as_json: bool) -> None:
    """The registered data sets and whether they are on this machine."""
    from ppr.methods.common.reading.datasets import registry

    known = registry().values()
    if as_json:
        output.table([_described(dataset) for dataset in known], as_json=True)
        return
    rows = [
        {
            "name": dataset.name,
            "method": dataset.method,
            "here": dataset.locate() is not None,
            "get it by": {"download": "ppr data fetch", "bundled": "bundled", "manual": "hand (see fetch)"}[dataset.kind],
            "size": output.file_size(dataset.size) if dataset.size else None,
            "content": dataset.description,
            "licence": dataset.licence,
        }
        for dataset in known
    ]
    output.table(rows, as_json=False)


@data.command()
@NAMES
@options.json_lines
@options.quiet
def fetch(names: tuple[str, ...], as_json: bool) -> int:
    """Download data sets once, check their hashes, and print where they are."""
    from ppr.methods.common.reading import datasets

    batch = output.Batch()
    for dataset in [datasets.find(name) for name in names]:
        with batch.item(), output.progress(dataset.name, dataset.size or None, in_bytes=True) as advance:
            _show(dataset, datasets.fetch(dataset, lambda size: advance(advance=size)), as_json)
    return batch.exit_code()


@data.command()
@NAMES
@options.json_lines
@options.quiet
def path(names: tuple[str, ...], as_json: bool) -> int:
    """Print where data sets are on this machine."""
    from ppr.methods.common.reading import datasets

    batch = output.Batch()
    for dataset in [datasets.find(name) for name in names]:
        with batch.item():
            _show(dataset, datasets.require(dataset), as_json)
    return batch.exit_code()


@data.command()
@click.argument("names", nargs=-1, required=True, metavar="NAME|PATH...")
@options.json_lines
@options.quiet
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Hash data sets, files or folders, read zips through, and compare with the published hash where there is one."""
    from ppr.methods.common.reading import datasets

    batch = output.Batch()
    rows = []
    for name in names:
        with batch.item(stop_at=(UsageError,)):
            known = datasets.registry().get(name.lower()) if not Path(name).exists() else None
            found = datasets.inspect(datasets.resolve(name))
            if known and known.sha256 and known.sha256 != found.sha256:
                raise PprError(
                    f"{found.path}: sha256 is {found.sha256}, published is {known.sha256}",
                    hint=f"delete the file and run `ppr data fetch {known.name}`",
                )
            verdict = "as published" if known and known.sha256 else "readable; no published hash"
            rows.append({"path": str(found.path), "files": found.files, "bytes": found.bytes, "sha256": found.sha256, "verdict": verdict})
    output.table(rows, as_json=as_json)
    return batch.exit_code()


def _show(dataset: Dataset, place: Path, as_json: bool) -> None:
    if as_json:
        output.emit_json(_described(dataset) | {"path": str(place)})
    else:
        click.echo(place)


def _described(dataset: Dataset) -> dict[str, Any]:
    place = dataset.locate()
    return {
        "name": dataset.name,
        "method": dataset.method,
        "kind": dataset.kind,
        "path": str(place) if place else None,
        "size": dataset.size or None,
        "sha256": dataset.sha256 or None,
        "url": dataset.url or None,
        "layout": dataset.layout or None,
        "description": dataset.description,
        "licence": dataset.licence,
        "citation": dataset.citation,
    }
