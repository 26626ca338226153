"""`ppr doctor`: is everything there that ppr needs, and what to do where something is not."""

from __future__ import annotations

import ctypes
import os
import platform
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import click

from .. import options, output
from ..method import methods, outside

#: Library -> (its Debian package, what wants it). Wheels of these packages do not bring them along.
SYSTEM_LIBRARIES = {
    "libgomp.so.1": ("libgomp1", "open3d"),
    "libGL.so.1": ("libgl1", "open3d"),
    "libEGL.so.1": ("libegl1", "open3d without a screen"),
    "libX11.so.6": ("libx11-6", "open3d"),
    "libusb-1.0.so.0": ("libusb-1.0-0", "open3d"),
}


@dataclass(frozen=True)
class Check:
    """One thing looked at. `status` is ok, note (something optional is missing) or broken (ppr cannot work like that)."""

    area: str
    name: str
    found: str
    status: Literal["ok", "note", "broken"] = "ok"
    hint: str | None = None


@click.command()
@options.json_lines
@options.quiet
def doctor(as_json: bool) -> int:
    """Check Python, libraries, devices, extras, system libraries and caches; exits 1 if something required is broken."""
    checks = [check for area in AREAS for check in area()]
    broken = [check for check in checks if check.status == "broken"]
    if as_json:
        output.emit_json({"ok": not broken, "checks": [asdict(check) for check in checks]})
    else:
        output.table([asdict(check) for check in checks], as_json=False)
        output.note(f"{len(broken)} broken" if broken else "everything required is there")
    return 1 if broken else 0


def check_python() -> Iterator[Check]:
    from ppr.methods.common.measuring.cores import usable_cores

    from . import extras

    yield Check("python", "ppr", extras.version("ppr") or "not installed")
    hint = None if sys.version_info >= (3, 11) else "ppr needs Python 3.11 or newer"
    yield Check("python", "python", f"{platform.python_version()} ({sys.executable})", "broken" if hint else "ok", hint)
    yield Check("python", "system", f"{platform.platform()}, {usable_cores()} of {os.cpu_count()} cores, {_memory()}")


def check_distributions() -> Iterator[Check]:
    """Every required distribution, by version; the two of ONNX Runtime must not be installed together."""
    from . import extras

    for needed in extras.required():
        found = f"{needed.installed or 'not installed'} ({needed.range or 'any'})"
        hint = None if needed.satisfied else f"pip install '{needed.name}{needed.range}'"
        yield Check("required", needed.name, found, "ok" if needed.satisfied else "broken", hint)
    both = [name for name in ("onnxruntime", "onnxruntime-gpu") if extras.version(name)]
    if len(both) == 2:
        hint = f"they overwrite each other's files: pip uninstall -y {' '.join(both)}, then pip install onnxruntime-gpu"
        yield Check("required", " + ".join(both), "both installed", "broken", hint)


def check_torch() -> Iterator[Check]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an old driver is reported below, not as a warning
            import torch

            cuda = torch.cuda.is_available()
            names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())] if cuda else []
    except (ImportError, OSError, RuntimeError) as error:
        yield Check("devices", "torch", _one_line(error), "broken", "pip install --force-reinstall torch")
        return
    yield Check("devices", "torch", f"{torch.__version__}, {torch.get_num_threads()} threads")
    if cuda:
        yield Check("devices", "CUDA", f"{torch.version.cuda}: {', '.join(names)}")
    else:
        why = (
            "this torch is built without it"
            if torch.version.cuda is None
            else f"built for {torch.version.cuda}, but no usable GPU or driver"
        )
        yield Check("devices", "CUDA", f"none ({why})", "note", "--device cpu works everywhere")


def check_onnxruntime() -> Iterator[Check]:
    try:
        import onnxruntime

        providers = onnxruntime.get_available_providers()
    except (ImportError, OSError, AttributeError) as error:  # AttributeError: what is left after one of two clashing packages was removed
        hint = "pip uninstall -y onnxruntime onnxruntime-gpu, then install ppr again"
        yield Check("devices", "ONNX Runtime", _one_line(error), "broken", hint)
        return
    broken = "CPUExecutionProvider" not in providers
    yield Check("devices", "ONNX Runtime", f"{onnxruntime.__version__}: {', '.join(providers)}", "broken" if broken else "ok")


def check_extras() -> Iterator[Check]:
    from . import extras

    for extra, needs in extras.extras().items():
        missing = [item.name for item in needs if not item.satisfied]
        found = "installed" if not missing else f"not installed: {', '.join(missing)}"
        yield Check("extras", extra, found, "note" if missing else "ok", f"pip install 'ppr[{extra}]'" if missing else None)


def check_methods() -> Iterator[Check]:
    """The methods there are, those of other packages with where they come from, or why they cannot be used."""
    for method in methods():
        yield Check("methods", f"ppr {method.name}", f"{len(method.verbs)} verbs ({method.package})")
    for name, reason in outside().broken.items():
        yield Check("methods", f"ppr {name}", reason, "note", "a fault of the package that brings it: update or uninstall that")


def check_system() -> Iterator[Check]:
    """Libraries that wheels expect of a Linux system, and ffmpeg."""
    if sys.platform == "linux":
        for library, (package, wanted_by) in SYSTEM_LIBRARIES.items():
            there = _loads(library)
            hint = None if there else f"only for {wanted_by}: apt-get install {package}"
            yield Check("system", library, "found" if there else "missing", "ok" if there else "note", hint)
    ffmpeg = shutil.which("ffmpeg")
    yield Check(
        "system",
        "ffmpeg",
        ffmpeg or "missing",
        "ok" if ffmpeg else "note",
        None if ffmpeg else "only for video pipes: apt-get install ffmpeg",
    )


def check_caches() -> Iterator[Check]:
    from ppr.methods.common.reading.datasets import cache_home

    home = cache_home()
    writable = _writable(home)
    hint = None if writable else "downloads need it: set PPR_HOME to a folder you can write to"
    yield Check("caches", "PPR_HOME", f"{home} ({'writable' if writable else 'not writable'})", "ok" if writable else "note", hint)


AREAS: tuple[Callable[[], Iterator[Check]], ...] = (
    check_python,
    check_distributions,
    check_torch,
    check_onnxruntime,
    check_extras,
    check_methods,
    check_system,
    check_caches,
)


def _memory() -> str:
    """Physical and available memory, as far as this system tells."""
    if not hasattr(os, "sysconf") or "SC_PHYS_PAGES" not in os.sysconf_names:
        return "memory unknown"
    page = os.sysconf("SC_PAGE_SIZE")
    total = f"{output.file_size(os.sysconf('SC_PHYS_PAGES') * page)} memory"
    if "SC_AVPHYS_PAGES" not in os.sysconf_names:
        return total
    return f"{total} ({output.file_size(os.sysconf('SC_AVPHYS_PAGES') * page)} free)"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _writable(folder: Path) -> bool:
    """Whether a folder can be written to or, where it does not exist yet, can be made."""
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


def _one_line(error: Exception) -> str:
    return f"cannot be imported ({(str(error).splitlines() or [type(error).__name__])[0][:120]})"
