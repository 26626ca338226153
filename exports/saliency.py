"""A RAS network as ONNX, in one of four precisions and with or without its pre- and post-processing, or as TorchScript."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from onnx import ModelProto
from torch import Tensor, nn

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import Meta, package_version
from ppr.methods.saliency.data import normalize
from ppr.methods.saliency.infer import resize_to_side
from ppr.methods.saliency.network import ARCHITECTURES, RAS, Normalization
from ppr.methods.saliency.saliency_map import Saliency
from ppr.methods.saliency.trunks import MobileNetV2

from . import onnx
from .parity import BROKEN, Computation, Parity, Tolerance
from .precision import quantize_int8, store_half
from .preprocessing import with_preprocessing
from .saliency_graphs import HalfGraph, RembgGraph, SaliencyGraph
from .write import Export, write


def metadata(meta: Meta, side: int, profile: str, precision: str) -> dict[str, Any]:
    """The model card that travels inside the file."""
    normalization = ARCHITECTURES[meta.arch].normalization
    return {
        "method": meta.method,
        "arch": meta.arch,
        "side": str(side),
        "profile": profile,
        "precision": precision,
        "mean": list(normalization.mean),
        "std": list(normalization.std),
        "scale": str(normalization.scale),
        "channel_order": "BGR" if normalization.bgr else "RGB",
        "input_range": "0..255 RGB: (x / scale - mean) / std, then the channel order",
        "metrics": meta.metrics,
        "training_data": meta.data,
        "notes": meta.notes,
        "licence": meta.notes.get("licence", "as the checkpoint's owner says"),
        "ppr_version": package_version(),
        "trained_with_ppr": meta.version,
    }


Precision = Literal["fp32", "fp16", "fp16w", "int8"]
TOLERANCE = {
    "fp32": Tolerance(1e-4),
    "fp16": Tolerance(5e-3),
    "fp16w": Tolerance(5e-3),
    "int8": Tolerance(math.inf, average=0.02),  # of the probability over the calibration images
}
MASK_TOLERANCE = Tolerance(levels=1)


@dataclass(frozen=True)
class Request:
    """What to export a network as.

    Args:
        side: of the square input; 0 leaves batch, height and width free.
        precision: fp16 computes in half precision (for GPUs), fp16w stores weights in half and computes in float32, int8 is static QDQ.
        profile: plain, or `rembg` for that program's custom-model slot.
    """

    side: int
    precision: Precision = "fp32"
    preprocess: bool = False
    all_levels: bool = False
    profile: Literal["plain", "rembg"] = "plain"
    opset: int = onnx.OPSET
    verify: bool = True

    def check(self) -> None:
        """Refuse what does not go together.

        Raises:
            UsageError: naming the two choices.
        """
        if self.preprocess and (not self.side or self.all_levels or self.profile != "plain" or self.precision == "int8"):
            raise UsageError(
                "--with-preprocess: needs a fixed --size and one plain output", hint="leave --all-levels, --profile, dynamic and int8 out"
            )
        if self.profile == "rembg" and self.side not in (0, 320):
            raise UsageError("--profile rembg: feeds 320x320", hint="--size 320 or dynamic")

    @property
    def tolerance(self) -> Tolerance | None:
        """How far the file may be from torch."""
        if not self.verify:
            return None
        return MASK_TOLERANCE if self.preprocess else TOLERANCE[self.precision]

    @property
    def otherwise(self) -> str | None:
        """What to ask for where the file is too far off."""
        if self.preprocess:
            return "leave --with-preprocess out, or try another --size"
        return {"fp16": "use --precision fp16w", "int8": "use --precision fp16w", "fp16w": "use --precision fp32"}.get(self.precision)


def to_onnx(
    network: RAS, meta: Meta, path: Path, request: Request, *, calibration: Sequence[np.ndarray] = (), overwrite: bool = False
) -> dict[str, Any]:
    """Export, check, compare with torch, and only then put the file into place.

    Args:
        calibration: (H, W, 3) uint8 photos; int8 needs them, the others compare on random input.

    Returns:
        path, bytes, inputs and outputs, the largest difference to torch, and the latency in milliseconds with two threads.

    Raises:
        UsageError: a request that contradicts itself.
        PprError: the result differs from torch by more than the precision allows.
    """
    request.check()
    if request.precision == "int8" and not calibration:
        raise UsageError("--precision int8: needs images to calibrate on", hint="--calibration PATH")
    if request.preprocess and request.verify and not calibration:
        raise UsageError("--with-preprocess: needs photos to be compared on", hint="--calibration PATH")
    architecture = ARCHITECTURES[meta.arch]
    side = request.side or architecture.side or 320
    plain = _plain(network, architecture.normalization, request)
    # Halving is done on a copy: the float32 graph is what the result is compared with.
    traced = HalfGraph(_plain(network, architecture.normalization, request)) if request.precision == "fp16" else plain
    outputs = _outputs(network, request)

    def graph(opset: int) -> ModelProto:
        example = torch.rand(1 if request.side else 2, 3, side, side)
        axes = None if request.side else {"image": {0: "batch", 2: "height", 3: "width"}}
        model = onnx.trace(traced, [example], inputs=["image"], outputs=outputs, axes=axes, opset=opset)
        if request.precision == "fp16w":
            model = store_half(model)
        if request.precision == "int8":
            feeds = [{"image": normalize(resize_to_side(photo, side), architecture.normalization)[None].numpy()} for photo in calibration]
            model = quantize_int8(model, feeds, keep_float=float_layers(network))
        return with_preprocessing(model, architecture.normalization, side) if request.preprocess else model

    cases, reference = _comparison(plain, architecture.normalization, request, side, calibration)
    export = Export(
        traced,
        cases,
        inputs=["photo"] if request.preprocess else ["image"],
        outputs=["mask"] if request.preprocess else outputs,
        metadata=metadata(meta, request.side or architecture.side, request.profile, request.precision),
        tolerance=request.tolerance,
        reference=reference,
        graph=graph,
        hint=request.otherwise,
    )
    written = write(export, path, opset=request.opset, overwrite=overwrite)
    report = {"path": str(path), "bytes": written.bytes, "precision": request.precision, "opset": request.opset}
    report["inputs"], report["outputs"] = onnx.signature(path)
    if written.parity is not None:
        report |= _measured(written.parity, request)
    feed = {"photo": np.zeros((300, 400, 3), np.uint8)} if request.preprocess else {"image": np.zeros((1, 3, side, side), np.float32)}
    report["ms"] = round(onnx.latency(path, feed, threads=2), 2)
    return report


def to_torchscript(network: RAS, meta: Meta, path: Path, request: Request, *, overwrite: bool = False) -> dict[str, Any]:
    """Export as TorchScript; it takes any size, which is checked on three of them.

    Raises:
        UsageError: a request TorchScript export does not cover.
        PprError: it differs from torch.
    """
    if request.preprocess or request.precision != "fp32" or request.profile != "plain":
        raise UsageError("--format torchscript: is plain float32", hint="the other choices are for --format onnx")
    export = Export(
        SaliencyGraph(network, all_levels=request.all_levels),
        random_cases(request.side or 256, dynamic=True),
        inputs=["image"],
        outputs=_outputs(network, request),
        metadata=metadata(meta, request.side, "plain", "fp32"),
        tolerance=TOLERANCE["fp32"],
    )
    written = write(export, path, "torchscript", overwrite=overwrite)
    return {"path": str(path), "bytes": written.bytes, **written.compared}


def score_layers(network: RAS) -> list[str]:
    """Name fragments of the convolutions that write logits: int8's 256 levels would be the levels of the map."""
    return [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d) and module.out_channels == 1]


