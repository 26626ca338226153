"""One file that a person wants processed: what to read, and where below the folder, glob or zip it was found."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ..errors import PprError
from .sources import Source

STDIN = "-"
MAX_STDIN_BYTES = 1 << 30


@dataclass(frozen=True)
class Input:
    """One file to process.

    `relative` is its path below the folder, glob or zip it was found in, for keeping the tree; a file given by name has its bare name.
    `root` is what the person typed.
    """

    source: Source
    relative: PurePosixPath
    root: Path

    @property
    def name(self) -> str:
        return "stdin" if self.is_stdin else str(self.source)

    @property
    def is_stdin(self) -> bool:
        return self.source.path == STDIN and not self.source.archive

    def read(self) -> bytes | Path:
        """The bytes, or for a file on disk its path, so that large files are not held in memory twice.

        Raises:
            PprError: it cannot be read.
        """
        if self.is_stdin:
            data = sys.stdin.buffer.read(MAX_STDIN_BYTES + 1)
            if len(data) > MAX_STDIN_BYTES:
                raise PprError("stdin: more than 1 GiB")
            return data
        if self.source.archive:
            return self.source.read()
        path = Path(self.source.path)
        try:
            with path.open("rb"):
                return path
        except OSError as error:
            raise PprError(f"{path}: cannot be read ({error.strerror})") from error
