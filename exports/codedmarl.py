"""Trained agents as files that other programs run: one ONNX or TorchScript actor an agent, and a description of all of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from onnx import ModelProto, TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ppr.methods.codedmarl.agents.model import TrainedAgents
from ppr.methods.codedmarl.agents.policy import Actor
from ppr.methods.common.reading.files import atomic_open, free_name, refuse_existing
from ppr.methods.common.running.checkpoint import package_version

from .write import SUFFIX, Export, Format, write_all

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
        if self.box:
            return logits.sigmoid()
        action = logits.softmax(1)
        return action, action.argmax(1)  # not of the logits: two that round to the same weight are one choice in training


def as_played(actor: Actor, observation: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    """What training and evaluation do, and what a file is compared with."""
    action = actor(observation)
    return action if actor.spec.kind == "box" else (action, action.argmax(1))


def export_actors(
    model: TrainedAgents, folder: Path, *, format: Format, opset: int, notes: Mapping[str, str], overwrite: bool
) -> dict[str, Any]:
    """Write one file an agent and `actors.json`, which says what each takes and gives; all files are compared with torch first.

    Args:
        opset: 18 to 23; for ONNX.
        notes: further lines for the metadata.

    Returns:
        what `actors.json` says.

    Raises:
        UsageError: a file exists already and shall not be overwritten.
        PprError: an action that differs from torch by more than 1e-5, or parameters that are not finite; nothing is written then.
    """
    taken: set[str] = set()
    paths = [folder / f"{free_name(re.sub(r'[^A-Za-z0-9_-]', '_', spec.name), taken)}{SUFFIX[format]}" for spec in model.specs]
    refuse_existing(folder / DESCRIPTION, overwrite=overwrite)
    config = model.meta.config
    about = {"method": "codedmarl", "env": config["env"], "format": format, "version": package_version(), **notes}
    if format == "onnx":
        about["opset"] = opset
    cards = [asdict(actor.spec) | {"meaning": MEANING[actor.spec.kind]} for actor in model.actors]
    exports = {path: actor_export(actor, about | card) for path, actor, card in zip(paths, model.actors, cards, strict=True)}
    files = write_all(exports, format, opset=opset, overwrite=overwrite)
    agents = [
        card | {"file": file.path.name, "bytes": file.bytes, "parity": file.compared} for card, file in zip(cards, files, strict=True)
    ]
    report = about | {"episode_length": config["episode_length"], "agents": agents}
    with atomic_open(folder / DESCRIPTION, overwrite=overwrite) as stream:
        stream.write((json.dumps(report, indent=2, ensure_ascii=False) + "\n").encode())
    return report


def actor_export(actor: Actor, metadata: Mapping[str, Any]) -> Export:
    """An actor as its file shall hold it."""
    return Export(
        ActorModule(actor),
        _cases(actor.spec.observation),
        inputs=["observation"],
        outputs=["action"] if actor.spec.kind == "box" else ["action", "choice"],
        metadata=metadata,
        reference=partial(as_played, actor),
        graph=partial(actor_graph, actor),
    )


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
        nodes.append(helper.make_node("ArgMax", ["action"], ["choice"], axis=1, keepdims=0))
        outputs.append(helper.make_tensor_value_info("choice", TensorProto.INT64, ["batch"]))
    inputs = [helper.make_tensor_value_info("observation", TensorProto.FLOAT, ["batch", sizes[0]])]
    graph = helper.make_graph(nodes, "actor", inputs, outputs, weights)
    imports = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=helper.find_min_ir_version_for(imports), producer_name="ppr")


def _cases(width: int) -> list[tuple[Tensor]]:
    """Random observations, among them large ones."""
    generator = torch.Generator().manual_seed(0)
    return [(torch.randn(rows, width, generator=generator) * scale,) for rows, scale in zip(CASES, (1, 1, 5, 1), strict=True)]
