"""Who may lean on whom: cli -> exports -> methods/<method> -> methods/common, in no circle; nothing heavy at the top of a command."""

from __future__ import annotations

import ast
import re
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import networkx
import pytest

ROOT = Path(__file__).resolve().parent.parent
HEAVY = {
    "cv2",
    "google",
    "h5py",
    "igl",
    "lightning_fabric",
    "matplotlib",
    "networkx",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "open3d",
    "pandas",
    "PIL",
    "pooch",
    "py_sod_metrics",
    "pyarrow",
    "pydantic",
    "pynndescent",
    "ray",
    "requests",
    "rich",
    "safetensors",
    "scipy",
    "skimage",
    "sklearn",
    "threadpoolctl",
    "torch",
    "torch_geometric",
    "trimesh",
}


@dataclass(frozen=True)
class Import:
    """One imported module, by its absolute name; `at_top` where importing the file imports it too."""

    module: str
    line: int
    at_top: bool


def imports(source: str, package: str) -> Iterator[Import]:
    """Every import in a source text.

    Args:
        package: the package the text lies in, against which relative imports are read.
    """
    yield from _imports(ast.parse(source), package, at_top=True)


def _imports(node: ast.AST, package: str, *, at_top: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from (Import(alias.name, child.lineno, at_top) for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - child.level + 1] if child.level else []
            base = ".".join([*parents, *([child.module] if child.module else [])])
            # `from ..common import images` imports a module too, as far as a reader of the source can tell.
            yield from (Import(f"{base}.{alias.name}", child.lineno, at_top) for alias in child.names)
        elif isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from _imports(child, package, at_top=False)
        else:
            function = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
            yield from _imports(child, package, at_top=at_top and not function)


def layer(module: str) -> tuple[int, str] | None:
    """How high a module of ppr lies, and the method it belongs to; None for other people's modules."""
    parts = module.split(".")
    if parts[0] != "ppr" or len(parts) < 2:
        return None
    if parts[1] == "cli":
        return 3, ""
    if parts[1] == "exports":
        return 2, ""
    method = parts[2] if len(parts) > 2 else "common"
    return (0, "common") if method == "common" else (1, method)


def violations(source: str, module: str) -> list[str]:
    """What a module (by its absolute name) imports and must not."""
    here = layer(module)
    assert here is not None
    found = []
    for item in imports(source, module.rpartition(".")[0]):
        there = layer(item.module)
        if there and there[0] > here[0]:
            found.append(f"{module}:{item.line}: leans upwards on {item.module}")
        if there and there[0] == here[0] == 1 and there[1] != here[1]:
            found.append(f"{module}:{item.line}: leans on another method, {item.module}")
        if here[0] == 3 and item.at_top and item.module.split(".")[0] in HEAVY:
            found.append(f"{module}:{item.line}: imports {item.module} before it is needed")
        if here[0] < 3 and item.module.split(".")[0] in ("click", "rich"):
            found.append(f"{module}:{item.line}: {item.module} is for commands")
        if private(item.module) and not module.startswith(private(item.module)):
            found.append(f"{module}:{item.line}: {item.module} is for its own folder")
    return found


def private(module: str) -> str:
    """The package, with a dot, that alone may import a module with an underscore; empty for all others."""
    parts = module.split(".")
    hidden = [index for index, part in enumerate(parts) if part.startswith("_") and not part.startswith("__")]
    return ".".join(parts[: hidden[0]]) + "." if hidden and parts[:2] == ["ppr", "cli"] else ""


def room(module: str) -> str:
    """What an import binds together: a sub-package as a whole; a module that lies at the top of a method, of exports or of cli alone."""
    parts = module.split(".")
    return ".".join(parts[: 4 if parts[1] == "methods" else 3])


def graph_of(sources: Mapping[str, str]) -> networkx.DiGraph:
    """Which of the modules imports which, at its top, in a function or for its types alone.

    Args:
        sources: the text of each module by its absolute name; a package is `….__init__`.
    """
    names = {name.removesuffix(".__init__"): name for name in sources}
    graph = networkx.DiGraph()
    for name, source in sources.items():
        for item in imports(source, name.rpartition(".")[0]):
            # `from .a import b` names module a.b, or a thing in module a.
            target = names.get(item.module) or names.get(item.module.rpartition(".")[0])
            if target is not None and target != name:
                graph.add_edge(name, target, line=item.line)
    return graph


def circles(sources: Mapping[str, str]) -> list[str]:
    """Modules, and rooms, that need each other: a line each, with the imports that close the circle."""
    graph, rooms, through = graph_of(sources), networkx.DiGraph(), defaultdict(list)
    for one, other, line in graph.edges(data="line"):
        ends = room(one), room(other)
        if ends[0] != ends[1]:
            rooms.add_edge(*ends)
            through[ends].append(f"{one}:{line}")
    found = []
    for kind, where in (("modules", graph), ("rooms", rooms)):
        for part in networkx.strongly_connected_components(where):
            if len(part) > 1:
                edges = [edge for edge in where.edges if set(edge) <= part]
                closing = [" ".join(through[edge]) if kind == "rooms" else f"{edge[0]}:{graph.edges[edge]['line']}" for edge in edges]
                found.append(f"{kind} in a circle: {', '.join(sorted(part))} ({'; '.join(sorted(closing))})")
    return sorted(found)


def modules() -> list[tuple[str, Path]]:
    files = [file for folder in ("cli", "exports", "methods") for file in sorted((ROOT / folder).rglob("*.py"))]
    return [("ppr." + ".".join(file.relative_to(ROOT).with_suffix("").parts), file) for file in files]


def test_nothing_is_imported_in_a_circle():
    assert circles({name: file.read_text(encoding="utf-8") for name, file in modules()}) == []


@pytest.mark.parametrize(
    ("sources", "part"),
    [
        (
            {"one": "from .two import x", "two": "def f():\n    from . import one"},
            "modules in a circle: ppr.methods.m.one, ppr.methods.m.two",
        ),
        ({"a.one": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from . import two", "a.two": "from .one import y"}, "a.two"),
        (
            {"a.one": "from ..b.two import x", "a.three": "", "b.two": "", "b.four": "from ..a import three"},
            "rooms in a circle: ppr.methods.m.a, ",
        ),
        (
            {"a.one": "from .. import top", "top": "def f():\n    from .a.two import y", "a.two": "y = 1"},
            "ppr.methods.m.a, ppr.methods.m.top",
        ),
        ({"a.__init__": "from .one import x", "a.one": "import ppr.methods.m.a"}, "modules in a circle: ppr.methods.m.a.__init__"),
    ],
    ids=["hidden in a function", "for types alone", "between folders", "folder and module", "package and module"],
)
def test_a_planted_circle_is_found(sources, part):
    assert part in circles({f"ppr.methods.m.{name}": source for name, source in sources.items()})[0]


def test_a_line_of_imports_is_no_circle():
    sources = {
        "a.one": "from ..b.two import x",
        "a.three": "from . import one",
        "b.two": "from .. import top",
        "top": "import ppr.cli.main",
    }
    assert circles({f"ppr.methods.m.{name}": source for name, source in sources.items()}) == []


@pytest.mark.parametrize(("module", "file"), modules(), ids=[name for name, _file in modules()])
def test_imports_go_one_way(module, file):
    assert violations(file.read_text(encoding="utf-8"), module) == []


@pytest.mark.parametrize(
    ("module", "source", "part"),
    [
        ("ppr.methods.saliency.infer", "from ppr.exports.onnx import export", "leans upwards"),
        ("ppr.methods.saliency.infer", "def f():\n    from ...cli import output", "leans upwards"),
        ("ppr.methods.common.running.run", "from ...saliency.config import TrainConfig", "leans upwards"),
        ("ppr.methods.common.running.run", "from ... import saliency", "leans upwards"),
        ("ppr.methods.saliency.data", "import ppr.methods.imnet.mesh", "another method"),
        ("ppr.methods.saliency.data", "if True:\n    from ..imnet import mesh", "another method"),
        ("ppr.exports.onnx", "from ppr.cli import output", "leans upwards"),
        ("ppr.cli.about.info", "import torch.nn as nn", "before it is needed"),
        ("ppr.cli.about.info", "try:\n    from rich.table import Table\nexcept ImportError:\n    Table = None", "before it is needed"),
        ("ppr.cli.about.info", "class A:\n    import numpy", "before it is needed"),
        ("ppr.methods.saliency.data", "import click", "is for commands"),
        ("ppr.cli.saliency.infer", "from ..lds._session import run_session", "for its own folder"),
        ("ppr.cli.options", "def f():\n    from .lds import _session", "for its own folder"),
    ],
)
def test_a_planted_violation_is_found(module, source, part):
    (found,) = violations(source, module)
    assert part in found


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("ppr.cli.about.info", "def f():\n    import torch"),
        ("ppr.cli.about.info", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from torch import Tensor"),
        ("ppr.cli.about.info", "from ppr.exports.onnx import export\nfrom . import output"),
        ("ppr.cli.lds.train", "from ._session import run_session"),
        ("ppr.exports.onnx", "from ppr.methods.saliency.network import RAS"),
        ("ppr.methods.saliency.data", "import torch\nfrom ..common import images\nfrom .pairs import Pair"),
    ],
)
def test_what_is_allowed_is_not_reported(module, source):
    assert violations(source, module) == []


def named_extras(source: str) -> set[str]:
    """The extras of ppr that a text tells people to install."""
    listed = re.findall(r"ppr\[([a-z][a-z0-9_,-]*)\]", source) + re.findall(r'missing_extra\([^()]*, "([a-z0-9_-]+)"\)', source)
    return {extra for names in listed for extra in names.split(",")}


def test_every_extra_that_a_hint_names_exists():
    assert named_extras("pip install 'ppr[heif,mesh]'") | named_extras('missing_extra("open3d", "mesh")') == {"heif", "mesh"}
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    files = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(file for _name, file in modules())]
    named = {extra: file for file in files for extra in named_extras(file.read_text(encoding="utf-8"))}
    assert {extra: file for extra, file in named.items() if extra not in extras} == {}
    assert {"heif", "mesh"} <= set(named)
