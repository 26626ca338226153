"""Pictures of plans and simulations: who is shown, in which colour, and the same file for the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from PIL import Image

from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.learners.stragglers import Stragglers
from ppr.methods.codedmarl.pictures import COLOURS, draw_plan, draw_simulation
from ppr.methods.codedmarl.planning.heat_map import heat_map
from ppr.methods.codedmarl.planning.machines import Setting
from ppr.methods.codedmarl.planning.plan import make_plan
from ppr.methods.codedmarl.planning.simulate import simulate
from ppr.methods.codedmarl.planning.waits import Situation
from ppr.methods.common.errors import UsageError


def families_in(path: Path) -> set[str]:
    """Of whose colours the picture has whole areas."""
    with Image.open(path) as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    areas = {family: (pixels == np.round(255 * np.array(to_rgb(colour)))).all(1).sum() for family, colour in COLOURS.items()}
    return {family for family, area in areas.items() if area > 500}


def test_a_simulation_is_drawn_in_the_colours_of_its_codes(tmp_path):
    setting = Setting(20, Stragglers("exp", delay=0.05), 0.02, seed=1)
    found = {f"{family} $^$": (family, simulate(build(family, 6, 3), setting)) for family in ("replication", "mds")}
    for name in ("one.png", "again.png"):
        draw_simulation(found, 3, tmp_path / name)
    assert families_in(tmp_path / "one.png") == {"replication", "mds"}
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        draw_simulation(found, 3, tmp_path / "one.png", overwrite=False)


def test_a_plan_is_drawn_with_a_bar_for_each_code(tmp_path):
    codes = {"mds": build("mds", 6, 3), "a matrix called $^$.npy": build("ldpc", 6, 3)}  # which is no formula
    plan = make_plan(codes, Situation(Stragglers("fixed", 1, 0.5), 0.1))
    for name in ("one.png", "again.png"):
        draw_plan(plan, heat_map(plan), tmp_path / name)
    assert families_in(tmp_path / "one.png") == {"mds", "ldpc"}
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "again.png").read_bytes()
