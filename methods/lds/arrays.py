"""Arrays of an .npz file, checked before they are allocated and never unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..common.errors import PprError
from ..common.sources import open_zip

MAX_ARRAY_BYTES = 4 << 30


def read_arrays(path: Path, names: Collection[str]) -> dict[str, NDArray[Any]]:
    """Those of `names` that the file holds, by name; its other arrays are not read.

    Raises:
        PprError: absent, not an .npz, damaged, an array of Python objects, or larger than 4 GiB.
    """
    try:
        # `open_zip` reports a missing file as a bad archive; its reason is the better message.
        path.stat()
        with open_zip(path) as archive:
            stored = {member.filename.removesuffix(".npy"): member for member in archive.infolist() if member.filename.endswith(".npy")}
            return {name: _read(archive, stored[name], f"{path}: '{name}'") for name in names if name in stored}
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror or error})") from error
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError, ValueError) as error:
        raise PprError(f"{path}: damaged, or not an .npz file ({error})") from error


def _read(archive: zipfile.ZipFile, member: zipfile.ZipInfo, where: str) -> NDArray[Any]:
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        if version not in ((1, 0), (2, 0)):
            raise PprError(f"{where} has format {version}, which is for arrays of records")
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _fortran, dtype = header(stream)
    if dtype.hasobject:
        raise PprError(f"{where} holds pickled Python objects, which could run a program", hint="save plain arrays of numbers or strings")
    needed = math.prod(shape) * dtype.itemsize
    if needed > MAX_ARRAY_BYTES:
        raise PprError(f"{where} says it has {needed / (1 << 30):,.0f} GiB, more than {MAX_ARRAY_BYTES >> 30}")
    # NumPy allocates what the header says before it reads: a header that promises more than the file has is not followed.
    if needed > member.file_size:
        raise PprError(f"{where} says it has {needed:,} bytes, the file has {member.file_size:,}")
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)
