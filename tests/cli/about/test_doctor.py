"""`ppr doctor`: it tells a missing optional thing from a broken required one."""

from __future__ import annotations

import importlib.metadata
import sys
from pathlib import Path

import pytest

from ppr.cli.about import doctor


def test_this_environment_is_healthy(ppr, cache):
    """The suite runs in it, so nothing required can be broken."""
    answer = ppr("doctor", "--json")
    (report,) = answer.records
    assert (answer.code, report["ok"]) == (0, True)
    checks = {check["name"]: check for check in report["checks"]}
    assert checks["python"]["found"].startswith(".".join(map(str, sys.version_info[:3])))
    assert checks["torch"]["status"] == "ok"
    assert "CPUExecutionProvider" in checks["ONNX Runtime"]["found"]
    assert checks["PPR_HOME"]["found"] == f"{cache} (writable)"
    assert all(check["hint"] for check in report["checks"] if check["status"] != "ok")


def test_the_table_shows_every_area(ppr):
    answer = ppr("doctor")
    assert answer.code == 0
    assert all(area in answer.out for area in ("python", "required", "devices", "extras", "system", "caches"))
    assert answer.err == "everything required is there\n"


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> dict[str, str | None]:
    """Versions that this environment pretends to have; None is not installed."""
    changed: dict[str, str | None] = {}
    genuine = importlib.metadata.version

    def version(name: str) -> str:
        found = changed[name] if name in changed else genuine(name)
        if found is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return found

    monkeypatch.setattr(importlib.metadata, "version", version)
    return changed


def test_both_onnx_runtimes_together_are_broken(installed):
    installed |= {"onnxruntime": "1.32.0", "onnxruntime-gpu": "1.31.1"}
    (clash,) = [check for check in doctor.check_distributions() if check.name == "onnxruntime + onnxruntime-gpu"]
    assert clash.status == "broken"
    assert "pip uninstall -y onnxruntime onnxruntime-gpu" in (clash.hint or "")


def test_a_required_distribution_that_is_missing_or_too_old_exits_1(ppr, installed):
    installed |= {"pillow": None, "numpy": "1.20.0"}
    answer = ppr("doctor", "--json")
    broken = {check["name"]: check for check in answer.records[0]["checks"] if check["status"] == "broken"}
    assert answer.code == 1
    assert set(broken) == {"pillow", "numpy"}
    assert broken["pillow"]["hint"] == "pip install 'pillow>=11'"


def test_a_library_that_is_not_there_names_its_debian_package(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(doctor, "SYSTEM_LIBRARIES", {"libppr-nowhere.so.7": ("libppr7", "this test"), "libc.so.6": ("libc6", "everything")})
    absent, present, *_ = doctor.check_system()
    assert (absent.status, absent.hint) == ("note", "only for this test: apt-get install libppr7")
    if Path("/proc").exists():
        assert present.status == "ok"


def test_a_cache_that_cannot_be_written_is_noted(monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PPR_HOME", str(tmp_path / "file" / "below"))
    (check,) = doctor.check_caches()
    assert check.status == "note"
    assert "PPR_HOME" in (check.hint or "")
    monkeypatch.setenv("PPR_HOME", str(tmp_path / "new" / "deep"))
    (check,) = doctor.check_caches()
    assert check.status == "ok"
