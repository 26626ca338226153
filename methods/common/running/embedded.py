"""The models that come along with a method: files in a folder of the package, each under its name. No torch here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..errors import UsageError, nearest


@dataclass(frozen=True)
class Embedded:
    """The models in a folder. NAME.part.safetensors is a part of the model NAME, not one of its own."""

    folder: Path

    def names(self) -> list[str]:
        """Of the models, sorted."""
        return sorted(path.stem for path in self.folder.glob("*.safetensors") if "." not in path.stem)

    def file(self, name: str | Path, suffix: str = ".safetensors") -> Path | None:
        """The file of an embedded model; None where there is none of that name."""
        inside = self.folder / f"{name}{suffix}"
        return inside if Path(name).name == str(name) and inside.is_file() else None

    def find(self, given: str | Path, suffix: str = ".safetensors") -> Path:
        """What a person means: a file that exists, or else an embedded model.

        Raises:
            UsageError: neither.
        """
        path = Path(given) if Path(given).is_file() else self.file(given, suffix)
        if path is None:
            close = nearest(str(given), self.names()) or f"one of: {', '.join(self.names())}"
            raise UsageError(f"{given}: no such file or model", hint=f"{close}; or a file {suffix}")
        return path
