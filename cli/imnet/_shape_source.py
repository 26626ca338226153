"""Which shape a command is about: the options that name one, and the code they stand for."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from ppr.methods.common.errors import UsageError

from .. import options, output
from ..types import Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.codes import NamedCode

checkpoint = options.model("chairs")
image_checkpoint = click.option(
    "--image-checkpoint", type=Model("FILE|RUN"), default=None, help="Image encoder. [default: the embedded model's own]"
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


def resolve(predictor: Predictor, given: dict[str, Any], *, truncation: float = 1.0, prior: str | None = None) -> NamedCode:
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
        return predictor.drawn(chosen["seed"], truncation=truncation, prior=prior)
    if chosen["code"] is not None:
        from ppr.methods.imnet.models.codes import only

        return only(list(read_codes(chosen["code"])), str(chosen["code"]))
    if chosen["voxels"] is not None:
        return predictor.read_solid(chosen["voxels"])
    if chosen["image"] is not None:
        return predictor.read_picture(chosen["image"])
    return predictor.known(chosen["shape"])


def read_codes(path: Path) -> Iterator[NamedCode]:
    """Codes of a file, or of stdin (`-`).

    Raises:
        PprError: not such a file; names the line.
    """
    from ppr.methods.imnet.models import codes

    if str(path) == "-":
        return codes.parse_codes(cast("BufferedReader", sys.stdin.buffer), "stdin")
    return codes.read_codes(path)


def write_code_line(name: str, code: NDArray[np.float32], **more: Any) -> None:
    """One code as a JSON line on stdout."""
    from ppr.methods.imnet.models.codes import json_record

    output.emit_json(json_record(name, code, **more))
    sys.stdout.flush()
