"""One way to open a network in ONNX Runtime. Imports neither torch nor onnx, which take longer than a small network's prediction."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import PprError, UsageError, reason

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def open_session(
    path: Path,
    *,
    device: str = "cpu",
    threads: int | None = None,
    dimensions: Mapping[str, int] | None = None,
    hint: str = "copy or export it again",
) -> InferenceSession:
    """Load a network with all of the runtime's graph optimizations.

    Args:
        device: cpu, cuda, cuda:N, or auto, which takes CUDA where it is.
        threads: of the CPU; None leaves the number to the runtime, which takes one a physical core.
        dimensions: sizes of the file's named dimensions; a known size lets the runtime compute every shape, and plan its memory, once.
        hint: what to do about a file that cannot be loaded.

    Raises:
        UsageError: not a device, or one that is not to be had here.
        PprError: the file is damaged, or made for another runtime.
    """
    import onnxruntime

    onnxruntime.set_default_logger_severity(4)  # its warnings mean nothing to a user; errors reach us as exceptions
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0
    for name, size in (dimensions or {}).items():
        options.add_free_dimension_override_by_name(name, size)
    providers = choose_providers(device, onnxruntime.get_available_providers())
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # ONNX Runtime raises a type of its own for each of a dozen defects
        raise PprError(f"{path}: ONNX Runtime cannot load it ({reason(error)})", hint=hint) from error
    if device.startswith("cuda") and session.get_providers()[0] != "CUDAExecutionProvider":
        raise UsageError(
            f"--device {device}: ONNX Runtime could not start CUDA", hint="install the matching CUDA libraries, or --device cpu"
        )
    return session


def choose_providers(device: str, available: list[str]) -> list[Any]:
    """ONNX Runtime's execution providers for a device name.

    Raises:
        UsageError: not a device name, or CUDA asked for and not among `available`, which are named.
    """
    kind, _, index = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (index and (kind != "cuda" or not index.isdigit())):
        raise UsageError(f"--device {device}: not a device", hint="one of: auto, cpu, cuda, cuda:N")
    # The GPU build of ONNX Runtime lists CUDA on machines without a GPU too, and complains at length when it is then asked for.
    has_cuda = "CUDAExecutionProvider" in available and has_nvidia_driver()
    if kind == "cuda" and not has_cuda:
        usable = [name for name in available if name not in ("CUDAExecutionProvider", "TensorrtExecutionProvider")]
        raise UsageError(f"--device {device}: no NVIDIA driver, or no CUDA in ONNX Runtime", hint=f"providers here: {', '.join(usable)}")
    if has_cuda and kind != "cpu":
        return [("CUDAExecutionProvider", {"device_id": int(index or 0)}), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def has_nvidia_driver() -> bool:
    """Whether the CUDA driver library can be loaded."""
    import ctypes

    try:
        ctypes.CDLL("nvcuda.dll" if os.name == "nt" else "libcuda.so.1")
    except OSError:
        return False
    return True
