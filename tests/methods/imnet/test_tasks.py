"""The table of models to train: presets that are valid, data that are found wrong, and whose codes are learned."""

from __future__ import annotations

import numpy as np
import pytest

from ppr.methods.common.config import load_config
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.imnet.tasks import TASKS
from ppr.methods.imnet.weights import EMBEDDED


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_every_preset_is_valid_with_and_without_the_quick_settings(task):
    for name in task.presets:
        assert task.presets[name].items() <= load_config(task.config, base=task.preset(name)).model_dump().items()
        quick = load_config(task.config, base=task.preset(name, quick=True)).model_dump()
        assert task.quick.items() <= quick.items()


def test_a_preset_that_a_model_does_not_have_is_refused_with_those_it_has():
    with pytest.raises(UsageError, match="--model 2d has none of that name") as caught:
        TASKS["2d"].preset("improved")
    assert caught.value.hint == "one of: fast, paper"


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_data_that_cannot_be_used_are_found_before_the_training(task, tmp_path):
    absent = str(tmp_path / "absent.npz")
    settings = {"data": [absent]} | dict(task.from_autoencoder(None, [absent]))
    with pytest.raises(PprError, match="absent"):
        task.check(task.config(**settings))


def test_an_image_encoder_needs_pictures_or_what_can_be_rendered(tmp_path):
    task = TASKS["svr"]
    config = task.config(**task.from_autoencoder(None, []))
    task.check(config)
    with pytest.raises(UsageError, match="needs the checkpoint of an autoencoder"):
        task.check(config.model_copy(update={"checkpoint": ""}))
    (tmp_path / "points.h5").write_bytes(b"no HDF5")
    with pytest.raises(PprError, match="not an HDF5 file"):
        task.check(config.model_copy(update={"data": [str(tmp_path / "points.h5")]}))


def test_the_latent_gan_learns_the_codes_of_the_autoencoder_or_those_given(tmp_path):
    task = TASKS["gan"]
    embedded = {"data": [str(EMBEDDED.find("chairs"))]}
    assert task.from_autoencoder(None, []) == task.from_autoencoder("chairs", ["codes.npy"]) == embedded
    assert task.from_autoencoder(None, ["codes.npy"]) == {}
    mine = tmp_path / "run" / "best.safetensors"
    mine.parent.mkdir()
    mine.write_bytes(b"")
    assert task.from_autoencoder(str(mine.parent), []) == task.from_autoencoder(str(mine), []) == {"data": [str(mine)]}
    np.save(tmp_path / "codes.npy", np.zeros(3, np.float32))
    with pytest.raises(PprError, match="not codes"):
        task.check(task.config(data=[str(tmp_path / "codes.npy")]))


def test_an_image_encoder_learns_from_the_file_with_the_voxel_encoder(tmp_path):
    task, mine = TASKS["svr"], tmp_path / "mine.safetensors"
    mine.write_bytes(b"")
    assert task.from_autoencoder(str(mine), []) == {"checkpoint": str(mine)}
    beside = tmp_path / "mine.encoder.safetensors"
    beside.write_bytes(b"")
    assert task.from_autoencoder(str(mine), []) == {"checkpoint": str(beside)}


def test_models_that_learn_no_codes_refuse_an_autoencoder():
    for name in ("ae", "2d"):
        assert TASKS[name].from_autoencoder(None, []) == {}
        assert not TASKS[name].from_autoencoder("chairs", []).keys() <= TASKS[name].config.model_fields.keys()
