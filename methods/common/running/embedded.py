"""What a person means by a model: a name that comes along, a file, or a run directory. No torch here."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, nearest

log = logging.getLogger("ppr")

#: In a run, in the order in which they are looked for.
RUN_FILES = ("best", "last")


@dataclass(frozen=True)
class Embedded:
    """The models that come along with a method: files in a folder of the package, each under its name.

    NAME.part.safetensors is a part of the model NAME, not one of its own. Without a folder none come along, and `find` takes files and
    runs alone.
    """

    folder: Path | None = None

    def names(self) -> list[str]:
        """Of the models, sorted."""
        files = self.folder.glob("*.safetensors") if self.folder else ()
        return sorted(path.stem for path in files if "." not in path.stem)

    def file(self, name: str | Path, suffix: str = ".safetensors") -> Path | None:
        """The file of an embedded model; None where there is none of that name."""
        if self.folder is None or Path(name).name != str(name):
            return None
        inside = self.folder / f"{name}{suffix}"
        return inside if inside.is_file() else None

    def find(self, given: str | Path, suffix: str = ".safetensors") -> Path:
        """What a person means: a file or a run directory that exists, or else an embedded model.

        Raises:
            UsageError: none of them, or a run without a checkpoint.
        """
        path, inside = Path(given).expanduser(), self.file(given, suffix)
        folder = path.is_dir() and str(given) != ""  # which Path takes for this folder
        if path.is_file() or (folder and (inside is None or _checkpoint(path, suffix))):
            if inside is not None:  # a person who gave no model at all should know as well
                log.info("%s: taken from this folder, not the embedded model of that name", given)
            return path if path.is_file() else best_of(path, suffix)
        if inside is None:
            names = self.names()
            close = (nearest(str(given), names) or f"one of: {', '.join(names)}") + "; or " if names else ""
            raise UsageError(f"{given}: no such file or model", hint=f"{close}a file {suffix}, or the folder that `train --out` made")
        return inside


def best_of(run: Path, suffix: str = ".safetensors") -> Path:
    """The best checkpoint of a run directory; the last one, with a note, where none has been called best.

    Raises:
        UsageError: it has neither.
    """
    found = _checkpoint(run, suffix)
    if found is None:
        if (run / "config.yaml").is_file():
            hint = "go on with `train --resume` until there is one" if suffix == ".safetensors" else "`export` writes one"
            raise UsageError(f"{run}: a run without best{suffix}", hint=hint)
        raise UsageError(f"{run}: not a run directory (no best{suffix})", hint="give the folder that `train --out` made, or a file in it")
    if found.stem != RUN_FILES[0]:
        log.info("%s: has no best%s yet; this is its last one", run, suffix)
    return found


def _checkpoint(run: Path, suffix: str) -> Path | None:
    return next((run / f"{name}{suffix}" for name in RUN_FILES if (run / f"{name}{suffix}").is_file()), None)
