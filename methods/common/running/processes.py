"""The processes of a training, as far as its loop has to know of them. Light: importing it imports no torch."""

from __future__ import annotations

from typing import Any, Protocol


class Processes(Protocol):
    """The processes of a training; a `lightning_fabric.Fabric` is one."""

    @property
    def world_size(self) -> int: ...

    @property
    def is_global_zero(self) -> bool: ...

    def broadcast(self, obj: Any) -> Any: ...

    def all_reduce(self, data: Any, *, reduce_op: Any = "mean") -> Any: ...


class Alone:
    """One process."""

    world_size = 1
    is_global_zero = True

    def broadcast(self, obj: Any) -> Any:
        return obj

    def all_reduce(self, data: Any, *, reduce_op: Any = "mean") -> Any:
        return data
