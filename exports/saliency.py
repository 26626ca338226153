"""The graphs a RAS network is exported as: plain, with all levels, with pre- and post-processing inside, or as rembg feeds it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import onnx
import torch
from torch import Tensor, nn

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.files import atomic_path
from ppr.methods.common.running.checkpoint import Meta, package_version
from ppr.methods.saliency.data import normalize
from ppr.methods.saliency.folding import fold_batch_norm
from ppr.methods.saliency.infer import resize_to_side
from ppr.methods.saliency.network import ARCHITECTURES, IMAGENET_MEAN, IMAGENET_STD, RAS, Normalization
from ppr.methods.saliency.trunks import MobileNetV2

from . import onnx as exporter
from . import torchscript
from .preprocessing import with_preprocessing


class SaliencyGraph(nn.Module):
    """What the plain ONNX file computes: normalised image -> probability of the finest level, or of all levels, finest first.

    Shapes:
        image (B, 3, H, W) float32 -> (B, 1, H, W) float32 in [0, 1], or a tuple of them.
    """

    def __init__(self, network: RAS, *, all_levels: bool = False) -> None:
        super().__init__()
        self.network = fold_batch_norm(network)
        self.all_levels = all_levels

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        outputs = self.network(image)
        return tuple(torch.sigmoid(o) for o in outputs) if self.all_levels else torch.sigmoid(outputs[0])


class RembgGraph(nn.Module):
    """The plain graph behind the input of rembg's custom-model sessions: RGB over its own maximum, ImageNet mean and standard deviation.

    rembg divides by the image's largest value, so that 1.0 stands for 255 in all but dark pictures; the graph undoes the ImageNet
    normalisation and applies the network's own.
    """

    gain: Tensor
    offset: Tensor

    def __init__(self, graph: SaliencyGraph, normalization: Normalization) -> None:
        super().__init__()
        self.inner = graph
        mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (IMAGENET_MEAN, IMAGENET_STD))
        own_mean, own_std = (torch.tensor(v).view(1, 3, 1, 1) for v in (normalization.mean, normalization.std))
        self.register_buffer("gain", std * 255 / normalization.scale / own_std)
        self.register_buffer("offset", (mean * 255 / normalization.scale - own_mean) / own_std)
        self.bgr = normalization.bgr

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        x = image * self.gain + self.offset
        return self.inner(x.flip(1) if self.bgr else x)


class HalfGraph(nn.Module):
    """A graph computed in float16 between float32 inputs and outputs, for GPUs."""

    def __init__(self, graph: nn.Module) -> None:
        super().__init__()
        self.inner = graph.half()

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, ...]:
        found = self.inner(image.half())
        return tuple(o.float() for o in found) if isinstance(found, tuple) else found.float()


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
TOLERANCE = {"fp32": 1e-4, "fp16": 5e-3, "fp16w": 5e-3}
INT8_MEAN_TOLERANCE = 0.02  # mean |difference| of the probability over the calibration images


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
    opset: int = exporter.OPSET
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
    architecture = ARCHITECTURES[meta.arch]
    graph: nn.Module = SaliencyGraph(network, all_levels=request.all_levels)
    if request.profile == "rembg":
        graph = RembgGraph(graph, architecture.normalization)  # type: ignore[arg-type]
    graph = graph.eval()
    names = ["saliency"] + [f"level{i}" for i in range(2, len(network.blocks) + 2)] if request.all_levels else ["saliency"]
    side = request.side or architecture.side or 320
    # Halving is done on a copy: the float32 graph is what the result is compared with.
    traced = HalfGraph(SaliencyGraph(network, all_levels=request.all_levels)) if request.precision == "fp16" else graph
    if request.precision == "fp16" and request.profile == "rembg":
        traced = HalfGraph(RembgGraph(SaliencyGraph(network), architecture.normalization))
    model = _trace(traced, side, dynamic=not request.side, names=names, opset=request.opset)
    if request.precision == "fp16w":
        model = exporter.store_half(model)
    if request.precision == "int8":
        feeds = [{"image": normalize(resize_to_side(photo, side), architecture.normalization)[None].numpy()} for photo in calibration]
        if not feeds:
            raise UsageError("--precision int8: needs images to calibrate on", hint="--calibration PATH")
        model = exporter.quantize_int8(model, feeds, keep_float=float_layers(network))
    if request.preprocess:
        model = with_preprocessing(model, architecture.normalization, side)
    with atomic_path(path, overwrite=overwrite) as temporary:
        exporter.save(
            model, temporary, metadata=metadata(meta, request.side or architecture.side, request.profile, request.precision), overwrite=True
        )
        report = {"path": str(path), "bytes": temporary.stat().st_size, "precision": request.precision, "opset": request.opset}
        report["inputs"], report["outputs"] = exporter.signature(model)
        if request.verify:
            report |= _verify(temporary, graph, network, meta, request, side, calibration)
        feed = {"image": np.zeros((1, 3, side, side), np.float32)}
        if request.preprocess:
            feed = {"photo": np.zeros((300, 400, 3), np.uint8)}
        report["ms"] = round(exporter.latency(temporary, feed, threads=2), 2)
    return report


def to_torchscript(network: RAS, meta: Meta, path: Path, request: Request, *, overwrite: bool = False) -> dict[str, Any]:
    """Export as TorchScript; it takes any size, which is checked on three of them.

    Raises:
        UsageError: a request TorchScript export does not cover.
        PprError: it differs from torch.
    """
    if request.preprocess or request.precision != "fp32" or request.profile != "plain":
        raise UsageError("--format torchscript: is plain float32", hint="the other choices are for --format onnx")
    graph = SaliencyGraph(network, all_levels=request.all_levels)
    side = request.side or 256
    found = torchscript.export(
        graph,
        [[case] for case in _cases(side, dynamic=True)],
        path,
        metadata=metadata(meta, request.side, "plain", "fp32"),
        tolerance=TOLERANCE["fp32"],
        overwrite=overwrite,
    )
    return {"path": str(path), "bytes": path.stat().st_size, "max_difference": found.max_difference, "cases": found.cases}


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


def _verify(
    path: Path, graph: nn.Module, network: RAS, meta: Meta, request: Request, side: int, calibration: Sequence[np.ndarray]
) -> dict[str, Any]:
    """Compare the written file with torch in float32; raises if it is too far off."""
    if request.preprocess:
        return _verify_preprocessing(path, network, meta, side, calibration)
    if request.precision == "int8":
        normalization = ARCHITECTURES[meta.arch].normalization
        runtime = exporter.session(path)
        differences = []
        for photo in calibration[:32]:
            x = normalize(resize_to_side(photo, side), normalization)[None]
            with torch.no_grad():
                expected = graph(x)
            first = expected[0] if isinstance(expected, tuple) else expected
            differences.append(float(np.abs(runtime.run(None, {"image": x.numpy()})[0] - first.numpy()).mean()))
        mean = float(np.mean(differences))
        if mean > INT8_MEAN_TOLERANCE:
            raise PprError(
                f"int8 differs from float32 by {mean:.3f} on average, more than {INT8_MEAN_TOLERANCE}; not written", hint="use fp16w"
            )
        return {"mean_difference": mean, "cases": len(differences)}
    found = exporter.parity(path, graph, [[case] for case in _cases(side, dynamic=not request.side)])
    limit = TOLERANCE[request.precision]
    if not found.max_difference < limit:
        raise PprError(f"the ONNX file differs from torch by {found.max_difference:.2g}, more than {limit:g}; not written")
    return {"max_difference": found.max_difference, "cases": found.cases}


def _verify_preprocessing(path: Path, network: RAS, meta: Meta, side: int, calibration: Sequence[np.ndarray]) -> dict[str, Any]:
    """Compare masks in grey levels with what `infer` computes, on photos."""
    from ppr.methods.saliency.saliency_map import Saliency

    graph, normalization = SaliencyGraph(network), ARCHITECTURES[meta.arch].normalization
    runtime = exporter.session(path)
    worst = 0
    for photo in calibration[:5]:
        with torch.no_grad():
            probability = graph(normalize(resize_to_side(photo, side), normalization)[None])[0, 0].numpy()
        expected = Saliency(probability, photo.shape[1], photo.shape[0]).mask()
        found = runtime.run(None, {"photo": photo})[0]
        worst = max(worst, int(np.abs(found.astype(int) - expected.astype(int)).max()))
    if worst > 1:
        raise PprError(f"the graph with pre-processing differs from `infer` by {worst} grey levels, more than 1; not written")
    return {"max_grey_levels": worst, "cases": len(calibration[:5])}


def _cases(side: int, *, dynamic: bool) -> Iterator[Tensor]:
    """Random inputs: at the fixed size, or at three sizes of which one is odd."""
    generator = torch.Generator().manual_seed(0)
    sizes = [(side, side), (side + 64, side - 32), (97, 131)] if dynamic else [(side, side)] * 3
    for height, width in sizes:
        yield torch.rand(1, 3, height, width, generator=generator) * 2 - 1


def _trace(graph: nn.Module, side: int, *, dynamic: bool, names: list[str], opset: int) -> onnx.ModelProto:
    """Export a graph at a fixed side, or with dynamic batch, height and width."""
    example = torch.rand(2 if dynamic else 1, 3, side, side)
    axes = {"image": {0: "batch", 2: "height", 3: "width"}} if dynamic else None
    return exporter.export(graph, [example], input_names=["image"], output_names=names, dynamic=axes, opset=opset)
