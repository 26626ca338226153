"""Read an ONNX file's metadata without importing onnx, whose import takes longer than a small network's prediction."""

from __future__ import annotations

import mmap
from pathlib import Path

from ..errors import PprError

METADATA_PROPS = 14  # field numbers of ModelProto and StringStringEntryProto in onnx.proto
KEY, VALUE = 1, 2
VARINT, FIXED64, LENGTH, FIXED32 = 0, 1, 2, 5  # protobuf wire types


def read(path: Path) -> dict[str, str]:
    """The key-value metadata of a model.

    Raises:
        PprError: absent, empty, truncated, or not a protobuf message.
    """
    try:
        with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as data:
            entries = [dict(_fields(bytes(value))) for number, value in _fields(data) if number == METADATA_PROPS]
            return {bytes(entry[KEY]).decode(): bytes(entry.get(VALUE, b"")).decode() for entry in entries}
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})", hint="check --checkpoint") from error
    except (ValueError, IndexError, KeyError) as error:
        raise PprError(f"{path}: not an ONNX file, or a truncated one", hint="copy or export the file again") from error


def _fields(data: bytes | mmap.mmap) -> list[tuple[int, bytes]]:
    """(field number, payload) of the length-delimited fields of one message; other fields are skipped, large ones not copied."""
    found, at = [], 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, at = _varint(data, at)
        elif kind in (FIXED64, FIXED32):
            at += 8 if kind == FIXED64 else 4
        elif kind == LENGTH:
            length, at = _varint(data, at)
            if at + length > len(data):
                raise ValueError("truncated field")
            if number in (KEY, VALUE, METADATA_PROPS):
                found.append((number, data[at : at + length]))
            at += length
        else:
            raise ValueError("unknown wire type")
    if at != len(data):
        raise ValueError("truncated message")
    return found


def _varint(data: bytes | mmap.mmap, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if not byte & 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("varint too long")
