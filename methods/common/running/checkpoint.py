"""The checkpoint format: one safetensors file whose metadata says what it is. Loading never unpickles.

Importing this module does not import torch, so that `ppr info` and ONNX inference stay fast.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PprError
from ..reading.files import atomic_path

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor, nn

FORMAT = 1
MAX_HEADER_BYTES = 16 << 20


@dataclass(frozen=True)
class Meta:
    """What a checkpoint is.

    `config` is the full training configuration, `metrics` what was measured on the validation data, `data` a fingerprint of the
    training data, `notes` anything a method wants to say (model card lines).
    """

    method: str
    arch: str
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)
    seed: int = 0
    epoch: int = 0
    version: str = ""
    format: int = FORMAT


@dataclass(frozen=True)
class Checkpoint:
    """Weights and what they are; `path` is where they came from."""

    state: dict[str, Tensor]
    meta: Meta
    path: Path


def package_version() -> str:
    return importlib.metadata.version("ppr")


def save_checkpoint(path: Path, state: dict[str, Tensor], meta: Meta, *, overwrite: bool = True) -> Path:
    """Write weights and metadata, whole or not at all. Of absolute paths in the configuration only the file's name is kept.

    Raises:
        PprError: the file cannot be written.
    """
    from safetensors.torch import save_file

    described = asdict(meta) | {"config": _without_folders(meta.config), "version": meta.version or package_version()}
    tensors = {key: value.detach().cpu().contiguous() for key, value in state.items()}
    with atomic_path(path, overwrite=overwrite) as temporary:
        save_file(tensors, temporary, metadata={"ppr": json.dumps(described)})
    return path


def _without_folders(value: Any) -> Any:
    """Absolute paths, which tell about the machine and mean nothing on another, shortened to the file's name, in nested values too."""
    if isinstance(value, dict):
        return {key: _without_folders(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_folders(item) for item in value]
    return Path(value).name if isinstance(value, str) and Path(value).is_absolute() else value


def load_checkpoint(path: Path, *, method: str | None = None) -> Checkpoint:
    """Read a checkpoint; floating-point weights come back as float32 whatever they were stored as.

    Args:
        method: the method the caller wants; None takes any.

    Raises:
        PprError: absent, truncated, not a ppr checkpoint, of a newer format, or of another method.
    """
    import torch
    from safetensors.torch import load_file

    meta = read_meta_of(path, method)
    try:
        state = load_file(path)
    except Exception as error:  # safetensors raises its own type from Rust for a damaged body
        raise PprError(f"{path}: damaged checkpoint ({error})", hint="copy or download the file again") from error
    state = {key: value.float() if value.is_floating_point() else value for key, value in state.items()}
    if not all(torch.isfinite(value).all() for value in state.values() if value.is_floating_point()):
        raise PprError(f"{path}: holds weights that are not finite", hint="use an earlier checkpoint of that run")
    return Checkpoint(state, meta, path)


def load_arrays(path: Path, *, method: str) -> tuple[dict[str, NDArray[Any]], Meta]:
    """Read a checkpoint as NumPy arrays, without torch; floating-point arrays come back as float32.

    Raises:
        PprError: as `load_checkpoint`.
    """
    import numpy as np
    from safetensors.numpy import load_file

    meta = read_meta_of(path, method)
    try:
        state = load_file(path)
    except Exception as error:  # as in `load_checkpoint`
        raise PprError(f"{path}: damaged checkpoint ({error})", hint="copy or download the file again") from error
    state = {key: value.astype(np.float32) if value.dtype.kind == "f" else value for key, value in state.items()}
    if not all(np.isfinite(value).all() for value in state.values() if value.dtype.kind == "f"):
        raise PprError(f"{path}: holds weights that are not finite", hint="use an earlier checkpoint of that run")
    return state, meta


def read_header(path: Path) -> dict[str, Any]:
    """The safetensors header: tensor names with dtype, shape and offsets, and `__metadata__`.

    Raises:
        PprError: absent, truncated or not a safetensors file.
    """
    try:
        with path.open("rb") as stream:
            size = int.from_bytes(stream.read(8), "little")
            if not 2 <= size <= MAX_HEADER_BYTES:
                raise PprError(f"{path}: not a safetensors file", hint="checkpoints end in .safetensors and are written by `ppr … train`")
            text = stream.read(size)
            total = stream.seek(0, 2)
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})", hint="check --checkpoint") from error
    try:
        header = json.loads(text)
        ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise PprError(f"{path}: not a safetensors file, or a truncated one", hint="copy or download the file again") from error
    expected = 8 + size + max(ends, default=0)
    if total != expected:
        raise PprError(f"{path}: truncated ({total} of {expected} bytes)", hint="copy or download the file again")
    return header


