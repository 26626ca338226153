"""Learners as processes of this machine: forked from a server that has torch loaded, reached by pipes."""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from typing import Any

from numpy.typing import NDArray

from ...common.errors import PprError, UsageError
from .block import NOTHING, Block, Layout, create
from .engine import Answer, Assignment, Computation, Engine, Failure, Lost, Member, Share
from .work import HOST, one_thread, work

log = logging.getLogger("ppr")

START_SECONDS = 120.0  # until learners have to be ready; loading torch takes seconds, on a busy machine tens of them


@dataclass(eq=False)
class Worker:
    """A learner process, its end of the pipe, and the place it fills (None: a spare)."""

    process: ForkServerProcess
    pipe: Connection
    learner: int | None
    ready: threading.Event = field(default_factory=threading.Event)
    gone: bool = False


class LocalEngine(Engine):
    """Processes of this machine.

    A thread a learner reads its pipe, so that answers are received while the controller does other things, a learner never waits
    with an answer, and the end of a process is seen at once as the end of its pipe.

    Args:
        spares: processes that are kept ready beside the learners to take the place of a lost one.
    """

    name = "local"

    def __init__(self, spares: int = 1) -> None:
        if sys.platform == "win32":
            raise UsageError("--engine local needs Linux or macOS", hint="use --engine inproc, or ray")
        self.spares = spares
        self.workers: list[Worker] = []
        self.answers: queue.SimpleQueue[tuple[Worker, Answer]] = queue.SimpleQueue()
        self.block = Block(create())
        self.layout = Layout((), 0)
        self.closed = False

    def start(self, computation: Computation, learners: int) -> None:
        self.computation = computation
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["__main__", "torch", "threadpoolctl", __name__, type(computation).__module__])
        for learner in range(learners):
            self.spawn(learner)
        for _ in range(self.spares):
            self.spawn(None)
        deadline = time.monotonic() + START_SECONDS
        for worker in list(self.workers):
            while worker.learner is not None and not worker.ready.wait(0.05):
                if worker.gone or time.monotonic() > deadline:
                    self.close()
                    raise PprError("the learners' processes do not start", hint="see the messages above; --engine inproc needs none")

    def spawn(self, learner: int | None) -> None:
        """Start a process; it counts as ready when it says so."""
        own, other = multiprocessing.Pipe()
        process = self.context.Process(target=serve, args=(other, self.block, self.computation), daemon=True)
        with _shielded():
            process.start()
        other.close()
        worker = Worker(process, own, learner)
        self.workers.append(worker)
        threading.Thread(target=self._listen, args=(worker,), daemon=True).start()

    def _listen(self, worker: Worker) -> None:
        """Receive what a learner sends until its pipe ends."""
        try:
            while True:
                message = pickle.loads(worker.pipe.recv_bytes())  # from our own process
                if isinstance(message, (Share, Failure)):
                    if isinstance(message, Share):
                        message.received = self.now()
                    self.answers.put((worker, message))
                else:
                    worker.ready.set()
        except (EOFError, OSError):
            worker.gone = True
            self.answers.put((worker, Lost(-1, "its process ended")))
        finally:
            worker.pipe.close()

    def publish(self, iteration: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.layout = self.block.write(iteration, arrays)

    def submit(self, assignments: Sequence[Assignment]) -> None:
        for assignment in assignments:
            worker = self._place(assignment.learner)
            if worker is not None:
                # A pipe that has just broken is noticed by its thread, which reports the loss.
                with contextlib.suppress(OSError):
                    worker.pipe.send((assignment, self.layout))

    def wait_any(self, timeout: float) -> list[Answer]:
        found: list[Answer] = []
        deadline = self.now() + timeout
        while not found:
            try:
                received = [self.answers.get(timeout=max(0.0, deadline - self.now()))]
            except queue.Empty:
                return []
            with contextlib.suppress(queue.Empty):
                while True:
                    received.append(self.answers.get_nowait())
            found = [answer for worker, message in received if (answer := self._judge(worker, message)) is not None]
        return found

    def _judge(self, worker: Worker, message: Answer) -> Answer | None:
        """An answer as the controller takes it: of a lost process its place, if it was not emptied on purpose."""
        if not isinstance(message, Lost):
            return message
        if worker not in self.workers:
            return None
        learner = worker.learner
        self._end(worker)
        if learner is None:
            if worker.ready.is_set():
                self.spawn(None)
            return None
        reason = f"its process ended ({_ending(worker.process.exitcode)})"
        return Lost(learner, reason)

    def abandon(self, iteration: int) -> None:
        if self.block.wanted == iteration:
            self.block.want(NOTHING)

    def respawn(self, learner: int) -> None:
        current = self._place(learner)
        if current is not None:
            self._end(current)
        spares = [worker for worker in self.workers if worker.learner is None and not worker.gone]
        # One that still starts is further along than a new one.
        for worker in sorted(spares, key=lambda worker: not worker.ready.is_set())[:1]:
            worker.learner = learner
        self.spawn(None if spares else learner)

    def ready(self) -> set[int]:
        return {worker.learner for worker in self.workers if worker.learner is not None and worker.ready.is_set() and not worker.gone}

    def members(self) -> list[Member]:
        return [Member(worker.learner, worker.process.pid or 0, HOST, worker.ready.is_set()) for worker in self.workers if not worker.gone]

    def close(self) -> None:
        if self.closed:
            return
        self.closed = True
        for worker in list(self.workers):
            self._end(worker)
        self.block.close()

    def _place(self, learner: int) -> Worker | None:
        return next((worker for worker in self.workers if worker.learner == learner), None)

    def _end(self, worker: Worker) -> None:
        """End one process and forget it."""
        self.workers.remove(worker)
        worker.process.kill()
        worker.process.join(5)


def serve(pipe: Connection, block: Block, computation: Computation) -> None:
    """A learner's process: do what comes through the pipe until it ends, which it does with the controller."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    one_thread()
    try:
        pipe.send_bytes(pickle.dumps(os.getpid()))
        while True:
            assignment, layout = pipe.recv()
            block.attach(layout.size)

            def abandoned(iteration: int = assignment.iteration) -> bool:
                return block.wanted != iteration

            answer = work(computation, block.arrays(layout), assignment, abandoned)
            pipe.send_bytes(_pickled(answer))
    except (EOFError, OSError):
        return


def _pickled(answer: Share | Failure) -> bytes:
    """An answer as bytes; an error that cannot be pickled as its text."""
    try:
        return pickle.dumps(answer, protocol=5)
    except Exception:
        assert isinstance(answer, Failure)
        return pickle.dumps(Failure(answer.assignment, RuntimeError(repr(answer.error)), answer.where), protocol=5)


@contextlib.contextmanager
def _shielded() -> Iterator[None]:
    """Processes started in the block, and their children, never see Ctrl-C: the controller ends them when it has saved."""
    resource_tracker.ensure_running()  # it would be started with the fork server, and unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _ending(code: int | None) -> str:
    if code is not None and code < 0:
        return signal.Signals(-code).name
    return f"exit code {code}"
