"""Arrays of one iteration in memory that the controller writes and every local learner reads, without a copy.

The block is an anonymous file (Linux: memfd, elsewhere a deleted temporary file) that learners inherit as a file descriptor: it has no
name, doesn't count against the size of /dev/shm, and is gone with the last process that holds it, however that one ends. Its first
words hold the iteration that is wanted, which makes it a seqlock: what a learner computed is valid if that number is the same before
and after, and learners notice an abandoned iteration there without a message.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.reduction import DupFd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError

ALIGNMENT = 64  # MKL's rounding depends on how its operands are aligned: every process has to see them alike
NOTHING = -1  # the wanted iteration while the arrays are being replaced


@dataclass(frozen=True)
class Layout:
    """Where each array lies: (name, dtype, shape, offset), and the bytes of the whole block."""

    places: tuple[tuple[str, str, tuple[int, ...], int], ...]
    size: int

    @classmethod
    def of(cls, arrays: Mapping[str, NDArray[Any]]) -> Layout:
        places, offset = [], ALIGNMENT
        for name, array in arrays.items():
            places.append((name, array.dtype.str, array.shape, offset))
            offset += -(-array.nbytes // ALIGNMENT) * ALIGNMENT
        return cls(tuple(places), offset)


def create(name: str = "ppr-codedmarl") -> int:
    """A file descriptor of an empty anonymous file."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as stream:
        return os.dup(stream.fileno())


class Block:
    """One process's view of the block behind a file descriptor, which it closes in the end.

    It can be an argument of a process of `multiprocessing`, which then has a view of its own.
    """

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor
        self.memory: mmap.mmap | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return _inherited, (DupFd(self.descriptor),)

    @property
    def wanted(self) -> int:
        """The iteration whose arrays are in the block and whose answers are wanted."""
        return NOTHING if self.memory is None else int(self._words[0])

    def want(self, iteration: int) -> None:
        if self.memory is not None:
            self._words[0] = iteration

    def write(self, iteration: int, arrays: Mapping[str, NDArray[Any]]) -> Layout:
        """Replace the arrays; returns where they lie.

        Raises:
            PprError: there isn't enough memory.
        """
        layout = Layout.of(arrays)
        self.want(NOTHING)
        if self.memory is None or len(self.memory) < layout.size:
            self._grow(layout.size)
        self.want(NOTHING)
        for name, view in self.arrays(layout).items():
            view[...] = arrays[name]
        self.want(iteration)
        return layout

    def attach(self, size: int) -> None:
        """Map the block, if it is not mapped at this size yet."""
        if self.memory is None or len(self.memory) < size:
            self._release()
            self.memory = mmap.mmap(self.descriptor, size)
            self._words = np.frombuffer(self.memory, np.int64, 1)

    def arrays(self, layout: Layout) -> dict[str, NDArray[Any]]:
        """Views of the arrays, as they are now."""
        assert self.memory is not None
        found = {}
        for name, dtype, shape, offset in layout.places:
            count = int(np.prod(shape, dtype=np.int64))
            found[name] = np.frombuffer(self.memory, dtype, count, offset).reshape(shape)
        return found

    def close(self) -> None:
        if self.descriptor >= 0:
            self._release()
            os.close(self.descriptor)
            self.descriptor = -1

    def _grow(self, size: int) -> None:
        try:
            os.ftruncate(self.descriptor, size)
            if hasattr(os, "posix_fallocate"):
                # Memory that is short has to be found out here: a later write into the mapping would end the process with SIGBUS.
                os.posix_fallocate(self.descriptor, 0, size)
            self.attach(size)
        except OSError as error:
            raise PprError(
                f"no shared memory of {size / 1e6:.0f} MB for the learners ({error.strerror})",
                hint="use a smaller batch (--set batch=256), or fewer agents",
            ) from error

    def _release(self) -> None:
        """Unmap. Arrays that somebody still looks at keep the old mapping alive until they are gone."""
        self._words = np.zeros(1, np.int64)
        if self.memory is not None:
            with contextlib.suppress(BufferError):
                self.memory.close()
            self.memory = None


def _inherited(descriptor: Any) -> Block:
    return Block(descriptor.detach())
