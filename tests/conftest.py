"""What every test starts from: no cache of the person who runs it, and a command line to call."""

from __future__ import annotations

import json
import os

# One thread a process: the workers share the cores already, sums come out the same whichever worker computes them, and the processes that
# tests start inherit it. It has to be said before anything imports NumPy or torch.
os.environ |= dict.fromkeys(
    ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"), "1"
)

import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import hypothesis
import pytest

from ppr.cli.main import run

# A run in the background ignores Ctrl-C and hands that down to the processes it starts; tests press it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A busy machine is no error: what has to be fast is measured by the benches.
hypothesis.settings.register_profile("ppr", deadline=None)
hypothesis.settings.register_profile("fuzz", deadline=None, max_examples=2000)
hypothesis.settings.load_profile("ppr")


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """A worker a core, eight at most; none where files or tests are named, so that these start at once and a debugger works."""
    named = config.option.file_or_dir
    if named and all(".py" in place for place in named):
        return 0
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(cores, 8)


@dataclass(frozen=True)
class Answer:
    """What a command said and its exit code."""

    code: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """stdout as JSON lines."""
        return [json.loads(line) for line in self.out.splitlines()]


class Ppr(Protocol):
    def __call__(self, *arguments: str | Path) -> Answer: ...


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty PPR_HOME."""
    home = tmp_path_factory.mktemp("ppr-home")
    monkeypatch.setenv("PPR_HOME", str(home))
    monkeypatch.delenv("PPR_DEBUG", raising=False)
    return home


@pytest.fixture
def ppr(capsys: pytest.CaptureFixture[str]) -> Ppr:
    """`ppr` in this process."""

    def call(*arguments: str | Path) -> Answer:
        capsys.readouterr()
        code = run([str(argument) for argument in arguments])
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return call


@pytest.fixture
def ppr_process() -> Ppr:
    """`ppr` in a process of its own, as a person starts it; slower."""

    def call(*arguments: str | Path) -> Answer:
        command = [sys.executable, "-m", "ppr.cli.main", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=os.environ, stdin=subprocess.DEVNULL, check=False)
        return Answer(done.returncode, done.stdout, done.stderr)

    return call


@pytest.fixture
def undrawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are saved as blank pictures: what they show has tests of its own, and drawing takes longer than training a small network."""
    monkeypatch.setattr("matplotlib.figure.Figure.draw", lambda _figure, _renderer: None)


@pytest.fixture
def scenes(tmp_path: Path) -> Callable[..., Path]:
    """Makes a folder of procedural image/mask pairs: `scenes(count, name="data", size=(64, 48), seed=0)` -> its path."""

    def make(count: int, name: str = "data", size: tuple[int, int] = (64, 48), seed: int = 0) -> Path:
        import cv2

        from ppr.methods.saliency.pairs.procedural import scene

        folder = tmp_path / name
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        for index in range(count):
            image, mask = scene(*size, seed=seed, index=index)
            cv2.imwrite(str(folder / f"images/scene{index}.png"), image[..., ::-1])
            cv2.imwrite(str(folder / f"masks/scene{index}.png"), mask)
        return folder

    return make


@pytest.fixture(scope="session")
def saliency_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of the smallest network with random weights: enough for everything but good masks."""
    import torch

    from ppr.methods.common.running.checkpoint import Meta, save_checkpoint
    from ppr.methods.saliency.network import ARCHITECTURES

    torch.manual_seed(0)
    network = ARCHITECTURES["ras-mobile-s"].build(norm=True)
    path = tmp_path_factory.mktemp("weights") / "random.safetensors"
    return save_checkpoint(path, network.state_dict(), Meta(method="saliency", arch="ras-mobile-s"))


@pytest.fixture(scope="session")
def saliency_data() -> Path:
    """Real test data, which are not part of the package: $PPR_TEST_DATA, or ../shared/data/saliency beside the repository."""
    default = Path(__file__).parents[2] / "shared/data/saliency"
    folder = Path(os.environ.get("PPR_TEST_DATA", default))
    if not (folder / "ecssd_test.zip").is_file():
        pytest.skip("no real saliency data (set PPR_TEST_DATA)")
    return folder
