"""Checkpoints: what goes in comes out, and a file that is not one says so without being executed."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running import checkpoint as checkpoints
from ppr.methods.common.running.checkpoint import Meta, load_checkpoint, load_state, load_weights_file, read_meta, save_checkpoint

META = Meta("saliency", "ras-mobile", config={"epochs": 2, "data": ["a", "ü"]}, metrics={"mae": 0.05}, data={"pairs": 3}, seed=4, epoch=2)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    state = {"w": torch.arange(6.0).reshape(2, 3), "half": torch.tensor([0.5, -2.0]).half(), "steps": torch.tensor(7)}
    return save_checkpoint(tmp_path / "net.safetensors", state, META)


def test_everything_comes_back(saved):
    loaded = load_checkpoint(saved, method="saliency")
    assert loaded.meta == Meta(**{**META.__dict__, "version": checkpoints.package_version()})
    torch.testing.assert_close(loaded.state["w"], torch.arange(6.0).reshape(2, 3), rtol=0, atol=0)
    torch.testing.assert_close(loaded.state["half"], torch.tensor([0.5, -2.0]), rtol=0, atol=0)  # as float32
    assert loaded.state["steps"].dtype == torch.int64
    assert read_meta(saved) == loaded.meta
    assert checkpoints.count_parameters(saved) == 9


def test_tensors_that_are_views_are_saved(tmp_path):
    base = torch.randn(4, 4)
    path = save_checkpoint(tmp_path / "a.safetensors", {"t": base.t(), "row": base[1]}, META)
    torch.testing.assert_close(load_checkpoint(path).state["t"], base.t(), rtol=0, atol=0)


def test_another_methods_checkpoint_is_refused_with_its_name(saved):
    with pytest.raises(PprError, match="of 'saliency', not of 'imnet'") as caught:
        load_checkpoint(saved, method="imnet")
    assert caught.value.hint == "use it with `ppr saliency`"


def test_an_existing_file_is_kept_unless_asked(saved):
    before = saved.read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        save_checkpoint(saved, {"w": torch.zeros(1)}, META, overwrite=False)
    assert saved.read_bytes() == before


def test_every_truncation_is_noticed(saved):
    content = saved.read_bytes()
    for length in (0, 4, 8, 20, len(content) // 2, len(content) - 1):
        saved.write_bytes(content[:length])
        with pytest.raises(PprError, match=r"net\.safetensors"):
            load_checkpoint(saved)


def test_weights_that_are_not_finite_are_refused(tmp_path):
    path = save_checkpoint(tmp_path / "a.safetensors", {"w": torch.tensor([1.0, float("nan")])}, META)
    with pytest.raises(PprError, match="not finite"):
        load_checkpoint(path)


def test_weights_of_another_program_are_not_a_checkpoint(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(PprError, match="not a ppr checkpoint") as caught:
        load_checkpoint(tmp_path / "a.safetensors")
    assert "--backbone-weights" in (caught.value.hint or "")


def test_a_newer_format_asks_for_a_newer_ppr(tmp_path):
    save_file({"w": torch.zeros(2)}, tmp_path / "a.safetensors", metadata={"ppr": json.dumps({"format": 2, "version": "3.1"})})
    with pytest.raises(PprError, match=r"ppr 3\.1, a newer format"):
        read_meta(tmp_path / "a.safetensors")


def test_fields_of_a_later_release_are_passed_over(tmp_path):
    values = {"format": 1, "method": "saliency", "arch": "ras-mobile", "mood": "cheerful"}
    save_file({"w": torch.zeros(2)}, tmp_path / "a.safetensors", metadata={"ppr": json.dumps(values)})
    assert read_meta(tmp_path / "a.safetensors").arch == "ras-mobile"


class Exploit:
    """Unpickling it writes a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.write_text, (self.target, "executed")


def test_foreign_weights_are_read_without_running_their_code(tmp_path):
    marker = tmp_path / "executed"
    torch.save({"w": Exploit(marker)}, tmp_path / "evil.pth")
    (tmp_path / "evil.safetensors").write_bytes(pickle.dumps(Exploit(marker)))
    for name in ("evil.pth", "evil.safetensors"):
        with pytest.raises(PprError, match="can be read safely"):
            load_weights_file(tmp_path / name)
    assert not marker.exists()


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"state_dict": state}], ids=["plain", "wrapped"])
def test_foreign_weights_come_as_float32(tmp_path, wrap):
    torch.save(wrap({"w": torch.ones(2).half()}), tmp_path / "a.pth")
    torch.testing.assert_close(load_weights_file(tmp_path / "a.pth")["w"], torch.ones(2))


def test_foreign_files_without_tensors(tmp_path):
    torch.save([1, 2], tmp_path / "a.pth")
    with pytest.raises(PprError, match="no dictionary of tensors"):
        load_weights_file(tmp_path / "a.pth")
    with pytest.raises(PprError, match="no such file"):
        load_weights_file(tmp_path / "b.pth")


def test_weights_that_do_not_fit_are_counted_and_named():
    network = nn.Linear(3, 2)
    before = network.weight.detach().clone()
    with pytest.raises(PprError) as caught:
        load_state(network, {"weight": torch.zeros(2, 4), "offset": torch.zeros(2)}, "net.safetensors")
    message = caught.value.message
    assert "1 missing (bias, …), 1 unknown (offset, …), 1 misshapen (weight, …)" in message
    assert torch.equal(network.weight, before)


def test_paths_of_the_machine_do_not_travel_in_a_checkpoint(tmp_path):
    meta = Meta(
        method="m", arch="a", config={"data": [str(tmp_path / "set.zip"), "relative/x.zip"], "init": str(tmp_path / "w.pth"), "lr": 0.1}
    )
    path = save_checkpoint(tmp_path / "c.safetensors", {"w": torch.zeros(2)}, meta)
    assert read_meta(path).config == {"data": ["set.zip", "relative/x.zip"], "init": "w.pth", "lr": 0.1}
    assert str(tmp_path).encode() not in path.read_bytes()
