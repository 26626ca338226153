"""The implicit decoder as ONNX or TorchScript, and a model's checkpoint split into the files that a package ships."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ppr.methods.common.errors import PprError
from ppr.methods.common.running.checkpoint import Checkpoint, Meta, load_checkpoint, load_state, save_checkpoint
from ppr.methods.imnet.config import METHOD, network_config
from ppr.methods.imnet.evaluate import largest_share
from ppr.methods.imnet.infer import Predictor
from ppr.methods.imnet.models.field import Decoder
from ppr.methods.imnet.models.svr import METHOD as IMAGE_METHOD
from ppr.methods.imnet.models.svr import load_image_encoder
from ppr.methods.imnet.network import ImplicitDecoder

from .mesh.extract import Extraction, extract
from .parity import Tolerance
from .write import Export, Format, write

TOLERANCE = 1e-5
WHOLE = 0.95  # of the volume in one component
CASES = (7, 1, 100_000)  # points at which an exported file is compared with torch


class ExportedField(nn.Module):
    """points (n, 3), code (z) -> values (n, 1); with a code of its own it takes points alone.

    Args:
        occupancy: give probabilities in (0, 1) where the decoder gives logits.
    """

    def __init__(self, decoder: ImplicitDecoder, code: Tensor | None, *, occupancy: bool) -> None:
        super().__init__()
        self.decoder, self.as_occupancy = decoder, occupancy and decoder.output == "logit"
        if code is not None:
            self.register_buffer("own_code", code)
        else:
            self.own_code = None

    def forward(self, points: Tensor, code: Tensor | None = None) -> Tensor:
        chosen = self.own_code if code is None else code
        assert chosen is not None
        values = self.decoder(points[None], chosen[None])[0][:, None]
        return torch.sigmoid(values) if self.as_occupancy else values


def load_decoder(path: Path) -> tuple[ImplicitDecoder, Checkpoint]:
    """The decoder of a checkpoint, in evaluation mode.

    Raises:
        PprError: not a checkpoint of this method, or its weights do not fit.
    """
    checkpoint = load_checkpoint(path, method=METHOD)
    config = network_config(checkpoint.meta, path)
    decoder = ImplicitDecoder(config.z_dim, config.decoder_widths, config.skips, config.octaves, config.output)
    prefix = "generator."
    state = {key.removeprefix(prefix): value for key, value in checkpoint.state.items() if key.startswith(prefix)}
    load_state(decoder, state, str(path))
    return decoder.eval(), checkpoint


def export_field(
    path: Path, out: Path, format: Format, *, code: NDArray[np.float32] | None, occupancy: bool, opset: int, overwrite: bool
) -> dict[str, Any]:
    """Write the decoder as ONNX or TorchScript, with a free number of points, and compare it with torch.

    Args:
        code: shape to put into the file, which then takes points alone; None leaves the code an input.

    Raises:
        UsageError: the file exists already and shall not be overwritten.
        PprError: the file differs from torch by more than 1e-5 (of the largest logit), or computes no numbers; it is not written then.
    """
    decoder, checkpoint = load_decoder(path)
    own = None if code is None else torch.from_numpy(code)
    module = ExportedField(decoder, own, occupancy=occupancy).eval()
    z_dim = network_config(checkpoint.meta, path).z_dim
    generator = torch.Generator().manual_seed(0)
    cases: list[tuple[Tensor, ...]] = []
    for count in CASES:
        points = torch.rand(count, 3, generator=generator) - 0.5
        cases.append((points,) if own is not None else (points, torch.rand(z_dim, generator=generator)))
    with torch.inference_mode():
        # Logits grow without bound, and float32's noise with them.
        tolerance = TOLERANCE * max(1.0, float(module(*cases[-1]).abs().max()))
    about = description(checkpoint.meta, decoder, occupancy=module.as_occupancy)
    written = write(
        Export(
            module,
            cases,
            inputs=["points"] if own is not None else ["points", "code"],
            outputs=["values"],
            axes={"points": {0: "points"}},
            metadata=about,
            tolerance=Tolerance(tolerance),
        ),
        out,
        format,
        opset=opset,
        overwrite=overwrite,
    )
    return {"path": str(out), "bytes": written.bytes, "parity": written.compared, "level": about["level"]}


def description(meta: Meta, decoder: ImplicitDecoder, *, occupancy: bool) -> dict[str, Any]:
    """What the file says about itself; `level` is the value on the surface, `box` the walls of the cube the field is about."""
    logit = decoder.output == "logit" and not occupancy
    about = {key: value for key, value in asdict(meta).items() if key not in ("notes", "format")}
    return about | {"level": 0.0 if logit else 0.5, "box": [-0.5, 0.5], "up": "y", "values": "logit" if logit else "occupancy"}


def whole_shapes(model: Predictor, report: Callable[[], object] = lambda: None, *, resolution: int = 48) -> NDArray[np.bool_]:
    """Which shapes of a model's bank come out in one piece, bool [n]: the largest has at least 95 % of the volume.

    Args:
        report: called after each shape; one takes some tenths of a second.
        resolution: of the meshes that are looked at.
    """
    settings = Extraction(resolution=resolution, level=model.decoder.level, seed_grid=resolution // 2, refine=0, keep="all")
    whole = []
    for code in model.bank.codes:
        try:
            whole.append(largest_share(extract(model.field(code), settings).mesh) >= WHOLE)
        except PprError:  # a field without surface
            whole.append(False)
        report()
    return np.array(whole)


def split_checkpoint(
    path: Path,
    out: Path,
    *,
    half: bool,
    notes: dict[str, str],
    overwrite: bool,
    whole: NDArray[np.bool_] | None = None,
    image: Path | None = None,
) -> list[Path]:
    """Write what `mesh` needs (decoder and shapes) to `out`, and the encoder to `NAME.encoder.safetensors` beside it.

    Args:
        half: store floating-point tensors as float16.
        notes: further lines for the metadata.
        whole: which shapes are in one piece, from `whole_shapes`; priors then draw from those.
        image: checkpoint of the image encoder, written to `NAME.image.safetensors`.

    Raises:
        PprError: a checkpoint without decoder, one without image encoder, or weights that do not fit into half precision.
    """
    checkpoint = load_checkpoint(path, method=METHOD)
    config = network_config(checkpoint.meta, path)
    Decoder({key: value.numpy() for key, value in checkpoint.state.items()}, config)
    meta = replace(checkpoint.meta, notes=checkpoint.meta.notes | notes)
    shapes = {key: value for key, value in checkpoint.state.items() if not key.startswith("encoder.")}
    if whole is not None:
        shapes["whole"] = torch.from_numpy(whole.astype(np.uint8))
    unnamed = replace(meta, notes={key: value for key, value in meta.notes.items() if key != "names"})
    parts = {
        out: (shapes, meta),
        out.with_suffix(".encoder.safetensors"): ({k: v for k, v in checkpoint.state.items() if k.startswith("encoder.")}, unnamed),
    }
    if image is not None:
        _encoder, image_meta = load_image_encoder(image)
        parts[out.with_suffix(".image.safetensors")] = load_checkpoint(image, method=IMAGE_METHOD).state, image_meta
    written = []
    for target, (state, described) in parts.items():
        if not state:
            continue
        stored = {key: value.half() if half and value.is_floating_point() else value for key, value in state.items()}
        if not all(torch.isfinite(value).all() for value in stored.values() if value.is_floating_point()):
            raise PprError(f"{path}: weights that do not fit into half precision", hint="leave --half out")
        written.append(save_checkpoint(target, stored, described, overwrite=overwrite))
    return written
