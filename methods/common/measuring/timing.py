"""How long something takes: in a process of its own, again and again, in turns with what it is compared with."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import statistics
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, Generic, ParamSpec, TypeAlias, TypeVar

from ..errors import PprError
from .memory import peak_memory

P = ParamSpec("P")
T = TypeVar("T")
Clock: TypeAlias = Callable[[], float]


@dataclass(frozen=True)
class Timing:
    """Seconds of the same work, each time it was done."""

    seconds: tuple[float, ...]

    median = property(lambda self: float(statistics.median(self.seconds)))
    least = property(lambda self: float(min(self.seconds)))
    most = property(lambda self: float(max(self.seconds)))
    mean = property(lambda self: float(statistics.fmean(self.seconds)))

    def percentile(self, percent: float) -> float:
        """Interpolated between the two nearest, as NumPy does."""
        place = percent / 100 * (len(self.seconds) - 1)
        below = int(place)
        low, high = (sorted(self.seconds)[min(index, len(self.seconds) - 1)] for index in (below, below + 1))
        return low + (place - below) * (high - low)

    def ratio(self, peer: Timing) -> float:
        """How many times as long as a peer of the same run, by medians."""
        return self.median / peer.median


def repeat(work: Callable[[], object], rounds: int, *, warm: int = 1, clock: Clock = time.perf_counter) -> Timing:
    """Do it `warm` times, then `rounds` times that count."""
    return in_turns({"": work}, rounds, warm=warm, clock=clock)[""]


def in_turns(
    works: Mapping[str, Callable[[], object]], rounds: int, *, warm: int = 1, clock: Clock = time.perf_counter
) -> dict[str, Timing]:
    """Do all of them in every round, so that a busy moment of the machine hits each; `warm` rounds come before and do not count."""
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for number in range(warm + rounds):
        for name, work in works.items():
            began = clock()
            work()
            if number >= warm:
                seconds[name].append(clock() - began)
    return {name: Timing(tuple(times)) for name, times in seconds.items()}


@dataclass(frozen=True)
class Spent(Generic[T]):
    """What a process of its own came to.

    Args:
        seconds: of the work, without starting Python and importing.
        peak_mb: the largest memory of the process, in MB (10^6 bytes); None where the system does not tell.
    """

    result: T
    seconds: float
    peak_mb: float | None


def in_fresh_process(work: Callable[P, T], *arguments: P.args, **options: P.kwargs) -> Spent[T]:
    """Do it in a new process, so that memory and thread pools are its own; the process is gone when this returns or is interrupted.

    Args:
        work: a function of a module, as `pickle` wants it; arguments and result must be picklable too.

    Raises:
        PprError: the process died.
        Exception: what `work` raised.
    """
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_work, args=(sending, work, arguments, options))
    try:
        with _interrupt_ignored():
            process.start()
        sending.close()
        done: Spent[T] | Exception = receiving.recv()
    except EOFError:
        process.join()
        raise PprError(
            f"the process that measured died (exit code {process.exitcode})", hint="memory may have run out: measure less"
        ) from None
    finally:
        if process.pid is not None:
            process.kill()
            process.join()
        receiving.close()
    if isinstance(done, Exception):
        raise done
    return done


def _work(sending: Connection, work: Callable[..., Any], arguments: tuple[Any, ...], options: dict[str, Any]) -> None:
    began = time.perf_counter()
    try:
        result = work(*arguments, **options)
        sending.send(Spent(result, time.perf_counter() - began, peak_memory()))
    except Exception as error:
        error.add_note(f"in the measuring process:\n{traceback.format_exc()}")
        sending.send(error)


@contextlib.contextmanager
def _interrupt_ignored() -> Iterator[None]:
    """A process that starts in here ignores Ctrl-C, which is its parent's to handle."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
