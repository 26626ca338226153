"""What every test starts from: no cache of the person who runs it, and a command line to call."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest

from ppr.cli.main import run


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
