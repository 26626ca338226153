"""Arrays that learners read without a copy."""

from __future__ import annotations

import os

import numpy as np
import pytest

from ppr.methods.codedmarl.learners.block import Block, create
from ppr.methods.common.errors import PprError


def test_the_block_is_aligned_and_grows():
    block = Block(create())
    layout = block.write(3, {"a": np.arange(3, dtype=np.int8), "b": np.eye(3)})
    views = block.arrays(layout)
    assert all(view.ctypes.data % 64 == 0 for view in views.values())
    np.testing.assert_array_equal(views["b"], np.eye(3))
    assert block.wanted == 3
    layout = block.write(4, {"a": np.ones(1 << 16)})
    assert (block.wanted, float(block.arrays(layout)["a"].sum())) == (4, 1 << 16)
    assert views["b"].shape == (3, 3)  # somebody who still looks at the smaller block doesn't fall into a hole
    block.close()


def test_the_block_says_when_memory_is_short(monkeypatch):
    def full(*_arguments: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(PprError, match="no shared memory of 1 MB") as caught:
        Block(create()).write(0, {"a": np.zeros(1 << 17)})
    assert "batch" in (caught.value.hint or "")
