"""`ppr codedmarl chaos`."""

from __future__ import annotations

from pathlib import Path

import click

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output


@click.command()
@click.argument("run", type=options.PATH)
@click.option("--kill", "count", type=click.IntRange(1), default=1, show_default=True, metavar="K", help="Learners to kill.")
@options.seed
@options.json_lines
@options.quiet
def chaos(run: Path, count: int, seed: int | None, as_json: bool) -> None:
    """Kill learners of the training that goes on in RUN, without warning (SIGKILL), to see that it does not matter.

    Only processes that the training wrote down are killed, of this machine, and only if their start times say that they still are these.

    \b
    ppr codedmarl train --preset demo --out runs/spread &
    ppr codedmarl chaos runs/spread --kill 2
    """
    import random

    from ppr.methods.codedmarl.learners.journal import read_members, running
    from ppr.methods.codedmarl.learners.processes import kill
    from ppr.methods.codedmarl.learners.work import HOST

    record = read_members(run)
    if record is None:
        raise UsageError(f"{run}: no training with learners goes on there", hint="start one: ppr codedmarl train --out " + str(run))
    if running(run) is None:
        raise UsageError(
            f"{run}: the training that wrote learners.json is not running on this machine", hint=f"it was started on {record['host']}"
        )
    here = [one for one in record["learners"] if one["host"] == HOST and one["learner"] is not None and one["started"] is not None]
    if not here:
        raise PprError(f"{run}: none of its learners runs on this machine", hint="call it on one of the others")
    killed: list[int] = []
    for one in random.Random(seed).sample(here, len(here)):
        if len(killed) == count:
            break
        if kill(one["pid"], one["started"]):
            killed.append(one["pid"])
            row = {"learner": one["learner"], "pid": one["pid"]}
            output.emit_json(row) if as_json else click.echo(f"killed learner {one['learner']} (process {one['pid']})")
    if len(killed) < count:
        raise PprError(f"{run}: {len(killed)} of {count} learners were killed; the others had gone before", hint="look again in a moment")