def read_meta(path: Path) -> Meta:
    """What a checkpoint is, without reading its weights.

    Raises:
        PprError: as `read_header`, or a safetensors file without ppr's metadata, or of a newer format.
    """
    text = read_header(path).get("__metadata__", {}).get("ppr")
    if text is None:
        raise PprError(
            f"{path}: a safetensors file, but not a ppr checkpoint (no metadata)", hint="trunk weights are given with --backbone-weights"
        )
    try:
        values = json.loads(text)
        if int(values.get("format", 0)) > FORMAT:
            raise PprError(f"{path}: written by ppr {values.get('version')}, a newer format", hint="pip install --upgrade ppr")
        return Meta(**{key: value for key, value in values.items() if key in Meta.__dataclass_fields__})
    except (ValueError, TypeError, AttributeError) as error:
        raise PprError(f"{path}: the checkpoint's metadata is damaged ({error})") from error


def read_meta_of(path: Path, method: str | None) -> Meta:
    """As `read_meta`, of a checkpoint that has to belong to a method (None takes any).

    Raises:
        PprError: as `read_meta`, or it belongs to another method.
    """
    meta = read_meta(path)
    if method is not None and meta.method != method:
        raise PprError(
            f"{path}: a checkpoint of '{meta.method}', not of '{method}'", hint=f"use it with `ppr {meta.method.partition('-')[0]}`"
        )
    return meta


def count_parameters(path: Path) -> int:
    """Number of stored values, from the header alone."""
    return sum(math.prod(entry["shape"]) for name, entry in read_header(path).items() if name != "__metadata__")


def load_weights_file(path: Path) -> dict[str, Tensor]:
    """Weights written by other programs: `.safetensors`, or `.pth`/`.pt` read without running any code in them.

    Raises:
        PprError: absent, unreadable, or a file that would need unpickling of anything but tensors.
    """
    import torch
    from safetensors.torch import load_file

    if not path.is_file():
        raise PprError(f"{path}: no such file", hint="check --backbone-weights")
    try:
        state = load_file(path) if path.suffix == ".safetensors" else torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # three libraries, each with its own error types, all meaning the same to the user
        raise PprError(f"{path}: not a weights file that can be read safely ({str(error).splitlines()[0][:120]})") from error
    if isinstance(state, dict) and isinstance(state.get("state_dict"), dict):
        state = state["state_dict"]
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise PprError(f"{path}: holds no dictionary of tensors")
    return {key: value.float() if value.is_floating_point() else value for key, value in state.items()}


def load_state(network: nn.Module, state: dict[str, Tensor], where: str) -> None:
    """Load weights strictly, naming the first keys or shapes that do not fit.

    Raises:
        PprError: keys are missing or unknown, or a shape differs.
    """
    own = network.state_dict()
    missing = [key for key in own if key not in state]
    unknown = [key for key in state if key not in own]
    shapes = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or unknown or shapes:
        parts = [
            f"{len(keys)} {word} ({keys[0]}, …)"
            for word, keys in (("missing", missing), ("unknown", unknown), ("misshapen", shapes))
            if keys
        ]
        raise PprError(f"{where}: the weights do not fit the network: {', '.join(parts)}", hint="check --arch against `ppr info FILE`")
    network.load_state_dict(state)
