"""Data sets: a registry that is complete, and downloads that are whole and right or absent."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading import datasets
from ppr.methods.common.reading.datasets import Dataset

CONTENT = bytes(range(256)) * 2000


class Server(http.server.ThreadingHTTPServer):
    """A server on this machine that misbehaves on request, and counts."""

    requests = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.requests += 1
        name = self.path.rpartition("/")[2]
        if name == "missing.bin":
            self.send_error(404)
            return
        if name == "moved.bin":
            self.send_response(302)
            self.send_header("Location", "good.bin")
            self.end_headers()
            return
        body = {"changed.bin": CONTENT[:-1] + b"?", "short.bin": CONTENT[:-10], "long.bin": CONTENT * 3}.get(name, CONTENT)
        self.send_response(200)
        if name != "unsized.bin":
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if name == "broken.bin" else body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: pytest shows stderr."""


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def dataset(url: str) -> Dataset:
    digest = hashlib.sha256(CONTENT).hexdigest()
    return Dataset("toy", "saliency", "download", "d", "l", "c", url=url, sha256=digest, size=len(CONTENT))


def leftovers(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


@pytest.mark.parametrize("name", ["good.bin", "unsized.bin", "moved.bin", "good.bin?version=2"])
def test_a_download_is_kept_and_not_repeated(server, cache, name):
    pieces: list[int] = []
    wanted = dataset(f"{server.url}/{name}")
    place = datasets.fetch(wanted, pieces.append)
    assert place == cache / "datasets" / "toy" / name.partition("?")[0]
    assert place.read_bytes() == CONTENT
    assert sum(pieces) == len(CONTENT)
    before = server.requests
    assert datasets.fetch(wanted) == place
    assert server.requests == before
    assert leftovers(cache) == [place]


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("changed.bin", "has another hash than expected"),
        ("short.bin", "ended after 511,990 of 512,000 bytes"),
        ("long.bin", "sends more than the 512,000 bytes expected"),
        ("broken.bin", "broke off"),
        ("missing.bin", "404"),
    ],
)
def test_a_bad_download_leaves_nothing_behind(server, cache, name, part):
    with pytest.raises(PprError, match=part) as caught:
        datasets.fetch(dataset(f"{server.url}/{name}"))
    assert caught.value.hint
    assert "\n" not in caught.value.message
    assert leftovers(cache) == []


def test_a_second_try_succeeds_after_a_bad_one(server, cache):
    with pytest.raises(PprError):
        datasets.fetch(replace(dataset(f"{server.url}/good.bin"), sha256="0" * 64))
    assert datasets.fetch(dataset(f"{server.url}/good.bin")).read_bytes() == CONTENT


