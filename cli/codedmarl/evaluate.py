"""`ppr codedmarl evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .. import options, output
from ._playing import play_options

if TYPE_CHECKING:
    from ppr.methods.codedmarl.agents.model import TrainedAgents
    from ppr.methods.codedmarl.environments import Environment
    from ppr.methods.codedmarl.evaluate import Evaluation, Match
    from ppr.methods.common.measuring.seeds import Estimate


@click.command()
@click.argument("run", metavar="RUN|NAME")
@click.option("--episodes", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Episodes to play.")
@click.option("--opponent", default=None, metavar="RUN|NAME", help="A second training: its teams with and against those of the first.")
@play_options
@options.json_lines
@options.quiet
def evaluate(run: str, episodes: int, opponent: str | None, sampled: bool, env: str | None, seed: int | None, as_json: bool) -> None:
    """Returns per agent of the agents of RUN, by team, with 95 % confidence intervals, and what else the environment measures.

    NAME is a model that comes along: spread. With --opponent good agents of each training meet adversaries of each; where there is one
    team, its first half plays with the second half of the other.

    \b
    ppr codedmarl evaluate runs/spread --episodes 1000
    ppr codedmarl evaluate runs/tag --opponent runs/tag2
    """
    from ppr.methods.codedmarl.agents.model import TrainedAgents
    from ppr.methods.codedmarl.evaluate import cross_play, environment_of, play

    model = TrainedAgents.load(run)
    environment = environment_of(model, episodes, env=env)
    about = {
        "run": run,
        "env": environment.name,
        "episodes": episodes,
        "policy": "sampled" if sampled else "without noise",
        "definition": f"sum over the {environment.episode_length} steps of an episode, mean over agents; {environment.reward_definition}",
    }
    if opponent is None:
        evaluation = play(model.actors, environment, episodes, seed=seed or 0, sampled=sampled)
        show(about, environment, evaluation, as_json=as_json)
    else:
        other = TrainedAgents.load(opponent)
        matches = cross_play(model, other, environment, episodes, seed=seed or 0, sampled=sampled)
        show_matches(about | {"opponent": opponent}, model, matches, [run, opponent], as_json=as_json)


def show(about: dict[str, Any], environment: Environment, evaluation: Evaluation, *, as_json: bool) -> None:
    """One table: the teams' returns, then the other measures."""
    from ppr.methods.common.measuring.seeds import Estimate

    measured = {metric: Estimate.of(evaluation.metrics[metric.name]) for metric in environment.metrics}
    if as_json:
        metrics = {metric.name: vars(estimate) for metric, estimate in measured.items()}
        teams = {team: vars(estimate) for team, estimate in evaluation.teams().items()}
        output.emit_json({**about, "return": evaluation.mean, "teams": teams, "metrics": metrics})
        return
    rows = [row(f"return of {team}", estimate) for team, estimate in evaluation.teams().items()]
    rows += [row(f"{metric.name} ({metric.over} over the episode)", estimate) for metric, estimate in measured.items()]
    output.table(rows, as_json=False)
    output.note(f"{about['env']}, {about['episodes']} episodes, actions {about['policy']}")
    output.note(f"return: {about['definition']}")
    for metric in environment.metrics:
        output.note(f"{metric.name}: {metric.description}")


def row(name: str, estimate: Estimate) -> dict[str, Any]:
    found = {"mean": estimate.mean, "+- 95 %": estimate.interval, "deviation": estimate.deviation}
    return {"measure": name, **output.finite(found)}


def show_matches(about: dict[str, Any], model: TrainedAgents, matches: list[Match], names: list[str], *, as_json: bool) -> None:
    """A row for each pairing."""
    two_teams = len({spec.team for spec in model.specs}) == 2
    sides = ("good", "adversary") if two_teams else ("first half", "second half")
    records: list[dict[str, Any]] = []
    for match in matches:
        teams = {team: vars(estimate) for team, estimate in match.evaluation.teams().items()}
        records.append({**dict(zip(sides, (names[side] for side in match.sides), strict=True)), "teams": teams})
    if as_json:
        output.emit_json({**about, "matches": records})
        return
    rows = []
    for record in records:
        shown = {side: record[side] for side in sides}
        for team, estimate in record["teams"].items():
            shown |= output.finite({f"return of {team}": estimate["mean"], f"+- 95 % {team}": estimate["interval"]})
        rows.append(shown)
    output.table(rows, as_json=False)
    output.note(f"{about['env']}, {about['episodes']} episodes a row, from the same starts, actions {about['policy']}")
    output.note(f"return: {about['definition']}")
