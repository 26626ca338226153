"""`ppr lds graph`."""

from __future__ import annotations

from pathlib import Path

import click

from .. import options, output

FORMATS = ("graphml", "gexf", "npz", "csv", "pyg", "json")


@click.command()
@options.model_argument("FILE|RUN")
@click.option("--threshold", type=click.FloatRange(0, 1), default=0.5, show_default=True, help="Least probability of an edge.")
@click.option("--format", "format", type=click.Choice(FORMATS), default=None, help="[default: by the suffix of --out, else graphml]")
@options.out("File to write. [default: ./graph with the format's suffix]")
@options.overwrite
@options.json_lines
@options.quiet
def graph(run: str, threshold: float, format: str | None, out: Path | None, overwrite: bool, as_json: bool) -> None:
    """Write the learned graph of RUN: nodes with label and prediction, edges with probability.

    \b
    ppr lds graph runs/patients --threshold 0.5 -o patients.gexf       for Gephi
    ppr lds graph runs/patients --format pyg                           torch.load(…, weights_only=True): edge_index, edge_attr, x, y, masks
    """
    from ppr.exports.graph_files import SUFFIXES
    from ppr.exports.lds_files import write_learned_graph
    from ppr.methods.lds.infer import Predictor

    predictor = Predictor.load(run)
    path = out or Path(f"graph{SUFFIXES[format or 'graphml']}")
    kept = write_learned_graph(predictor, predictor.known(), path, format, threshold=threshold, overwrite=overwrite)
    if not len(kept):
        output.note(f"no pair has a probability of {threshold} or more; the file has nodes alone")
    if as_json:
        output.emit_json({"path": str(path), "nodes": kept.nodes, "edges": len(kept), "homophily": kept.homophily(predictor.model.labels)})
    else:
        click.echo(str(path))
        output.note(f"{kept.nodes:,} nodes, {len(kept):,} edges")
