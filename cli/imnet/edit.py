"""`ppr imnet edit`: weighted mixtures of shapes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import UsageError

from .. import options
from . import _results, _surface

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ppr.methods.imnet.infer import Predictor

NUMBER = r"(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
TERM = re.compile(rf"\s*([+-]?)\s*(?:({NUMBER})\s*\*)?\s*([^\s*+]+)\s*")


@click.command()
@click.option("--mix", required=True, metavar="EXPRESSION", help="Weighted sum of shapes, for example '0.5*12 + 0.5*seed:7'.")
@click.option("--save-code", type=options.PATH, default=None, metavar="FILE.npy", help="Also write the code.")
@_results.out
@_results.preview
@_surface.meshing
def edit(
    mix: str,
    save_code: Path | None,
    outs: tuple[Path, ...],
    preview: Path | None,
    level: float,
    checkpoint: str,
    threads: int | None,
    overwrite: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Mix the codes of shapes and write the mesh of the result.

    Shapes are names or numbers of known ones, seed:7, or files. Weights may be negative: '3 + 10 - 40' adds to shape 3 what makes
    10 differ from 40. A shape's number needs a weight or a sign before it only after the first term. Codes stay between 0 and 1.

    \b
    ppr imnet edit --mix '0.5*b000v00 + 0.5*b012v03' --out mix.obj
    ppr imnet edit --mix '3 + 10 - 40' --out analogy.glb --preview analogy.png
    """
    meshing = _surface.meshing_of(given)
    if not outs and preview is None and save_code is None:
        raise UsageError("nothing to write", hint="give --out mix.obj")
    outputs = _results.outputs_of(outs, preview, overwrite=overwrite, as_json=as_json)
    from ppr.methods.imnet.infer import Predictor
    from ppr.methods.imnet.models.codes import write_codes
    from ppr.methods.imnet.models.field import limited

    predictor = Predictor.load(checkpoint)
    code = mixed(predictor, mix)
    if save_code is not None:
        write_codes(save_code, code, overwrite=overwrite)
    if not outs and preview is None:
        click.echo(str(save_code))
        return
    with limited(threads):
        made = _surface.make(meshing, predictor.field(code), mix, outputs, probability=level)
    _results.say(made.record, as_json=as_json)


def parsed(expression: str) -> list[tuple[float, str]]:
    """Weights and shapes of a weighted sum.

    Raises:
        UsageError: not a sum of terms; says where.
    """
    terms: list[tuple[float, str]] = []
    place = 0
    while place < len(expression):
        match = TERM.match(expression, place)
        if match is None or (terms and not match[1]):
            raise UsageError(f"--mix '{expression}': not understood from '{expression[place:]}'", hint="for example '0.5*12 + 0.5*seed:7'")
        sign, weight, shape = match.groups()
        terms.append(((-1 if sign == "-" else 1) * float(weight or 1), shape))
        place = match.end()
    if not terms:
        raise UsageError("--mix: empty", hint="for example '0.5*12 + 0.5*seed:7'")
    return terms


def mixed(predictor: Predictor, expression: str) -> NDArray[np.float32]:
    """The code of a weighted sum, clipped to [0, 1] where all codes lie."""
    import numpy as np

    code = np.zeros(predictor.config.z_dim, np.float64)
    for weight, shape in parsed(expression):
        code += weight * predictor.by_word(shape).code
    return np.clip(code, 0, 1).astype(np.float32)
