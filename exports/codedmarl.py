"""Trained agents as files that other programs run: one ONNX or TorchScript actor an agent, and a description of all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ppr.methods.codedmarl.agents.model import TrainedAgents
from ppr.methods.codedmarl.agents.policy import Actor
from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.files import atomic_open, atomic_path, free_name, refuse_existing
from ppr.methods.common.running.checkpoint import package_version

from . import onnx, torchscript

Format = Literal["onnx", "torchscript"]
TOLERANCE = 1e-5
SUFFIX = {"onnx": ".onnx", "torchscript": ".pt"}
DESCRIPTION = "actors.json"
#: Rows of the observations on which a file is compared with torch. TorchScript is traced on the first.
CASES = (16, 1, 2, 100)
MEANING = {
    "simplex": "action: strengths that add up to 1; choice: the largest of them",
    "discrete": "action: weights that add up to 1; choice: the largest of them, which is what the environment carries out",
    "box": "action: each component in [0, 1], from the lower to the upper bound of the environment's",
}


class ActorModule(nn.Module):
    """An actor in torch's own layers, without exploration.

    Shapes:
        observation float32 [B, n] -> action float32 [B, m] in [0, 1], and unless the actions are a box, choice int64 [B].
    """

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        sizes, parts = actor.network.sizes, actor.network.layers(actor.parameters)
        layers: list[nn.Module] = []
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            linear = nn.Linear(inputs, outputs)
            linear.weight, linear.bias = (nn.Parameter(part.clone(), requires_grad=False) for part in parts[2 * layer : 2 * layer + 2])
            layers += [linear, nn.ReLU()]
        self.layers, self.box = nn.Sequential(*layers[:-1]), actor.spec.kind == "box"

    def forward(self, observation: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        logits = self.layers(observation)
        return logits.sigmoid() if self.box else (logits.softmax(1), logits.argmax(1))


class _Played(nn.Module):
    """The actor as training and evaluation use it: what a file is compared with."""

    def __init__(self, actor: Actor) -> None:
        super().__init__()
        self.actor = actor

    def forward(self, observation: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        action = self.actor(observation)
        return action if self.actor.spec.kind == "box" else (action, action.argmax(1))


def export_actors(
    model: TrainedAgents, folder: Path, *, format: Format, opset: int, notes: Mapping[str, str], overwrite: bool
) -> dict[str, Any]:
    """Write one file an agent and `actors.json`, which says what each takes and gives; each file is compared with torch first.

    Args:
        opset: 18 to 23; for ONNX.
        notes: further lines for the metadata.

    Returns:
        what `actors.json` says.

    Raises:
        UsageError: a file exists already and shall not be overwritten.
        PprError: an action that differs from torch by more than 1e-5 (that file is not written then), or parameters that are not finite.
    """
    for spec, policy in zip(model.specs, model.policies, strict=True):
        if not torch.isfinite(policy).all():
            raise PprError(f"{spec.name}: its parameters are not finite; nothing was written")
    taken: set[str] = set()
    paths = [folder / f"{free_name(re.sub(r'[^A-Za-z0-9_-]', '_', spec.name), taken)}{SUFFIX[format]}" for spec in model.specs]
    for path in (*paths, folder / DESCRIPTION):
        refuse_existing(path, overwrite=overwrite)
    config = model.meta.config
    about = {"method": "codedmarl", "env": config["env"], "format": format, "version": package_version(), **notes}
    if format == "onnx":
        about["opset"] = opset
    agents = []
    for actor, path in zip(model.actors, paths, strict=True):
        described = asdict(actor.spec) | {"meaning": MEANING[actor.spec.kind]}
        cases = _cases(actor.spec.observation)
        if format == "onnx":
            parity = _onnx(actor, cases, path, opset=opset, metadata=about | described, overwrite=overwrite)
        else:
            parity = _torchscript(actor, cases, path, metadata=about | described, overwrite=overwrite)
        agents.append(described | {"file": path.name, "bytes": path.stat().st_size, "parity": asdict(parity)})
    report = about | {"episode_length": config["episode_length"], "agents": agents}
    with atomic_open(folder / DESCRIPTION, overwrite=overwrite) as stream:
        stream.write((json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    return report


def _onnx(
    actor: Actor, cases: Sequence[tuple[Tensor]], path: Path, *, opset: int, metadata: Mapping[str, Any], overwrite: bool
) -> onnx.Parity:
    with atomic_path(path, overwrite=overwrite) as temporary:
        onnx.save(actor_graph(actor, opset), temporary, metadata=metadata, overwrite=True)
        parity = onnx.parity(temporary, _Played(actor), cases)
        _refuse_difference(path, parity.max_difference)
    return parity


def actor_graph(actor: Actor, opset: int) -> ModelProto:
    """An actor as an ONNX graph with the inputs and outputs of `ActorModule`. Written down node by node: tracing takes seconds an agent."""
    sizes, parts = actor.network.sizes, actor.network.layers(actor.parameters)
    weights, nodes, last = [], [], "observation"
    for at, (weight, bias) in enumerate(zip(parts[::2], parts[1::2], strict=True)):
        names = [f"layers.{2 * at}.weight", f"layers.{2 * at}.bias"]
        weights += [numpy_helper.from_array(part.numpy(), name) for part, name in zip((weight, bias), names, strict=True)]
        nodes.append(helper.make_node("Gemm", [last, *names], [last := "logits" if at == len(sizes) - 2 else f"sum.{at}"], transB=1))
        if last != "logits":
            nodes.append(helper.make_node("Relu", [last], [last := f"hidden.{at}"]))
    outputs = [helper.make_tensor_value_info("action", TensorProto.FLOAT, ["batch", sizes[-1]])]
    if actor.spec.kind == "box":
        nodes.append(helper.make_node("Sigmoid", ["logits"], ["action"]))
    else:
        nodes.append(helper.make_node("Softmax", ["logits"], ["action"], axis=1))
        nodes.append(helper.make_node("ArgMax", ["logits"], ["choice"], axis=1, keepdims=0))
        outputs.append(helper.make_tensor_value_info("choice", TensorProto.INT64, ["batch"]))
    inputs = [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", sizes[0]])]
    graph = helper.make_graph(nodes, "actor", inputs, outputs, weights)
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports), producer_name="ppr")


def _torchscript(actor: Actor, cases: Sequence[tuple[Tensor]], path: Path, *, metadata: Mapping[str, Any], overwrite: bool) -> onnx.Parity:
    module, played = ActorModule(actor), _Played(actor)
    with torch.no_grad():
        for case in cases:
            found, expected = module(*case), played(*case)
            pairs = [(found, expected)] if isinstance(found, Tensor) else zip(found, expected, strict=True)
            _refuse_difference(path, max(float((one - other).abs().max()) for one, other in pairs))
    return torchscript.export(module, cases, path, metadata=metadata, tolerance=TOLERANCE, overwrite=overwrite)


def _refuse_difference(path: Path, difference: float) -> None:
    if not difference <= TOLERANCE:
        raise PprError(f"{path}: differs from torch by {difference:.2g}, more than {TOLERANCE:g}; not written")


def _cases(width: int) -> list[tuple[Tensor]]:
    """Random observations, among them large ones."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(rows, width, generator=generator) * scale,) for rows, scale in zip(CASES, (1, 1, 5, 1), strict=True)]
