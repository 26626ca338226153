"""Adam and its schedule as the configurations say, and configurations written before they shared a class."""

from __future__ import annotations

import pytest
import torch
import yaml

from ppr.methods.common.config import load_config, validate
from ppr.methods.common.running.checkpoint import load_checkpoint
from ppr.methods.imnet.config import (
    GAN_PRESETS,
    PLANAR_PRESETS,
    PRESETS,
    SVR_PRESETS,
    GanTrainConfig,
    PlanarTrainConfig,
    SvrTrainConfig,
    TrainConfig,
)
from ppr.methods.imnet.models.latent_gan import LatentGan
from ppr.methods.imnet.models.optimizer import scheduled_adam
from ppr.methods.imnet.weights import EMBEDDED

SCHEDULED = [(TrainConfig, PRESETS), (SvrTrainConfig, SVR_PRESETS), (PlanarTrainConfig, PLANAR_PRESETS)]
#: Peak rate, first decay and schedule of the fast recipe, as they were when each class spelled them out.
FAST = {TrainConfig: (1e-3, 0.9, "cosine"), SvrTrainConfig: (1e-3, 0.9, "cosine"), PlanarTrainConfig: (3e-3, 0.9, "cosine")}


@pytest.mark.parametrize(("cls", "recipes"), SCHEDULED)
def test_every_recipe_has_its_rate_decay_and_schedule(cls, recipes):
    assert recipes.keys() >= {"fast", "paper"}
    for name, recipe in recipes.items():
        config = load_config(cls, base=recipe)
        assert (config.lr, config.beta1, config.schedule) == (FAST[cls] if name == "fast" else (5e-5, 0.5, "constant"))


def test_the_gans_adam_has_no_schedule():
    assert "schedule" not in GanTrainConfig.model_fields
    assert [(config.lr, config.beta1) for config in (load_config(GanTrainConfig, base=base) for base in GAN_PRESETS.values())] == [
        (5e-4, 0.5),
        (5e-5, 0.5),
        (5e-5, 0.5),
    ]
    gan = LatentGan(torch.rand(20, 6), GanTrainConfig(width=8, lr=0.0123), torch.device("cpu"))
    for optimizer, network in ((gan.generator_optimizer, gan.generator), (gan.critic_optimizer, gan.critic)):
        (group,) = optimizer.param_groups
        assert (group["lr"], group["betas"], group["params"]) == (0.0123, (0.5, 0.999), list(network.parameters()))


@pytest.mark.parametrize("cls", FAST)
def test_the_schedule_ends_with_the_last_update(cls):
    network = torch.nn.Linear(3, 2)
    optimizer, factor = scheduled_adam(network, cls(lr=0.2, beta1=0.7, epochs=10, accumulate=3), 100)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["params"]) == (0.2, (0.7, 0.999), list(network.parameters()))
    updates = 10 * 34  # the last of an epoch's 34 groups of steps is a group of one
    assert factor(updates) == pytest.approx(0.01)
    assert max(map(factor, range(updates))) > 0.95
    assert factor(updates - 1) > factor(updates)
    _optimizer, constant = scheduled_adam(network, cls(schedule="constant"), 100)
    assert {constant(update) for update in (0, 10, 10_000)} == {1.0}


OLD = """
epochs: 3
lr: 0.002
beta1: 0.8
schedule: constant
batch: 4
"""


@pytest.mark.parametrize("cls", FAST)
def test_keys_of_old_files_are_read(cls):
    config = validate(cls, yaml.safe_load(OLD), "old.yaml")
    assert (config.epochs, config.lr, config.beta1, config.schedule, config.batch) == (3, 0.002, 0.8, "constant", 4)


def test_the_embedded_models_configuration_is_read():
    stored = load_checkpoint(EMBEDDED.folder / "chairs.encoder.safetensors", method="imnet").meta.config
    config = validate(TrainConfig, stored, "chairs")
    assert {key: getattr(config, key) for key in stored} == stored
