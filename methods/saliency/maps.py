"""Score anyone's saliency maps: match them to masks by name, check their sizes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TypeVar

import cv2
import numpy as np

from ..common.errors import PprError, UsageError
from ..common.reading import images
from ..common.reading.sources import Source, is_hidden
from .evaluate import STRETCHED, Evaluation, Item, Settings, tally
from .pairs.find import list_files, match

T = TypeVar("T")
INFER_SUFFIX = ".saliency"  # what `ppr saliency infer` puts between an image's name and the map's suffix


@dataclass(frozen=True)
class Matched:
    """A ready-made map, the mask it belongs to, and the image where there is one."""

    name: str
    saliency: Source
    mask: Source
    image: Source | None


def score_maps(matched: Sequence[Matched], settings: Settings, *, resize: bool = False) -> Evaluation:
    """Score ready-made maps.

    Args:
        resize: bring a map to its mask's size instead of leaving it out as an error.

    Raises:
        PprError: not one map could be scored. Single bad files go to `settings.failed`.
    """
    return tally(_decoded(matched, settings, resize), len(matched), settings)


def _decoded(matched: Sequence[Matched], settings: Settings, resize: bool) -> Iterator[Item]:
    for entry in matched:
        try:
            mask = images.decode_mask(entry.mask.read(), str(entry.mask))
            saliency = read_map(entry.saliency)
            if saliency.shape != mask.shape:
                if not resize:
                    sizes = [f"{shape[1]}x{shape[0]}" for shape in (saliency.shape, mask.shape)]
                    raise PprError(
                        f"{entry.saliency}: is {sizes[0]}, its mask is {sizes[1]}", hint="give --resize to bring maps to their masks' size"
                    )
                saliency = cv2.resize(saliency, mask.shape[::-1], interpolation=cv2.INTER_LINEAR)
        except PprError as error:
            settings.failed(error)
            continue
        yield Item(entry.name, np.where(mask > 127, 255, 0).astype(np.uint8), {STRETCHED: saliency}, entry.image)


def read_map(source: Source) -> np.ndarray:
    """A saliency map as (H, W) uint8. Unlike a mask, a map that never exceeds 1 of 255 is just that dark.

    Raises:
        PprError: not a readable image, or one with transparency (a cut-out is no map).
    """
    photo = images.decode(source.read(), str(source))
    if photo.alpha is not None and photo.alpha.min() < 255:
        raise PprError(f"{source}: has transparency; a saliency map is a grey image", hint="write maps with `ppr saliency infer --as mask`")
    return photo.rgb.max(axis=2)


def match_maps(pred: Path, gt: Path) -> tuple[list[Matched], list[str], list[str]]:
    """Match maps to masks by their relative path without suffix.

    Args:
        pred: folder or zip of maps.
        gt: folder or zip of masks; where it holds image/mask pairs, the masks of these.

    Returns:
        the matches, the names of masks without a map, the names of maps without a mask.

    Raises:
        UsageError: a path that does not exist or holds no image, or nothing matches.
        PprError: two maps of one name.
    """
    masks, maps = _truths(gt), _named(pred)
    ours = {name.removesuffix(INFER_SUFFIX): source for name, source in maps.items() if name.endswith(INFER_SUFFIX)}
    maps = ours or maps
    if not masks.keys() & maps.keys():  # one of them may be a folder deeper: maps.zip with maps/a.png in it
        masks, maps = _without_common_folder(masks), _without_common_folder(maps)
    if not masks.keys() & maps.keys():
        raise UsageError(
            f"{pred}: no map has the name of a mask in {gt}",
            hint=f"maps are called like '{next(iter(maps))}', masks like '{next(iter(masks))}'",
        )
    matched = [Matched(name, maps[name], *masks[name]) for name in sorted(masks.keys() & maps.keys())]
    return matched, sorted(masks.keys() - maps.keys()), sorted(maps.keys() - masks.keys())


def _truths(gt: Path) -> dict[str, tuple[Source, Source | None]]:
    """Name -> mask and, where there is one, its image."""
    pairs = match(*list_files(gt)).pairs
    if pairs:
        return {pair.name: (pair.mask, pair.image) for pair in pairs}
    return {name: (mask, None) for name, mask in _named(gt).items()}


def _named(path: Path) -> dict[str, Source]:
    """The images in a folder or zip by their relative path without suffix."""
    files, root = list_files(path)
    named: dict[str, Source] = {}
    for file in files:
        relative = PurePosixPath(os.path.relpath(file.path, root) if root else file.path)
        if relative.suffix.lower() not in images.SUFFIXES or is_hidden(relative):
            continue
        name = str(relative.with_suffix(""))
        if name in named:
            raise PprError(f"{path}: two files are called '{name}' ({named[name].suffix} and {file.suffix})", hint="keep one of them")
        named[name] = file
    if not named:
        raise UsageError(f"{path}: no images in there")
    return named


def _without_common_folder(named: dict[str, T]) -> dict[str, T]:
    """The same, named from the deepest folder that holds all of them."""
    folders = {str(PurePosixPath(name).parent) for name in named}
    common = os.path.commonpath(folders)
    return {os.path.relpath(name, common): value for name, value in named.items()}
