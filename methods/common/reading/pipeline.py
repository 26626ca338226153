"""Overlap reading and writing with the work between them, in bounded memory and in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from ..errors import PprError

Item = TypeVar("Item")
Loaded = TypeVar("Loaded")
Result = TypeVar("Result")
Record = TypeVar("Record")


def staged(
    items: Iterable[Item],
    load: Callable[[Item], Loaded],
    work: Callable[[Loaded], Result],
    finish: Callable[[Item, Loaded, Result], Record],
    *,
    threads: int = 2,
    ahead: int = 3,
) -> Iterator[tuple[Item, Record | PprError]]:
    """Yield (item, record) in the items' order; an item whose stage raised a `PprError` yields that error instead.

    `load` and `finish` run in threads, at most `ahead` items before and behind `work`, which runs in the caller's thread. Closing the
    generator, or an exception in the caller, finishes what is running and drops the rest.
    """
    pool = ThreadPoolExecutor(threads)
    source = iter(items)
    loading: deque[tuple[Item, Future[Loaded]]] = deque()
    finishing: deque[tuple[Item, Future[Record] | PprError]] = deque()

    def fill() -> None:
        while len(loading) < ahead:
            try:
                item = next(source)
            except StopIteration:
                return
            loading.append((item, pool.submit(load, item)))

    try:
        fill()
        while loading or finishing:
            if loading:
                item, future = loading.popleft()
                fill()
                try:
                    loaded = future.result()
                    finishing.append((item, pool.submit(finish, item, loaded, work(loaded))))
                except PprError as error:
                    finishing.append((item, error))
            while finishing and (len(finishing) > ahead or not loading or _ready(finishing[0][1])):
                item, outcome = finishing.popleft()
                try:
                    yield item, outcome if isinstance(outcome, PprError) else outcome.result()
                except PprError as error:
                    yield item, error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _ready(outcome: Future[Record] | PprError) -> bool:
    return isinstance(outcome, PprError) or outcome.done()
