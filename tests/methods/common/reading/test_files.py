"""Files are whole or absent."""

from __future__ import annotations

import csv
import hashlib
import io
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.files import atomic_open, atomic_path, csv_text, free_name, sha256


def test_an_interrupted_write_keeps_the_old_file_and_no_other(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_open(target) as stream:
        stream.write(b"half of the new")
        stream.flush()
        raise KeyboardInterrupt
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_seen_before_the_end(tmp_path):
    target = tmp_path / "deep" / "a.png"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"content")
        assert not target.exists()
        assert temporary.suffix == ".png"
        assert temporary.parent == target.parent
    assert target.read_bytes() == b"content"


def test_an_existing_file_is_kept_unless_asked(tmp_path):
    target = tmp_path / "a.txt"
    target.write_text("old")
    with pytest.raises(UsageError, match="exists already"), atomic_open(target, overwrite=False):
        pytest.fail("the block must not run")
    with atomic_open(target) as stream:
        stream.write(b"new")
    assert target.read_text() == "new"


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(PprError, match="cannot write there"), atomic_open(tmp_path / "file" / "a.txt"):
        pytest.fail("the block must not run")


def test_an_error_while_writing_is_named(tmp_path):
    with pytest.raises(PprError, match=r"a\.txt: writing failed \(No space left on device\)"), atomic_open(tmp_path / "a.txt"):
        raise OSError(28, os.strerror(28))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name == "nt", reason="permission bits")
def test_permissions_follow_the_umask(tmp_path):
    previous = os.umask(0o027)
    try:
        with atomic_open(tmp_path / "a.txt") as stream:
            stream.write(b"x")
    finally:
        os.umask(previous)
    assert (tmp_path / "a.txt").stat().st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_killed_writer_leaves_the_old_file(tmp_path):
    target = tmp_path / "a.bin"
    target.write_bytes(b"old")
    script = "import sys, time\nfrom pathlib import Path\nfrom ppr.methods.common.reading.files import atomic_open\n"
    script += "with atomic_open(Path(sys.argv[1])) as stream:\n    stream.write(b'new' * 1000)\n    stream.flush()\n"
    script += "    print('half', flush=True)\n    time.sleep(600)\n"
    process = subprocess.Popen([sys.executable, "-c", script, str(target)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=300)
    process.stdout.close()
    assert target.read_bytes() == b"old"


@given(st.binary(max_size=4096))
def test_sha256_is_that_of_the_content(tmp_path_factory, content):
    file = tmp_path_factory.getbasetemp() / f"hashed-{time.monotonic_ns()}"
    file.write_bytes(content)
    assert sha256(file) == hashlib.sha256(content).hexdigest()
    file.unlink()


def test_a_name_that_is_taken_gets_the_first_free_number():
    taken = {"chair-3"}
    assert [free_name("chair", taken) for _repeat in range(4)] == ["chair", "chair-2", "chair-4", "chair-5"]
    assert free_name("chair-2", taken) == "chair-2-2"
    assert taken == {"chair", "chair-2", "chair-3", "chair-4", "chair-5", "chair-2-2"}


def test_records_as_csv_read_back_with_whatever_they_hold():
    rows = [{"name": 'a "b", c', "n": 1, "more": None}, {"name": "line\nbreak", "n": 0.5, "more": "é"}]
    text = csv_text(rows, ["name", "n", "more"])
    assert list(csv.DictReader(io.StringIO(text, newline=""))) == [
        {"name": 'a "b", c', "n": "1", "more": ""},
        {"name": "line\nbreak", "n": "0.5", "more": "é"},
    ]
    assert csv_text([], ["a", "b"]) == "a,b\n"
    with pytest.raises(ValueError, match="fields not in fieldnames"):
        csv_text(rows, ["name"])
