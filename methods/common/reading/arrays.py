"""Arrays of .npz and .npy files, checked before they are allocated and never unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Callable, Collection
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import PprError
from .sources import open_zip

MAX_ARRAY_BYTES = 4 << 30
DAMAGED = (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError)


def read_arrays(path: Path, names: Collection[str] | None = None, *, max_bytes: int = MAX_ARRAY_BYTES) -> dict[str, NDArray[Any]]:
    """Those of `names` (None: all) that the .npz file holds, by name; its other arrays are not read.

    Raises:
        PprError: absent, not an .npz, damaged, an array of Python objects, or one larger than `max_bytes`.
    """
    try:
        # `open_zip` reports a missing file as a bad archive; its reason is the better message.
        path.stat()
        with open_zip(path) as archive:
            stored = {member.filename.removesuffix(".npy"): member for member in archive.infolist() if member.filename.endswith(".npy")}
            wanted = [name for name in (stored if names is None else names) if name in stored]
            return {
                name: _read(partial(archive.open, stored[name]), stored[name].file_size, f"{path}: '{name}'", max_bytes) for name in wanted
            }
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DAMAGED as error:
        raise PprError(f"{path}: damaged, or not an .npz file ({error})") from error


def read_array(path: Path, *, max_bytes: int = MAX_ARRAY_BYTES) -> NDArray[Any]:
    """The array of an .npy file.

    Raises:
        PprError: absent, not an .npy, damaged, an array of Python objects, or larger than `max_bytes`.
    """
    try:
        return _read(lambda: path.open("rb"), path.stat().st_size, str(path), max_bytes)
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror or error})") from error
    except DAMAGED as error:
        raise PprError(f"{path}: damaged, or not an .npy file ({error})") from error


def _read(open_stream: Callable[[], IO[bytes]], size: int, where: str, max_bytes: int) -> NDArray[Any]:
    with open_stream() as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise PprError(f"{where} has format {version}, which is for arrays of records")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _fortran, dtype = header(stream)
    if dtype.hasobject:
        raise PprError(f"{where} holds pickled Python objects, which could run a program", hint="save plain arrays of numbers or strings")
    needed = math.prod(shape) * dtype.itemsize
    if needed > max_bytes:
        raise PprError(f"{where} says it has {needed / (1 << 30):,.0f} GiB, more than {max_bytes / (1 << 30):g}")
    # NumPy allocates what the header says before it reads: a header that promises more than the file has is not followed.
    if needed > size:
        raise PprError(f"{where} says it has {needed:,} bytes, the file has {size:,}")
    with open_stream() as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
