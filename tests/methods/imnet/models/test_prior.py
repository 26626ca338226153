"""Every prior gives new codes by seed that look like the training codes, and never one of them."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.imnet import naive
from ppr.methods.imnet.models.latent_gan import LatentGenerator
from ppr.methods.imnet.models.prior import KINDS, CodePrior, GanSampler, distances, prior_diagnostics

Z = 12


def clustered(count=120, seed=0):
    """Codes in (0, 1) around six centres, as the variants of six shapes."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(0.1, 0.9, (6, Z))
    return np.clip(centres[np.arange(count) % 6] + rng.normal(0, 0.03, (count, Z)), 0.001, 0.999).astype(np.float32)


def generator_state(z=Z, noise=5, width=16, seed=0):
    torch.manual_seed(seed)
    network = LatentGenerator(noise, width, z)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(std=0.8)
    return network, {f"latent_generator.{name}": value.numpy() for name, value in network.state_dict().items()}


def fitted(kind, codes=None):
    return CodePrior.of(clustered() if codes is None else codes, kind, generator=generator_state()[1])


def test_the_generator_without_torch_computes_what_it_does_with_it():
    network, state = generator_state(z=40, noise=128, width=96)
    with torch.no_grad():
        network.linear_2.weight.mul_(0.1)
        network.linear_3.weight.mul_(0.1)
    noise = np.random.default_rng(0).standard_normal((64, 128)).astype(np.float32) * np.float32(0.2)
    with torch.no_grad():
        expected = network(torch.from_numpy(noise)).numpy()
    found = GanSampler.from_state(state).generate(noise)
    assert found.dtype == np.float32
    assert expected.std() > 0.05
    np.testing.assert_allclose(found, expected, atol=1e-6, rtol=0)


