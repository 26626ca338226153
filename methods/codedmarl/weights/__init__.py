"""The embedded checkpoints and where they lie. No torch here."""

from __future__ import annotations

from pathlib import Path

from ...common.errors import PprError, nearest

FOLDER = Path(__file__).parent


def embedded() -> list[str]:
    """Names of the embedded defaults."""
    return sorted(path.stem for path in FOLDER.glob("*.safetensors"))


def checkpoint_path(name: str | Path) -> Path:
    """The .safetensors file of an embedded default's name, or the path itself if it is one.

    Raises:
        PprError: neither a file nor a name.
    """
    return _find(name, ".safetensors")


def onnx_path(name: str | Path) -> Path:
    """The .onnx file of an embedded default's name, or the path itself if it is one."""
    return _find(name, ".onnx")


def _find(name: str | Path, suffix: str) -> Path:
    path, inside = Path(name), FOLDER / f"{name}{suffix}"
    if path.is_file():
        return path
    if path.name == str(name) and inside.is_file():
        return inside
    raise PprError(f"{name}: no such checkpoint file, nor an embedded default", hint=nearest(str(name), embedded()) or "check --checkpoint")
