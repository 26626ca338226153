"""The field in NumPy is torch's decoder: values and gradients, in any chunks and on any number of cores."""

from __future__ import annotations

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ppr.methods.common.errors import PprError
from ppr.methods.imnet import naive
from ppr.methods.imnet.config import PRESETS, NetworkConfig
from ppr.methods.imnet.models.field import CHUNK, CodeField, Decoder, check_code, limited
from ppr.methods.imnet.network import ImplicitDecoder

ARCHITECTURES = ["fast", "improved", "paper"]
Z = 7


def make(arch, **changes):
    """A torch decoder whose output varies, and its configuration."""
    recipe = {key: value for key, value in PRESETS[arch].items() if key in NetworkConfig.model_fields}
    config = NetworkConfig(**recipe | {"gf_dim": 8, "z_dim": Z} | changes)
    torch.manual_seed(0)
    network = ImplicitDecoder(config.z_dim, config.decoder_widths, config.skips, config.octaves, config.output)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.normal_(0, math.sqrt(2 / parameter.shape[-1]) if parameter.ndim == 2 else 0.2)
        network.output = "logit"
        values = network(torch.rand(1, 500, 3) - 0.5, torch.from_numpy(random_code())[None])
        network.output = config.output
        network.get_submodule(f"linear_{network.depth}").bias -= values.median() - 0.5  # where no activation is flat
    return network, config


def arrays(network):
    return {f"generator.{key}": value.numpy() for key, value in network.state_dict().items()}


def random_points(count, seed=0):
    return (np.random.default_rng(seed).random((count, 3)) - 0.5).astype(np.float32)


def random_code(seed=0):
    return np.random.default_rng(seed).random(Z).astype(np.float32)


@pytest.fixture(scope="module")
def fast():
    network, config = make("fast")
    return Decoder(arrays(network), config)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_values_are_those_of_torch(arch):
    network, config = make(arch)
    points, code = random_points(3000), random_code()
    with torch.no_grad():
        expected = network(torch.from_numpy(points)[None], torch.from_numpy(code)[None])[0].numpy()
    found = Decoder(arrays(network), config).field(code)(points)
    assert found.dtype == np.float32
    assert expected.std() > 0.01
    np.testing.assert_allclose(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_gradients_are_those_of_autograd_before_the_last_activation(arch):
    network, config = make(arch)
    points, code = random_points(2500), random_code()
    variable = torch.from_numpy(points).requires_grad_()
    network.output = "logit"
    network(variable[None], torch.from_numpy(code)[None]).sum().backward()
    found = Decoder(arrays(network), config).field(code).gradient(points)
    expected = variable.grad.numpy()
    assert np.linalg.norm(expected, axis=1).min() > 1e-3
    difference = np.abs(found - expected).max(1) / np.abs(expected).max()
    # A hidden value next to 0 may be rounded to the other side of the kink of the leaky ReLU.
    assert np.quantile(difference, 0.99) < 1e-5


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_values_and_gradients_are_those_of_the_plain_network_in_float64(arch):
    network, config = make(arch)
    points, code = random_points(300), random_code()
    state = {key: value.numpy() for key, value in network.state_dict().items()}
    values, gradients = Decoder(arrays(network), config).field(code).values_and_gradients(points)
    np.testing.assert_allclose(values, naive.field(state, config, points, code), atol=1e-5, rtol=1e-5)
    expected = naive.gradient(state, config, points, code)
    difference = np.abs(gradients - expected).max(1) / np.abs(expected).max()
    assert np.quantile(difference, 0.98) < 1e-5  # the others lie at a kink of a leaky ReLU


def test_gradients_are_the_slopes_of_the_values():
    network, config = make("fast", octaves=2)
    field = Decoder(arrays(network), config).field(random_code())
    points, step = random_points(400), np.float32(5e-4)
    offsets = np.eye(3, dtype=np.float32) * step
    slopes = np.stack([(field(points + offset) - field(points - offset)) / (2 * step) for offset in offsets], 1)
    gradients = field.gradient(points)
    error = np.linalg.norm(gradients - slopes, axis=1) / np.linalg.norm(gradients, axis=1)
    assert np.median(error) < 0.02


@pytest.mark.parametrize("count", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK + 5])
def test_a_points_value_does_not_depend_on_how_many_are_asked(fast, count):
    field, points = fast.field(random_code()), random_points(3 * CHUNK + 5)
    np.testing.assert_allclose(field(points[:count]), field(points)[:count], atol=2e-6, rtol=2e-6)
    gradients = field.gradient(points)
    scale = max(1.0, float(np.abs(gradients).max()))
    np.testing.assert_allclose(field.gradient(points[:count]) / scale, gradients[:count] / scale, atol=1e-3)
    assert field(points[:count]).shape == (count,)


def test_codes_make_different_fields(fast):
    points = random_points(100)
    assert np.abs(fast.field(random_code(0))(points) - fast.field(random_code(1))(points)).max() > 1e-2


class Watched(CodeField):
    """Notes which threads work, and how many at once."""

    def __init__(self, decoder, code, together=1):
        super().__init__(decoder, code)
        self.lock, self.running, self.most, self.threads = threading.Lock(), 0, 0, set()
        self.barrier = threading.Barrier(together)

    def _chunk(self, points, space):
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            self.threads.add(threading.get_ident())
        self.barrier.wait(timeout=300)
        result = super()._chunk(points, space)
        with self.lock:
            self.running -= 1
        return result


