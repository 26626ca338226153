"""The learner's part of an iteration: updates of its agents, combined into one share (Wang et al. 2021, algorithm 1)."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import time
import traceback
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..codes.field import combine
from .engine import Assignment, Computation, Failure, Outcome, Share

POLL = 0.001  # seconds between two looks at whether the iteration is over, while a delay is injected

HOST = socket.gethostname()


def one_thread() -> None:
    """Keep this process to one thread; learners share the cores of a machine, and more threads would change the order of summation."""
    import threadpoolctl
    import torch

    torch.set_num_threads(1)
    threadpoolctl.threadpool_limits(1)


def digest(update: NDArray[np.float32]) -> bytes:
    """8 bytes that differ when a bit of the update does."""
    return hashlib.blake2b(np.ascontiguousarray(update).data, digest_size=8).digest()


def checksum(payload: NDArray[Any]) -> int:
    """CRC-32 of a payload's bytes."""
    return zlib.crc32(np.ascontiguousarray(payload).data)


def work(
    computation: Computation, published: Mapping[str, NDArray[Any]], assignment: Assignment, abandoned: Callable[[], bool]
) -> Share | Failure:
    """Do one assignment.

    Args:
        published: the arrays of the assignment's iteration.
        abandoned: whether the iteration is over, or its arrays no longer valid. Asked before every update, before the share is
            combined, and each millisecond of an injected delay.
    """
    started = time.perf_counter()
    fault, first = assignment.fault, started
    updates: list[NDArray[np.float32]] = []
    digests: dict[int, bytes] = {}

    def answer(outcome: Outcome, payload: NDArray[Any] | None = None) -> Share:
        crc = 0 if payload is None else checksum(payload)
        if payload is not None and fault.corrupt:
            flipped = payload.view(np.uint8).copy()
            flipped[:: max(1, len(flipped) // 16)] ^= 0xA5
            payload = flipped.view(payload.dtype)
        done = time.perf_counter()
        return Share(assignment, outcome, payload, digests, crc, started, first, done, HOST, os.getpid())

    for agent in assignment.agents:
        if abandoned():
            return answer("abandoned")
        try:
            updates.append(computation(published, assignment.iteration, agent))
        except Exception as error:
            # Arrays that were replaced under the computation can make it fail; nobody waits for its result then.
            return answer("abandoned") if abandoned() else Failure(assignment, error, traceback.format_exc())
        digests[agent] = digest(updates[-1])
        first = time.perf_counter() if len(updates) == 1 else first
        if fault.kill and 2 * len(updates) >= len(assignment.agents):
            os.kill(os.getpid(), signal.SIGKILL)
        waits = fault.each or len(updates) == len(assignment.agents)
        if waits and not linger(fault.delay, abandoned, busy=fault.mode == "burn"):
            return answer("abandoned")
    if abandoned():
        return answer("abandoned")
    payload = updates[0] if assignment.plain else combine(assignment.field, assignment.coefficients, updates, assignment.length)
    return answer("dropped") if fault.drop else answer("sent", payload)


def linger(seconds: float, abandoned: Callable[[], bool], *, busy: bool) -> bool:
    """Wait, or keep a core busy, unless the iteration is over before; returns whether the time was served."""
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        if abandoned():
            return False
        if busy:
            burn(min(POLL, left))
        else:
            time.sleep(min(POLL, left))
    return True


def burn(seconds: float) -> None:
    end = time.perf_counter() + seconds
    while time.perf_counter() < end:
        pass
