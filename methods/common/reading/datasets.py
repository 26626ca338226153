"""Data sets by name: what each method lists in its datasets.yaml, where a set lies on this machine, and how it gets there."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import urllib.parse
import urllib.request
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import BinaryIO, Literal

from ..errors import PprError, UsageError, nearest
from .files import atomic_open, sha256
from .sources import open_zip

KINDS = ("download", "bundled", "manual")
NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
SHA256 = re.compile(r"[0-9a-f]{64}")
TIMEOUT = 30.0  # seconds without a byte


@dataclass(frozen=True)
class Dataset:
    """One entry of a datasets.yaml.

    Args:
        name: unique over all methods; lower case.
        method: who uses it.
        kind: `download` is one file at `url` with `size` and `sha256`; `bundled` lies in the method's folder at `path`; `manual` has
            no stable file to fetch, only a page `url` and the `layout` that is expected of what the user puts in place.
        size: bytes.
    """

    name: str
    method: str
    kind: Literal["download", "bundled", "manual"]
    description: str
    licence: str
    citation: str
    url: str = ""
    sha256: str = ""
    size: int = 0
    path: str = ""
    layout: str = ""

    @property
    def place(self) -> Path:
        """Where the set lies, or would lie, on this machine."""
        if self.kind == "bundled":
            return _methods_folder() / self.method / self.path
        folder = cache_home() / "datasets"
        if self.kind == "download":
            return folder / self.name / Path(urllib.parse.unquote(urllib.parse.urlsplit(self.url).path)).name
        return folder / self.name

    def locate(self) -> Path | None:
        """The set's file or folder, or None where it is not on this machine."""
        candidates = [self.place, self.place.with_name(f"{self.name}.zip")] if self.kind == "manual" else [self.place]
        return next((path for path in candidates if path.exists()), None)


@dataclass(frozen=True)
class Verified:
    """What was found at a path: a hash of its content (of a folder: of the sorted lines `sha256  name`), its files and bytes."""

    path: Path
    files: int
    bytes: int
    sha256: str


def cache_home() -> Path:
    """`$PPR_HOME`, or the platform's folder for a user's caches."""
    import platformdirs

    home = os.environ.get("PPR_HOME")
    return Path(home).expanduser() if home else Path(platformdirs.user_cache_dir("ppr", appauthor=False))


def registry() -> dict[str, Dataset]:
    """Every data set of every method, by name."""
    found: dict[str, Dataset] = {}
    for file in sorted(_methods_folder().glob("*/datasets.yaml")):
        for dataset in read_registry(file, file.parent.name):
            if dataset.name in found:
                raise PprError(f"{file}: '{dataset.name}' is also listed by {found[dataset.name].method}")
            found[dataset.name] = dataset
    return found


def read_registry(file: Path, method: str) -> list[Dataset]:
    """The entries of one datasets.yaml.

    Raises:
        PprError: an entry lacks what its kind needs, or has a key that nothing reads.
    """
    import yaml

    entries = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    known = {field.name for field in fields(Dataset)} - {"name", "method"}
    datasets = []
    for name, entry in entries.items():
        needed = {"description", "licence", "citation"} | _needed_by(entry.get("kind"))
        unknown, missing = sorted(set(entry) - known), sorted(needed - set(entry))
        if unknown or missing or entry["kind"] not in KINDS or not NAME.fullmatch(name):
            raise PprError(f"{file}: '{name}' is not a valid entry (unknown keys {unknown}, missing keys {missing})")
        if "sha256" in entry and not SHA256.fullmatch(entry["sha256"]):
            raise PprError(f"{file}: '{name}': sha256 is not 64 hexadecimal digits")
        datasets.append(Dataset(name=name, method=method, **entry))
    return datasets


def find(name: str) -> Dataset:
    """A registered data set; upper and lower case are the same.

    Raises:
        UsageError: no such name; the hint has the nearest one.
    """
    known = registry()
    if name.lower() not in known:
        raise UsageError(f"{name}: no data set of that name", hint=nearest(name.lower(), known))
    return known[name.lower()]


def resolve(name_or_path: str) -> Path:
    """A file or folder: an existing path, or else the place of a registered data set.

    Raises:
        UsageError: neither a path that exists nor a registered name.
        PprError: a registered set that is not on this machine.
    """
    path = Path(name_or_path).expanduser()
    if path.exists():
        return path
    known = registry()
    if name_or_path.lower() not in known:
        hint = nearest(name_or_path.lower(), known) if path.name == name_or_path and not path.suffix else None
        raise UsageError(f"{name_or_path}: no such file, folder or data set", hint=hint or "`ppr data list` shows the names")
    return require(known[name_or_path.lower()])


def require(dataset: Dataset) -> Path:
    """The place of a data set that must be on this machine.

    Raises:
        PprError: it is not; the hint says how to get it.
    """
    place = dataset.locate()
    if place is None:
        how = f"ppr data fetch {dataset.name}" if dataset.kind == "download" else f"download it from {dataset.url} and {_by_hand(dataset)}"
        raise PprError(f"{dataset.name}: this data set is not on this machine", hint=how)
    return place


