"""What is seen of a training with learners: a table of them on a terminal, a line now and then elsewhere, or JSON."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .. import output

if TYPE_CHECKING:
    from rich.console import Group
    from rich.live import Live

    from ppr.methods.codedmarl.train import Glance
    from ppr.methods.common.running.run import Progress

LINE_SECONDS = 5.0  # between two lines where there is no terminal
REDRAW_SECONDS = 0.25
COLOURS = {"ok": "green", "straggling": "yellow", "dead": "red"}


class View:
    """Shows a training: `showing` around all of it, `update` after every iteration."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self.live: Live | None = None
        self.ends: deque[tuple[int, float]] = deque(maxlen=50)
        self.last = 0.0
        self.returned: float | None = None
        self.seen: Glance | None = None

    @contextlib.contextmanager
    def showing(self) -> Iterator[tuple[Callable[[Progress], None], Callable[[dict[str, Any]], None]]]:
        """The callbacks of a `Run`, of which only the one for records does something, with --json."""
        console = output.console()
        with contextlib.ExitStack() as stack:
            if sys.stderr.isatty() and not console.quiet and not self.as_json:
                from rich.live import Live

                self.live = stack.enter_context(Live(console=console, transient=True, auto_refresh=False))
            yield (lambda _progress: None), (output.emit_json if self.as_json else lambda _record: None)
        if self.live is not None and self.seen is not None:
            output.note(self.line(self.seen))

    def update(self, glance: Glance) -> None:
        """Show the training as it is now, unless that was done a moment ago."""
        now, self.seen = time.monotonic(), glance
        self.ends.append((glance.iteration, now))
        self.returned = glance.record.get("return", self.returned)
        if self.as_json:
            return
        noteworthy = glance.iteration in (1, glance.iterations) or "evaluation" in glance.record
        if self.live is not None:
            if noteworthy or now - self.last > REDRAW_SECONDS:
                self.live.update(self.table(glance), refresh=True)
                self.last = now
        elif noteworthy or now - self.last > LINE_SECONDS:
            output.note(self.line(glance))
            self.last = now

    def speed(self) -> float | None:
        """Iterations a second, over the last ones."""
        (first, begun), (last, ended) = self.ends[0], self.ends[-1]
        return (last - first) / (ended - begun) if ended > begun else None

    def line(self, glance: Glance) -> str:
        """iteration 20/500  return -24.10  8.1/s  learners 5 ok, 1 straggling"""
        parts = [f"iteration {glance.iteration}/{glance.iterations}"]
        parts += [f"return {self.returned:.2f}"] if self.returned is not None else []
        parts += [f"{key} {value:.2f}" for key, value in _evaluation(glance.record).items()]
        speed = self.speed()
        parts += [f"{speed:.1f}/s"] if speed is not None else []
        states = [standing.state for standing in glance.standings]
        counts = [f"{states.count(state)} {state}" for state in COLOURS if state in states]
        parts += [f"learners {', '.join(counts)}"] if counts else []
        return "  ".join(parts)

    def table(self, glance: Glance) -> Group:
        """A line, and below it the learners, one a row as long as there is room."""
        from rich import box
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        assert self.live is not None
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("learner", "agents", "state", "last share"):
            table.add_column(column, justify="left" if column == "state" else "right")
        room = max(3, self.live.console.height - 6)
        for standing in glance.standings[:room]:
            seconds = "-" if standing.seconds is None else f"{standing.seconds:.3f} s"
            state = Text(standing.state, COLOURS[standing.state])
            table.add_row(str(standing.learner), str(standing.weight), state, seconds)
        if len(glance.standings) > room:
            table.caption = f"… and {len(glance.standings) - room} more"
        return Group(Text(self.line(glance)), table)


def _evaluation(record: Mapping[str, Any]) -> dict[str, float]:
    return {key.replace("_", " "): value for key, value in record.items() if key.startswith("evaluation")}
