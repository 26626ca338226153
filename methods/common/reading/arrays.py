"""Arrays of .npz and .npy files, checked before they are allocated and never unpickled."""

from __future__ import annotations

import contextlib
import io
import math
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PprError

MAX_ARRAY_BYTES = 4 << 30
DAMAGED = (
    *(zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError),
    *(ValueError, TypeError, KeyError, OverflowError, SyntaxError, tokenize.TokenError),  # NumPy reads the header as Python text
)


@dataclass(frozen=True)
class ArrayHeader:
    """What an array says it is, before any of its numbers are read."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_arrays(path: Path, names: Collection[str] | None = None, *, max_bytes: int = MAX_ARRAY_BYTES) -> dict[str, NDArray[Any]]:
    """Those of `names` (None: all) that the .npz file holds, by name; its other arrays are not read.

    Raises:
        PprError: absent, not an .npz, damaged, an array of Python objects, or one larger than `max_bytes`.
    """
    with _explained(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        stored = _members(archive)
        wanted = [name for name in (stored if names is None else names) if name in stored]
        return {name: _read(partial(archive.open, stored[name]), stored[name].file_size, f"{path}: '{name}'", max_bytes) for name in wanted}


def array_headers(path: Path) -> dict[str, ArrayHeader]:
    """What the arrays of an .npz file say they are, by name; their numbers are not read.

    Raises:
        PprError: absent, not an .npz, or damaged.
    """
    found = {}
    with _explained(path, "an .npz file"), zipfile.ZipFile(path) as archive:
        for name, member in _members(archive).items():
            with archive.open(member) as stream:
                found[name] = _header(stream, f"{path}: '{name}'")
    return found


def read_array(path: Path, *, max_bytes: int = MAX_ARRAY_BYTES) -> NDArray[Any]:
    """The array of an .npy file.

    Raises:
        PprError: absent, not an .npy, damaged, an array of Python objects, or larger than `max_bytes`.
    """
    with _explained(path, "an .npy file"):
        return _read(lambda: path.open("rb"), path.stat().st_size, str(path), max_bytes)


def map_array(path: Path) -> NDArray[Any]:
    """The array of an .npy file mapped to memory, read only: of a stack that is larger than memory, one item at a time can be read.

    Raises:
        PprError: absent, not an .npy, damaged, or an array of Python objects.
    """
    with _explained(path, "an .npy file"):
        return np.lib.format.open_memmap(path, mode="r")


def parse_array(data: bytes, name: str, *, max_bytes: int = MAX_ARRAY_BYTES) -> NDArray[Any]:
    """The array that the bytes of an .npy file hold.

    Args:
        name: what to call it in errors.

    Raises:
        PprError: not an .npy, damaged, an array of Python objects, or larger than `max_bytes`.
    """
    with _explained(name, "an .npy file"):
        return _read(partial(io.BytesIO, data), len(data), name, max_bytes)


@contextlib.contextmanager
def _explained(where: Path | str, kind: str) -> Iterator[None]:
    """Turn what can be wrong with a file into one error that names it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Python and NumPy about the text of a header, which is read or refused
            yield
    except OSError as error:
        raise PprError(f"{where}: cannot be read ({error.strerror or error})") from error
    except DAMAGED as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise PprError(f"{where}: damaged, or not {kind} ({reason})") from error


def _members(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    return {member.filename.removesuffix(".npy"): member for member in archive.infolist() if member.filename.endswith(".npy")}


def _header(stream: IO[bytes], where: str) -> ArrayHeader:
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise PprError(f"{where} has format {version}, which is for arrays of records")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _fortran, dtype = header(stream)
    return ArrayHeader(shape, dtype)


def _read(open_stream: Callable[[], IO[bytes]], size: int, where: str, max_bytes: int) -> NDArray[Any]:
    with open_stream() as stream:
        header = _header(stream, where)
    if header.dtype.hasobject:
        raise PprError(f"{where} holds pickled Python objects, which could run a program", hint="save plain arrays of numbers or strings")
    if header.nbytes > max_bytes:
        raise PprError(f"{where} says it has {header.nbytes / (1 << 30):,.0f} GiB, more than {max_bytes / (1 << 30):g}")
    # NumPy allocates what the header says before it reads: a header that promises more than the file has is not followed.
    if header.nbytes > size:
        raise PprError(f"{where} says it has {header.nbytes:,} bytes, the file has {size:,}")
    with open_stream() as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
