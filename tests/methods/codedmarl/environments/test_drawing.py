"""Pictures of particle worlds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from ppr.methods.codedmarl.environments import make
from ppr.methods.codedmarl.environments.drawing import COLORS, Disc, Scene, draw
from ppr.methods.common.drawing.animation import save_gif
from ppr.methods.common.errors import UsageError
from ppr.methods.common.random import torch_generator


def near(color, wanted, tolerance=60):
    return max(abs(one - other) for one, other in zip(color, wanted, strict=True)) <= tolerance


def picture(*discs, size=240):
    return draw(Scene(discs, 3, 25, {"good": -1.0}), size)


def test_discs_lie_where_they_are_and_up_is_up():
    drawn = picture(Disc(0.5, 0.8, 0.02, "landmark"), Disc(-0.5, -0.5, 0.2, "adversary"))
    half = 1.15
    column, row = 120 * (1 + 0.5 / half), 120 * (1 - 0.8 / half)
    assert near(drawn.getpixel((int(column), int(row))), COLORS["landmark"])
    assert near(drawn.getpixel((120 - 52 - 10, 120 + 52)), COLORS["adversary"])
    assert near(drawn.getpixel((150, 150)), (252, 252, 250), 5)
    assert drawn.size == (240, 256)  # the legend below


def test_edges_are_smooth():
    drawn = np.asarray(picture(Disc(0, 0, 0.5, "landmark")))[:240]
    assert len(np.unique(drawn[..., 0])) > 10


def test_the_view_follows_whoever_runs_away():
    drawn = picture(Disc(7, 0, 0.15, "good", ((0.0, 0.0), (7.0, 0.0))))
    pixels = np.asarray(drawn)[:240].astype(int)
    rows, columns = np.nonzero(pixels[..., 2] - pixels[..., 0] > 20)
    assert columns.max() < 240 and columns.min() < 125  # the disc at the right, and its way back to the middle
    assert abs(rows.mean() - 120) < 3


def test_frames_of_an_episode_make_a_gif(tmp_path):
    environment = make("simple_push", agents=4, envs=2)
    environment.reset(torch_generator(0))
    frames = [environment.frame(1, 240)]
    for t in range(5):
        environment.step([torch.rand(2, 5, generator=torch_generator(t, i)) for i in range(4)])
        frames.append(environment.frame(1, 240))
    assert np.any(np.asarray(frames[0]) != np.asarray(frames[-1]))
    save_gif(frames, tmp_path / "episode.gif", fps=10)
    with Image.open(tmp_path / "episode.gif") as gif:
        assert sum(1 for _ in ImageSequence.Iterator(gif)) == 6
        assert gif.size == frames[0].size


def test_the_goal_is_green_and_its_agents_leave_a_way():
    environment = make("simple_adversary", agents=3, adversaries=1)
    environment.reset(torch_generator(0))
    for _ in range(4):
        environment.step([torch.tensor([[0.0, 0.0, 1.0, 0.0, 0.0]])] * 3)
    scene = environment.scene(0)
    assert [disc.kind for disc in scene.discs] == [
        *(["goal", "landmark"] if environment.goal[0] == 0 else ["landmark", "goal"]),
        "adversary",
        "good",
        "good",
    ]
    assert [len(disc.way) for disc in scene.discs] == [0, 0, 5, 5, 5]
    agent = scene.discs[-1]
    assert agent.way[-1] == (agent.x, agent.y) and agent.way[0][0] < agent.x
    assert set(scene.rewards) == {"adversary", "good"} and scene.step == 4


@pytest.mark.parametrize("size", [-1, 0, 239, 100_000])
def test_sizes_that_no_picture_has(size):
    with pytest.raises(UsageError, match="cannot be made"):
        make("simple_spread").frame(size=size)


def test_the_legend_fits_beside_the_step():
    """Between the words at the left and those at the right there is always something empty."""
    for size in (240, 480, 1000):
        scene = Scene((Disc(0, 0, 0.1, "good"),), 25, 25, {"adversary": -12.34, "good": -12.34})
        legend = np.asarray(draw(scene, size))[size + 2 :]
        empty = (legend == 255).all((0, 2))
        words = np.flatnonzero(~empty)
        assert words[0] > 0 and words[-1] < size - 1
        gap = max(np.diff(words))
        assert gap > 0.03 * size
