"""Find image/mask pairs in the layouts saliency data comes in, and check them."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import cv2
import numpy as np

from ...common.errors import PprError, UsageError
from ...common.reading import images
from ...common.reading.files import free_name
from ...common.reading.sources import Source, is_hidden, zip_members

log = logging.getLogger("ppr")

IMAGE_FOLDER = re.compile(r"^(images?|imgs?|.*[-_]images?)$", re.IGNORECASE)
MASK_FOLDER = re.compile(r"^(masks?|gts?|ground[-_ ]?truth([-_ ]?masks?)?|annotations?|labels?|.*[-_](masks?|gts?))$", re.IGNORECASE)
LIST_SUFFIXES = frozenset({".txt", ".lst", ".csv"})


@dataclass(frozen=True)
class Pair:
    """An image and its ground-truth mask; `name` is unique within its data set."""

    name: str
    image: Source
    mask: Source


@dataclass
class PairSet:
    """The pairs of one or more data sets, and the files that found no partner."""

    pairs: list[Pair] = field(default_factory=list)
    images_alone: list[Source] = field(default_factory=list)
    masks_alone: list[Source] = field(default_factory=list)

    def fingerprint(self) -> dict[str, object]:
        """Number of pairs and a hash of their names, which tells two data sets apart without reading them."""
        names = "\n".join(sorted(pair.name for pair in self.pairs))
        return {"pairs": len(self.pairs), "names_sha256": hashlib.sha256(names.encode()).hexdigest()}


def find_pairs(paths: list[Path]) -> PairSet:
    """Pairs of all the given folders, zips and list files, sorted by name.

    Raises:
        UsageError: a path does not exist or holds no pair.
        PprError: a list file or archive is damaged.
    """
    found = PairSet()
    for path in paths:
        part = scan(path)
        if not part.pairs:
            raise UsageError(
                f"{path}: no image/mask pairs ({len(part.images_alone)} images, {len(part.masks_alone)} masks without partner)",
                hint="expected images/ beside masks/ (or imgs, gt, …), a.jpg + a.png together, a zip of these, or a list of 'image mask'",
            )
        found.pairs += part.pairs
        found.images_alone += part.images_alone
        found.masks_alone += part.masks_alone
    found.pairs.sort(key=lambda pair: pair.name)
    return found


def scan(path: Path) -> PairSet:
    """The pairs of one folder, zip or list file, and the files without partner; there may be none.

    Raises:
        UsageError: the path does not exist.
        PprError: a list file or archive is damaged.
    """
    if path.is_file() and path.suffix.lower() in LIST_SUFFIXES:
        return _read_list(path)
    return match(*list_files(path))


def list_files(path: Path) -> tuple[list[Source], str]:
    """The files in a folder or zip, and the root that their paths begin with.

    Raises:
        UsageError: the path does not exist.
        PprError: a file that is no zip.
    """
    if path.is_dir():
        return [Source(str(file)) for file in sorted(path.rglob("*")) if file.is_file()], str(path)
    if not path.is_file():
        raise UsageError(f"{path}: no such file or folder")
    return zip_members(path), ""


def _read_list(path: Path) -> PairSet:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise PprError(f"{path}: not a list file ({error})", hint="expected lines of 'image mask' in UTF-8") from error
    found = PairSet()
    for number, line in enumerate(lines, start=1):
        parts = [part for part in re.split(r"[,\t ]+", line.strip()) if part]
        if not parts or line.startswith("#"):
            continue
        if len(parts) != 2:
            raise PprError(f"{path}:{number}: expected 'image mask', found {len(parts)} words")
        image, mask = (path.parent / part for part in parts)
        for file in (image, mask):
            if not file.is_file():
                raise PprError(f"{path}:{number}: {file}: no such file")
        found.pairs.append(Pair(f"{path.stem}/{parts[0]}", Source(str(image)), Source(str(mask))))
    return found


def match(files: list[Source], root: str) -> PairSet:
    """Pair files by stem and by the folder that says what they are; without such a mask, a .png is the mask of the .jpg or .webp beside it.

    The latter holds in any folder, also one called Imgs, as MSRA10K's is. Of several images or masks that claim one place, the first
    that is no .png (for masks: that is one) is taken and the others count as without partner.
    """
    pictures: dict[tuple[str, str], list[Source]] = {}
    masks: dict[tuple[str, str], list[Source]] = {}
    for file in files:
        relative = PurePosixPath(os.path.relpath(file.path, root) if root else file.path)
        if relative.suffix.lower() not in images.SUFFIXES or is_hidden(relative):
            continue
        folders = list(relative.parts[:-1])
        kinds = ["m" if MASK_FOLDER.match(part) else "i" if IMAGE_FOLDER.match(part) else "" for part in folders]
        kind = next((k for k in reversed(kinds) if k), "")
        # The key is the path without the folder that says the kind: train/images/a.jpg pairs with train/masks/a.png.
        if kind:
            at = len(kinds) - 1 - kinds[::-1].index(kind)
            folders = folders[:at] + folders[at + 1 :]
        (masks if kind == "m" else pictures).setdefault(("/".join(folders), relative.stem), []).append(file)
    found = PairSet()
    for key, group in sorted(pictures.items()):
        candidates = sorted(group, key=lambda file: file.suffix == ".png")
        truths = sorted(masks.pop(key, []), key=lambda file: file.suffix != ".png")
        if not truths and len(candidates) > 1 and candidates[0].suffix != ".png" == candidates[-1].suffix:
            truths = [candidates.pop()]
        if truths:
            found.pairs.append(Pair("/".join(part for part in key if part), candidates.pop(0), truths.pop(0)))
        found.images_alone += candidates
        found.masks_alone += truths
    found.masks_alone += [mask for _key, group in sorted(masks.items()) for mask in group]
    return found


def read_pair(pair: Pair, *, resize_masks: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Decode a pair.

    Returns:
        image (H, W, 3) uint8, mask (H, W) uint8 in {0, 255}, cut at > 127.

    Raises:
        PprError: a file is damaged, or the sizes differ and `resize_masks` is False.
    """
    image = images.decode(pair.image.read(), str(pair.image)).rgb
    mask = images.decode_mask(pair.mask.read(), str(pair.mask))
    if mask.shape != image.shape[:2]:
        sizes = f"{mask.shape[1]}x{mask.shape[0]}, its image is {image.shape[1]}x{image.shape[0]}"
        if not resize_masks:
            raise PprError(f"{pair.mask}: is {sizes}", hint="mend the data (`ppr saliency data check`), or give --resize-masks")
        log.warning("%s: is %s; resized", pair.mask, sizes)
        mask = cv2.resize(mask, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR)
    return image, np.where(mask > 127, 255, 0).astype(np.uint8)


def file_names(pairs: Sequence[Pair]) -> list[str]:
    """A relative path without suffix for each pair, safe to write under any folder: no `..`, and no two the same.

    Names of one data set differ already; those of two sets, or a list's `a.jpg` and `a.png`, may collide and get `-2`, `-3`, …
    """
    taken: set[str] = set()
    names = []
    for pair in pairs:
        path = PurePosixPath(pair.name)
        if path.suffix.lower() in images.SUFFIXES:
            path = path.with_suffix("")
        plain = "/".join(part for part in path.parts if part not in ("..", "/")) or "image"
        names.append(free_name(plain, taken))
    return names
