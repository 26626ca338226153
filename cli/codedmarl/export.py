"""`ppr codedmarl export`."""

from __future__ import annotations

from pathlib import Path

import click

from .. import options, output


@click.command()
@options.model_argument(required=False)
@options.export_format("onnx", "torchscript")
@options.opset
@options.notes
@options.out("Folder for the files.", required=True)
@options.overwrite
@options.json_lines
@options.quiet
def export(run: str | None, format: str, opset: int, notes: tuple[str, ...], out: Path, overwrite: bool, as_json: bool) -> None:
    """Write one actor an agent, and actors.json, which says what each takes and gives. Without RUN: the agents that come along.

    Observations [batch, n] in, actions [batch, m] in [0, 1] and the largest component out, without exploration. Each file is compared
    with torch before it is put in place.

    \b
    ppr codedmarl export runs/spread --out actors
    """
    from ppr.exports.codedmarl import DESCRIPTION, export_actors
    from ppr.methods.codedmarl.agents.model import TrainedAgents
    from ppr.methods.codedmarl.weights import DEFAULT

    model = TrainedAgents.load(run or DEFAULT)
    report = export_actors(
        model,
        out,
        format=format,  # type: ignore[arg-type]
        opset=opset,
        notes=options.parse_notes(notes),
        overwrite=overwrite,
    )
    if as_json:
        output.emit_json({"path": str(out / DESCRIPTION), **report})
        return
    for agent in report["agents"]:
        click.echo(str(out / agent["file"]))
        output.note(f"  {output.file_size(agent['bytes'])}; differs from torch by {agent['parity']['max_difference']:.1g} at most")
    click.echo(str(out / DESCRIPTION))
