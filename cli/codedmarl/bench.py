"""`ppr codedmarl bench`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .. import options, output, verbs
from ..types import DURATION, Numbers, Words

if TYPE_CHECKING:
    from ppr.methods.codedmarl.bench import Measured
    from ppr.methods.codedmarl.config import TrainConfig


FAMILIES = verbs.choices("codedmarl", "code")


@click.command()
@click.option("--codes", type=Words(FAMILIES), default=",".join(FAMILIES), help="Which ones, separated by commas. [default: all]")
@click.option(
    "--stragglers",
    "-k",
    type=Numbers(click.IntRange(0, 999_999), "K"),
    default="0,1,2",
    show_default=True,
    help="Slow learners, drawn anew every iteration.",
)
@click.option("--delay", type=DURATION, default=0.25, help="By how much they are slow. [default: 250ms, as in the paper]")
@click.option("--iterations", type=click.IntRange(1, 100_000), default=20, show_default=True, help="Measured of each.")
@click.option("--learners", type=click.IntRange(1), default=15, show_default=True, help="Learners N.")
@click.option("--agents", type=click.IntRange(1), default=8, show_default=True, help="Agents M.")
@click.option("--tolerance", type=click.IntRange(0), default=None, help="Of balanced and multi.")
@click.option(
    "--field", type=click.Choice(verbs.choices("codedmarl", "field")), default="gf256", show_default=True, help="Arithmetic of the shares."
)
@click.option("--env", default="simple_spread", show_default=True, metavar="NAME", help="Scenario.")
@click.option(
    "--engine",
    type=click.Choice(["local", "ray", "sim"]),
    default="local",
    show_default=True,
    help="Where learners run; sim gives each a core of its own on a virtual clock.",
)
@click.option("--address", default="local", show_default=True, metavar="local|auto|HOST:PORT", help="Of Ray.")
@click.option("--profile", is_flag=True, help="Only measure what `plan` wants to know: the seconds of an update and of the rest.")
@options.overrides
@options.seed
@options.out("CSV file with every measurement.")
@click.option("--plot", type=options.PATH, default=None, metavar="FILE.png", help="Bars as in the paper, with the plan beside them.")
@options.overwrite
@options.json_lines
@options.quiet
def bench(
    codes: list[str],
    stragglers: list[int],
    iterations: int,
    profile: bool,
    overrides: tuple[str, ...],
    out: Path | None,
    plot: Path | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Seconds an iteration of each code under stragglers, beside what `plan` says from the measured times of an update and of the rest.

    \b
    ppr codedmarl bench --codes uncoded,balanced,mds --stragglers 0,1,2 --delay 0.5 --out bench.csv --plot bench.png
    ppr codedmarl bench --engine sim --set batch=256
    ppr codedmarl bench --profile --agents 10
    """
    from ppr.methods.codedmarl.config import TrainConfig
    from ppr.methods.common.config import load_config
    from ppr.methods.common.reading.files import refuse_existing

    for path in (out, plot):
        if path is not None:
            refuse_existing(path, overwrite=overwrite)
    codes, stragglers = list(dict.fromkeys(codes)), list(dict.fromkeys(stragglers))
    # A warm-up of one minibatch is enough: what is learned is not looked at.
    config = load_config(TrainConfig, None, overrides, base={"warmup": 2048}, iterations=iterations, **given)
    if profile:
        show_profile(config, as_json=as_json)
        return
    from ppr.methods.codedmarl import bench as measuring
    from ppr.methods.codedmarl.setup import warn_of_contention

    warn_of_contention(config, config.learners)
    with output.progress("iterations", len(codes) * len(stragglers) * (iterations + measuring.WARM)) as advance:
        found = measuring.bench(config, codes, stragglers, advance)  # type: ignore[arg-type]
    if out is not None:
        measuring.write_csv(found, out, overwrite=overwrite)
    if plot is not None:
        from ppr.methods.codedmarl.pictures import draw_bench

        draw_bench(found, plot, overwrite=overwrite)
    output.table([row(one) for one in found], as_json=as_json)
    for path in (out, plot):
        if path is not None:
            output.note(f"wrote {path}")


def row(one: Measured) -> dict[str, Any]:
    return {
        "code": one.code,
        "stragglers": one.stragglers,
        "max row": one.max_row,
        "tolerance": one.tolerance,
        "median": one.median,
        "mean": one.mean,
        "p95": one.p95,
        "planned": one.planned,
        "planned, these draws": one.planned_draws,
        "off %": round(100 * one.off, 1),
        "update": one.update_time,
        "overhead": one.overhead,
    }


def show_profile(config: TrainConfig, *, as_json: bool) -> None:
    from ppr.methods.codedmarl.bench import profile

    found = profile(config)
    if as_json:
        output.emit_json(vars(found))
        return
    click.echo(
        f"update time {found.update_time * 1e3:.2f} ms, overhead {found.overhead * 1e3:.1f} ms, share {output.file_size(found.payload)}"
    )
    click.echo(
        f"ppr codedmarl plan --learners {config.learners} --agents {config.agents} --update-time {found.update_time * 1e3:.3g}ms "
        f"--overhead {found.overhead * 1e3:.3g}ms --payload {found.payload}B"
    )
