"""Every option that more than one command has, defined once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from ppr.methods.common.errors import UsageError

from .types import Model, NumberOr

F = TypeVar("F", bound=Callable[..., Any])
PATH = click.Path(path_type=Path)
#: What `export` can write, and the suffix of the file it writes unless told otherwise.
EXPORT_SUFFIX = {"onnx": ".onnx", "torchscript": ".pt", "safetensors": ".safetensors"}


def together(*bundle: Callable[[Any], Any]) -> Callable[[F], F]:
    """Several options as one decorator; `--help` lists them in this order."""

    def decorate(command: F) -> F:
        for option in reversed(bundle):
            command = option(command)
        return command

    return decorate


json_lines = click.option("--json", "as_json", is_flag=True, help="Results as JSON, one object a line.")
overwrite = click.option("--overwrite", is_flag=True, help="Replace existing output.")
seed = click.option("--seed", type=click.IntRange(0), default=None, help="Fixes every random choice.")
device = click.option("--device", default="auto", show_default=True, metavar="DEVICE", help="auto, cpu, cuda or cuda:N.")
threads = click.option("--threads", type=click.IntRange(1, 256), default=None, help="CPU threads of the network. [default: all cores]")
config_file = click.option(
    "--config", "config_path", type=PATH, default=None, help="YAML file with the configuration (see the verb `config`)."
)
backend = click.option(
    "--backend", type=click.Choice(["auto", "onnx", "torch"]), default="auto", show_default=True, help="What runs the network."
)
opset = click.option("--opset", type=click.IntRange(18, 23), default=18, show_default=True, help="ONNX operator set.")
notes = click.option("--note", "notes", multiple=True, metavar="KEY=TEXT", help="A line for the file's metadata; repeatable.")
overrides = click.option("--set", "overrides", multiple=True, metavar="KEY=VALUE", help="Override one configuration value; repeatable.")


def _quiet(context: click.Context, _parameter: click.Parameter, value: bool) -> bool:
    from . import output

    output.configure(quiet=value)
    return value


quiet = click.option(
    "--quiet",
    "-q",
    is_flag=True,
    callback=_quiet,
    expose_value=False,
    is_eager=True,
    help="No progress and no notes on stderr; errors only.",
)


def out(help: str = "Output file or folder.", *, required: bool = False) -> Callable[[F], F]:
    # No `default=None` here: click takes an explicit default for an answer, and would not insist on a required option any more.
    return click.option("--out", "-o", type=PATH, required=required, help=help)


def export_format(*formats: str) -> Callable[[F], F]:
    """`--format`, of some of those that exports know."""
    return click.option("--format", type=click.Choice(formats), default="onnx", show_default=True, help="File format.")


def data(help: str = "Data: a path, or a name from `ppr data list`; repeatable.", *, required: bool = False) -> Callable[[F], F]:
    return click.option("--data", "data", multiple=True, metavar="PATH|NAME", required=required, help=help)


def net_size(name: str = "--size") -> Callable[[F], F]:
    """The side an image is resized to for the network, 0 for its own, as `size`; `name` where --size means something else."""
    side = NumberOr({"native": 0}, click.IntRange(32, 4096))
    return click.option(name, "size", type=side, default=None, help="Side the network sees. [default: the network's own]")


def model(default: str) -> Callable[[F], F]:
    """`--checkpoint`, with `--weights` as its other name, given to the command as `checkpoint`."""
    return click.option(
        "--checkpoint",
        "--weights",
        "checkpoint",
        type=Model(),
        default=default,
        show_default=True,
        help="An embedded default, a .safetensors or .onnx file, or the folder of a training.",
    )


def model_argument(called: str = "NAME|FILE|RUN", *, required: bool = True) -> Callable[[F], F]:
    """The model as an argument, given to the command as `run`."""
    return click.argument("run", type=Model(called), required=required)


def exporting(name: str) -> Callable[[F], F]:
    """What every `export` takes besides a checkpoint; `name` is that of the default file, without suffix."""
    return together(
        export_format(*EXPORT_SUFFIX),
        opset,
        notes,
        out(f"File to write. [default: ./{name}.onnx, .pt or .safetensors]"),
        overwrite,
        json_lines,
        quiet,
    )


def parse_notes(notes: tuple[str, ...]) -> dict[str, str]:
    """`KEY=TEXT` strings.

    Raises:
        UsageError: one without a key or text.
    """
    pairs = [note.partition("=") for note in notes]
    for note, (key, _, text) in zip(notes, pairs, strict=True):
        if not key or not text:
            raise UsageError(f"--note {note}: not of the form key=text", hint="for example --note licence=CC-BY-4.0")
    return {key: text for key, _, text in pairs}
