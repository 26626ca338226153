"""`ppr codedmarl plan`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options, output
from ..types import POSITIVE_DURATION
from . import _situation as situation

if TYPE_CHECKING:
    from ppr.methods.codedmarl.config import FieldName
    from ppr.methods.codedmarl.planning.heat_map import HeatMap
    from ppr.methods.codedmarl.planning.plan import Option, Plan

MOST_COLUMNS = 12  # of a table over lost learners


@click.command()
@situation.size_options
@situation.straggler_options
@situation.time_options
@situation.code_options
@click.option("--timeout", type=POSITIVE_DURATION, default=30.0, help="After which lost work is given out again. [default: 30s]")
@click.option("--plot", type=options.PATH, default=None, metavar="FILE.png", help="Draw the codes, and the best one over (k, delay).")
@options.seed
@options.overwrite
@click.option("--json", "as_json", is_flag=True, help="One JSON object, with every tolerance and the heat map.")
@options.quiet
def plan(
    learners: int | None,
    agents: int | None,
    matrix: Path | None,
    field: FieldName | None,
    plot: Path | None,
    seed: int | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """What each code would buy: expected wait of an iteration, losses survived, work and upload; the best one first.

    A learner that updates w agents has its share at the controller after w x update time + delay + payload / bandwidth; an iteration waits
    until the shares that came are decodable. With the models exp and pareto every update has its own delay, w x (update time + delay). A
    learner of `multi` sends each update as soon as it is done, so that any other delay holds up its last one alone. Times are in seconds.

    \b
    ppr codedmarl plan --learners 15 --agents 8 --stragglers 2 --delay 1
    ppr codedmarl plan --straggler-share 0.1 --delay 250ms --overhead 0.5s --bandwidth 1Gbit --plot plan.png
    ppr codedmarl plan --model exp --delay 20ms --matrix mine.npy
    ppr codedmarl plan --trace runs/spread --json | jq .best
    """
    from ppr.methods.codedmarl.planning.heat_map import heat_map
    from ppr.methods.codedmarl.planning.plan import candidates, explanation, make_plan, refined, update_bytes
    from ppr.methods.codedmarl.planning.waits import Situation
    from ppr.methods.common.reading.files import refuse_existing

    if plot is not None:
        refuse_existing(plot, overwrite=overwrite)
    learners, agents, own = situation.sizes(matrix, learners, agents, field)
    kind = situation.stragglers(learners, given)
    where = Situation(
        stragglers=kind,
        update_time=situation.update_time(given["update_time"], kind),
        overhead=given["overhead"],
        payload=update_bytes(agents) if given["payload"] is None else given["payload"],
        bandwidth=given["bandwidth"] or math.inf,
        timeout=given["timeout"],
        seed=seed or 0,
    )
    codes = candidates(learners, agents, field=field or (own.field if own else "real64"), seed=seed or 0)
    if own is not None and matrix is not None:
        codes[matrix.name if matrix.name not in codes else f"{matrix}"] = own
    with output.progress("codes", len(codes)) as advance:
        made = refined(make_plan(codes, where, advance))
    drawn = None
    if as_json or plot is not None:
        with output.progress("heat map", len(codes)) as advance:
            drawn = heat_map(made, advance)
    sentences = explanation(made)
    warn(made)
    if plot is not None:
        from ppr.methods.codedmarl.pictures import draw_plan

        assert drawn is not None
        draw_plan(made, drawn, plot, overwrite=overwrite)
    if as_json:
        assert drawn is not None
        output.emit_json(record(made, drawn, sentences))
    else:
        output.table(rows(made, made.shown()), as_json=False)
        output.table(survival_rows(made), as_json=False, title="P(decodable) when k learners are lost")
        output.table(tolerance_rows(made), as_json=False, title="Expected wait by tolerance s")
        for sentence in sentences:
            click.echo(sentence)
    if plot is not None:
        output.note(f"wrote {plot}")


def rows(made: Plan, shown: Sequence[Option]) -> list[dict[str, Any]]:
    """One row an option, for the table."""
    sampled = any(one.estimate.error is not None for one in shown)
    overhead = made.situation.overhead
    return [
        {
            "code": one.label,
            "max row": one.code.max_weight,
            "redundancy": round(one.code.redundancy, 3),
            "tolerance": one.tolerance,
            "P(decodable)": one.estimate.decodable,
            "expected wait": one.estimate.mean,
            **({"±": one.estimate.error} if sampled else {}),
            "p95": one.estimate.p95,
            **({"iteration": one.estimate.mean + overhead} if overhead else {}),
            "upload": output.file_size(round(one.upload)),
            "": "best" if one is made.best else "pareto" if one.label in made.front else "",
        }
        for one in shown
    ]


def survival_rows(made: Plan) -> list[dict[str, Any]]:
    """P(decodable | k learners lost), for every k that some code can survive."""
    from ppr.methods.codedmarl.planning.plan import survival

    most = min(max(one.code.learners - one.code.agents for one in made.options), MOST_COLUMNS)
    return [
        {"code": one.label, **{f"k={lost}": round(chance, 4) for lost, chance in enumerate(survival(one.code, most))}}
        for one in made.shown()
    ]


def tolerance_rows(made: Plan) -> list[dict[str, Any]]:
    """What each tolerance costs, of the families that have a choice."""
    rows = []
    for tolerance in sorted({one.tolerance or 0 for one in made.options if one.code.family in ("balanced", "multi")}):
        row: dict[str, Any] = {"s": tolerance}
        for family in ("balanced", "multi"):
            option = made.find(f"{family} s={tolerance}")
            row |= {f"{family}: max row": option and option.code.max_weight, f"{family}: wait": option and option.estimate.mean}
        rows.append(row)
    return rows


def warn(made: Plan) -> None:
    """What the numbers do not say by themselves."""
    where, kind = made.situation, made.situation.stragglers
    never = max(one.estimate.never for one in made.options)
    if never:
        output.note(
            f"note: up to {never:.1%} of the iterations are not decodable at all, because learners are lost; they end {where.timeout:g} s "
            "later (--timeout), when the missing agents are given to others"
        )
    if kind.model == "pareto" and kind.shape <= 2:
        output.note(f"note: a tail index of {kind.shape:g} has no variance, so that ± and the waits of codes that wait for all are rough")
    least = made.best.code.agents * where.pace.transfer
    if least > made.best.estimate.mean:
        output.note(
            f"note: {made.best.code.agents} shares take the controller's own link {least:.3g} s one after the other, longer than the wait; "
            "`ppr codedmarl simulate` counts that"
        )


def record(made: Plan, drawn: HeatMap, sentences: Sequence[str]) -> dict[str, Any]:
    """Everything, for --json."""
    from ppr.methods.codedmarl.planning.plan import survival

    where, kind = made.situation, made.situation.stragglers
    learners = max(one.code.learners for one in made.options)
    balanced = made.best_of("balanced")
    return {
        "learners": learners,
        "agents": made.best.code.agents,
        "model": kind.model,
        "stragglers": kind.stragglers,
        "delay": kind.delay,
        "straggler_share": kind.chance,
        "pareto_shape": kind.shape,
        "trace": str(kind.trace.path) if kind.trace is not None else None,
        "kill_rate": kind.kill_rate,
        **{name: getattr(where, name) for name in ("update_time", "overhead", "payload", "bandwidth", "timeout", "seed")},
        "codes": [described(made, one, survival(one.code, learners - one.code.agents)) for one in made.options],
        "best": made.best.label,
        "best_tolerance": balanced.tolerance if balanced else None,
        "pareto": [one.label for one in made.options if one.label in made.front],
        "heat_map": {
            "stragglers": list(drawn.stragglers),
            "delays": list(drawn.delays),
            **{name: labels(drawn, separate=separate) for name, separate in (("best", True), ("best_one_share", False))},
            "wait": drawn.wait_of(drawn.best(separate=True)).tolist(),
            "wait_one_share": drawn.wait_of(drawn.best(separate=False)).tolist(),
        },
        "explanation": list(sentences),
    }


def labels(drawn: HeatMap, *, separate: bool) -> list[list[str]]:
    """The best code of every cell."""
    return [[drawn.options[place].label for place in row] for row in drawn.best(separate=separate).tolist()]


def described(made: Plan, option: Option, survivals: Sequence[float]) -> dict[str, Any]:
    """An option, for --json."""
    code, estimate = option.code, option.estimate
    return {
        "code": option.label,
        "family": code.family,
        "learners": code.learners,
        "max_row": code.max_weight,
        "redundancy": code.redundancy,
        "tolerance": code.tolerance,
        "p_decodable": estimate.decodable,
        "p_decodable_by_losses": list(survivals),
        "expected_wait": estimate.mean,
        "standard_error": estimate.error,
        "p95": estimate.p95,
        "iteration": estimate.mean + made.situation.overhead,
        "never_decodable": estimate.never,
        "method": estimate.method,
        "cases": estimate.cases,
        "upload": option.upload,
        "best": option is made.best,
        "pareto": option.label in made.front,
    }
