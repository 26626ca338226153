"""`ppr info`: what a checkpoint, a model or a run directory is, without loading torch."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ppr.methods.common.errors import PprError

from .. import options, output

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

BUFFERS = (".running_mean", ".running_var", ".num_batches_tracked")  # batch norm's statistics are stored but not learned
COUNTS = ("tensors", "parameters", "nodes")
MAX_ONNX_BYTES = 2 << 30  # what one protobuf message can hold


@click.command()
@click.argument("files", nargs=-1, required=True, type=options.PATH, metavar="FILE...")
@options.json_lines
@options.quiet
def info(files: tuple[Path, ...], as_json: bool) -> int:
    """What a checkpoint (.safetensors), a model (.onnx) or a run directory is."""
    batch = output.Batch()
    for file in files:
        with batch.item():
            described = describe(file)
            if as_json:
                output.emit_json(described)
            else:
                click.echo(("\n" if batch.done else "") + "\n".join(as_lines(described)))
    return batch.exit_code()


def describe(path: Path) -> dict[str, Any]:
    """Everything that a file or run directory says about itself.

    Raises:
        PprError: absent, damaged, or of a kind that is not known here.
    """
    if path.is_dir():
        return describe_run(path)
    if not path.is_file():
        raise PprError(f"{path}: no such file or folder")
    if path.suffix.lower() == ".onnx":
        return describe_onnx(path)
    if path.suffix.lower() == ".safetensors":
        return describe_safetensors(path)
    raise PprError(f"{path}: not a kind of file that is known here", hint="give a .safetensors or .onnx file, or a run directory")


def describe_safetensors(path: Path) -> dict[str, Any]:
    """A ppr checkpoint with all of its metadata, or another program's weights with theirs."""
    from ppr.methods.common.running.checkpoint import read_header, read_meta

    header = read_header(path)
    metadata = header.pop("__metadata__", {})
    common = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "tensors": len(header),
        "parameters": sum(math.prod(entry["shape"]) for name, entry in header.items() if not name.endswith(BUFFERS)),
        "dtypes": sorted({entry["dtype"] for entry in header.values()}),
    }
    if "ppr" in metadata:
        return {"kind": "ppr checkpoint", **common, **asdict(read_meta(path))}
    shapes = {name: entry["shape"] for name, entry in header.items()}
    return {"kind": "safetensors of another program", **common, "metadata": metadata, "shapes": shapes}


def describe_onnx(path: Path) -> dict[str, Any]:
    """An ONNX model's interface, size and metadata; weights stored outside the file are counted but not read."""
    model = _load_onnx(path)
    from onnx import TensorProto

    weights = model.graph.initializer
    external = sorted({entry.value for tensor in weights for entry in tensor.external_data if entry.key == "location"})
    names = {tensor.name for tensor in weights}
    return {
        "kind": "ONNX model",
        "file": str(path),
        "bytes": path.stat().st_size,
        "opset": {item.domain or "ai.onnx": item.version for item in model.opset_import},
        "ir_version": model.ir_version,
        "producer": f"{model.producer_name} {model.producer_version}".strip(),
        "inputs": [_interface(value) for value in model.graph.input if value.name not in names],
        "outputs": [_interface(value) for value in model.graph.output],
        "nodes": len(model.graph.node),
        "parameters": sum(math.prod(tensor.dims) for tensor in weights if tensor.data_type not in (TensorProto.INT64, TensorProto.BOOL)),
        "dtypes": sorted({TensorProto.DataType.Name(tensor.data_type) for tensor in weights}),
        "external_data": external,
        "metadata": {item.key: _parsed(item.value) for item in model.metadata_props},
    }


def describe_run(path: Path) -> dict[str, Any]:
    """A run directory: its configuration, how far it came, and what it holds."""
    from ppr.methods.common.config import read_yaml
    from ppr.methods.common.running.run import Run

    run = Run(path)
    if not (path / "config.yaml").is_file():
        raise PprError(f"{path}: not a run directory (no config.yaml)", hint="give the folder that `ppr … train --out` wrote")
    history = [record for record in run.history() if "epoch" in record]
    best = next((record for record in reversed(history) if record.get("best")), None)
    return {
        "kind": "run directory",
        "file": str(path),
        "epochs_done": history[-1]["epoch"] if history else 0,
        "last": history[-1] if history else None,
        "best": best,
        "can_resume": run.resume.is_file(),
        "files": {file.name: file.stat().st_size for file in sorted(path.iterdir()) if file.is_file() and not file.name.startswith(".")},
        "config": read_yaml(path / "config.yaml"),
    }


def as_lines(described: dict[str, Any]) -> list[str]:
    """`key: value` lines for a person; nested values are indented, empty ones left out, long lists of tensors shortened."""
    lines = []
    for key, value in described.items():
        if value in (None, "", [], {}):
            continue
        if key == "bytes":
            lines.append(f"size: {output.file_size(value)}")
        elif key == "files":
            lines += [f"{key}:", *(f"  {name}: {output.file_size(size)}" for name, size in value.items())]
        elif key in COUNTS:
            lines.append(f"{key}: {value:,}")
        elif key in ("inputs", "outputs"):
            lines += [
                f"{key}:",
                *(f"  {item['name']}: {item['dtype']} ({', '.join(str(side) for side in item['shape'])})" for item in value),
            ]
        elif isinstance(value, dict):
            items = list(value.items())
            shown = items[:8] if key == "shapes" else items
            lines += [f"{key}:", *(f"  {name}: {_inline(item)}" for name, item in shown)]
            lines += [f"  … and {len(items) - len(shown)} more"] if len(shown) < len(items) else []
        else:
            lines.append(f"{key}: {_inline(value)}")
    return lines


def _inline(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}" if abs(value) < 1e6 else f"{value:.1f}"
    if isinstance(value, (dict, list)):
        return json.dumps(output.finite(value), ensure_ascii=False)
    return output.text(value)


def _load_onnx(path: Path) -> ModelProto:
    if path.stat().st_size > MAX_ONNX_BYTES:
        raise PprError(f"{path}: larger than {MAX_ONNX_BYTES >> 30} GiB, which no ONNX file can be")
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(path, load_external_data=False)
    except OSError as error:
        raise PprError(f"{path}: cannot be read ({error.strerror})") from error
    except DecodeError as error:
        raise PprError(f"{path}: not an ONNX model, or a truncated one", hint="copy or export the file again") from error
    if not model.ir_version or not model.graph.output:
        raise PprError(f"{path}: not an ONNX model (it has no outputs)", hint="copy or export the file again")
    return model


def _interface(value: ValueInfoProto) -> dict[str, Any]:
    from onnx import TensorProto

    tensor = value.type.tensor_type
    shape = [side.dim_param or (side.dim_value if side.HasField("dim_value") else "?") for side in tensor.shape.dim]
    return {"name": value.name, "dtype": TensorProto.DataType.Name(tensor.elem_type).lower(), "shape": shape}


def _parsed(text: str) -> Any:
    """Metadata values are strings; those that hold JSON objects or lists are shown as such."""
    if text[:1] not in ("{", "["):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text
