"""`ppr codedmarl report`."""

from __future__ import annotations

from pathlib import Path

import click

from .. import options, output


@click.command()
@click.argument("run", type=options.PATH)
@options.out("HTML file to write, with pictures in it. [default: RUN/report.html]")
@options.overwrite
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, and no file unless --out is given.")
@options.quiet
def report(run: Path, out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Which learners of RUN were slow, lost or computed in vain, and where the time of its iterations went.

    Also of a training that goes on. The page of the run's own folder is written anew each time.

    \b
    ppr codedmarl report runs/spread
    ppr codedmarl report runs/spread --json | jq .slow
    """
    from ppr.methods.codedmarl.report import learner_rows, make_report, phase_rows, read, sentences
    from ppr.methods.common.reading.files import refuse_existing

    if out is not None:
        refuse_existing(out, overwrite=overwrite)
    recorded = read(run)
    made = make_report(recorded)
    path = out or (None if as_json else run / "report.html")
    if path is not None:
        from ppr.methods.codedmarl.report_page import write_page

        write_page(recorded, made, path, overwrite=overwrite or out is None)
    if as_json:
        output.emit_json(made.record())
        return
    output.table(phase_rows(made), as_json=False, title="Parts of an iteration, seconds")
    output.table(learner_rows(made), as_json=False, title="Learners")
    for line in sentences(made):
        output.note(line)
    click.echo(str(path))
