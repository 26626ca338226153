"""The latent GAN has the paper's losses and sizes, learns a simple distribution, and resumes exactly."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import Meta, load_checkpoint, save_checkpoint
from ppr.methods.common.running.run import Run
from ppr.methods.imnet.config import GAN_PRESETS, GanTrainConfig
from ppr.methods.imnet.models.latent_gan import (
    Critic,
    LatentGan,
    LatentGenerator,
    gradient_penalty,
    load_codes,
    train_gan,
)
from ppr.methods.imnet.models.prior import CodePrior
from ppr.methods.imnet.shapes.hdf5 import write_codes

CPU = torch.device("cpu")
SMALL = {"width": 16, "noise_dim": 4, "batch": 8, "device": "cpu", "every": 2}


class PlainRun(Run):
    """A run without pictures of its curves."""

    def draw_curves(self):
        return


def along_a_line(count=20, z=3):
    """Codes near the diagonal from 0.3 to 0.8."""
    rng = np.random.default_rng(0)
    return torch.from_numpy((0.3 + 0.5 * rng.random((count, 1)) + rng.normal(0, 0.01, (count, z))).astype(np.float32))


def test_the_penalty_of_a_linear_critic_is_the_closed_form():
    """The gradient of w.x + b is w everywhere, so the penalty is (|w| - 1)^2 whatever the codes are."""
    critic = nn.Sequential(nn.Linear(7, 1), nn.Flatten(0)).double()
    weight = critic[0].weight
    penalty = gradient_penalty(critic, torch.rand(5, 7).double(), torch.rand(5, 7).double(), torch.rand(5, 1).double())
    norm = weight.detach().norm()
    assert penalty.item() == pytest.approx((norm - 1).square().item(), rel=1e-12)
    penalty.backward()
    torch.testing.assert_close(weight.grad, 2 * (norm - 1) * weight.detach() / norm)


def test_every_pair_is_mixed_by_a_share_of_its_own():
    """The gradient of |x|^2 / 2 is x: the penalty shows at which points it was taken."""

    class Half(nn.Module):
        def forward(self, x):
            return x.square().sum(1) / 2

    real, fake, mix = torch.rand(6, 4).double(), torch.rand(6, 4).double(), torch.rand(6, 1).double()
    between = mix.numpy() * real.numpy() + (1 - mix.numpy()) * fake.numpy()
    expected = np.mean((np.linalg.norm(between, axis=1) - 1) ** 2)
    assert gradient_penalty(Half(), real, fake, mix).item() == pytest.approx(expected, rel=1e-10)


def test_the_sizes_and_initial_weights_of_the_paper():
    generator, critic = LatentGenerator(128, 2048, 128), Critic(128, 2048)
    sizes = [tuple(p.shape) for p in generator.parameters()]
    assert sizes == [(2048, 128), (2048,), (2048, 2048), (2048,), (128, 2048), (128,)]
    assert [tuple(p.shape) for p in critic.parameters()][-2:] == [(1, 2048), (1,)]
    assert generator.linear_2.weight.std().item() == pytest.approx(0.02, rel=0.02)
    assert critic(torch.rand(5, 128)).shape == (5,)
    codes = generator(torch.randn(5, 128))
    assert codes.shape == (5, 128)
    assert 0 < codes.min() < codes.max() < 1
    paper = GanTrainConfig(**GAN_PRESETS["paper"])
    assert (paper.width, paper.epochs, paper.lr, paper.beta1, paper.batch, paper.penalty) == (2048, 10_000, 5e-5, 0.5, 50, 10)
    assert paper.critic_steps == 1
    assert (paper.noise_dim, paper.noise_std) == (128, 0.2)


@pytest.mark.parametrize("seed", range(4))
def test_the_critic_rises_on_real_codes_and_the_generator_follows_it(seed):
    torch.manual_seed(seed)
    gan = LatentGan(0.2 * along_a_line(8), GanTrainConfig(**SMALL | {"lr": 1e-2}), CPU)
    rng = np.random.default_rng(0)

    def fakes():
        return gan.generator(gan.noise(200, np.random.default_rng(1)))

    def lead():
        with torch.no_grad():
            return (gan.critic(gan.codes).mean() - gan.critic(fakes()).mean()).item()

    before = lead()
    for _ in range(40):
        gan.critic_step(gan.codes, rng)
    assert lead() > before + 1e-3

    def score():
        with torch.no_grad():
            return gan.critic(fakes()).mean().item()

    before = score()
    for _ in range(12):
        gan.generator_step(8, rng)
    assert score() > before + 1e-6


@pytest.mark.parametrize("critic_steps", [1, 3])
def test_the_generator_moves_after_every_so_many_critic_steps(critic_steps):
    gan = LatentGan(along_a_line(40), GanTrainConfig(**SMALL, critic_steps=critic_steps), CPU)
    moved = []
    for number in range(2 * gan.steps):
        before = {name: gan.parts[name].linear_3.weight.detach().clone() for name in ("generator", "critic")}
        gan.step(*divmod(number, gan.steps))
        assert not torch.equal(before["critic"], gan.critic.linear_3.weight)
        moved.append(not torch.equal(before["generator"], gan.generator.linear_3.weight))
    assert moved == [number % critic_steps == critic_steps - 1 for number in range(2 * gan.steps)]


def test_noise_has_the_deviation_asked_for():
    gan = LatentGan(along_a_line(), GanTrainConfig(**SMALL | {"noise_dim": 50}), CPU)
    assert gan.noise(400, np.random.default_rng(0)).std().item() == pytest.approx(0.2, rel=0.03)


@pytest.mark.slow
def test_a_line_of_codes_is_learned(tmp_path):
    """Samples of the trained generator, drawn through the NumPy prior, lie on the line and all along it, as real codes do."""
    codes = along_a_line(100)
    config = GanTrainConfig(width=32, noise_dim=4, noise_std=1.0, batch=50, lr=1e-3, epochs=500, every=250, device="cpu")
    run = PlainRun(tmp_path / "run")
    run.start(config)
    train_gan(codes, config, run)
    checkpoint = load_checkpoint(run.last, method="imnet-gan")
    state = {name: value.numpy() for name, value in checkpoint.state.items()}
    drawn = CodePrior.of(codes.numpy(), "gan", generator=state, noise_std=config.noise_std).sample(300, 0)
    assert drawn.std(1).mean() < 0.06  # away from the diagonal
    along = drawn.mean(1)
    assert along.mean() == pytest.approx(0.55, abs=0.08)
    assert 0.06 < along.std() < 0.22  # 0.144 of the codes
    assert checkpoint.meta.metrics["pairwise_ratio"] == pytest.approx(1, abs=0.5)
    assert checkpoint.meta.data == {"codes": 100}
    assert [record["epoch"] for record in run.history()] == [250, 500]
    assert run.best.is_file()


def test_interrupted_and_resumed_it_ends_with_the_same_weights(tmp_path):
    codes, config = along_a_line(), GanTrainConfig(**SMALL, epochs=6)
    whole, broken = PlainRun(tmp_path / "whole"), PlainRun(tmp_path / "broken")
    for run in (whole, broken):
        run.start(config)
    train_gan(codes, config, whole)

    def press_ctrl_c(progress):
        if (progress.epoch, progress.step) == (4, 2):
            os.kill(os.getpid(), signal.SIGINT)

    broken.report = press_ctrl_c
    with pytest.raises(KeyboardInterrupt):
        train_gan(codes, config, broken)
    assert broken.load_state()["position"]["step"] == 3 * LatentGan(codes, config, CPU).steps + 2
    broken.report = lambda _progress: None
    train_gan(codes, config, broken, resume=True)
    expected, found = (run.load_state()["parts"] for run in (whole, broken))
    for name in ("generator", "critic"):
        assert all(torch.equal(expected[name][key], found[name][key]) for key in expected[name])
    assert [record["epoch"] for record in broken.history()] == [2, 4, 6]
    same = (load_checkpoint(run.last).state for run in (whole, broken))
    assert len({tuple(state["latent_generator.linear_1.weight"].flatten().tolist()) for state in same}) == 1


def test_codes_come_from_a_checkpoint_hdf5_or_npy(tmp_path):
    codes = along_a_line()
    save_checkpoint(tmp_path / "ae.safetensors", {"codes": codes}, Meta(method="imnet", arch="fast"))
    write_codes(tmp_path / "z.hdf5", codes.numpy())
    np.save(tmp_path / "z.npy", codes.numpy())
    for name in ("ae.safetensors", "z.hdf5", "z.npy"):
        found, data = load_codes([str(tmp_path / name)])
        assert torch.equal(found, codes)
        assert data == {"file": name, "codes": 20, "z_dim": 3}


def test_files_without_codes_are_refused(tmp_path):
    save_checkpoint(tmp_path / "ae.safetensors", {"a": torch.zeros(1)}, Meta(method="imnet", arch="fast"))
    np.save(tmp_path / "flat.npy", np.zeros(5))
    (tmp_path / "text.npy").write_text("no array")
    for name, error, message in (
        ("ae.safetensors", PprError, "holds no codes"),
        ("flat.npy", PprError, r"float64 \[5\], not codes"),
        ("text.npy", PprError, "not an .npy file"),
        ("absent.npy", PprError, "cannot be read"),
        ("codes.csv", UsageError, "not a file of codes"),
    ):
        with pytest.raises(error, match=message):
            load_codes([str(tmp_path / name)])
    with pytest.raises(UsageError, match="one file of codes"):
        load_codes([])


@pytest.mark.parametrize("codes", [torch.zeros(1, 3), torch.zeros(5), torch.full((4, 3), float("nan"))])
def test_codes_that_cannot_be_learned_are_refused(tmp_path, codes):
    with pytest.raises(PprError, match="not a table of at least two finite rows"):
        train_gan(codes, GanTrainConfig(**SMALL), PlainRun(tmp_path))


def test_several_devices_are_refused(tmp_path):
    with pytest.raises(UsageError, match="one device"):
        train_gan(along_a_line(), GanTrainConfig(**SMALL, devices=2), PlainRun(tmp_path))
