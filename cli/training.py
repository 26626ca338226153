"""What every `train` does around the method's own training: a new run or an old one, its configuration, progress and result."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from ppr.methods.common.errors import UsageError

from . import options, output

if TYPE_CHECKING:
    from ppr.methods.common.config import BaseConfig
    from ppr.methods.common.running.run import Progress, Run

C = TypeVar("C", bound="BaseConfig")


#: While it is open, the two callbacks of a `Run` that show its progress and its records.
Showing = AbstractContextManager[tuple[Callable[["Progress"], None], Callable[[dict[str, Any]], None]]]

#: What every run has, whatever it trains: configuration, folder, output.
folder_options = options.together(
    options.config_file,
    options.overrides,
    options.seed,
    options.out("Folder of the run."),
    click.option("--resume", type=options.PATH, default=None, metavar="RUN", help="Go on with an interrupted run."),
    options.overwrite,
    options.json_lines,
    options.quiet,
)
#: The same with devices, precision and workers, for trainings by the common loop.
run_options = options.together(options.training, folder_options)


def run_training(
    cls: Callable[[], type[C]],
    build: Callable[[], C],
    work: Callable[[C, Run, bool], object],
    *,
    out: Path | None,
    resume: Path | None,
    configured: bool,
    overwrite: bool,
    as_json: bool,
    check: Callable[[C], object] = lambda _config: None,
    finish: Callable[[Run], object] = lambda _run: None,
    show: Callable[[bool], Showing] | None = None,
) -> None:
    """Start a run in `out`, or go on with the one in `resume`, and print the path of its best checkpoint.

    Args:
        cls: the configuration's class; called late, for what it imports.
        build: a new run's configuration.
        work: trains: (configuration, run, whether it goes on).
        configured: whether options were given that only a new run can take.
        check: finds wrong data before a run directory is made.
        finish: what is to be done and shown after the training, when its progress bar is gone.
        show: what is seen of the training while it goes on, as JSON or not; None: a bar, and a line a record.

    Raises:
        UsageError: neither or both of `out` and `resume`, or a configuration for a run that has one.
    """
    if (out is None) == (resume is None):
        raise UsageError("give --out for a new run, or --resume for an interrupted one")
    if resume is not None and configured:
        raise UsageError("--resume goes on with the run's own configuration", hint="leave the other training options out")
    from ppr.methods.common.running.run import Run

    folder = resume if resume is not None else out
    assert folder is not None
    with show(as_json) if show is not None else output.training(as_json=as_json) as (report, announce):
        run = Run(folder, report=report, announce=announce)
        config = build() if resume is None else run.config(cls())
        check(config)
        if resume is None:
            run.start(config, overwrite=overwrite)
        work(config, run, resume is not None)
    finish(run)
    if as_json:
        output.emit_json({"checkpoint": str(run.best)})
    else:
        click.echo(str(run.best))
