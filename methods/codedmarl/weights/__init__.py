"""The embedded agents of `ppr codedmarl` and where they lie.

spread: three agents of simple_spread after 3.9 million joint steps (11 minutes of one core), the last state of the trainer's loop
with the settings of `ppr codedmarl train --engine inproc --iterations 30000 --set lr_final=0.02 --out runs/spread`. The command was
compared with it for 2,927 iterations, and had the same bits.
"""

from __future__ import annotations

from pathlib import Path

from ...common.running.embedded import Embedded

EMBEDDED = Embedded(Path(__file__).parent)
DEFAULT = "spread"