def test_one_thread_is_the_callers(fast):
    field = Watched(fast, random_code())
    with limited(1):
        field(random_points(4 * CHUNK))
    assert field.threads == {threading.get_ident()}


@pytest.mark.parametrize("threads", [2, 3])
def test_as_many_threads_work_at_once_as_are_allowed(fast, threads):
    field = Watched(fast, random_code(), together=threads)  # waits until that many are at work
    with limited(threads):
        field(random_points(2 * threads * CHUNK))
    assert field.most == threads
    assert len(field.threads) == threads


def test_a_limit_ends_with_its_block(fast, monkeypatch):
    monkeypatch.setattr("ppr.methods.imnet.models.field.usable_cores", lambda: 1)
    field = Watched(fast, random_code())
    with limited(4):
        pass
    field(random_points(2 * CHUNK))
    assert field.threads == {threading.get_ident()}


@pytest.mark.parametrize("kind", ["weight", "bias"])
def test_missing_weights_are_named(kind):
    network, config = make("fast")
    state = arrays(network)
    del state[f"generator.linear_3.{kind}"]
    with pytest.raises(PprError, match=rf"no generator\.linear_3\.{kind}"):
        Decoder(state, config)


@pytest.mark.parametrize("change", [{"z_dim": Z + 1}, {"gf_dim": 4}, {"octaves": 5}, {"skips": 1}])
def test_weights_of_another_size_are_refused(change):
    network, config = make("fast")
    with pytest.raises(PprError, match=r"linear_\d: weight \(\d+, \d+\), not \(\d+, \d+\)"):
        Decoder(arrays(network), config.model_copy(update=change))


def test_a_misshapen_bias_is_refused():
    network, config = make("fast")
    state = arrays(network)
    state["generator.linear_2.bias"] = state["generator.linear_2.bias"][:-1]
    with pytest.raises(PprError, match="linear_2"):
        Decoder(state, config)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_refused(bad):
    network, config = make("paper")
    state = {key: value.copy() for key, value in arrays(network).items()}
    state["generator.linear_6.weight"][0, 3] = bad
    with pytest.raises(PprError, match="linear_6: weights that are not finite"):
        Decoder(state, config)


def test_a_code_of_another_length_is_refused_with_both_sizes(fast):
    with pytest.raises(PprError, match="a code of 9 numbers, but this network takes 7"):
        fast.field(np.zeros(9, np.float32))


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
def test_a_code_that_is_not_finite_is_refused(fast, bad):
    code = random_code()
    code[2] = bad
    with pytest.raises(PprError, match="NaN or infinity"):
        fast.field(code)


def test_a_code_may_be_a_row_or_of_another_type():
    found = check_code(np.arange(4.0)[None], 4)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, [0, 1, 2, 3])


@pytest.mark.parametrize(("arch", "level"), [("fast", 0.0), ("improved", 0.5), ("paper", 0.5)])
def test_the_level_is_the_value_of_one_half(arch, level):
    network, config = make(arch)
    decoder = Decoder(arrays(network), config)
    assert decoder.level == decoder.value_of(0.5) == level
    assert decoder.probability_of(level) == 0.5


@pytest.fixture(scope="module")
def decoders(fast):
    network, config = make("improved")
    return [fast, Decoder(arrays(network), config)]


@settings(deadline=None)
@given(probability=st.floats(1e-4, 1 - 1e-4))
def test_a_probabilitys_value_stands_for_it(decoders, probability):
    for decoder in decoders:
        assert decoder.probability_of(decoder.value_of(probability)) == pytest.approx(probability, abs=1e-9)


def test_extreme_logits_have_a_probability(fast):
    assert fast.probability_of(1e6) == pytest.approx(1)
    assert fast.probability_of(-1e6) == pytest.approx(0)


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("count", [0, 1, CHUNK + 7])
def test_values_and_gradients_together_are_those_asked_for_apart(arch, count):
    network, config = make(arch)
    field, points = Decoder(arrays(network), config).field(random_code()), random_points(count)
    values, gradients = field.values_and_gradients(points)
    np.testing.assert_array_equal(values, field(points))
    np.testing.assert_array_equal(gradients, field.gradient(points))
    assert (values.shape, gradients.shape) == ((count,), (count, 3))


def test_answers_outlive_the_next_question(fast):
    """The layers' memory is used again; what was answered is not in it."""
    field = fast.field(random_code())
    first, second = random_points(CHUNK + 7), random_points(2 * CHUNK, seed=1)
    values, gradients = field(first), field.gradient(first)
    kept = values.copy(), gradients.copy()
    field(second)
    field.gradient(second)
    np.testing.assert_array_equal(values, kept[0])
    np.testing.assert_array_equal(gradients, kept[1])


def test_many_questions_at_once_do_not_mix(fast):
    """Each thread has layers of its own, also when several callers share a field."""
    field = fast.field(random_code())
    clouds = [random_points(3 * CHUNK, seed) for seed in range(6)]
    expected = [field(cloud) for cloud in clouds]
    with ThreadPoolExecutor(6) as pool:
        for _round in range(5):
            for found, wanted in zip(pool.map(field, clouds), expected, strict=True):
                np.testing.assert_allclose(found, wanted, atol=2e-6, rtol=2e-6)
