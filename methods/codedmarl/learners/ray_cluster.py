"""Getting onto a Ray cluster, and off it again: quiet, without touching what is not ours, and with errors that say what to do."""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from ...common.errors import PprError, UsageError, missing_extra

#: Read by Ray when it is imported: no reports home, no files of this folder sent to other machines, no lines about schedulers.
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_SCHEDULER_EVENTS": "0",
}
#: The same, for a cluster that is started here: learners are no background work, but as urgent as those of the engine `local`.
OWN_SETTINGS = {"RAY_worker_niceness": "0"}
OBJECT_STORE = 256 << 20  # bytes: some published iterations and the shares of many learners
SMALLEST_STORE = 76 << 20  # bytes: Ray takes no less than 75 MiB
CONNECT_SECONDS = 5.0


def connect(address: str) -> bool:
    """Join the cluster at an address, or start one here for "local"; returns whether it has to be left again.

    Raises:
        PprError: Ray is not installed, there is no cluster, or it doesn't let us in.
    """
    ray = _ray(SETTINGS | OWN_SETTINGS if address == "local" else SETTINGS)
    if address not in ("local", "auto"):
        _reach(address)
    if ray.is_initialized():
        return False
    logging.getLogger("ray").setLevel(logging.ERROR)
    # Otherwise the death of a learner, which we handle, is told on stdout.
    ray._private.worker._worker_logs_enabled = False
    quiet: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address == "local":
        store = min(OBJECT_STORE, max(SMALLEST_STORE, _free_shared_memory() // 2))
        _init(address, object_store_memory=store, include_dashboard=False, **quiet)
    else:
        _init(address, **quiet)
    return True


def _ray(settings: Mapping[str, str]) -> Any:
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise missing_extra("ray", "marl") from error
    return ray


def _reach(address: str) -> None:
    """Fail soon, and not after Ray's many attempts, where nothing listens.

    Raises:
        UsageError: not HOST:PORT.
        PprError: nothing answers there.
    """
    host, separator, port = address.removeprefix("ray://").rpartition(":")
    if not separator or not host or not port.isdecimal() or not 0 < int(port) < 65536:
        raise UsageError(f"--address {address}: not local, auto or HOST:PORT", hint="for example --address 10.0.0.5:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_SECONDS).close()
    except OSError as error:
        raise PprError(
            f"--address {address}: nothing answers there ({error.strerror or error})",
            hint=f"on that machine: ray start --head --port={port}; and let its firewall pass",
        ) from error


def _init(address: str, **options: Any) -> None:
    import ray

    try:
        with _hushed() as told:
            ray.init(address=address, **options)
    except Exception as error:  # ConnectionError, RuntimeError, AuthenticationError and others, by version
        raise explained("\n".join([*_chain(error), *told]), address) from error


def _chain(error: BaseException | None) -> Iterator[str]:
    """The messages of an error and of its causes."""
    while error is not None:
        yield str(error)
        error = error.__cause__


@contextlib.contextmanager
def _hushed() -> Iterator[list[str]]:
    """Keep what Ray's C++ part writes to stderr, a line a second while it tries again; yields a list that gets the lines in the end."""
    told: list[str] = []
    sys.stderr.flush()
    with tempfile.TemporaryFile("w+") as kept:
        before = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield told
        finally:
            os.dup2(before, 2)
            os.close(before)
            kept.seek(0)
            told += kept.read().splitlines()


def explained(text: str, address: str) -> PprError:
    """What Ray's message means, and what to do about it."""
    first = next((line for line in text.splitlines() if line.strip()), "no reason given")
    if "InvalidAuthToken" in text or ("oken" in text and "authentication" in text):
        return PprError(
            f"--address {address}: the cluster wants a token that this machine does not have, or another one",
            hint="RAY_AUTH_MODE=token here, and the same token on every machine: `ray get-auth-token --generate` on one, copied to others",
        )
    if "Version mismatch" in text:
        versions = " / ".join(line.strip() for line in text.splitlines() if "Ray:" in line or "Python:" in line)
        return PprError(
            f"--address {address}: the cluster has other versions ({versions})",
            hint="install the same Python, ray, torch and ppr on every machine",
        )
    if "Could not find any running Ray instance" in text:
        return PprError("--address auto: no Ray cluster runs here", hint="ray start --head --port=6379, or --address local")
    return PprError(f"Ray at {address} does not start: {first[:160]}", hint="try --engine local, which needs no Ray")


def _free_shared_memory() -> int:
    """Bytes left in /dev/shm; plenty where there is no such thing."""
    try:
        state = os.statvfs("/dev/shm")
    except OSError:
        return 2 * OBJECT_STORE
    return state.f_bavail * state.f_frsize
