"""`ppr data`: what is registered, where it lies, and whether it is what it should be."""

from __future__ import annotations

import hashlib
import zipfile
from pathlib import Path

import pytest
import yaml

from ppr.methods.common.reading import datasets


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry of one method whose only set is a file to download; returns that file."""
    file = tmp_path / "server" / "shapes.bin"
    file.parent.mkdir()
    file.write_bytes(bytes(range(256)) * 500)
    methods = tmp_path / "methods"
    (methods / "toy").mkdir(parents=True)
    entry = {
        "kind": "download",
        "url": file.as_uri(),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "size": file.stat().st_size,
        "description": "shapes",
        "licence": "CC0-1.0",
        "citation": "nobody",
    }
    (methods / "toy" / "datasets.yaml").write_text(yaml.safe_dump({"toy-shapes": entry}))
    monkeypatch.setattr(datasets, "_methods_folder", lambda: methods)
    return file


def test_list_shows_every_set_with_licence_and_place(ppr):
    rows = {row["name"]: row for row in ppr("data", "list", "--json").records}
    assert set(rows) == set(datasets.registry())
    assert all(row["licence"] and row["citation"] and row["description"] for row in rows.values())
    assert Path(rows["demo-photos"]["path"]).is_dir()
    assert rows["ecssd"]["path"] is None
    table = ppr("data", "list")
    assert table.code == 0
    assert all(name in table.out for name in rows)


def test_fetch_prints_the_place_and_fetches_once(ppr, served, cache):
    first = ppr("data", "fetch", "toy-shapes")
    place = Path(first.out.strip())
    assert (first.code, first.err) == (0, "")
    assert place == cache / "datasets" / "toy-shapes" / "shapes.bin"
    assert place.read_bytes() == served.read_bytes()
    served.unlink()
    assert ppr("data", "fetch", "toy-shapes").out == first.out
    assert ppr("data", "path", "Toy-Shapes").out == first.out


def test_path_of_an_absent_set_says_how_to_get_it(ppr, served):
    answer = ppr("data", "path", "toy-shapes")
    assert (answer.code, answer.out) == (1, "")
    assert "hint: ppr data fetch toy-shapes" in answer.err


def test_verify_finds_a_changed_file(ppr, served):
    place = Path(ppr("data", "fetch", "toy-shapes").out.strip())
    good = ppr("data", "verify", "toy-shapes", "--json")
    assert (good.code, good.records[0]["verdict"]) == (0, "as published")
    place.write_bytes(b"\1" + place.read_bytes()[1:])
    bad = ppr("data", "verify", "toy-shapes")
    assert (bad.code, bad.out) == (1, "")
    assert "published is" in bad.err


def test_verify_reads_zips_through_and_reports_the_others(ppr, tmp_path):
    good, bad = tmp_path / "good.zip", tmp_path / "bad.zip"
    with zipfile.ZipFile(good, "w") as archive:
        archive.writestr("a.txt", "salient" * 100)
    content = bytearray(good.read_bytes())
    content[60] ^= 0xFF  # inside the member's data: the directory at the end stays intact
    bad.write_bytes(content)
    answer = ppr("data", "verify", bad, good, "--json")
    assert answer.code == 1
    assert [row["path"] for row in answer.records] == [str(good)]
    assert answer.records[0]["sha256"] == hashlib.sha256(good.read_bytes()).hexdigest()
    assert f"{bad}: damaged zip" in answer.err


def test_a_set_that_only_a_person_can_download(ppr, cache):
    answer = ppr("data", "fetch", "ecssd")
    assert (answer.code, answer.out) == (1, "")
    assert "hsaliency" in answer.err
    assert str(cache / "datasets" / "ecssd.zip") in answer.err
    assert len(answer.err.splitlines()) == 2
    (cache / "datasets").mkdir()
    (cache / "datasets" / "ecssd.zip").write_bytes(b"")
    assert ppr("data", "fetch", "ecssd").out == f"{cache / 'datasets' / 'ecssd.zip'}\n"


def test_one_failed_set_does_not_stop_the_others(ppr):
    answer = ppr("data", "fetch", "ecssd", "demo-photos")
    assert answer.code == 1
    assert answer.out.rstrip().endswith("demo")
