"""Codes with their names, out of files and pipes and into them: .npy, HDF5 with zs, or JSON lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ...common.errors import PprError, UsageError
from ...common.reading import jsonl
from ...common.reading.arrays import parse_array
from ...common.reading.files import atomic_open

Float = NDArray[np.float32]
MAX_CODE_BYTES = 1 << 28
HDF5 = (".h5", ".hdf5")
_HINT = "codes come from `ppr imnet generate`"


@dataclass(frozen=True)
class NamedCode:
    """A code float32 [z] and what its shape is called."""

    name: str
    code: Float


def read_codes(path: Path) -> Iterator[NamedCode]:
    """The codes of a file, see `parse_codes`; or of HDF5 with zs.

    Raises:
        PprError: not such a file; names the line.
    """
    if path.suffix in HDF5:
        from ..shapes.hdf5 import read_codes as read_zs

        yield from (NamedCode(f"{path.stem}-{index:04d}", row) for index, row in enumerate(read_zs(path)))
        return
    try:
        stream = path.open("rb")
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})") from error
    with stream:
        yield from parse_codes(stream, path.stem)


def parse_codes(stream: BufferedReader, name: str) -> Iterator[NamedCode]:
    """The codes of a stream: .npy [z] or [n, z], or JSON lines with `code` and maybe `name`, which are given as they come.

    Raises:
        PprError: neither; names the line.
    """
    start = stream.peek(1)[:1]
    if start == b"\x93":
        yield from _npy(stream.read(MAX_CODE_BYTES), name)
    elif not start:
        raise PprError(f"{name}: empty", hint="codes come from `ppr imnet generate` or `encode`")
    else:
        yield from _json_lines(stream, name)


def only(found: Sequence[NamedCode], where: str) -> NamedCode:
    """The one code of a file.

    Raises:
        UsageError: it has none, or several.
    """
    if len(found) != 1:
        raise UsageError(f"{where}: holds {len(found)} codes", hint="give --batch to make a mesh of each")
    return found[0]


def json_record(name: str, code: Float, **more: Any) -> dict[str, Any]:
    """A code for a JSON line, with enough digits to give the same float32 back."""
    return {"name": name, **more, "code": [float(f"{value:.9g}") for value in code.tolist()]}


def write_codes(path: Path, codes: Float, *, overwrite: bool) -> None:
    """Write codes [z] or [n, z] as .npy, or [n, z] as HDF5 (zs) if that is the suffix; whole or not at all.

    Raises:
        UsageError: the file exists, without `overwrite`.
    """
    if path.suffix in HDF5:
        from ..shapes.hdf5 import write_codes as write_zs

        write_zs(path, codes, overwrite=overwrite)
        return
    with atomic_open(path, overwrite=overwrite) as stream:
        np.save(stream, codes)


def _npy(data: bytes, name: str) -> Iterator[NamedCode]:
    array = parse_array(data, name)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        raise PprError(f"{name}: an array {list(array.shape)} of {array.dtype}, not codes [z] or [n, z]")
    for index, row in enumerate(np.atleast_2d(array)):
        yield NamedCode(name if array.ndim == 1 else f"{name}-{index:04d}", row.astype(np.float32))


def _json_lines(stream: BinaryIO, name: str) -> Iterator[NamedCode]:
    for line in jsonl.lines(stream, name):
        record = line.record(hint=_HINT)
        try:
            code = np.asarray(record["code"], np.float32).reshape(-1)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise PprError(f"{line.where}: no JSON object with a list 'code' ({error})", hint=_HINT) from error
        yield NamedCode(str(record.get("name", f"{name}-{line.number - 1:04d}")), code)
