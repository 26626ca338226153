"""The loop that every training is written on: counted, shown, stopped between two steps, saved, and resumed to the same bits.

loop = Loop(run, {"model": model, "optimizer": optimizer}, steps=config.steps, resume=resume)
for step in loop:
    losses = update(model, optimizer, data(step))
    loop.show(losses)
    if loop.every(config.evaluate_every):
        loop.checkpoint(model.state_dict(), meta, evaluate(model), cost="error")
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Protocol

from ..errors import PprError
from ..random import restore_rng, rng_state
from .interrupts import StopRequest, interruptible, interruption
from .processes import Alone, Processes
from .run import Progress, Run
from .stream import Batch, Place, Stream

if TYPE_CHECKING:
    from torch import Tensor

    from .checkpoint import Meta

FORMAT = 1  # of the saved state


class Part(Protocol):
    """Something whose state belongs to a training: a network, an optimizer, a replay buffer, a search.

    The state is made of tensors, numbers, texts, lists and dictionaries, which can be read back without unpickling anything.
    """

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object: ...


@dataclass(frozen=True)
class Position:
    """How far a training is.

    Args:
        step: steps that are done.
        seconds: that they took, in all sessions.
        logged: records in metrics.jsonl.
        best: the lowest cost so far.
        stopped: whether it ended before its last step.
    """

    step: int = 0
    seconds: float = 0.0
    logged: int = 0
    best: float | None = None
    stopped: bool = False


class Loop:
    """Iterates over the numbers of the steps, from 0 or where the saved state left off.

    It ends after `steps`, when `minutes` are over, or after the step in which `stop` was called; without the first two only so. The state
    is saved before the first step, every `save_minutes` or `save_every` steps, when Ctrl-C or SIGTERM asks to stop (which raises
    KeyboardInterrupt after the step) and at the end. Nobody else can train in the run meanwhile.

    Args:
        parts: whose states are saved and restored, by name.
        epoch_steps: steps of an epoch, for trainings that have them.
        minutes: of all sessions together. The last step is begun so that it should end in time, and `fraction` is 1 in it.
        resume: go on with the saved state; the parts get theirs.
        processes: that train together; the first one saves, logs and decides.
        saving: called after every save with the number of steps done, for what else is to lie beside the state.
        clock: seconds.

    Raises:
        UsageError: nothing to resume, or another process trains in the run.
        PprError: a damaged state, or one of another training.
    """

    def __init__(
        self,
        run: Run,
        parts: Mapping[str, Part],
        *,
        steps: int | None = None,
        epoch_steps: int = 0,
        minutes: float | None = None,
        save_minutes: float = 5.0,
        save_every: int = 0,
        resume: bool = False,
        processes: Processes | None = None,
        saving: Callable[[int], object] = lambda _step: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.run, self.parts, self.steps, self.epoch_steps = run, dict(parts), steps, epoch_steps
        self.minutes, self.save_minutes, self.save_every, self.saving, self.clock = minutes, save_minutes, save_every, saving, clock
        self.processes: Processes = processes or Alone()
        self.position = Position()
        self.interrupted = StopRequest()
        self.last = False
        self._failure: BaseException | None = None
        self._resumed = resume
        self.run.hold()
        if resume:
            try:
                self._restore()
            except BaseException:
                self.run.release()
                raise
        self._began = self._saved = self.clock()

    def __iter__(self) -> Iterator[int]:
        """The numbers of the steps; what the caller does with one is that step.

        Raises:
            KeyboardInterrupt: Ctrl-C, or as `Terminated` SIGTERM, after the state has been saved.
            BaseException: what `fail` was given, after the state has been saved.
        """
        self.run.hold()
        try:
            with interruptible(self.interrupted):
                if not self._resumed:
                    self.save()
                while not self.finished:
                    self._began = self.clock()
                    self.last = self._is_last()
                    yield self.position.step
                    self.position = replace(self.position, step=self.position.step + 1, seconds=self.seconds)
                    self._began = self.clock()
                    self._after_step()
        finally:
            self.run.release()

    # Where it stands.

    @property
    def seconds(self) -> float:
        """That the training took so far, in all sessions."""
        return self.position.seconds + self.clock() - self._began

    @property
    def finished(self) -> bool:
        return self.position.stopped or self.last or (self.steps is not None and self.position.step >= self.steps)

    @property
    def number(self) -> int:
        """Of the current step, from 1."""
        return self.position.step + 1

    @property
    def epoch(self) -> int:
        """Of the current step, from 0."""
        return self.position.step // self.epoch_steps if self.epoch_steps else 0

    @property
    def epoch_ends(self) -> bool:
        """Whether the current step is an epoch's last one, or the training's."""
        return self.last or (self.epoch_steps > 0 and self.number % self.epoch_steps == 0)

    @property
    def fraction(self) -> float:
        """How much of the training lies before the current step: 0 in the first and 1 in the last one; for schedules."""
        if self.last:
            return 1.0
        of_steps = self.position.step / max(self.steps - 1, 1) if self.steps is not None else 0.0
        of_time = self.position.seconds / (60 * self.minutes) if self.minutes is not None else 0.0
        return min(max(of_steps, of_time), 1.0)

    def every(self, count: int) -> bool:
        """Whether the current step is a `count`-th one, or the last; never if `count` is 0."""
        return count > 0 and (self.number % count == 0 or self.last)

    # What a step may say.

    def show(self, losses: Mapping[str, float]) -> None:
        """Report the current step and its losses.

        Raises:
            PprError: one of them is not finite. Of several processes this one alone stops: let them agree by `refuse_non_finite` before.
        """
        for name, value in losses.items():
            self._refuse(value, name)
        self.run.report(self.progress(losses))

    def progress(self, losses: Mapping[str, float]) -> Progress:
        """The current step as it is shown."""
        if not self.epoch_steps:
            return Progress(1, 1, self.number, self.steps or 0, dict(losses))
        epochs = math.ceil(self.steps / self.epoch_steps) if self.steps is not None else 0
        return Progress(self.epoch + 1, epochs, self.position.step % self.epoch_steps + 1, self.epoch_steps, dict(losses))

    def refuse_non_finite(self, value: Tensor, name: str = "loss") -> None:
        """Stop all processes before they learn from a NaN or an infinity that one of them has met.

        Raises:
            PprError: the sum of `value` over the processes is not finite.
        """
        self._refuse(float(self.processes.all_reduce(value.detach(), reduce_op="sum")), name)

    def _refuse(self, value: float, name: str) -> None:
        if not math.isfinite(value):
            step = self.position.step % self.epoch_steps + 1 if self.epoch_steps else self.number
            where = f"epoch {self.epoch + 1}, step {step}" if self.epoch_steps else f"step {step}"
            raise PprError(
                f"{name} is {value} in {where}",
                hint=f"lower the learning rate or set clip=1; the last good weights are in {self.run.path}",
            )

    def log(self, record: dict[str, Any]) -> None:
        """Append a record to metrics.jsonl; on resume those behind the saved state are taken back."""
        if self.processes.is_global_zero:
            self.run.log(record)
        self.position = replace(self.position, logged=self.position.logged + 1)

    def improves(self, cost: float) -> bool:
        """Whether a cost is lower than every one before, and from now on the best. NaN never is."""
        if math.isnan(cost) or (self.position.best is not None and cost >= self.position.best):
            return False
        self.position = replace(self.position, best=cost)
        return True

    def checkpoint(self, weights: dict[str, Tensor], meta: Meta, metrics: dict[str, float], *, cost: str | float) -> bool:
        """Write last.safetensors, and best.safetensors if the cost is the lowest so far; returns whether it is.

        Args:
            meta: completed by the metrics.
            cost: what is lowest in the best weights: the name of a metric, or a number.
        """
        from .checkpoint import save_checkpoint

        better = self.improves(metrics[cost] if isinstance(cost, str) else cost)
        if self.processes.is_global_zero:
            described = replace(meta, metrics=metrics)
            save_checkpoint(self.run.last, weights, described)
            if better:
                save_checkpoint(self.run.best, weights, described)
        return better

    def stream(self, batches: Callable[[int, int], Iterable[Batch]], per_step: int = 1) -> Stream[Batch]:
        """The batches of the steps, asked for from where the training stands; arguments as of `Stream`."""

        def place() -> Place:
            return Place(self.epoch, self.position.step - self.epoch * self.epoch_steps, self.epoch_ends)

        return Stream(batches, per_step, place)

    # How it ends.

    def stop(self) -> None:
        """Let the current step be the last."""
        self.position = replace(self.position, stopped=True)

    def fail(self, error: BaseException) -> None:
        """End with an error once the current step is done and saved; after the last step there is nothing left to fail."""
        self._failure = error

    def save(self) -> None:
        """Write the state to go on from."""
        # Every process makes its states: those of networks in several pieces are put together by all.
        states = {name: part.state_dict() for name, part in self.parts.items()}
        if self.processes.is_global_zero:
            position = {**vars(self.position), "seconds": self.position.seconds}
            self.run.save_state({"format": FORMAT, "position": position, "parts": states, "rng": rng_state()})
        self.saving(self.position.step)
        self._saved = self.clock()

    def _after_step(self) -> None:
        ended = self.finished
        signal, late = self._agreed((self.interrupted.signal, self.clock() - self._saved > 60 * self.save_minutes))
        counted = self.save_every > 0 and self.position.step % self.save_every == 0
        if ended or signal or self._failure is not None or late or counted:
            self.save()
        if ended:
            return
        if self._failure is not None:
            raise self._failure
        if signal:
            raise interruption(signal)

    def _is_last(self) -> bool:
        """Whether the step to come is the last, of the steps or by how long one took on average."""
        if self.steps is not None and self.number >= self.steps:
            return True
        if self.minutes is None:
            return False
        usual = self.position.seconds / max(self.position.step, 1)
        return bool(self._agreed(self.position.step > 0 and self.position.seconds + usual >= 60 * self.minutes))

    def _agreed(self, value: Any) -> Any:
        """The first process's view, so that all act alike."""
        return self.processes.broadcast(value) if self.processes.world_size > 1 else value

    def _restore(self) -> None:
        state = self.run.load_state()
        if not isinstance(state, dict) or state.get("format") != FORMAT or set(state.get("parts", ())) != set(self.parts):
            message = f"{self.run.resume}: of another version of ppr or another training"
            raise PprError(message, hint="start from last.safetensors with --init")
        try:
            for name, part in self.parts.items():
                part.load_state_dict(state["parts"][name])
            self.position = Position(**state["position"])
            if not all(isinstance(value, (int, float)) for value in (self.position.step, self.position.seconds, self.position.logged)):
                raise TypeError("its position is made of no numbers")
            restore_rng(state["rng"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:  # as torch says that shapes or names do not fit
            what = (str(error).splitlines() or [type(error).__name__])[0][:120]
            raise PprError(f"{self.run.resume}: does not fit this training ({what})", hint="was its configuration changed?") from error
        if self.processes.is_global_zero:
            self.run.truncate_history(self.position.logged)
