"""`ppr codedmarl design`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ppr.methods.common.errors import UsageError

from .. import options, output, verbs

if TYPE_CHECKING:
    from ppr.methods.codedmarl.codes.code import Code
    from ppr.methods.codedmarl.codes.inspection import Inspection

SHOWN_LEARNERS = 64


@click.command()
@click.option(
    "--code", type=click.Choice(verbs.choices("codedmarl", "code")), default="balanced", show_default=True, help="Family of the code."
)
@click.option("--learners", type=click.IntRange(1), default=15, show_default=True, help="Learners N.")
@click.option("--agents", type=click.IntRange(1), default=8, show_default=True, help="Agents M.")
@click.option(
    "--tolerance",
    type=click.IntRange(0),
    default=None,
    help="balanced, multi: lost learners to survive. [default: what two updates each buy]",
)
@click.option(
    "--field",
    type=click.Choice(verbs.choices("codedmarl", "field")),
    default=None,
    help="What shares are computed in. [default: real64; with --check what the file says]",
)
@click.option("--check", type=options.PATH, default=None, metavar="FILE", help="Report on a matrix (.npz, .npy) instead of making one.")
@options.seed
@options.out("File to write, .npz. [default: only report]")
@options.overwrite
@options.json_lines
@options.quiet
@click.pass_context
def design(
    context: click.Context,
    code: str,
    learners: int,
    agents: int,
    tolerance: int | None,
    field: str | None,
    check: Path | None,
    seed: int | None,
    out: Path | None,
    overwrite: bool,
    as_json: bool,
) -> None:
    """Make an encoding matrix, or check one: work, tolerance (every erasure is tried) and conditioning.

    \b
    ppr codedmarl design --tolerance 3 --learners 15 --agents 8 --out code.npz
    ppr codedmarl design --check code.npz --json
    """
    from ppr.methods.codedmarl.codes.construction import build
    from ppr.methods.codedmarl.codes.inspection import inspect
    from ppr.methods.codedmarl.codes.matrices import load_matrix
    from ppr.methods.common.reading.files import refuse_existing

    if check:
        _refuse_with_check(context)
        report(inspect(load_matrix(check, field)), as_json=as_json)  # type: ignore[arg-type]
        return
    if out:
        if out.suffix != ".npz":
            raise UsageError(f"--out {out}: encoding matrices are written as .npz")
        refuse_existing(out, overwrite=overwrite)
    made: Code = build(code, learners, agents, tolerance=tolerance, field=field or "real64", seed=seed or 0)  # type: ignore[arg-type]
    found = inspect(made)
    if out:
        made.save(out, overwrite=overwrite)
        output.note(f"{out}: written")
    report(found, as_json=as_json)


def _refuse_with_check(context: click.Context) -> None:
    """--check takes no options that say what to make."""
    making = ("code", "learners", "agents", "tolerance", "seed", "out")
    given = [name for name in making if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE]
    if given:
        raise UsageError(f"--check reports on a file; it does not go with --{given[0]}")


def report(found: Inspection, *, as_json: bool) -> None:
    """Rows and properties as two tables, or one JSON object; remarks on stderr."""
    if as_json:
        output.emit_json(found.record())
        return
    code, bounds = found.code, found.tolerance
    rows = [{"learner": j, "updates": int(code.weights[j]), "agents": " ".join(map(str, code.row(j)[0]))} for j in range(code.learners)]
    output.table(rows[:SHOWN_LEARNERS], as_json=False)
    if found.looked_at == found.erasures:
        tried = f"all {found.erasures:,}: {found.decodable:,} decodable"
    else:
        tried = f"{found.looked_at:,} of {found.erasures:.3g}: {found.decodable:,} decodable"
    properties: dict[str, object] = {
        "code": f"{code.family}, {code.learners} learners, {code.agents} agents, {code.field}",
        "updates a learner, most": f"{code.max_weight} (no code of this tolerance has less than {found.least_weight})",
        "redundancy": f"{code.redundancy:.3g}",
        "tolerance": str(bounds.proven) if bounds.proven == bounds.at_most else f"{bounds.proven} to {bounds.at_most}",
        "erasures of that many tried": tried,
        "worst condition": None if found.worst is None else f"{found.worst:.3g}",
        "median condition": None if found.median is None else f"{found.median:.3g}",
        "P(decodable), 0, 1, 2 … lost": " ".join(f"{one.probability:.4g}" for one in found.fractions),
    }
    output.table([{"property": name, "value": value} for name, value in properties.items() if value], as_json=False)
    for remark in found.remarks:
        output.note(f"note: {remark}")
