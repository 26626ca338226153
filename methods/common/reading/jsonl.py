"""JSON lines: a value a line, from a file, a pipe or a log; lines of bounded length and depth, and errors that say which line."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import PprError
from .sources import opened

MAX_LINE_BYTES = 16 << 20
MAX_DEPTH = 64  # lists and objects inside each other; beyond, whoever walks the value may run out of stack


@dataclass(frozen=True)
class Line:
    """One line that is not blank.

    Args:
        number: counted from 1, blank lines too.
        where: what errors begin with: `line 3`, or `FILE, line 3`.
        content: without the line break; of a line that is too long only the beginning.
        limit: the most bytes that it may have.
    """

    number: int
    where: str
    content: bytes
    limit: int = MAX_LINE_BYTES

    def value(self, *, hint: str | None = None) -> Any:
        """What the line says. As Python writes them, NaN and Infinity are numbers; who cannot use them has to look.

        Args:
            hint: how a line is to look, for the error.

        Raises:
            PprError: longer than the limit, not JSON in UTF-8, or nested deeper than `MAX_DEPTH`.
        """
        if len(self.content) > self.limit:
            size = f"{self.limit >> 20} MiB" if self.limit >= 1 << 20 else f"{self.limit:,} bytes"
            raise PprError(f"{self.where}: longer than {size}", hint=hint)
        try:
            found = json.loads(self.content)
        except RecursionError as error:
            raise PprError(f"{self.where}: not JSON that can be read (too many brackets inside each other)", hint=hint) from error
        except ValueError as error:
            raise PprError(f"{self.where}: not JSON ({str(error).splitlines()[0][:100]})", hint=hint) from error
        if self.content.count(b"[") + self.content.count(b"{") > MAX_DEPTH and _deeper(found, MAX_DEPTH):
            raise PprError(f"{self.where}: not JSON that can be read (more than {MAX_DEPTH} brackets inside each other)", hint=hint)
        return found

    def record(self, *, hint: str | None = None) -> dict[str, Any]:
        """What the line says, an object.

        Raises:
            PprError: as `value`, or it is no object.
        """
        found = self.value(hint=hint)
        if not isinstance(found, dict):
            raise PprError(f"{self.where}: not a JSON object", hint=hint)
        return found


def lines(stream: BinaryIO, name: str = "", *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[Line]:
    """The lines of a stream as they come, without the blank ones; nothing is read ahead, so that a pipe can be answered line by line.

    A line that is too long is read to its end, without being kept, so that the next one can be used.

    Args:
        name: of the file, for errors.
        max_bytes: the most that a line may have, its line break not counted.
    """
    before = f"{name}, " if name else ""
    number = 0
    while content := stream.readline(max_bytes + 2):
        number += 1
        ended = content.endswith(b"\n")
        while not ended and len(content) > max_bytes:
            rest = stream.readline(1 << 16)
            ended = not rest or rest.endswith(b"\n")
        content = content.rstrip(b"\r\n")
        if content.strip():
            yield Line(number, f"{before}line {number}", content, max_bytes)


def read_records(path: Path, *, max_bytes: int = MAX_LINE_BYTES) -> Iterator[dict[str, Any]]:
    """The objects of a file (also .gz), one a line.

    Raises:
        PprError: it cannot be read, or a line is not an object; the message names file and line.
    """
    with opened(path) as stream:
        for line in lines(stream, str(path), max_bytes=max_bytes):
            yield line.record()


def read_log(path: Path) -> list[dict[str, Any]]:
    """The objects of a log that a crash may have cut: lines that are none are left out, and a file that isn't there has none.

    Raises:
        PprError: it cannot be read.
    """
    if not path.is_file():
        return []
    found = []
    with opened(path) as stream:
        for line in lines(stream):
            try:
                found.append(line.record())
            except PprError:
                continue
    return found


def _deeper(value: Any, depth: int) -> bool:
    """Whether lists and objects lie inside each other more than `depth` times; found without recursion."""
    level = [value]
    for _ in range(depth):
        level = [inner for one in level if isinstance(one, (dict, list)) for inner in (one.values() if isinstance(one, dict) else one)]
    return any(isinstance(one, (dict, list)) for one in level)