def test_without_a_network_the_hint_says_where_to_put_the_file(cache, monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    wanted = dataset("http://127.0.0.1:9/set.zip")  # the discard port: nobody listens
    with pytest.raises(PprError, match=r"no connection to 127\.0\.0\.1:9") as caught:
        datasets.fetch(wanted)
    assert str(wanted.place) in (caught.value.hint or "")
    assert leftovers(cache) == []


def test_only_known_kinds_of_address_are_fetched():
    with pytest.raises(PprError, match="only https, http and file"):
        datasets.fetch(dataset("ftp://example.org/set.zip"))


def test_files_of_this_machine(tmp_path):
    (tmp_path / "a b.bin").write_bytes(CONTENT)
    assert datasets.fetch(dataset((tmp_path / "a b.bin").as_uri())).name == "a b.bin"
    with pytest.raises(PprError, match="no such file"):
        datasets.fetch(dataset((tmp_path / "absent.bin").as_uri()))


def test_a_cache_that_cannot_be_made(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("PPR_HOME", str(tmp_path / "file" / "below"))
    with pytest.raises(PprError, match="cannot be made") as caught:
        datasets.fetch(dataset("http://127.0.0.1:9/set.zip"))
    assert "PPR_HOME" in (caught.value.hint or "")


def test_the_cache_moves_with_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PPR_HOME", "~/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert datasets.cache_home() == tmp_path / "elsewhere"
    monkeypatch.delenv("PPR_HOME")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert datasets.cache_home().name == "ppr"


class TestRegistry:
    def test_what_is_shipped_is_valid_and_there(self):
        """Reading it checks every entry; what is bundled must lie in the package."""
        known = datasets.registry()
        assert {"demo-photos", "msra-b", "ecssd", "hku-is", "pascal-s", "sod", "dut-omron", "duts-tr", "duts-te"} <= set(known)
        for entry in known.values():
            assert entry.kind != "bundled" or entry.locate() is not None, entry.name
            assert entry.kind == "bundled" or entry.url.startswith("http"), entry.name

    @pytest.mark.parametrize(
        ("change", "part"),
        [
            ({"licence": None}, "missing keys ['licence']"),
            ({"colour": "red"}, "unknown keys ['colour']"),
            ({"kind": "torrent"}, "not a valid entry"),
            ({"sha256": "abc"}, "64 hexadecimal digits"),
        ],
    )
    def test_a_bad_entry_is_named(self, tmp_path, change, part):
        entry = {"kind": "download", "url": "https://x", "size": 1, "sha256": "0" * 64, "description": "d", "licence": "l", "citation": "c"}
        entry = {key: value for key, value in (entry | change).items() if value is not None}
        (tmp_path / "datasets.yaml").write_text(yaml.safe_dump({"toy": entry}))
        with pytest.raises(PprError) as caught:
            datasets.read_registry(tmp_path / "datasets.yaml", "toy")
        assert "'toy'" in caught.value.message and part in caught.value.message

    def test_a_name_belongs_to_one_method(self, tmp_path, monkeypatch):
        entry = {"kind": "bundled", "path": "demo", "description": "d", "licence": "l", "citation": "c"}
        for method in ("one", "two"):
            (tmp_path / method).mkdir()
            (tmp_path / method / "datasets.yaml").write_text(yaml.safe_dump({"toy": entry}))
        monkeypatch.setattr(datasets, "_methods_folder", lambda: tmp_path)
        with pytest.raises(PprError, match="'toy' is also listed by one"):
            datasets.registry()


class TestResolve:
    def test_an_existing_path_wins(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "demo-photos").mkdir()
        assert datasets.resolve("demo-photos") == Path("demo-photos")

    def test_a_name_in_any_case(self):
        assert (datasets.resolve("Demo-Photos") / "cat.jpg").is_file()

    def test_a_set_put_in_place_by_hand(self, cache):
        with pytest.raises(PprError, match="not on this machine") as caught:
            datasets.resolve("DUTS-TE")
        assert str(cache / "datasets" / "duts-te.zip") in (caught.value.hint or "")
        folder = cache / "datasets" / "duts-te"
        folder.mkdir(parents=True)
        assert datasets.resolve("DUTS-TE") == folder

    def test_what_is_neither_path_nor_name(self):
        with pytest.raises(UsageError) as caught:
            datasets.resolve("duts_te")
        assert caught.value.hint == "did you mean 'duts-te'?"
        with pytest.raises(UsageError) as caught:
            datasets.resolve("photos/duts-te.zip")
        assert caught.value.hint == "`ppr data list` shows the names"


def test_a_folders_hash_depends_on_names_and_content(tmp_path):
    (tmp_path / "set" / "sub").mkdir(parents=True)
    (tmp_path / "set" / "sub" / "a.txt").write_bytes(b"a")
    (tmp_path / "set" / "b.txt").write_bytes(b"b")
    found = datasets.inspect(tmp_path / "set")
    lines = f"{hashlib.sha256(b'b').hexdigest()}  b.txt\n{hashlib.sha256(b'a').hexdigest()}  sub/a.txt\n"
    assert (found.files, found.bytes, found.sha256) == (2, 2, hashlib.sha256(lines.encode()).hexdigest())
    (tmp_path / "set" / "b.txt").rename(tmp_path / "set" / "c.txt")
    assert datasets.inspect(tmp_path / "set").sha256 != found.sha256
