"""`ppr list`: the papers, their verbs, and whether what they need is installed."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import Any

import click

from .. import options, output


@dataclass(frozen=True)
class Paper:
    """A method's paper; `extra` is the optional extra its commands need."""

    title: str
    published: str
    url: str
    extra: str | None = None


#: One line a method; its commands are looked up in the table of `ppr.cli.main`.
PAPERS = {
    "saliency": Paper("Reverse Attention for Salient Object Detection", "Chen et al., ECCV 2018", "https://arxiv.org/abs/1807.09940"),
    "imnet": Paper(
        "Learning Implicit Fields for Generative Shape Modeling", "Chen and Zhang, CVPR 2019", "https://arxiv.org/abs/1812.02822"
    ),
    "lds": Paper(
        "Learning Discrete Structures for Graph Neural Networks", "Franceschi et al., ICML 2019", "https://arxiv.org/abs/1903.11960"
    ),
    "codedmarl": Paper(
        "Coding for Distributed Multi-Agent Reinforcement Learning", "Wang et al., ICRA 2021", "https://arxiv.org/abs/2101.02308"
    ),
}


def verbs(method: str) -> list[str]:
    """The sub-commands of a method's group."""
    from ..main import COMMANDS

    module, attribute = COMMANDS[method][0].split(":")
    group: click.Group = getattr(importlib.import_module(module), attribute)
    return group.list_commands(click.Context(group))


@click.command("list")
@options.json_lines
@options.quiet
def list_methods(as_json: bool) -> None:
    """The papers, their verbs, and whether their extras are installed."""
    from . import extras

    rows: list[dict[str, Any]] = []
    for method, paper in PAPERS.items():
        names = verbs(method)
        row: dict[str, Any] = {"method": method, "paper": paper.title, "published": paper.published, "url": paper.url}
        row |= {"verbs": names if as_json else " ".join(names)}
        row |= {"extra": paper.extra, "installed": paper.extra is None or extras.installed(paper.extra)}
        rows.append(row)
    output.table(rows, as_json=as_json)
    missing = sorted({str(row["extra"]) for row in rows if not row["installed"]})
    if missing:
        output.note(f"not installed: pip install 'ppr[{','.join(missing)}]'")
