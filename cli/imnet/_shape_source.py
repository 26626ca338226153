"""Which shape a command is about: the options that name one, and the code they stand for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Set
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import click

from ppr.methods.common.errors import PprError, UsageError

from .. import options, output

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ppr.methods.imnet.infer import Predictor

MAX_CODE_BYTES = 1 << 28

checkpoint = options.checkpoint("chairs")
image_checkpoint = click.option(
    "--image-checkpoint", type=options.PATH, default=None, metavar="FILE", help="Image encoder. [default: the embedded model's own]"
)
#: Options that say how codes are drawn.
prior = options.together(
    click.option(
        "--prior", type=click.Choice(["gan", "gaussian", "mixture"]), default=None, help="Distribution of codes. [default: the model's]"
    ),
    click.option("--truncation", type=click.FloatRange(0, 1, min_open=True), default=1.0, show_default=True, help="Smaller is more usual."),
)
#: The options that name one shape.
one_shape = options.together(
    click.option("--shape", default=None, metavar="NAME|INDEX", help="A known shape (`ppr imnet list`). [default: the model's]"),
    click.option("--seed", type=click.IntRange(0), default=None, metavar="S", help="A generated shape."),
    click.option("--code", type=options.PATH, default=None, metavar="FILE", help="A code (.npy); '-' reads it from stdin."),
    click.option(
        "--voxels", type=options.PATH, default=None, metavar="FILE", help="A solid: binvox, npy, npz, h5, or a mesh file, normalised."
    ),
    click.option("--image", type=options.PATH, default=None, metavar="PICTURE", help="The shape in a picture on plain background."),
)


@dataclass(frozen=True)
class Named:
    """A code float32 [z] and where it comes from."""

    name: str
    code: NDArray[np.float32]


def resolve(model: Predictor, given: dict[str, Any], *, truncation: float = 1.0, prior: str | None = None) -> Named:
    """Take the options of `one_shape` out of a command's and find the code.

    Raises:
        UsageError: more than one of them, or a shape, file or seed that does not exist.
        PprError: a file that cannot be read.
    """
    chosen = {name: given.pop(name) for name in ("shape", "seed", "code", "voxels", "image")}
    named = [name for name, value in chosen.items() if value is not None]
    if len(named) > 1:
        raise UsageError(f"{' and '.join('--' + name for name in named)} name different shapes", hint="give one of them")
    if chosen["seed"] is not None:
        return Named(f"seed-{chosen['seed']}", model.sample(1, chosen["seed"], truncation=truncation, kind=prior)[0])
    if chosen["code"] is not None:
        return only(list(read_codes(chosen["code"])), str(chosen["code"]))
    if chosen["voxels"] is not None:
        return Named(chosen["voxels"].stem, model.encode([read_solid(chosen["voxels"])])[0])
    if chosen["image"] is not None:
        from ppr.methods.imnet.shapes.views import load_view

        return Named(chosen["image"].stem, model.encode_image(load_view(chosen["image"])))
    index = model.bank.index(chosen["shape"]) if chosen["shape"] is not None else default_shape(model)
    return Named(model.bank.names[index], model.bank.codes[index])


def default_shape(model: Predictor) -> int:
    """The shape a model shows when nothing is asked for: the one its checkpoint names, else the first."""
    shown = model.meta.notes.get("default_shape")
    return model.bank.index(shown) if shown else 0


def by_word(model: Predictor, word: str) -> Named:
    """A shape of an argument: name or number of a known one, `seed:S`, or a file (.npy code, voxels, mesh).

    Raises:
        UsageError, PprError: there is no such shape or file.
    """
    kind, separator, rest = word.partition(":")
    if kind == "seed" and separator:
        if not rest.isdigit():
            raise UsageError(f"{word}: a seed is a number", hint="for example seed:7")
        return Named(f"seed-{rest}", model.sample(1, int(rest))[0])
    path = Path(word)
    if path.suffix and path.exists():
        if path.suffix == ".npy":
            return only(list(read_codes(path)), word)
        return Named(path.stem, model.encode([read_solid(path)])[0])
    index = model.bank.index(word)
    return Named(model.bank.names[index], model.bank.codes[index])


def read_solid(path: Path) -> NDArray[np.bool_]:
    """A voxel file, or a mesh that is normalised and voxelised, as the encoder's 64^3 grid.

    Raises:
        UsageError: neither by its suffix.
        PprError: a file that cannot be read or holds no solid.
    """
    check_suffix(path, solid_suffixes())
    from ppr.methods.common.reading.meshes import SUFFIXES as MESHES
    from ppr.methods.imnet.shapes.voxel_files import read_voxels
    from ppr.methods.imnet.shapes.voxels import max_pool, resample

    if path.suffix.lower() in MESHES:
        from ppr.methods.common.reading.meshes import read_mesh
        from ppr.methods.imnet.shapes.occupancy import check, normalise, voxelise

        solid = voxelise(normalise(read_mesh(path)), 256)
        check(solid, str(path), strict=False)
        return max_pool(solid.occupied, 4)
    return resample(read_voxels(path), 64).occupied


def solid_suffixes() -> frozenset[str]:
    """Of the files that `read_solid` reads."""
    from ppr.methods.common.reading.meshes import SUFFIXES as MESHES
    from ppr.methods.imnet.shapes.voxel_files import SUFFIXES as VOXELS

    return frozenset(MESHES) | frozenset(VOXELS)


def check_suffix(path: Path, known: Set[str]) -> None:
    """Refuse a file by its name.

    Raises:
        UsageError: its suffix is none of those known; the hint lists them.
    """
    if path.suffix.lower() not in known:
        names = ", ".join(sorted(suffix.removeprefix(".") for suffix in known))
        raise UsageError(f"{path}: '{path.suffix}' is no format known here", hint=f"one of: {names}")


def only(found: list[Named], where: str) -> Named:
    if len(found) != 1:
        raise UsageError(f"{where}: holds {len(found)} codes", hint="give --batch to make a mesh of each")
    return found[0]


def read_codes(path: Path) -> Iterator[Named]:
    """Codes of a file or of stdin (`-`): .npy [z] or [n, z], HDF5 with zs, or JSON lines with `code` and maybe `name`.

    Raises:
        PprError: not such a file; names the line.
    """
    if path.suffix in (".h5", ".hdf5"):
        from ppr.methods.imnet.shapes.hdf5 import read_codes as read_zs

        yield from (Named(f"{path.stem}-{index:04d}", row) for index, row in enumerate(read_zs(path)))
        return
    stream = cast("BufferedReader", sys.stdin.buffer) if str(path) == "-" else _opened(path)
    name = "stdin" if str(path) == "-" else path.stem
    with stream:
        start = stream.peek(1)[:1]
        if start == b"\x93":
            yield from _npy(stream.read(MAX_CODE_BYTES), name)
        elif not start:
            raise PprError(f"{name}: empty", hint="codes come from `ppr imnet generate` or `encode`")
        else:
            yield from _json_lines(stream, name)


def _opened(path: Path) -> BufferedReader:
    try:
        return path.open("rb")
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})") from error


def _npy(data: bytes, name: str) -> Iterator[Named]:
    import numpy as np

    from ppr.methods.common.reading.arrays import parse_array

    array = parse_array(data, name)
    if array.ndim not in (1, 2) or array.dtype.kind not in "fiu":
        raise PprError(f"{name}: an array {list(array.shape)} of {array.dtype}, not codes [z] or [n, z]")
    for index, row in enumerate(np.atleast_2d(array)):
        yield Named(name if array.ndim == 1 else f"{name}-{index:04d}", row.astype(np.float32))


def _json_lines(stream: BinaryIO, name: str) -> Iterator[Named]:
    import numpy as np

    from ppr.methods.common.reading import jsonl

    hint = "codes come from `ppr imnet generate`"
    for line in jsonl.lines(stream, name):
        record = line.record(hint=hint)
        try:
            code = np.asarray(record["code"], np.float32).reshape(-1)
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise PprError(f"{line.where}: no JSON object with a list 'code' ({error})", hint=hint) from error
        yield Named(str(record.get("name", f"{name}-{line.number - 1:04d}")), code)


def write_code_line(name: str, code: NDArray[np.float32], **more: Any) -> None:
    """One code as a JSON line on stdout, with enough digits to give the same float32 back."""
    output.emit_json({"name": name, **more, "code": [float(f"{value:.9g}") for value in code.tolist()]})
    sys.stdout.flush()


def save_npy(path: Path, codes: NDArray[np.float32], *, overwrite: bool) -> None:
    """Write codes as .npy, whole or not at all."""
    import numpy as np

    from ppr.methods.common.reading.files import atomic_open

    with atomic_open(path, overwrite=overwrite) as stream:
        np.save(stream, codes)
