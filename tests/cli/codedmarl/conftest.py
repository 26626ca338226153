"""Runs of trainings that made no step, for the commands that take one."""

from __future__ import annotations

from pathlib import Path

import pytest

from .runs import a_run


@pytest.fixture(scope="module")
def spread(tmp_path_factory) -> Path:
    return a_run(tmp_path_factory.mktemp("spread"))


@pytest.fixture(scope="module")
def tag(tmp_path_factory) -> Path:
    return a_run(tmp_path_factory.mktemp("tag"), env="simple_tag", agents=4, adversaries=3)


@pytest.fixture
def places(tmp_path, monkeypatch, spread, tag) -> dict[str, str]:
    """Runs, an empty folder and a file that is no checkpoint, the latter two in the folder that one is in."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.safetensors").write_text("no checkpoint")
    return {"spread": str(spread), "tag": str(tag), "empty": "empty", "text": "text.safetensors"}
