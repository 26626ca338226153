"""`ppr codedmarl infer`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from ._playing import play_options

if TYPE_CHECKING:
    from ppr.methods.codedmarl.infer import Predictor


@click.command()
@options.model_argument(required=False)
@click.option("--gif", type=options.PATH, default=None, metavar="FILE", help="Play, and write what happens as an animation.")
@click.option("--stdin", "from_stdin", is_flag=True, help="Answer observations, as JSON lines, with actions.")
@click.option("--episodes", type=click.IntRange(1, 100), default=None, help="--gif: episodes, one after the other. [default: 3]")
@click.option("--size", type=click.IntRange(240, 2048), default=None, help="--gif: pixels of a side. [default: 480]")
@click.option("--fps", type=click.FloatRange(0.1, 50), default=None, help="--gif: steps a second. [default: 10]")
@play_options
@options.overwrite
@options.json_lines
@options.quiet
def infer(
    run: str | None,
    gif: Path | None,
    from_stdin: bool,
    episodes: int | None,
    size: int | None,
    fps: float | None,
    sampled: bool,
    env: str | None,
    seed: int | None,
    overwrite: bool,
    as_json: bool,
) -> int:
    """Watch the agents of RUN, or ask them what to do. Without RUN: three agents of simple_spread that come along.

    A line in: {"agent_0": [its observation], …}; a line out: {"agent_0": {"discrete": 3, "soft": [0.1, …]}, …}. soft is the action in
    [0, 1], discrete its largest component. A line that cannot be used is reported and gets no answer; the exit code is 1 then.

    \b
    ppr codedmarl infer --gif spread.gif
    ppr codedmarl infer runs/tag --gif tag.gif --episodes 1 --seed 7
    my-robots | ppr codedmarl infer runs/spread --stdin | my-motors
    """
    if (gif is None) != from_stdin:
        raise UsageError("give either --gif FILE, to watch, or --stdin, to ask", hint="ppr codedmarl infer --gif spread.gif")
    from ppr.methods.codedmarl.agents.episodes import Episodes
    from ppr.methods.codedmarl.infer import Predictor
    from ppr.methods.codedmarl.weights import DEFAULT
    from ppr.methods.common.reading.files import refuse_existing

    if gif is None:
        watching = {"--episodes": episodes, "--size": size, "--fps": fps, "--seed": seed, "--env": env, "--sampled": sampled or None}
        for option, value in watching.items():
            if value is not None:
                raise UsageError(f"{option}: is for --gif", hint=f"leave {option} out")
        return answer(Predictor.load(run or DEFAULT))
    refuse_existing(gif, overwrite=overwrite)
    predictor = Predictor.load(run or DEFAULT)
    data = Episodes(predictor.environment(1, env), episodes or 3, seed or 0, sampled)
    record = predictor.film(data, gif, fps=fps or 10.0, size=size or 480, overwrite=overwrite)
    if as_json:
        output.emit_json(record)
    else:
        click.echo(str(gif))
        output.note("  ".join(f"return of {team} {mean:.2f}" for team, mean in record["returns"].items()))
    return 0


def answer(predictor: Predictor) -> int:
    """Answer each line of standard input on standard output; the exit code."""
    import json

    from ppr.methods.common.reading import jsonl

    batch = output.Batch()
    for line in jsonl.lines(sys.stdin.buffer):
        with batch.item():
            click.echo(json.dumps(predictor.answer(line), ensure_ascii=False))
    return batch.exit_code()
