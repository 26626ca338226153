"""`ppr lds export`."""

from __future__ import annotations

from pathlib import Path

import click

from .. import options, output


@click.command()
@options.model_argument("FILE|RUN")
@click.option(
    "--form",
    type=click.Choice(["edges", "dense"]),
    default="edges",
    show_default=True,
    help="Inputs beside features: edge_index and edge_prob, or a dense adjacency matrix.",
)
@options.export_format("onnx", "torchscript")
@options.opset
@options.out("File to write. [default: ./lds.onnx or .pt]")
@options.overwrite
@options.json_lines
@options.quiet
def export(run: str, form: str, format: str, opset: int, out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Write the GCN of RUN as ONNX or TorchScript: features and a graph in, class probabilities out, for any number of rows.

    The file is compared with torch before it is put in place.

    The graph is `ppr lds graph --format npz`; probabilities weigh the edges, where `infer` averages over sampled graphs.

    \b
    ppr lds export runs/wine -o wine.onnx
    """
    from ppr.exports.lds import export_gcn
    from ppr.methods.lds.learning.model import LdsModel

    model = LdsModel.load(run)
    about = {"method": "lds", "table": model.name, "classes": model.classes, "features": model.encoder.feature_names}
    path = out or Path(f"lds{options.EXPORT_SUFFIX[format]}")
    record = export_gcn(
        model.weights,
        path,
        form=form,  # type: ignore[arg-type]
        format=format,  # type: ignore[arg-type]
        opset=opset,
        metadata=about,
        overwrite=overwrite,
    )
    if as_json:
        output.emit_json(record)
    else:
        click.echo(str(path))
        output.note(f"differs from torch by {record['parity']['max_difference']:.1g} at most")
