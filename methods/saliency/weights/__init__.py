"""The embedded networks of `ppr saliency` and where they lie: NAME.safetensors for torch, NAME.onnx for ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

from ...common.running.embedded import Embedded

EMBEDDED = Embedded(Path(__file__).parent)