def test_the_noise_has_the_deviation_that_was_trained_with():
    """An identity-like generator shows its noise: logit of the output is the noise itself."""
    eye = np.eye(6, dtype=np.float32)
    sampler = GanSampler([(eye, np.zeros(6, np.float32))], noise_std=0.2)
    drawn = sampler.draw([np.random.default_rng((0, i)) for i in range(4000)], 1.0).astype(np.float64)
    noise = np.log(drawn / (1 - drawn))
    assert noise.std() == pytest.approx(0.2, rel=0.03)
    half = sampler.draw([np.random.default_rng((0, i)) for i in range(4000)], 0.5).astype(np.float64)
    np.testing.assert_allclose(np.log(half / (1 - half)), noise / 2, atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("truncation", [0.05, 0.6, 1.0])
def test_samples_are_new_codes_fixed_by_the_seed(kind, truncation):
    codes, prior = clustered(), fitted(kind)
    drawn = prior.sample(40, 7, truncation)
    assert drawn.dtype == np.float32
    assert drawn.shape == (40, Z)
    assert drawn.min() >= 0
    assert drawn.max() <= 1
    np.testing.assert_array_equal(drawn, prior.sample(40, 7, truncation))
    np.testing.assert_allclose(drawn[:3], prior.sample(3, 7, truncation), atol=1e-6)
    assert not np.allclose(drawn, prior.sample(40, 8, truncation), atol=1e-3)
    assert not {row.tobytes() for row in drawn} & {row.tobytes() for row in codes}
    assert prior.sample(0, 7).shape == (0, Z)


def test_the_gaussian_has_the_moments_of_the_logits():
    rng = np.random.default_rng(3)
    logits = rng.standard_normal((3000, 4)) @ rng.standard_normal((4, 4)) + 0.3
    codes = (1 / (1 + np.exp(-logits))).astype(np.float32)
    drawn = CodePrior.of(codes, "gaussian").sample(4000, 0).astype(np.float64)
    found = np.log(drawn / (1 - drawn))
    np.testing.assert_allclose(found.mean(0), logits.mean(0), atol=0.12)
    np.testing.assert_allclose(np.cov(found.T), np.cov(logits.T), atol=0.15 * np.abs(np.cov(logits.T)).max())


def test_the_gaussian_stays_in_the_plane_of_its_codes():
    """Two codes span a line of logits: all samples lie on it, however long the codes are."""
    logits = np.array([[0.5, -1.0, 2.0, 0.1], [-0.5, 0.3, 1.0, 0.2]])
    codes = (1 / (1 + np.exp(-logits))).astype(np.float32)
    drawn = CodePrior.of(codes, "gaussian").sample(50, 0).astype(np.float64)
    offset = np.log(drawn / (1 - drawn)) - logits.mean(0)
    direction = (logits[0] - logits[1]) / np.linalg.norm(logits[0] - logits[1])
    np.testing.assert_allclose(offset - (offset @ direction)[:, None] * direction, 0, atol=1e-5)
    assert (offset @ direction).std() > 0.3


def test_the_mixture_stays_within_its_neighbours():
    """Clusters far apart: every sample lies within the bounds of one cluster, and truncation pulls it to a single code."""
    codes = clustered()
    prior = CodePrior.of(codes, "mixture")
    clusters = [codes[np.arange(len(codes)) % 6 == i] for i in range(6)]
    homes = set()
    for row in prior.sample(60, 1):
        within = [((row >= c.min(0) - 1e-6) & (row <= c.max(0) + 1e-6)).all() for c in clusters]
        assert sum(within) == 1
        homes.add(within.index(True))
    assert homes == set(range(6))
    far, close = (distances(prior.sample(60, 1, t), codes).min(1).mean() for t in (1.0, 0.1))
    assert close < 0.2 * far


@pytest.mark.parametrize("kind", ["gan", "gaussian"])
def test_truncation_pulls_to_the_mean(kind):
    prior = fitted(kind)
    spreads = [prior.sample(200, 0, truncation).std(0).mean() for truncation in (0.1, 0.5, 1.0)]
    assert spreads[0] < 0.4 * spreads[1] < 0.8 * spreads[2]


def test_a_candidate_that_is_a_training_code_is_drawn_again():
    codes = clustered()

    class Stubborn:
        """Gives training codes first, then new ones."""

        def __init__(self, copies):
            self.copies = copies

        def draw(self, generators, _truncation):
            self.copies -= 1
            new = np.stack([rng.random(Z) for rng in generators]).astype(np.float32)
            return codes[: len(generators)].copy() if self.copies >= 0 else new

    drawn = CodePrior("gaussian", codes, Stubborn(3)).sample(5, 0)
    assert not {row.tobytes() for row in drawn} & {row.tobytes() for row in codes}
    with pytest.raises(PprError, match="only training codes"):
        CodePrior("gaussian", codes, Stubborn(10**6)).sample(5, 0)


@settings(max_examples=15, deadline=None)
@given(count=st.integers(2, 5), copies=st.integers(1, 4), kind=st.sampled_from(["gaussian", "mixture"]), seed=st.integers(0, 99))
def test_duplicates_never_come_back_as_samples(count, copies, kind, seed):
    codes = np.repeat(np.random.default_rng(seed).random((count, 3)).astype(np.float32), copies, axis=0)
    drawn = CodePrior.of(codes, kind).sample(20, seed)
    assert not {row.tobytes() for row in drawn} & {row.tobytes() for row in codes}


def test_the_ratios_of_known_samples():
    codes = clustered(seed=1)
    same = prior_diagnostics(codes, codes)
    assert same["exact"] == len(codes)
    assert same["pairwise_ratio"] == pytest.approx(1, abs=1e-6)
    assert same["nearest_ratio"] == pytest.approx(0, abs=1e-4)

    collapsed = prior_diagnostics(codes, np.tile(codes.mean(0), (30, 1)) + np.float32(1e-6))
    assert collapsed["pairwise_ratio"] < 1e-3
    assert collapsed["exact"] == 0

    fresh = prior_diagnostics(codes, clustered(seed=1, count=120) + np.random.default_rng(5).normal(0, 0.03, (120, Z)))
    assert 0.8 < fresh["pairwise_ratio"] < 1.2
    assert 0.3 < fresh["nearest_ratio"] < 2


def test_the_ratios_equal_plain_loops():
    codes, samples = clustered(40), np.random.default_rng(0).random((17, Z)).astype(np.float32)
    samples[3] = codes[5]

    found = prior_diagnostics(codes, samples)
    assert found == pytest.approx(naive.prior_diagnostics(codes, samples), rel=1e-4)


@pytest.mark.parametrize(
    ("codes", "options", "error", "message"),
    [
        (clustered(), {"kind": "vae"}, UsageError, "--prior vae: not a prior"),
        (clustered(), {"kind": "gan"}, UsageError, "needs the weights of a latent GAN"),
        (clustered(), {"kind": "gan", "generator": generator_state(z=7)[1]}, PprError, "codes of 7 numbers, the shapes have 12"),
        (clustered(), {"kind": "gan", "generator": {"a": np.zeros(1)}}, PprError, "not the weights of a latent generator"),
        (clustered(), {"kind": "mixture", "neighbours": 1}, UsageError, "a mixture of 1 codes"),
        (np.tile(clustered(1), (5, 1)), {"kind": "gaussian"}, PprError, "5 codes with 1 different"),
        (np.full((4, 3), np.nan), {"kind": "gaussian"}, PprError, "not a table of finite numbers"),
        (np.zeros(4), {"kind": "gaussian"}, PprError, "not a table of finite numbers"),
    ],
)
def test_what_no_prior_can_be_fitted_to_is_refused(codes, options, error, message):
    with pytest.raises(error, match=message):
        CodePrior.of(codes, **options)


@pytest.mark.parametrize("truncation", [0, -0.5, 1.01, float("nan")])
def test_a_truncation_out_of_range_is_refused(truncation):
    with pytest.raises(UsageError, match="--truncation"):
        fitted("gaussian").sample(3, 0, truncation)


def test_drawing_codes_does_not_import_torch():
    code = "import sys, ppr.methods.imnet.models.prior; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout == "False\n"
