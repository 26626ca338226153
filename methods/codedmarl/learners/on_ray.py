"""Learners as Ray actors, on one machine or many."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ray
from numpy.typing import NDArray
from ray.exceptions import GetTimeoutError, ObjectLostError, RayActorError, RayError

from ...common.errors import PprError
from .engine import Answer, Assignment, Computation, Engine, Failure, Lost, Member, Share
from .ray_cluster import connect, explained
from .work import HOST, one_thread, work

log = logging.getLogger("ppr")

START_SECONDS = 600.0  # until learners have to be ready; Ray starts them with low priority, which takes long on a busy machine
TELL_SECONDS = 30.0  # after which it is said that they aren't yet
RETRY_SECONDS = 0.2  # between two attempts to greet an actor that is being restarted
FETCH_SECONDS = 30.0  # for a share that is announced


@dataclass(frozen=True)
class Greeting:
    """Who an actor is."""

    host: str
    pid: int
    torch: str


class Learner:
    """The actor. Its second concurrency group hears that an iteration is over while it computes."""

    def __init__(self, computation: Computation) -> None:
        one_thread()
        self.computation = computation
        self.over = -1

    def greet(self) -> Greeting:
        import torch

        return Greeting(HOST, os.getpid(), torch.__version__)

    def work(self, published: Mapping[str, NDArray[Any]], assignment: Assignment) -> Share | Failure:
        one_thread()  # calls run in a thread of their own, and torch counts by thread
        return work(self.computation, published, assignment, lambda: self.over >= assignment.iteration)

    @ray.method(concurrency_group="control")
    def abandon(self, iteration: int) -> None:
        self.over = max(self.over, iteration)


@dataclass(eq=False)
class Actor:
    """A learner's handle: the greeting it is asked for, and what it answered (None: it isn't up)."""

    handle: Any
    asked: Any
    greeting: Greeting | None = None
    again: float = 0.0


class RayEngine(Engine):
    """Actors without a claim on cores, spread over the machines, restarted by Ray when they die.

    Args:
        address: "local" starts a cluster of this process, "auto" or HOST:PORT joins one. Of a cluster that was joined nothing is ended
            but the learners.
        spares: actors kept warm, to step in for a lost one while it is restarted.
    """

    name = "ray"

    def __init__(self, address: str = "local", spares: int = 1) -> None:
        self.address, self.extra = address, spares
        self.places: dict[int, Actor] = {}
        self.spares: list[Actor] = []
        self.waiting: dict[Any, tuple[Actor, Assignment]] = {}
        self.connected = False

    def start(self, computation: Computation, learners: int) -> None:
        self.connected = connect(self.address)
        self.remote = _actor_class(
            num_cpus=0, max_restarts=-1, max_task_retries=0, scheduling_strategy="SPREAD", concurrency_groups={"control": 1}
        )
        self.computation = computation
        try:
            self.places = {learner: self._actor() for learner in range(learners)}
            self.spares = [self._actor() for _ in range(self.extra)]
            self._wait_for_all()
        except BaseException:
            self.close()
            raise

    def _actor(self) -> Actor:
        handle = self.remote.remote(self.computation)
        return Actor(handle, handle.greet.remote())

    def _wait_for_all(self) -> None:
        """
        Raises:
            PprError: the learners do not start.
        """
        asked = [actor.asked for actor in self.places.values()]
        deadline = self.now() + START_SECONDS
        try:
            while self.now() < deadline:
                there, missing = ray.wait(asked, num_returns=len(asked), timeout=TELL_SECONDS)
                ray.get(there)  # an error of one is that of all
                if not missing:
                    break
                log.info("%d of %d learners are ready", len(there), len(asked))
            for actor, greeting in zip(self.places.values(), ray.get(asked, timeout=0), strict=True):
                actor.greeting, actor.asked = greeting, None
        except (RayError, TimeoutError) as error:
            raise _not_started(error, self.address) from error
        versions = {actor.greeting.torch: actor.greeting.host for actor in self.places.values() if actor.greeting is not None}
        if len(versions) > 1:
            log.warning("the machines have different versions of torch: %s", ", ".join(f"{v} on {host}" for v, host in versions.items()))

    def publish(self, iteration: int, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.published = ray.put(dict(arrays))

    def submit(self, assignments: Sequence[Assignment]) -> None:
        for assignment in assignments:
            actor = self.places[assignment.learner]
            self.waiting[actor.handle.work.remote(self.published, assignment)] = actor, assignment

    def wait_any(self, timeout: float) -> list[Answer]:
        deadline = self.now() + timeout
        found: list[Answer] = []
        while self.waiting and not found:
            references = list(self.waiting)
            arrived, _rest = ray.wait(references, num_returns=1, timeout=max(0.0, deadline - self.now()))
            if not arrived:
                return []
            arrived, _rest = ray.wait(references, num_returns=len(references), timeout=0)
            found = [answer for reference in arrived if (answer := self._receive(reference)) is not None]
        if not found and timeout > 0:
            time.sleep(max(0.0, min(RETRY_SECONDS, deadline - self.now())))
        return found

    def _receive(self, reference: Any) -> Answer | None:
        """The answer behind a reference that is ready; None if its learner was lost before or has been replaced."""
        if reference not in self.waiting:
            return None
        actor, _assignment = self.waiting.pop(reference)
        try:
            answer: Share | Failure = ray.get(reference, timeout=FETCH_SECONDS)
        except (RayActorError, ObjectLostError, GetTimeoutError) as error:
            self._forget(actor)
            learner = next((place for place, one in self.places.items() if one is actor), None)
            actor.greeting, actor.asked, actor.again = None, None, self.now()
            return None if learner is None else Lost(learner, f"its actor is gone ({type(error).__name__})")
        if isinstance(answer, Share):
            answer.received = self.now()
        return answer

    def _forget(self, actor: Actor) -> None:
        self.waiting = {reference: held for reference, held in self.waiting.items() if held[0] is not actor}

    def abandon(self, iteration: int) -> None:
        for actor in self.places.values():
            if actor.greeting is not None:
                actor.handle.abandon.remote(iteration)

    def respawn(self, learner: int) -> None:
        old = self.places[learner]
        if old.greeting is not None:  # it lives and doesn't answer: Ray starts its process anew
            ray.kill(old.handle, no_restart=False)
            old.greeting, old.again = None, self.now()
        self._forget(old)
        self._greet()
        ready = [spare for spare in self.spares if spare.greeting is not None]
        if ready:
            self.places[learner] = ready[0]
            self.spares[self.spares.index(ready[0])] = old

    def ready(self) -> set[int]:
        self._greet()
        return {learner for learner, actor in self.places.items() if actor.greeting is not None}

    def _greet(self) -> None:
        """Ask actors that aren't known to be up who they are, and hear the answers of those that were asked."""
        for actor in [*self.places.values(), *self.spares]:
            if actor.greeting is not None:
                continue
            if actor.asked is None and self.now() >= actor.again:
                actor.asked = actor.handle.greet.remote()
            if actor.asked is None or not ray.wait([actor.asked], timeout=0)[0]:
                continue
            asked, actor.asked = actor.asked, None
            try:
                actor.greeting = ray.get(asked, timeout=FETCH_SECONDS)
            except (RayActorError, ObjectLostError, GetTimeoutError) as error:
                actor.again = self.now() + RETRY_SECONDS
                if isinstance(error, ray.exceptions.ActorDiedError):
                    actor.handle = self.remote.remote(self.computation)

    def members(self) -> list[Member]:
        places: list[tuple[int | None, Actor]] = [*self.places.items(), *((None, spare) for spare in self.spares)]
        return [Member(learner, actor.greeting.pid, actor.greeting.host, True) for learner, actor in places if actor.greeting is not None]

    def close(self) -> None:
        if ray.is_initialized():
            for actor in [*self.places.values(), *self.spares]:
                with contextlib.suppress(RayError):
                    ray.kill(actor.handle)
            if self.connected:
                ray.shutdown()
        self.places, self.spares, self.waiting, self.connected = {}, [], {}, False


def _actor_class(**options: Any) -> Any:
    return ray.remote(**options)(Learner)


def _not_started(error: Exception, address: str) -> PprError:
    text = str(error)
    if "ModuleNotFoundError" in text or "ImportError" in text:
        cause = next(line.strip() for line in reversed(text.splitlines()) if "Error" in line)
        return PprError(f"a learner cannot start: {cause[:160]}", hint="install the same ppr, torch and ray on every machine")
    if isinstance(error, TimeoutError):
        return PprError(f"learners are not ready after {START_SECONDS:.0f} seconds", hint="see `ray status`, or start fewer learners")
    return explained(text, address)
