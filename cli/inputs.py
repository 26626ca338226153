"""From what a person types as INPUT (files, folders, globs, zips, `-`) to the list of files to read."""

from __future__ import annotations

import glob
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.inputs import STDIN, Input
from ppr.methods.common.reading.sources import Source, is_hidden, zip_members

__all__ = ["Input", "expand", "folder"]


def expand(
    arguments: Sequence[str],
    *,
    suffixes: Iterable[str],
    recursive: bool,
    ignore: Sequence[str] = (),
    failure: Callable[[PprError], None] | None = None,
) -> list[Input]:
    """The files that the arguments stand for, in order, each once.

    Args:
        suffixes: which files of a folder, glob or zip to take; a file given by name is taken whatever its suffix.
        recursive: look into sub-folders too.
        ignore: markers of this program's own output (".saliency."), not taken from folders.
        failure: told of each argument that stands for nothing while others stand for something; None raises the first.

    Raises:
        UsageError: nothing exists under an argument, or nothing suitable lies there.
        PprError: a damaged zip.
    """
    wanted = frozenset(suffixes)
    found: dict[Source, Input] = {}
    errors: list[PprError] = []
    for argument in arguments:
        try:
            for item in _expand_one(argument, wanted, recursive, ignore):
                found.setdefault(item.source, item)
        except PprError as error:
            errors.append(error)
    if errors and (failure is None or not found):
        raise errors[0]
    for missing in errors:
        assert failure is not None
        failure(missing)
    return list(found.values())


def _expand_one(argument: str, wanted: frozenset[str], recursive: bool, ignore: Sequence[str]) -> list[Input]:
    if argument == STDIN:
        return [Input(Source(STDIN), PurePosixPath("stdin"), Path(STDIN))]
    path = Path(argument)
    if path.is_dir():
        return folder(path, wanted, recursive=recursive, ignore=ignore)
    if path.suffix.lower() == ".zip" and path.is_file():
        members = [Input(m, PurePosixPath(m.path), path) for m in zip_members(path) if m.suffix in wanted]
        if not members:
            raise UsageError(f"{path}: no file of a readable kind in this archive")
        return members
    if path.exists():
        return [Input(Source(argument), PurePosixPath(path.name), path)]
    matches = sorted(glob.glob(argument, recursive=True)) if glob.has_magic(argument) else []  # noqa: PTH207 - absolute patterns too
    files = [Path(match) for match in matches if Path(match).suffix.lower() in wanted and Path(match).is_file()]
    if not files:
        raise UsageError(f"{argument}: no such file" if not matches else f"{argument}: matches no file of a readable kind")
    base = Path(*_fixed_parts(argument))
    return [Input(Source(str(file)), PurePosixPath(file.relative_to(base).as_posix()), base) for file in files]


def folder(path: Path, wanted: frozenset[str], *, recursive: bool, ignore: Sequence[str] = ()) -> list[Input]:
    """The suitable files of a folder, sorted.

    Raises:
        UsageError: there is none.
    """
    candidates = sorted(path.rglob("*") if recursive else path.iterdir())
    files = [
        Input(Source(str(file)), relative, path)
        for file in candidates
        if file.suffix.lower() in wanted
        and file.is_file()
        and not is_hidden(relative := PurePosixPath(file.relative_to(path).as_posix()))
        and not any(marker in file.name for marker in ignore)
    ]
    if not files:
        deeper = not recursive and any(child.is_dir() for child in candidates)
        raise UsageError(
            f"{path}: no file of a readable kind in this folder", hint="--recursive looks into its sub-folders" if deeper else None
        )
    return files


def _fixed_parts(pattern: str) -> list[str]:
    """The leading parts of a glob that have no wildcard."""
    fixed = []
    for part in Path(pattern).parts[:-1]:
        if glob.has_magic(part):
            break
        fixed.append(part)
    return fixed or ["."]
