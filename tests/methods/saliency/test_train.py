"""Training: the loss, schedules, recipes, weights from files, and that it learns, resumes and refuses."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ppr.methods.common.config import commented_yaml, load_config
from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.running.checkpoint import load_checkpoint, read_meta
from ppr.methods.common.running.run import Run
from ppr.methods.saliency.config import PRESETS, TrainConfig
from ppr.methods.saliency.data import normalize
from ppr.methods.saliency.network import ARCHITECTURES, SYMMETRIC, ras_vgg16
from ppr.methods.saliency.pairs.find import find_pairs, read_pair
from ppr.methods.saliency.pairs.procedural import scene
from ppr.methods.saliency.train import bce_iou, build, initialise, optimizer, schedule, train

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def pairs_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    for kind in ("images", "masks"):
        (folder / kind).mkdir()
    for index in range(12):
        image, mask = scene(72, 64, seed=1, index=index)
        Image.fromarray(image).save(folder / "images" / f"{index}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{index}.png")
    return folder


def tiny(folder: Path, **changes) -> TrainConfig:
    base = {"data": [str(folder)], "arch": "ras-mobile-s", "sizes": [64], "epochs": 2, "batch": 4, "val_fraction": 0.2, "device": "cpu"}
    return TrainConfig(**(base | changes))


def run_training(config: TrainConfig, folder: Path, *, resume: bool = False) -> Run:
    run = Run(folder)
    if not resume:
        run.start(config)
    train(config, run, resume=resume)
    return run


def test_loss_equals_its_definition_in_float64():
    rng = np.random.default_rng(0)
    logit, mask = rng.normal(size=(3, 1, 5, 6)), (rng.random((3, 1, 5, 6)) > 0.6).astype(float)
    p = 1 / (1 + np.exp(-logit))
    bce = -(mask * np.log(p) + (1 - mask) * np.log(1 - p)).mean()
    overlap = (p * mask).sum((1, 2, 3))
    iou = 1 - (overlap + 1) / (p.sum((1, 2, 3)) + mask.sum((1, 2, 3)) - overlap + 1)
    found = bce_iou(torch.from_numpy(logit), torch.from_numpy(mask)).item()
    assert found == pytest.approx(bce + iou.mean(), abs=1e-12)


def test_an_empty_mask_pulls_the_map_to_zero():
    logit = torch.zeros(1, 1, 8, 8, requires_grad=True)
    bce_iou(logit, torch.zeros(1, 1, 8, 8)).backward()
    assert (logit.grad > 0).all()


def test_schedules():
    triangle = [schedule("triangular", 100, step) for step in range(100)]
    assert max(triangle) == triangle[49] == 1.0
    assert triangle[-1] == 0.0
    steps = [schedule("steps", 100, step) for step in range(100)]
    assert (steps[74], steps[75]) == (1.0, 0.1)
    cosine = [schedule("warmup-cosine", 1000, step) for step in range(1000)]
    assert max(cosine) == pytest.approx(1.0, abs=1e-3)
    assert cosine[-1] == pytest.approx(0.01)
    assert all(a >= b for a, b in itertools.pairwise(cosine[50:]))


def test_the_eccv_recipe_is_the_papers():
    config = load_config(TrainConfig, base=PRESETS["eccv"])
    assert (config.arch, config.batch * config.accumulate, config.loss, config.crop) == ("ras-vgg16", 10, "bce", 0)
    groups = optimizer(ras_vgg16(), config).param_groups
    peak = config.lr_head
    found = sorted((round(group["lr"] / peak, 6), group["weight_decay"]) for group in groups)
    assert found == [(0.1, 5e-4), (0.2, 0.0), (1.0, 5e-4), (2.0, 0.0)]
    slow = [g for g in groups if g["lr"] == pytest.approx(0.1 * peak)]
    assert [tuple(p.shape) for g in slow for p in g["params"]] == [(1, 256, 1, 1)]


def test_configuration_errors_name_key_and_remedy(tmp_path):
    for override, message in (
        ("epoch=3", "unknown key 'epoch'"),
        ("epochs=0", "epochs=0"),
        ("sizes=[8]", "sides are 32 to 2048"),
        ("arch=ras", "arch='ras'"),
        ("nonsense", "not of the form"),
    ):
        with pytest.raises(UsageError, match=message.replace("[", r"\[")):
            load_config(TrainConfig, None, [override])
    with pytest.raises(UsageError) as error:
        load_config(TrainConfig, None, ["epoch=3"])
    assert error.value.hint == "did you mean 'epochs'?"


def test_printed_configuration_reads_back(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text(commented_yaml(TrainConfig()))
    assert load_config(TrainConfig, path) == TrainConfig()


def test_the_defaults_file_in_examples_is_valid():
    path = Path(__file__).parents[3] / "examples" / "saliency" / "ras-mobile.yaml"
    assert load_config(TrainConfig, path).arch == "ras-mobile"


@pytest.mark.slow
def test_it_learns_and_a_checkpoint_says_what_it_is(pairs_folder, tmp_path):
    """Eight pairs, a hundred and fifty steps: the network fits them to a mean absolute error below .03."""
    listed, once = tmp_path / "often.txt", tmp_path / "eight.txt"
    names = [f"{pairs_folder}/images/{index}.png {pairs_folder}/masks/{index}.png" for index in range(8)]
    listed.write_text("\n".join(names * 25))
    once.write_text("\n".join(names))
    config = tiny(
        listed, val=[str(once)], sizes=[64], epochs=3, optimizer="adamw", schedule="warmup-cosine", lr_head=5e-3, lr_trunk=5e-3, crop=0.0
    )
    run = run_training(config, tmp_path / "run")
    history = run.history()
    assert history[-1]["level1"] < 0.5 * history[0]["level1"]
    meta = read_meta(run.best)
    assert (meta.method, meta.arch, meta.data["pairs"]) == ("saliency", "ras-mobile-s", 200)
    assert meta.config["lr_head"] == 5e-3
    network = build(config)
    network.load_state_dict(load_checkpoint(run.last).state)
    errors = []
    for pair in find_pairs([once]).pairs:
        image, mask = read_pair(pair)
        resized = np.asarray(Image.fromarray(image).resize((64, 64), Image.Resampling.BILINEAR))
        with torch.inference_mode():
            found = torch.sigmoid(network.eval()(normalize(resized, SYMMETRIC)[None])[0])[0, 0].numpy()
        errors.append(np.abs(found - np.asarray(Image.fromarray(mask).resize((64, 64), Image.Resampling.BILINEAR)) / 255).mean())
    assert np.mean(errors) < 0.03


@pytest.mark.slow
def test_resumed_training_ends_with_the_same_weights(pairs_folder, tmp_path):
    config = tiny(pairs_folder, epochs=3, ema=0.9, crop=0.2, accumulate=2)
    whole = run_training(config, tmp_path / "whole")

    class Stop(Exception):
        pass

    def interrupt(progress):
        if (progress.epoch, progress.step) == (2, 1):
            raise Stop

    broken = Run(tmp_path / "broken", report=interrupt)
    broken.start(config)
    with pytest.raises(Stop):
        train(config, broken)
    resumed = run_training(config, tmp_path / "broken", resume=True)
    for name in ("last", "best"):
        ours, theirs = load_checkpoint(getattr(resumed, name)).state, load_checkpoint(getattr(whole, name)).state
        assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert [record["epoch"] for record in resumed.history()] == [1, 2, 3]


def test_a_diverging_loss_stops_and_keeps_the_last_good_weights(pairs_folder, tmp_path):
    config = tiny(pairs_folder, epochs=30, lr_head=1e30, lr_trunk=1e30)
    run = Run(tmp_path / "run")
    run.start(config)
    with pytest.raises(PprError, match="loss is") as error:
        train(config, run)
    assert "learning rate" in (error.value.hint or "")


@pytest.mark.parametrize("batch_norm", [False, True])
def test_folded_trunk_weights_load(pairs_folder, tmp_path, batch_norm):
    torch.manual_seed(0)
    trunk = ARCHITECTURES["ras-mobile-s"].build(norm=False).trunk
    path = tmp_path / "trunk.safetensors"
    state = {key.replace(".conv.", "."): value.clone() for key, value in trunk.state_dict().items()}
    save_file(state | {"head.weight": torch.zeros(3)}, path)
    config = tiny(pairs_folder, backbone_weights=str(path), trunk_batch_norm=batch_norm)
    network = build(config).eval()
    images = torch.rand(6, 3, 64, 64) * 2 - 1
    initialise(network, config, images)
    with torch.inference_mode():
        torch.testing.assert_close(network.trunk(images)[-1], trunk.eval()(images)[-1], atol=1e-4, rtol=1e-4)


def test_torchvision_vgg_weights_load_and_others_do_not(tmp_path):
    network = ras_vgg16()
    state = {f"features.{key}": torch.randn_like(value) for key, value in network.trunk.features.state_dict().items()}
    torch.save(state | {"classifier.0.weight": torch.zeros(2, 2)}, tmp_path / "vgg16.pth")
    config = TrainConfig(arch="ras-vgg16", backbone_weights=str(tmp_path / "vgg16.pth"))
    initialise(network, config)
    assert torch.equal(network.trunk.features[0].weight, state["features.0.weight"])
    with pytest.raises(PprError, match="do not fit"):
        initialise(ARCHITECTURES["ras-resnet50"].build(), TrainConfig(arch="ras-resnet50", backbone_weights=str(tmp_path / "vgg16.pth")))


def test_pickled_code_in_a_weights_file_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"features.0.weight": Evil()}, tmp_path / "evil.pth")
    with pytest.raises(PprError, match="read safely"):
        initialise(ras_vgg16(), TrainConfig(arch="ras-vgg16", backbone_weights=str(tmp_path / "evil.pth")))
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_of_another_architecture_is_named(pairs_folder, tmp_path):
    run = run_training(tiny(pairs_folder, epochs=1), tmp_path / "run")
    for model in (run.best, run.path):  # a file, or the run's best
        with pytest.raises(PprError, match="holds 'ras-mobile-s', not 'ras-mobile'") as error:
            initialise(build(TrainConfig()), TrainConfig(init=str(model)))
        assert "--arch ras-mobile-s" in (error.value.hint or "")


def test_metrics_are_lines_of_json(pairs_folder, tmp_path):
    run = run_training(tiny(pairs_folder, epochs=2), tmp_path / "run")
    records = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    assert [record["epoch"] for record in records] == [1, 2]
    assert all(math.isfinite(record["val_mae"]) for record in records)
    assert (run.path / "curves.png").stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize(("recipe", "changes"), [("eccv", {}), ("v2", {"arch": "ras-resnet50", "sizes": [64], "batch": 2})])
def test_the_published_networks_train(pairs_folder, tmp_path, recipe, changes):
    config = TrainConfig(
        **(PRESETS[recipe] | {"data": [str(pairs_folder)], "limit": 4, "val_fraction": 0.4, "epochs": 2, "device": "cpu"} | changes)
    )
    run = run_training(config, tmp_path / "run")
    assert read_meta(run.last).arch == config.arch
    assert all(math.isfinite(record["level1"]) for record in run.history())


def test_native_sizes_that_differ_need_batches_of_one(tmp_path):
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for index, size in enumerate([(64, 48), (48, 64), (64, 64), (70, 48)]):
        image, mask = scene(*size, seed=index)
        Image.fromarray(image).save(tmp_path / "images" / f"{index}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{index}.png")
    with pytest.raises(PprError, match="different sizes") as error:
        run_training(tiny(tmp_path, sizes=[0], batch=3), tmp_path / "run")
    assert "--batch 1" in (error.value.hint or "")
