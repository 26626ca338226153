"""Options that say how learners, links and stragglers are, for the commands that look ahead: `plan` and `simulate`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options, verbs
from ..types import BYTES, DURATION, RATE

if TYPE_CHECKING:
    from ppr.methods.codedmarl.codes.code import Code
    from ppr.methods.codedmarl.config import FieldName, StragglerModel
    from ppr.methods.codedmarl.learners.stragglers import Stragglers

MOST_LEARNERS = 10_000
UPDATE_TIME = 0.02  # seconds; measured for networks of 64 units and 3 agents, one thread

size_options = options.together(
    click.option("--learners", type=click.IntRange(1, MOST_LEARNERS), default=None, help="Learners N. [default: 15, or the matrix's]"),
    click.option("--agents", type=click.IntRange(1, MOST_LEARNERS), default=None, help="Agents M. [default: 8, or the matrix's]"),
)
straggler_options = options.together(
    click.option(
        "--model",
        "--straggler-model",
        "model",
        type=click.Choice(verbs.choices("codedmarl", "straggler_model")),
        default=None,
        help="How learners are late. [default: trace with --trace, bernoulli with --straggler-share, else fixed]",
    ),
    click.option(
        "--stragglers", "-k", type=click.IntRange(0), default=None, metavar="K", help="fixed: learners that are late. [default: 0]"
    ),
    click.option(
        "--delay", type=DURATION, default=None, help="By how much (1.5, 250ms); exp, pareto: mean extra time of an update. [default: 1s]"
    ),
    click.option("--straggler-share", type=float, default=None, metavar="P", help="bernoulli: chance that a learner is late."),
    click.option("--pareto-shape", type=float, default=None, metavar="A", help="pareto: tail index, above 1. [default: 2]"),
    click.option("--trace", type=options.PATH, default=None, metavar="FILE|RUN", help="csv: iteration, learner, delay[, kind]; or a run."),
    click.option("--kill-rate", type=float, default=0.0, metavar="P", help="Chance that a learner dies in an iteration. [default: 0]"),
)
time_options = options.together(
    click.option("--update-time", type=DURATION, default=None, help="Of one agent's update. [default: 20ms, or the run's of --trace]"),
    click.option("--overhead", type=DURATION, default=0.0, help="Rollout, broadcast and decoding of an iteration. [default: 0]"),
    click.option("--payload", type=BYTES, default=None, help="Bytes of a share (156kB). [default: as simple_spread's networks]"),
    click.option("--bandwidth", type=RATE, default=None, help="Of the link shares go through (1Gbit, 125MB/s). [default: unlimited]"),
)
code_options = options.together(
    click.option("--matrix", type=options.PATH, default=None, metavar="FILE", help="An encoding matrix of your own: .npy or .npz."),
    click.option(
        "--field",
        type=click.Choice(verbs.choices("codedmarl", "field")),
        default=None,
        help="Arithmetic of the shares. [default: real64, or the matrix's]",
    ),
)

#: Options that only some models look at.
_MEANT_FOR = {
    "stragglers": ("fixed",),
    "delay": ("fixed", "bernoulli", "exp", "pareto"),
    "straggler_share": ("bernoulli",),
    "pareto_shape": ("pareto",),
    "trace": ("trace",),
}


def stragglers(learners: int, given: dict[str, Any]) -> Stragglers:
    """The model of stragglers that the options make.

    Raises:
        UsageError: as many stragglers as learners, an option that the model does not look at, a value that makes no sense.
        PprError: a trace that cannot be used.
    """
    model: StragglerModel = given["model"] or (
        "trace" if given["trace"] else "bernoulli" if given["straggler_share"] is not None else "fixed"
    )
    for name, models in _MEANT_FOR.items():
        if given[name] is not None and model not in models:
            option = f"--{name.replace('_', '-')}"
            raise UsageError(f"{option}: the model {model} does not look at it", hint=f"leave it out, or --model {' or '.join(models)}")
    count = given["stragglers"] or 0
    if count >= learners:
        raise UsageError(f"--stragglers {count}: of {learners} learners at most {learners - 1} can be late", hint="fewer, or more learners")
    if model == "bernoulli" and given["straggler_share"] is None:
        raise UsageError("--straggler-share is missing", hint="the chance that a learner is late, for example 0.1")
    from ppr.methods.codedmarl.learners.stragglers import Stragglers
    from ppr.methods.codedmarl.learners.traces import load_trace

    trace = load_trace(given["trace"]) if given["trace"] is not None else None
    if trace is not None:
        trace.check(learners)
    delay = 1.0 if given["delay"] is None and model in _MEANT_FOR["delay"] else given["delay"] or 0.0
    shape = 2.0 if given["pareto_shape"] is None else given["pareto_shape"]
    return Stragglers(model, count, delay, given["straggler_share"] or 0.0, shape, trace, given["kill_rate"])


def update_time(given: float | None, kind: Stragglers) -> float:
    """Seconds of an update: as given, as a run measured, or the default."""
    measured = kind.trace.update_time if kind.trace is not None else None
    return given if given is not None else UPDATE_TIME if measured is None else measured


def sizes(matrix: Path | None, learners: int | None, agents: int | None, field: FieldName | None) -> tuple[int, int, Code | None]:
    """Numbers of learners and agents, and the code of a matrix file.

    Raises:
        UsageError: fewer learners than agents, or a matrix of other numbers than were asked for.
        PprError: not a matrix that can be decoded.
    """
    code = None
    if matrix is not None:
        from ppr.methods.codedmarl.codes.matrices import load_matrix

        code = load_matrix(matrix, field)
        learners, agents = learners or code.learners, agents or code.agents
        if (code.learners, code.agents) != (learners, agents):
            raise UsageError(
                f"{matrix}: a matrix of {code.learners} learners x {code.agents} agents, not of {learners} x {agents}",
                hint=f"--learners {code.learners} --agents {code.agents}",
            )
    learners, agents = learners or max(15, agents or 0), agents or min(8, learners or 8)
    if learners < agents:
        raise UsageError(f"--learners {learners}: fewer than the {agents} agents", hint=f"--learners {agents} or more")
    return learners, agents, code
