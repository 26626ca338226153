"""IM-GAN: a Wasserstein GAN with gradient penalty on the codes of an autoencoder (Chen & Zhang 2019, section 3.1 and supplementary)."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...common.errors import PprError, UsageError
from ...common.reading.arrays import read_array
from ...common.running.checkpoint import Meta, load_checkpoint
from ...common.running.devices import launch
from ...common.running.loop import Loop
from ...common.running.run import Run
from ..config import GanTrainConfig
from ..network import SLOPE
from ..shapes.hdf5 import read_codes
from .optimizer import adam
from .prior import prior_diagnostics

log = logging.getLogger("ppr")
METHOD = "imnet-gan"
DIAGNOSED = 1024  # samples by which a checkpoint is judged


class Perceptron(nn.Module):
    """Two hidden layers with leaky ReLU: (B, inside) -> (B, outside).

    `init_scheme` is "paper", N(0, 0.02), or "he". The paper's suits its width of 2048 only: a narrow critic with so small weights
    obeys the gradient penalty before it has seen which side is real, and often ends with the wrong sign for good.
    """

    def __init__(self, inside: int, width: int, outside: int, init_scheme: str = "paper") -> None:
        super().__init__()
        self.linear_1 = nn.Linear(inside, width)
        self.linear_2 = nn.Linear(width, width)
        self.linear_3 = nn.Linear(width, outside)
        for layer in (self.linear_1, self.linear_2, self.linear_3):
            nn.init.zeros_(layer.bias)
            if init_scheme == "he":
                nn.init.kaiming_normal_(layer.weight, a=SLOPE, nonlinearity="linear" if layer is self.linear_3 else "leaky_relu")
            else:
                nn.init.normal_(layer.weight, std=0.02)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.leaky_relu(self.linear_1(inputs), SLOPE)
        return self.linear_3(F.leaky_relu(self.linear_2(hidden), SLOPE))


class LatentGenerator(Perceptron):
    """noise (B, noise_dim) -> code (B, z_dim) in (0, 1)."""

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.sigmoid(super().forward(inputs))


class Critic(Perceptron):
    """code (B, z_dim) -> how real it is (B), unbounded; high for real codes."""

    def __init__(self, z_dim: int, width: int, init_scheme: str = "paper") -> None:
        super().__init__(z_dim, width, 1, init_scheme)

    def forward(self, inputs: Tensor) -> Tensor:
        return super().forward(inputs).squeeze(1)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """Mean of (|gradient of the critic| - 1)^2 between real and fake codes (Gulrajani et al. 2017).

    Shapes:
        real, fake (B, z); mix (B, 1) in [0, 1], the share of the real code, one for each pair (the authors' code has one a batch).
    """
    between = (mix * real + (1 - mix) * fake).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(critic(between).sum(), between, create_graph=True)
    return (gradient.square().sum(1).sqrt() - 1).square().mean()


class LatentGan:
    """Generator, critic and their optimizers.

    All that is random comes from generators seeded by (seed, epoch, step), so that a resumed training repeats nothing and skips nothing.
    """

    def __init__(self, codes: Tensor, config: GanTrainConfig, device: torch.device) -> None:
        self.codes, self.config, self.device = codes.to(device), config, device
        z_dim = codes.shape[1]
        self.generator = LatentGenerator(config.noise_dim, config.width, z_dim, config.init_scheme).to(device)
        self.critic = Critic(z_dim, config.width, config.init_scheme).to(device)
        self.generator_optimizer, self.critic_optimizer = adam(self.generator, config), adam(self.critic, config)
        self.steps = math.ceil(len(codes) / config.batch)

    def noise(self, count: int, rng: np.random.Generator) -> Tensor:
        values = rng.standard_normal((count, self.config.noise_dim), np.float32) * np.float32(self.config.noise_std)
        return torch.from_numpy(values).to(self.device)

    def step(self, epoch: int, index: int) -> dict[str, float]:
        """A critic step on the epoch's batch `index` and, after every `critic_steps` of them, a generator step."""
        config = self.config
        order = np.random.default_rng((config.seed, epoch)).permutation(len(self.codes))
        rng = np.random.default_rng((config.seed, epoch, index))
        real = self.codes[torch.from_numpy(order[index * config.batch : (index + 1) * config.batch]).to(self.device)]
        losses = self.critic_step(real, rng)
        if (epoch * self.steps + index + 1) % config.critic_steps == 0:
            self.generator_step(len(real), rng)
        return losses

    def critic_step(self, real: Tensor, rng: np.random.Generator) -> dict[str, float]:
        """Raise the critic on real codes and lower it on generated ones."""
        with torch.no_grad():
            fake = self.generator(self.noise(len(real), rng))
        mix = torch.from_numpy(rng.random((len(real), 1), np.float32)).to(self.device)
        distance = self.critic(real).mean() - self.critic(fake).mean()
        penalty = gradient_penalty(self.critic, real, fake, mix)
        self.critic_optimizer.zero_grad()
        (self.config.penalty * penalty - distance).backward()
        self.critic_optimizer.step()
        return {"wasserstein": distance.item(), "penalty": penalty.item()}

    def generator_step(self, count: int, rng: np.random.Generator) -> None:
        """Move generated codes to where the critic is higher."""
        loss = -self.critic(self.generator(self.noise(count, rng))).mean()
        self.generator_optimizer.zero_grad()
        loss.backward()
        self.generator_optimizer.step()

    @torch.no_grad()
    def diagnostics(self) -> dict[str, float]:
        """`prior_diagnostics` of fresh samples."""
        samples = self.generator(self.noise(DIAGNOSED, np.random.default_rng((self.config.seed, 1 << 32))))
        return prior_diagnostics(self.codes.cpu().numpy(), samples.cpu().numpy())

    @property
    def parts(self) -> dict[str, Any]:
        """Everything that has a state of its own."""
        return {
            "generator": self.generator,
            "critic": self.critic,
            "generator_optimizer": self.generator_optimizer,
            "critic_optimizer": self.critic_optimizer,
        }


def train_gan(codes: Tensor, config: GanTrainConfig, run: Run, *, resume: bool = False, data: dict[str, Any] | None = None) -> None:
    """Train on codes float32 [n, z]; every `config.every` epochs and at the end last.safetensors is written (generator only).

    best.safetensors is the checkpoint whose samples are most like the codes: varied as they are, and as far from them as they
    from each other (`spread_error`, the sum of the two ratios' absolute logarithms).

    Raises:
        UsageError: more than one device, which so small a network has no use for.
        PprError: codes that are not finite, or fewer than two; a loss that is not finite.
        KeyboardInterrupt: after Ctrl-C, once the state after the current step has been saved.
    """
    if config.devices > 1:
        raise UsageError(f"devices={config.devices}: the latent GAN trains on one device")
    if codes.ndim != 2 or len(codes) < 2 or not torch.isfinite(codes).all():
        raise PprError(f"codes {list(codes.shape)} are not a table of at least two finite rows")
    gan = LatentGan(codes.float(), config, launch(config).device)
    meta = Meta(method=METHOD, arch="wgan-gp", config=config.model_dump(mode="json"), data=data or {"codes": len(codes)}, seed=config.seed)
    steps = config.epochs * gan.steps
    loop = Loop(run, gan.parts, steps=steps, epoch_steps=gan.steps, save_minutes=config.save_minutes, resume=resume)
    started = time.monotonic()
    for step in loop:
        losses = gan.step(loop.epoch, step % gan.steps)
        loop.show(losses)
        if loop.every(config.every * gan.steps):
            judge(gan, losses, loop, meta, time.monotonic() - started)
            started = time.monotonic()


def judge(gan: LatentGan, losses: dict[str, float], loop: Loop, meta: Meta, seconds: float) -> None:
    """Measure, save and log the generator."""
    found = gan.diagnostics()
    metrics = found | {"spread_error": sum(abs(math.log(max(found[name], 1e-9))) for name in ("pairwise_ratio", "nearest_ratio"))}
    weights = {f"latent_generator.{name}": value for name, value in gan.generator.state_dict().items()}
    better = loop.checkpoint(weights, replace(meta, epoch=loop.epoch + 1), metrics, cost="spread_error")
    loop.log({"epoch": loop.epoch + 1, **losses, **metrics, "best": better, "seconds": round(seconds, 1)})
    loop.run.draw_curves()


def load_codes(data: Sequence[str]) -> tuple[Tensor, dict[str, Any]]:
    """Codes float32 [n, z] of a file, and its fingerprint: a checkpoint with `codes`, HDF5 with `zs`, or .npy.

    Raises:
        UsageError: not one file, or of another suffix.
        PprError: unreadable, or without codes.
    """
    if len(data) != 1:
        raise UsageError(
            "the latent GAN trains on one file of codes", hint="give --data: a trained autoencoder, or HDF5 from `ppr imnet encode`"
        )
    path = Path(data[0])
    if path.suffix == ".safetensors":
        checkpoint = load_checkpoint(path, method="imnet")
        if "codes" not in checkpoint.state:
            raise PprError(f"{path}: holds no codes", hint="make them with `ppr imnet encode`")
        codes = checkpoint.state["codes"]
    elif path.suffix in (".h5", ".hdf5"):
        codes = torch.from_numpy(read_codes(path))
    elif path.suffix == ".npy":
        array = read_array(path)
        if array.ndim != 2 or array.dtype.kind != "f":
            raise PprError(f"{path}: {array.dtype} {list(array.shape)}, not codes [n, z]")
        codes = torch.from_numpy(array.astype(np.float32))
    else:
        raise UsageError(f"{path}: not a file of codes", hint=".safetensors, .h5, .hdf5 or .npy")
    return codes, {"file": path.name, "codes": len(codes), "z_dim": codes.shape[1]}
