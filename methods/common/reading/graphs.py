"""Graphs given beside a table: edges by the rows' ids in csv, npz or graphml."""

from __future__ import annotations

import xml.parsers.expat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import PprError, UsageError, nearest
from .arrays import read_arrays
from .pairs import PairGraph
from .tables.encoder import numbers, texts
from .tables.frames import SEPARATORS, read_frame

SUFFIXES = (*SEPARATORS, ".npz", ".graphml")
WEIGHTS = ("prob", "weight")
MAX_XML_BYTES = 512 << 20


def read_graph(path: Path, ids: Sequence[str]) -> tuple[PairGraph, list[str]]:
    """A graph on the rows of a table.

    Directed edges are taken as undirected ones, self loops left out, and of several edges between two rows the largest weight counts;
    weights in (0, 1] become probabilities. Rows without an edge are allowed.

    Args:
        path: .csv or .tsv with columns source and target, and perhaps weight or prob; .graphml with these as attributes; or .npz with rows
            and cols [E] and perhaps prob [E], which count rows, or edges [2, E]. An .npz may name its rows by `ids`, strings [N].
        ids: unique names of the rows of the table.

    Returns:
        the graph, and notes: how many edges were merged, dropped or taken as undirected, and how many rows have none.

    Raises:
        UsageError: another suffix.
        PprError: a file that cannot be read, an id that the table has not, or a weight outside (0, 1].
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(f"--graph {path}: not a graph of a known kind", hint=f"a file of one of: {', '.join(SUFFIXES)}")
    if suffix == ".npz":
        return _from_npz(path, ids)
    if suffix == ".graphml":
        return _from_graphml(path, ids)
    return _from_table(path, ids)


def _from_table(path: Path, ids: Sequence[str]) -> tuple[PairGraph, list[str]]:
    frame = read_frame(str(path), verbatim=("source", "target"))
    names = list(frame.columns)
    for name in ("source", "target"):
        if name not in names:
            raise PprError(f"{path}: no column '{name}'", hint=nearest(name, names) or "a header like source,target,weight is needed")
    weight = next((name for name in WEIGHTS if name in names), None)
    source, target = ([(cell or "").strip() for cell in texts(frame[name])] for name in ("source", "target"))
    prob = None if weight is None else numbers(frame[weight])
    return _on_rows(path, ids, source, target, prob)


def _from_npz(path: Path, ids: Sequence[str]) -> tuple[PairGraph, list[str]]:
    arrays = read_arrays(path, ("rows", "cols", "prob", "edges", "ids"))
    if "edges" in arrays and arrays["edges"].ndim == 2 and len(arrays["edges"]) == 2:
        arrays["rows"], arrays["cols"] = arrays["edges"]
    if "rows" not in arrays or "cols" not in arrays:
        raise PprError(f"{path}: no arrays 'rows' and 'cols'", hint="rows [E], cols [E] and perhaps prob [E]; or edges [2, E]")
    first, second, prob = arrays["rows"], arrays["cols"], arrays.get("prob")
    if any(ends.dtype.kind not in "iu" or ends.ndim != 1 for ends in (first, second)) or first.shape != second.shape:
        raise PprError(f"{path}: 'rows' {list(first.shape)} and 'cols' {list(second.shape)} are not as many integers")
    if prob is not None and (prob.dtype.kind not in "fiu" or prob.shape != first.shape):
        raise PprError(f"{path}: 'prob' is {prob.dtype} {list(prob.shape)}, not a number for each of {len(first)} edges")
    names = np.asarray(ids)
    if "ids" in arrays:
        names = arrays["ids"]
        if names.dtype.kind != "U" or names.ndim != 1:
            raise PprError(f"{path}: 'ids' is {names.dtype} {list(names.shape)}, not strings")
    if first.size:
        outside = [int(row) for row in np.concatenate([first, second]) if not 0 <= row < len(names)][:5]
        if outside:
            raise PprError(f"{path}: rows {', '.join(map(str, outside))} are outside [0, {len(names)})", hint="rows are counted from 0")
    return _on_rows(path, ids, names[first].tolist(), names[second].tolist(), prob)


def _from_graphml(path: Path, ids: Sequence[str]) -> tuple[PairGraph, list[str]]:
    import networkx

    _check_xml(path)
    try:
        with path.open("rb") as stream:
            graph = networkx.read_graphml(stream)
    except (networkx.NetworkXException, OSError, SyntaxError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise PprError(f"{path}: not a graphml file that can be read ({error})") from error
    edges = list(graph.edges(data=True))
    weight = next((name for name in WEIGHTS if any(name in data for _one, _other, data in edges)), None)
    prob = None
    if weight is not None:
        try:
            prob = np.array([float(data.get(weight, 1.0)) for _one, _other, data in edges])
        except (TypeError, ValueError) as error:
            raise PprError(f"{path}: an edge has a '{weight}' that is no number ({error})") from error
    _refuse_unknown(path, set(ids), [str(node) for node in graph.nodes])
    return _on_rows(path, ids, [str(edge[0]) for edge in edges], [str(edge[1]) for edge in edges], prob)


def _check_xml(path: Path) -> None:
    """Refuse what is not XML, and document types: entities in them can grow to any size or read other files."""
    parser = xml.parsers.expat.ParserCreate()

    def refuse(*_declaration: Any) -> None:
        raise PprError(f"{path}: has a document type (<!DOCTYPE), which graphml needs not", hint="take the <!DOCTYPE …> out of the file")

    parser.StartDoctypeDeclHandler = refuse
    try:
        if path.stat().st_size > MAX_XML_BYTES:
            raise PprError(f"{path}: more than {MAX_XML_BYTES >> 20} MiB", hint="give the edges as .csv or .npz")
        with path.open("rb") as stream:
            parser.ParseFile(stream)
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})") from error
    except xml.parsers.expat.ExpatError as error:
        raise PprError(f"{path}: not XML ({error})") from error


def _refuse_unknown(path: Path, known: set[str], names: Sequence[str]) -> None:
    unknown = sorted({name for name in names if name not in known})
    if unknown:
        example = next(iter(sorted(known)), "")
        raise PprError(
            f"{path}: {len(unknown)} ids that the table has not: {', '.join(unknown[:5])}{' …' if len(unknown) > 5 else ''}",
            hint=f"ids of the table look like '{example}'; --id names the column that has them",
        )


def _on_rows(
    path: Path, ids: Sequence[str], source: Sequence[str], target: Sequence[str], weight: ArrayLike | None
) -> tuple[PairGraph, list[str]]:
    place = {name: row for row, name in enumerate(ids)}
    _refuse_unknown(path, set(place), [*source, *target])
    first, second = (np.array([place[name] for name in names], np.int64) for names in (source, target))
    prob = np.ones(len(first)) if weight is None else np.asarray(weight, np.float64)
    bad = np.flatnonzero(~((prob > 0) & (prob <= 1)))
    if len(bad):
        edge = f"{source[bad[0]]} - {target[bad[0]]}"
        raise PprError(f"{path}: the edge {edge} has weight {prob[bad[0]]:g}", hint="weights are in (0, 1]; divide them by the largest one")
    graph = PairGraph.build(len(ids), first, second, prob)
    return graph, _notes(graph, first, second)


def _notes(graph: PairGraph, first: NDArray[np.int64], second: NDArray[np.int64]) -> list[str]:
    notes = []
    loops = int((first == second).sum())
    merged = len(first) - loops - len(graph)
    if loops:
        notes.append(f"{loops} edges of the graph join a row to itself and are left out")
    if merged:
        notes.append(f"{merged} edges of the graph are other directions or copies of one and are merged with it")
    alone = graph.nodes - len(np.unique(np.concatenate([graph.first, graph.second])))
    if alone:
        notes.append(f"{alone} rows have no edge in the graph")
    return notes
