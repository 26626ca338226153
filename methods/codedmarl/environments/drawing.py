"""Pictures of particle worlds: discs seen from above, the ways behind them and a line of text. No display, only Pillow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from PIL import Image, ImageDraw, ImageFont

from ...common.errors import UsageError

Kind = Literal["good", "adversary", "landmark", "goal", "obstacle"]
Color = tuple[int, int, int]
Point = tuple[float, float]

#: Blue and vermilion stay apart for colour-blind eyes too.
COLORS: dict[Kind, Color] = {
    "good": (38, 110, 190),
    "adversary": (213, 82, 40),
    "landmark": (90, 90, 96),
    "goal": (28, 150, 104),
    "obstacle": (150, 150, 158),
}
_PAPER, _LINE, _INK = (252, 252, 250), (226, 226, 222), (60, 60, 64)
_SUPERSAMPLING = 3
#: Pixels of a side; below, nobody could read the legend.
_SIZES = range(240, 2049)
#: Half of the visible side, in world units, unless something is farther out.
_HALF = 1.15


@dataclass(frozen=True)
class Disc:
    """An agent or landmark: place and radius in world units; way: where it has been, the present last."""

    x: float
    y: float
    radius: float
    kind: Kind
    way: tuple[Point, ...] = ()


@dataclass(frozen=True)
class Scene:
    """One world at one moment. Later discs lie on top.

    Attributes:
        rewards: mean over the agents of each team, of the last step.
    """

    discs: tuple[Disc, ...]
    step: int
    steps: int
    rewards: Mapping[Literal["good", "adversary"], float]


def draw(scene: Scene, size: int = 480) -> Image.Image:
    """The scene, RGB [size + legend, size]: the view zooms out as far as the discs and their ways need.

    Raises:
        UsageError: a size that no picture has.
    """
    check_size(size)
    sharp = size * _SUPERSAMPLING
    canvas = Image.new("RGB", (sharp, sharp), _PAPER)
    view = _View(sharp, max(_HALF, *(_reach(disc) for disc in scene.discs)))
    pen = ImageDraw.Draw(canvas, "RGBA")
    pen.rectangle(view.box(0, 0, 1), outline=_LINE, width=max(1, sharp // 300))
    for disc in scene.discs:
        _draw_way(pen, view, disc)
    for disc in scene.discs:
        _draw_disc(pen, view, disc)
    legend = size // 15
    picture = Image.new("RGB", (size, size + legend), "white")
    picture.paste(canvas.reduce(_SUPERSAMPLING), (0, 0))
    _number_agents(picture, scene, _View(size, view.half))
    _write_legend(picture, scene, size, legend)
    return picture


def check_size(size: int) -> None:
    """Raise UsageError for a picture that is too small to read or too large to draw."""
    if size not in _SIZES:
        raise UsageError(f"a picture of {size} pixels a side cannot be made", hint=f"{_SIZES[0]} to {_SIZES[-1]}")


@dataclass(frozen=True)
class _View:
    """The square from -half to half in both directions on `side` pixels."""

    side: int
    half: float

    def length(self, units: float) -> float:
        return units * self.side / (2 * self.half)

    def point(self, x: float, y: float) -> Point:
        return self.side / 2 + self.length(x), self.side / 2 - self.length(y)

    def box(self, x: float, y: float, radius: float) -> tuple[float, float, float, float]:
        (column, row), half = self.point(x, y), self.length(radius)
        return column - half, row - half, column + half, row + half


def _reach(disc: Disc) -> float:
    """Largest coordinate that a disc covers or has covered."""
    return 1.03 * (disc.radius + max(abs(value) for point in (*disc.way, (disc.x, disc.y)) for value in point))


def _draw_way(pen: ImageDraw.ImageDraw, view: _View, disc: Disc) -> None:
    """Fading towards the past."""
    width = max(2, round(view.side / 170))
    for number, (start, end) in enumerate(zip(disc.way, disc.way[1:], strict=False), 1):
        opacity = round(30 + 150 * number / len(disc.way))
        pen.line([view.point(*start), view.point(*end)], fill=(*COLORS[disc.kind], opacity), width=width, joint="curve")


def _draw_disc(pen: ImageDraw.ImageDraw, view: _View, disc: Disc) -> None:
    color, box = COLORS[disc.kind], view.box(disc.x, disc.y, disc.radius)
    edge = max(2, round(view.side / 240))
    if disc.kind == "goal":
        pen.ellipse(view.box(disc.x, disc.y, 1.6 * disc.radius), outline=(*color, 160), width=edge)
    opacity = 190 if disc.kind in ("good", "adversary") else 255
    pen.ellipse(box, fill=(*color, opacity), outline=tuple(round(0.7 * part) for part in color), width=edge)


def _number_agents(picture: Image.Image, scene: Scene, view: _View) -> None:
    """Each agent's number within its team, where its disc is large enough to hold it."""
    pen, numbers = ImageDraw.Draw(picture), {"good": 0, "adversary": 0}
    for disc in scene.discs:
        if disc.kind not in ("good", "adversary"):
            continue
        height = int(1.1 * view.length(disc.radius))
        if height >= 9:
            font = ImageFont.load_default(min(height, view.side // 26))
            pen.text(view.point(disc.x, disc.y), str(numbers[disc.kind]), fill="white", font=font, anchor="mm")
        numbers[disc.kind] += 1


def _write_legend(picture: Image.Image, scene: Scene, top: int, height: int) -> None:
    """The step, and the reward of each team beside its colour."""
    pen, font = ImageDraw.Draw(picture), ImageFont.load_default(picture.width // 30)
    middle, left = top + height / 2, 0.4 * height
    pen.line([(0, top), (picture.width, top)], fill=_LINE)
    pen.text((left, middle), f"step {scene.step}/{scene.steps}", fill=_INK, font=font, anchor="lm")
    right = picture.width - left
    for team, reward in reversed(list(scene.rewards.items())):
        words = f"{team} {reward:.2f}"
        right -= pen.textlength(words, font)
        pen.text((right, middle), words, fill=_INK, font=font, anchor="lm")
        radius = 0.17 * height
        right -= 2.8 * radius
        pen.ellipse((right, middle - radius, right + 2 * radius, middle + radius), fill=COLORS[team])
        right -= 0.6 * height
    pen.text((right, middle), "reward", fill=_INK, font=font, anchor="rm")
