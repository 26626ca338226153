"""`ppr codedmarl simulate`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError, nearest

from .. import options, output, verbs
from ..types import DURATION, POSITIVE_DURATION
from . import _situation as situation

if TYPE_CHECKING:
    from ppr.methods.codedmarl.codes.code import Code
    from ppr.methods.codedmarl.config import FieldName
    from ppr.methods.codedmarl.planning.simulate import Iteration

MOST_ITERATIONS = 1_000_000
FAMILIES = verbs.choices("codedmarl", "code")

machine_options = options.together(
    click.option("--mean-time-to-crash", "crash_after", type=POSITIVE_DURATION, default=None, help="Of a learner. [default: never]"),
    click.option("--mean-time-to-restart", "restart_after", type=DURATION, default=2.0, help="After a crash or a kill. [default: 2s]"),
    click.option(
        "--abandon",
        type=click.Choice(["instant", "update"]),
        default="instant",
        show_default=True,
        help="A learner told to stop is free at once, as `plan` has it, or with the end of its update, as real ones are.",
    ),
    click.option("--timeout", type=POSITIVE_DURATION, default=None, help="Before lost work is given out again. [default: by the load]"),
)


@click.command()
@situation.size_options
@click.option("--code", "names", multiple=True, metavar="NAME", help="A family, balanced:S or multi:S; repeatable. [default: balanced]")
@click.option("--tolerance", type=click.IntRange(0), default=None, metavar="S", help="Losses that balanced and multi survive.")
@click.option("--iterations", "-n", type=click.IntRange(1, MOST_ITERATIONS), default=200, show_default=True, help="Of every code.")
@situation.straggler_options
@situation.time_options
@situation.code_options
@machine_options
@options.out("csv with a row an iteration.")
@click.option("--plot", type=options.PATH, default=None, metavar="FILE.png", help="Draw how long iterations took and what was wasted.")
@options.seed
@options.overwrite
@options.json_lines
@options.quiet
def simulate(
    learners: int | None,
    agents: int | None,
    names: tuple[str, ...],
    tolerance: int | None,
    iterations: int,
    matrix: Path | None,
    field: FieldName | None,
    out: Path | None,
    plot: Path | None,
    seed: int | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Run iterations on a virtual clock, without learning: crashes, restarts, queues, and a controller that takes one share at a time.

    All codes meet the same stragglers. Nothing hangs: what is lost is given to other learners after a timeout, three times, and then the
    iteration is given up and counted. Times are in seconds; --bandwidth is that of the controller's own link.

    \b
    ppr codedmarl simulate --code mds --code uncoded --model exp --update-time 1s --delay 1s -n 5000
    ppr codedmarl simulate --learners 1000 --agents 500 --code balanced:5 --code ldpc --model pareto --delay 20ms --bandwidth 10Gbit
    ppr codedmarl simulate --code balanced:3 --mean-time-to-crash 10min --mean-time-to-restart 30s --plot sim.png --out sim.csv
    ppr codedmarl simulate --trace faults.csv --code balanced:2 --code multi:2 --json
    """
    from dataclasses import asdict

    from ppr.methods.codedmarl.planning.machines import Setting
    from ppr.methods.codedmarl.planning.plan import update_bytes
    from ppr.methods.codedmarl.planning.simulate import simulate as run
    from ppr.methods.codedmarl.planning.simulation_summary import patient, summarise
    from ppr.methods.common.reading.files import refuse_existing

    for path in (out, plot):
        if path is not None:
            refuse_existing(path, overwrite=overwrite)
    learners, agents, own = situation.sizes(matrix, learners, agents, field)
    kind = situation.stragglers(learners, given)
    payload = update_bytes(agents) if given["payload"] is None else given["payload"]
    setting = Setting(
        iterations=iterations,
        stragglers=kind,
        update_time=situation.update_time(given["update_time"], kind),
        overhead=given["overhead"],
        transfer=payload / (given["bandwidth"] or math.inf),
        abandon=given["abandon"],
        crash_after=given["crash_after"] or math.inf,
        restart_after=given["restart_after"],
        timeout=given["timeout"] or math.inf,
        seed=seed or 0,
    )
    codes = named_codes(names or (() if own is not None else ("balanced",)), learners, agents, tolerance, field or "real64", seed or 0)
    if own is not None and matrix is not None:
        codes[matrix.name] = own
    found, rows = {}, []
    for label, code in codes.items():
        with output.progress(label, iterations) as advance:
            found[label] = run(code, setting if given["timeout"] else patient(code, setting), advance)
        rows.append({"code": label, **asdict(summarise(found[label], agents))})
    if out is not None:
        write_csv(found, out, overwrite=overwrite)
    if plot is not None:
        from ppr.methods.codedmarl.pictures import draw_simulation

        draw_simulation({label: (codes[label].family, one) for label, one in found.items()}, agents, plot, overwrite=overwrite)
    output.table(rows if as_json else [shown(row) for row in rows], as_json=as_json)
    for path in (out, plot):
        if path is not None:
            output.note(f"wrote {path}")


def named_codes(names: Sequence[str], learners: int, agents: int, tolerance: int | None, field: FieldName, seed: int) -> dict[str, Code]:
    """The codes of these names, by name and tolerance.

    Raises:
        UsageError: a name or tolerance that does not exist.
    """
    from ppr.methods.codedmarl.codes.construction import build
    from ppr.methods.codedmarl.planning.plan import TOLERANT

    codes = {}
    for name in names:
        family, _, own = name.partition(":")
        if family not in FAMILIES:
            raise UsageError(f"--code {name}: there is no such code", hint=nearest(family, FAMILIES))
        if own and not (own.isascii() and own.isdecimal() and len(own) < 6):
            raise UsageError(f"--code {name}: '{own}' is not a number of losses to survive", hint=f"for example {family}:2")
        if own and family not in TOLERANT:
            raise UsageError(f"--code {name}: {family} has no tolerance to choose", hint="balanced:S and multi:S have")
        chosen = (int(own) if own else tolerance) if family in TOLERANT else None
        code = build(family, learners, agents, tolerance=chosen, field=field, seed=seed)  # type: ignore[arg-type]
        codes[f"{family} s={code.tolerance}" if family in TOLERANT else family] = code
    return codes


def shown(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the table: what everybody looks at, and of the rest what happened at all."""
    rest = {
        "link busy": f"{row['link']:.1%}" if row["link"] else None,
        "down": row["down"] or None,
        "late": row["late"] or None,
        "reissued": row["reissued"] or None,
    }
    return {
        "code": row["code"],
        **{name: f"{row[name]:#.5g}" for name in ("mean", "error", "p50", "p95", "p99")},
        "updates an agent": row["computed"],
        "wasted": f"{row['wasted']:.1%}",
        "undecodable": row["rescued"] + row["given_up"],
        "given up": row["given_up"],
        **rest,
    }


def write_csv(found: Mapping[str, Sequence[Iteration]], path: Path, *, overwrite: bool) -> None:
    """A row an iteration."""
    import csv
    import io

    from ppr.methods.codedmarl.planning.simulation_summary import COLUMNS, csv_rows
    from ppr.methods.common.reading.files import atomic_open

    with atomic_open(path, overwrite=overwrite) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(csv_rows(found))
        text.flush()
        text.detach()
