"""Files to read, on disk or inside a zip, without unpacking anything."""

from __future__ import annotations

import contextlib
import functools
import gzip
import os
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, cast

from ..errors import PprError

MAX_MEMBER_BYTES = 256 << 20


@dataclass(frozen=True, order=True)
class Source:
    """One file; `archive` is the zip it lies in, or empty."""

    path: str
    archive: str = ""

    def read(self) -> bytes:
        """The file's bytes.

        Raises:
            PprError: it cannot be read or, in an archive, says it is unreasonably large.
        """
        try:
            if not self.archive:
                return Path(self.path).read_bytes()
            opened = _archive(self.archive, os.getpid())
            if opened.getinfo(self.path).file_size > MAX_MEMBER_BYTES:
                raise PprError(f"{self}: unpacks to more than {MAX_MEMBER_BYTES >> 20} MiB")
            return opened.read(self.path)
        except (OSError, zipfile.BadZipFile, KeyError, RuntimeError, EOFError, NotImplementedError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise PprError(f"{self}: cannot be read ({reason})") from error

    @property
    def stem(self) -> str:
        return PurePosixPath(self.path).stem

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.path).suffix.lower()

    def __str__(self) -> str:
        return f"{self.archive}:{self.path}" if self.archive else self.path


@functools.lru_cache(maxsize=16)
def _archive(path: str, _process: int) -> zipfile.ZipFile:
    """An open zip; one a process, because forked readers must not share a file position."""
    return open_zip(Path(path))


@contextlib.contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """A file as a stream of bytes, unpacked on the way where its name ends in .gz; whoever reads it sets the bound.

    Raises:
        PprError: it cannot be read, or is damaged, also while it is being read.
    """
    try:
        with gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb") as stream:
            yield cast("BinaryIO", stream)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise PprError(f"{path}: cannot be read ({reason})") from error


def open_zip(path: Path) -> zipfile.ZipFile:
    """Open an archive for reading.

    Raises:
        PprError: absent, or not a zip.
    """
    try:
        return zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise PprError(f"{path}: not a zip archive that can be read ({error})") from error


def zip_members(path: Path) -> list[Source]:
    """The files in an archive, sorted, without what operating systems add."""
    with open_zip(path) as archive:
        names = sorted(info.filename for info in archive.infolist() if not info.is_dir())
    return [Source(name, str(path)) for name in names if not is_hidden(PurePosixPath(name))]


def is_hidden(path: PurePosixPath) -> bool:
    """Whether a relative path has a part that file browsers hide, or macOS's resource forks."""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