def float_layers(network: RAS) -> list[str]:
    """What int8 leaves in float32: the score layers, and MobileNetV2 up to stride 4.

    The few channels there differ so much in range that one scale for all of them cost .005 of MAE, all that int8 loses.
    """
    trunk = network.trunk
    early = ["trunk.stem.", *(f"trunk.blocks.{i}." for i in range(trunk.taps[0] + 1))] if isinstance(trunk, MobileNetV2) else []
    return score_layers(network) + early


class InferredMask(nn.Module):
    """What `infer` makes of a photo with a plain graph: (H, W, 3) uint8 -> (H, W) uint8."""

    def __init__(self, graph: nn.Module, normalization: Normalization, side: int) -> None:
        super().__init__()
        self.graph, self.normalization, self.side = graph, normalization, side

    def forward(self, photo: Tensor) -> Tensor:
        image = normalize(resize_to_side(photo.numpy(), self.side), self.normalization)
        probability = self.graph(image[None])[0, 0]
        if not torch.isfinite(probability).all():  # rounding to grey levels would hide it
            raise PprError("torch computes NaN or infinity", hint=BROKEN)
        return torch.from_numpy(Saliency(probability.numpy(), photo.shape[1], photo.shape[0]).mask())


def random_cases(side: int, *, dynamic: bool) -> list[list[Tensor]]:
    """Random inputs: at the fixed size, or at three sizes of which one is odd."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(side, side), (side + 64, side - 32), (97, 131)] if dynamic else [(side, side)] * 3
    return [[torch.rand(1, 3, height, width, generator=generator) * 2 - 1] for height, width in sizes]


def _plain(network: RAS, normalization: Normalization, request: Request) -> nn.Module:
    """The graph in float32, without what is put around it."""
    graph = SaliencyGraph(network, all_levels=request.all_levels)
    return (RembgGraph(graph, normalization) if request.profile == "rembg" else graph).eval()


def _outputs(network: RAS, request: Request) -> list[str]:
    """Names of the maps, finest first."""
    return ["saliency"] + [f"level{i}" for i in range(2, len(network.blocks) + 2) if request.all_levels]


def _comparison(
    graph: nn.Module, normalization: Normalization, request: Request, side: int, photos: Sequence[np.ndarray]
) -> tuple[list[list[Tensor]], Computation]:
    """Inputs on which a file is compared, and what it is compared with: `infer`'s masks, or the maps of the graph in float32."""
    if request.preprocess:
        return [[torch.tensor(photo)] for photo in photos[:5]], InferredMask(graph, normalization, side)
    if request.precision == "int8":
        return [[normalize(resize_to_side(photo, side), normalization)[None]] for photo in photos[:32]], graph
    return random_cases(side, dynamic=not request.side), graph


def _measured(parity: Parity, request: Request) -> dict[str, Any]:
    """The difference that says most of a kind of file."""
    if request.preprocess:
        return {"max_grey_levels": parity.max_levels, "cases": parity.cases}
    if request.precision == "int8":
        return {"mean_difference": parity.mean_difference, "cases": parity.cases}
    return {"max_difference": parity.max_difference, "cases": parity.cases}
