"""Files on disk and inside archives read alike."""

from __future__ import annotations

import multiprocessing
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading import sources
from ppr.methods.common.reading.sources import Source, zip_members


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as opened:
        for index in range(50):
            opened.writestr(f"images/{index:02}.txt", f"content {index}" * 500)
        opened.writestr("__MACOSX/images/._00.txt", "fork")
        opened.writestr("images/.DS_Store", "finder")
        opened.mkdir("empty")
    return path


def test_members_are_sorted_and_without_clutter(archive):
    members = zip_members(archive)
    assert [member.path for member in members] == [f"images/{index:02}.txt" for index in range(50)]
    assert str(members[3]) == f"{archive}:images/03.txt"
    assert (members[3].stem, members[3].suffix) == ("03", ".txt")


def test_a_member_reads_like_a_file(archive, tmp_path):
    (tmp_path / "a.TXT").write_bytes(b"content")
    assert Source(str(tmp_path / "a.TXT")).read() == b"content"
    assert Source(str(tmp_path / "a.TXT")).suffix == ".txt"
    assert Source("images/07.txt", str(archive)).read() == b"content 7" * 500


def test_threads_do_not_mix_members_up(archive):
    members = zip_members(archive) * 20
    with ThreadPoolExecutor(8) as pool:
        contents = list(pool.map(Source.read, members))
    assert all(content == f"content {int(member.stem)}".encode() * 500 for member, content in zip(members, contents, strict=True))


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_forked_processes_do_not_share_a_file_position(archive):
    members = zip_members(archive) * 20
    members[0].read()  # the archive is open before the fork
    with multiprocessing.get_context("fork").Pool(2) as pool:
        contents = pool.map(Source.read, members, chunksize=1)
    assert all(content == f"content {int(member.stem)}".encode() * 500 for member, content in zip(members, contents, strict=True))


def test_what_cannot_be_read_is_named(archive, tmp_path):
    for source in (Source(str(tmp_path / "absent.txt")), Source("absent.txt", str(archive)), Source(str(tmp_path))):
        with pytest.raises(PprError, match="cannot be read") as caught:
            source.read()
        assert str(source) in caught.value.message


def test_a_damaged_archive_is_named(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 and nothing more")
    with pytest.raises(PprError, match=r"a\.zip: not a zip archive"):
        zip_members(tmp_path / "a.zip")


def test_a_member_of_unreasonable_size_is_refused(archive, monkeypatch):
    monkeypatch.setattr(sources, "MAX_MEMBER_BYTES", 1 << 10)
    with pytest.raises(PprError, match="unpacks to more than"):
        Source("images/00.txt", str(archive)).read()


def test_a_damaged_member_is_named(archive):
    content = bytearray(archive.read_bytes())
    content[100] ^= 0xFF
    archive.write_bytes(content)
    with pytest.raises(PprError, match=r"00\.txt: cannot be read"):
        Source("images/00.txt", str(archive)).read()
