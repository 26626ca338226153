"""The embedded checkpoints and where they lie. No torch here."""

from __future__ import annotations

from pathlib import Path

from ...common.running.embedded import Embedded

FOLDER = Path(__file__).parent
EMBEDDED = Embedded(FOLDER)


def embedded() -> list[str]:
    """Names of the embedded defaults."""
    return EMBEDDED.names()


def checkpoint_path(name: str | Path) -> Path:
    """The .safetensors file of an embedded default's name, or the path itself if it is one.

    Raises:
        UsageError: neither a file nor a name.
    """
    return EMBEDDED.find(name)


def onnx_path(name: str | Path) -> Path:
    """The .onnx file of an embedded default's name, or the path itself if it is one."""
    return EMBEDDED.find(name, ".onnx")
