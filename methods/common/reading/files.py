"""Files that are written whole or not at all."""

from __future__ import annotations

import contextlib
import csv
import hashlib
import io
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import PprError, UsageError


@contextlib.contextmanager
def atomic_path(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary path beside `path`, renamed onto it when the block ends well and removed when it does not.

    The temporary name keeps the suffix, because many writers choose the format by it. The file is fsynced before the rename, so that
    a crash leaves either the old file or the new one.

    Raises:
        UsageError: `path` exists and `overwrite` is False.
        PprError: the folder cannot be written.
    """
    refuse_existing(path, overwrite=overwrite)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}.", suffix=f".part{path.suffix}", dir=path.parent)
    except OSError as error:
        raise PprError(f"{path}: cannot write there ({error.strerror})", hint="choose another --out") from error
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb") as written:
            os.fsync(written.fileno())
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise PprError(f"{path}: writing failed ({error.strerror or error})") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


@contextlib.contextmanager
def atomic_open(path: Path, *, overwrite: bool = True) -> Iterator[BinaryIO]:
    """Like `atomic_path`, as an open binary file."""
    with atomic_path(path, overwrite=overwrite) as temporary, temporary.open("wb") as stream:
        yield stream


def csv_text(records: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> str:
    """Records with the keys `columns` as csv, with a header also where there are none; None is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    if not overwrite and path.exists():
        raise UsageError(f"{path}: exists already", hint="give --overwrite, or another --out")


def free_name(name: str, taken: set[str]) -> str:
    """The name, or the first of name-2, name-3 … that is not `taken`; it is from then on."""
    free, number = name, 1
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free


def sha256(path: Path) -> str:
    """Hexadecimal SHA-256 of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
