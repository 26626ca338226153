"""The embedded models of `ppr imnet` and where they lie."""

from __future__ import annotations

from pathlib import Path

from ...common.running.embedded import Embedded

EMBEDDED = Embedded(Path(__file__).parent)
