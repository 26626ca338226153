"""Where results go: names that say what they hold, keep the tree, and never collide."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ...common.errors import UsageError
from ...common.reading.inputs import Input

EXTENSIONS = {"png": ".png", "webp": ".webp", "jpg": ".jpg", "npy": ".npy", "tiff16": ".tif"}
BY_EXTENSION = {".png": "png", ".webp": "webp", ".jpg": "jpg", ".jpeg": "jpg", ".npy": "npy", ".tif": "tiff16", ".tiff": "tiff16"}
KINDS = ("mask", "cutout", "overlay", "heatmap", "outline", "crop")
LABELS = {"mask": "saliency"}  # the other kinds are called what they are
#: What tells a result from a photo when a folder is read again.
MARKERS = tuple(f".{LABELS.get(kind, kind)}." for kind in KINDS)


@dataclass(frozen=True)
class Destinations:
    """The naming rule of one command.

    Args:
        out: a file, a folder, or None for beside the inputs (for a zip: in a folder beside it).
        single: `out` is one file's name.
        suffix: replaces the label between stem and extension.
        ambiguous: relative stems that more than one input has; these keep their extension in the name.
    """

    out: Path | None
    single: bool
    format: str
    suffix: str | None
    keep_tree: bool
    kinds: int
    ambiguous: frozenset[str]

    @classmethod
    def plan(
        cls,
        out: Path | None,
        inputs: Sequence[Input],
        kinds: Sequence[str],
        format: str | None,
        suffix: str | None,
        *,
        keep_tree: bool,
        many: bool,
    ) -> Destinations:
        """Decide between file and folder, and choose the format.

        Args:
            many: there can be more than one output even of one input (frames, a watched folder).

        Raises:
            UsageError: one file name for several outputs, or an extension that contradicts --format.
        """
        several = len(inputs) > 1 or len(kinds) > 1 or many or any(item.root != Path(item.source.path) for item in inputs)
        extension = out.suffix.lower() if out else ""
        is_folder = out is not None and (out.is_dir() or (not extension and several) or str(out).endswith("/"))
        single = out is not None and not is_folder
        if single and several:
            raise UsageError(f"--out {out}: one file for several results", hint="give a folder (without extension, or ending in /)")
        if single and extension not in BY_EXTENSION:
            raise UsageError(
                f"--out {out}: the extension '{extension}' is no output format", hint=f"one of: {', '.join(BY_EXTENSION)}, or a folder/"
            )
        if single and format and BY_EXTENSION[extension] != format:
            raise UsageError(f"--out {out}: contradicts --format {format}", hint="leave one of them out")
        chosen = format or (BY_EXTENSION[extension] if single else "png")
        places = Counter(str(cls._stem(item, keep_tree, out)) for item in inputs)
        ambiguous = frozenset(place for place, count in places.items() if count > 1)
        plan = cls(out, single, chosen, suffix, keep_tree, len(kinds), ambiguous)
        if len(inputs) == 1:  # found before the network is loaded; in a batch it is that one input's failure
            for kind in kinds:
                plan.path(inputs[0], kind)
        return plan

    @staticmethod
    def _stem(item: Input, keep_tree: bool, out: Path | None) -> PurePosixPath:
        """Where an input's results go, below the output folder, without label and extension."""
        relative = item.relative.with_suffix("")
        if out is None and not item.source.archive:
            return PurePosixPath(Path(item.source.path).with_suffix("").as_posix())
        return relative if keep_tree else PurePosixPath(relative.name)

    def path(self, item: Input, kind: str, frame: int | None = None) -> Path:
        """The file for one result.

        Raises:
            UsageError: it would be the input itself.
        """
        if self.single:
            assert self.out is not None
            path = self.out
        else:
            stem = self._stem(item, self.keep_tree, self.out)
            name = stem.name
            if str(stem) in self.ambiguous:
                flat = "_".join(item.relative.parts) if not self.keep_tree else item.relative.name
                name = flat
            if frame is not None:
                name += f".{frame:04d}"
            if self.suffix is not None:
                label = self.suffix + (f".{LABELS.get(kind, kind)}" if self.kinds > 1 else "")
            else:
                label = f".{LABELS.get(kind, kind)}"
            path = self._folder(item, stem) / f"{name}{label}{EXTENSIONS[self.format]}"
        if not item.source.archive and not item.is_stdin and path.resolve() == Path(item.source.path).resolve():
            raise UsageError(f"{path}: the output would replace the input", hint="give another --out or --suffix")
        return path

    def _folder(self, item: Input, stem: PurePosixPath) -> Path:
        if self.out is not None:
            return self.out / stem.parent
        if item.source.archive:
            archive = Path(item.source.archive)
            return archive.parent / f"{archive.stem}.saliency" / stem.parent
        return Path(stem).parent
