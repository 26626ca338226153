"""Counter-based random numbers: every draw is named by what it is for, so that nothing depends on what was drawn before.

A resumed training, another number of workers or another order of work then draws the same numbers. The keys of one method have one length,
since NumPy fills shorter ones up with zeros: (1, 2) and (1, 2, 0) are the same stream.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


def torch_generator(*key: int) -> torch.Generator:
    """A CPU generator that depends on the non-negative integers of `key` alone, in their order."""
    import torch

    low, high = np.random.SeedSequence(key).generate_state(2, np.uint32)
    return torch.Generator().manual_seed(int(low) << 32 | int(high))


def numpy_generator(*key: int) -> np.random.Generator:
    """The same for NumPy (PCG64)."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(key)))


def rng_state() -> dict[str, torch.Tensor]:
    """The state of torch's own generators, which dropout and initial weights draw from; all else has counter-based ones."""
    import torch

    state = {"cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def restore_rng(state: dict[str, torch.Tensor]) -> None:
    """Go back to what `rng_state` returned."""
    import torch

    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
