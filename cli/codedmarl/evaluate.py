"""`ppr codedmarl evaluate`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from .. import options, output
from ..types import Model
from ._playing import play_options

if TYPE_CHECKING:
    from ppr.methods.codedmarl.agents.episodes import Episodes
    from ppr.methods.codedmarl.evaluate import Match
    from ppr.methods.codedmarl.infer import Predictor


@click.command()
@options.model_argument()
@click.option("--episodes", type=click.IntRange(1, 1_000_000), default=100, show_default=True, help="Episodes to play.")
@click.option("--opponent", type=Model(), default=None, help="A second training: its teams with and against those of the first.")
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
    from ppr.methods.codedmarl.agents.episodes import Episodes
    from ppr.methods.codedmarl.evaluate import cross_play
    from ppr.methods.codedmarl.evaluate import evaluate as measure
    from ppr.methods.codedmarl.infer import Predictor

    predictor = Predictor.load(run)
    data = Episodes(predictor.environment(episodes, env), episodes, seed or 0, sampled)
    if opponent is None:
        with output.progress("episodes", 2 * data.rounds) as advance:
            record = measure(predictor, data, advance)
        show({"run": run, **record}, data, as_json=as_json)
    else:
        other = Predictor.load(opponent)
        with output.progress("episodes", 4 * data.rounds) as advance:
            matches = cross_play(predictor, other, data, advance)
        show_matches({"run": run, **data.record(), "opponent": opponent}, predictor, matches, as_json=as_json)


def show(record: dict[str, Any], data: Episodes, *, as_json: bool) -> None:
    """One table: the teams' returns, then the other measures, each with what random play gets."""
    if as_json:
        output.emit_json(record)
        return
    random = record["baselines"]["random"]
    rows = [row(f"return of {team}", found, random["teams"][team]) for team, found in record["teams"].items()]
    for metric in data.environment.metrics:
        name = f"{metric.name} ({metric.over} over the episode)"
        rows.append(row(name, record["metrics"][metric.name], random["metrics"][metric.name]))
    output.table(rows, as_json=False)
    note(record)
    for metric in data.environment.metrics:
        output.note(f"{metric.name}: {metric.description}")


def row(name: str, found: dict[str, float], random: dict[str, float]) -> dict[str, Any]:
    shown = {"mean": found["mean"], "+- 95 %": found["interval"], "deviation": found["deviation"], "random play": random["mean"]}
    return {"measure": name, **output.finite(shown)}


def note(record: dict[str, Any], episodes: str = "episodes") -> None:
    """What the numbers are, on stderr."""
    output.note(f"{record['env']}, {record['episodes']} {episodes}, actions {record['policy']}")
    output.note(f"return: {record['definition']}")


def show_matches(about: dict[str, Any], predictor: Predictor, matches: list[Match], *, as_json: bool) -> None:
    """A row for each pairing."""
    two_teams, names = len({spec.team for spec in predictor.model.specs}) == 2, (about["run"], about["opponent"])
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
    note(about, "episodes a row, from the same starts")
