"""open3d, an optional package that expects libraries of the system."""

from __future__ import annotations

from typing import Any

from ..errors import PprError, missing_extra

#: What open3d's wheel expects of a Linux system, and the Debian package that has it.
_DEBIAN_PACKAGES = {
    "libusb-1.0.so": "libusb-1.0-0",
    "libgomp.so": "libgomp1",
    "libGL.so": "libgl1",
    "libEGL.so": "libegl1",
    "libX11.so": "libx11-6",
}


def import_open3d() -> Any:
    """The module open3d, which takes a second to import and expects libraries of the system.

    Raises:
        PprError: it is not installed, or a library that it needs is missing; the hint says what to install.
    """
    try:
        import open3d
    except ImportError as error:
        raise _open3d_error(error) from error
    return open3d


def _open3d_error(error: ImportError) -> PprError:
    if isinstance(error, ModuleNotFoundError) and error.name == "open3d":
        return missing_extra("open3d", "mesh")
    for library, package in _DEBIAN_PACKAGES.items():
        if library in str(error):
            return PprError(f"open3d needs the system library {library}, which is missing", hint=f"apt-get install {package}")
    return PprError(f"open3d cannot be imported ({str(error).splitlines()[0][:120]})", hint="pip install --force-reinstall open3d")