def fetch(dataset: Dataset, advance: Callable[[int], None] = lambda _bytes: None) -> Path:
    """Bring a data set to this machine, unless it is there already.

    A download is written under a temporary name and renamed once its size and hash are right, so that a file in place is a good one.

    Args:
        advance: called with the number of bytes of every piece that arrived.

    Raises:
        PprError: no connection, a server's refusal, a wrong size or hash, a full disk; or a set that only a person can download.
    """
    place = dataset.locate()
    if place is not None:
        return place
    if dataset.kind != "download":
        raise PprError(f"{dataset.name}: its owners publish no stable file; download it from {dataset.url}", hint=_by_hand(dataset))
    try:
        dataset.place.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PprError(
            f"{dataset.place.parent}: cannot be made ({error.strerror})", hint="set PPR_HOME to a folder you can write to"
        ) from error
    with atomic_open(dataset.place) as stream:
        bounded = _Bounded(stream, dataset, advance)
        with _explained(dataset):
            _transfer(dataset.url, bounded)
        if bounded.received != dataset.size:
            raise PprError(
                f"{dataset.name}: {dataset.url} ended after {bounded.received:,} of {dataset.size:,} bytes",
                hint="nothing was kept; try again",
            )
        if bounded.hash.hexdigest() != dataset.sha256:
            raise PprError(
                f"{dataset.name}: {dataset.url} has another hash than expected (sha256 {bounded.hash.hexdigest()})",
                hint="nothing was kept; try again, and if it stays so the file was changed by its owners",
            )
    return dataset.place


def inspect(path: Path) -> Verified:
    """Hash a file or folder; a zip is also read through, which finds damaged members.

    Raises:
        PprError: absent, unreadable, or a damaged zip.
    """
    try:
        files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        for file in files:
            if file.suffix.lower() == ".zip":
                _read_through(file)
        if path.is_dir():
            lines = "".join(f"{sha256(file)}  {file.relative_to(path).as_posix()}\n" for file in files)
            digest = hashlib.sha256(lines.encode()).hexdigest()
        else:
            digest = sha256(path)
        return Verified(path, len(files), sum(file.stat().st_size for file in files), digest)
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})") from error


class _Bounded:
    """A stream that counts and hashes what is written to it, and takes no more than the data set's size."""

    def __init__(self, stream: BinaryIO, dataset: Dataset, advance: Callable[[int], None]) -> None:
        self.stream, self.dataset, self.advance = stream, dataset, advance
        self.received = 0
        self.hash = hashlib.sha256()

    def write(self, piece: bytes) -> int:
        self.received += len(piece)
        if self.received > self.dataset.size:
            raise PprError(
                f"{self.dataset.name}: {self.dataset.url} sends more than the {self.dataset.size:,} bytes expected", hint="nothing was kept"
            )
        self.hash.update(piece)
        self.advance(len(piece))
        return self.stream.write(piece)

    def flush(self) -> None:
        """Not passed on: a download has no use for a system call a piece."""


def _transfer(url: str, stream: _Bounded) -> None:
    address = urllib.parse.urlsplit(url)
    if address.scheme == "file":
        with Path(urllib.request.url2pathname(address.path)).open("rb") as source:
            shutil.copyfileobj(source, stream, 1 << 20)
        return
    if address.scheme not in ("http", "https"):
        raise PprError(f"{url}: only https, http and file addresses are fetched")
    from pooch import HTTPDownloader

    # A server must not compress on the way: size and hash are those of the file.
    download = HTTPDownloader(chunk_size=1 << 16, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"})
    download(url, stream, None)


@contextlib.contextmanager
def _explained(dataset: Dataset) -> Iterator[None]:
    """Turn what can go wrong on the way into one error."""
    import requests

    try:
        yield
    except requests.HTTPError as error:
        raise PprError(f"{dataset.name}: {error}", hint="try later, or look for the data set's new address") from error
    except requests.RequestException as error:
        host = urllib.parse.urlsplit(dataset.url).netloc
        raise PprError(
            f"{dataset.name}: no connection to {host}, or it broke off ({type(error).__name__})",
            hint=f"check the network and try again, or put the file at {dataset.place} yourself",
        ) from error
    except FileNotFoundError as error:
        raise PprError(f"{dataset.name}: {dataset.url}: no such file") from error


def _read_through(file: Path) -> None:
    with open_zip(file) as archive:
        try:
            damaged = archive.testzip()
        except (zipfile.BadZipFile, RuntimeError, EOFError, NotImplementedError, ValueError) as error:
            raise PprError(f"{file}: damaged zip ({error})", hint="download it again") from error
    if damaged:
        raise PprError(f"{file}: damaged zip (member {damaged})", hint="download it again")


def _needed_by(kind: object) -> set[str]:
    return {"kind"} | {"download": {"url", "sha256", "size"}, "bundled": {"path"}, "manual": {"url", "layout"}}.get(str(kind), set())


def _by_hand(dataset: Dataset) -> str:
    return f"put it at {dataset.place}.zip, or unpacked at {dataset.place}{os.sep} ({dataset.layout})"


def _methods_folder() -> Path:
    return Path(__file__).resolve().parents[2]
