"""Files that are no tables: each is refused in one line that says where and what to do, before much memory is taken."""

from __future__ import annotations

import gzip
import io

import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.tables import frames
from ppr.methods.common.reading.tables.frames import read_frame


def read(tmp_path, content, name="table.csv", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_frame(str(path), **options)


BAD = [
    ("", "an empty file"),
    ("\n\n", "an empty file"),
    ("a,b\n", "a header without rows"),
    ("1,2.5\n3,4\n5,6\n", "the first line has only numbers"),
    ("a,b,c\n1,2,3\n4,5\n", "line 3 has 2 cells, the header has 3"),
    ("a,b\n1,2\n3,4,5\n", "line 3 has 3 cells, the header has 2"),
    ('a,b\n1,"x\n3,4\n', "EOF inside string starting at row 1"),
    ("a,b,a\n1,2,3\n", "more than one column is called 'a'"),
    ("a;b;c\n1;2;3\n", "separated by ';', not by ','"),
    ("a\tb\n1\t2\n", r"separated by '\\t'"),
    (b"a,b\n1,\xff\xfe\n", "not text in UTF-8"),
    (b"PAR1\x00\x00\x01\xff\x9c", "not text in UTF-8"),
    (b"\x89HDF\r\n\x1a\n", "not text in UTF-8"),
]


@pytest.mark.parametrize(("content", "part"), BAD, ids=[part[:25] for _content, part in BAD])
def test_what_is_no_table_is_refused(tmp_path, content, part):
    with pytest.raises(PprError, match=part) as caught:
        read(tmp_path, content)
    assert caught.value.message.startswith(str(tmp_path / "table.csv"))
    assert "\n" not in caught.value.message


def test_absent_files_folders_and_other_suffixes(tmp_path):
    with pytest.raises(PprError, match="No such file"):
        read_frame(str(tmp_path / "absent.csv"))
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(PprError, match="Is a directory"):
        read_frame(str(tmp_path / "folder.csv"))
    with pytest.raises(UsageError, match="not a table of a known kind") as caught:
        read_frame(str(tmp_path / "table.xlsx"))
    assert ".parquet" in (caught.value.hint or "")


def test_a_huge_file_is_refused_without_being_read_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(frames, "MAX_TABLE_BYTES", 1 << 30)
    monkeypatch.setattr(frames, "MAX_ROWS", 3)
    with pytest.raises(PprError, match="more than 3 rows"):
        read(tmp_path, "a,b\n" + "1,2\n" * 4)

    class Endless(io.RawIOBase):
        taken = 0

        def read(self, size=-1):
            assert size > 0, "no limit asked for"
            self.taken += size
            return b"x" * size

    endless = Endless()
    monkeypatch.setattr(frames, "MAX_TABLE_BYTES", 1 << 20)
    with pytest.raises(PprError, match="standard input: more than"):
        read_frame("-", stdin=endless)
    assert endless.taken <= (1 << 20) + 1


def test_what_people_write_is_read(tmp_path):
    frame = read(tmp_path, '\ufeffname, n,flag,code,\n"Smith, J.", 1,True,007,x\n\nB,?,False,NA,\n')
    assert list(frame.columns) == ["name", "n", "flag", "code", "column 5"]
    assert frame["name"].tolist() == ["Smith, J.", "B"]
    assert frame["n"].tolist()[0] == 1 and frame["n"].isna().tolist() == [False, True]
    assert frame["flag"].dtype == bool
    assert frame["code"].isna().tolist() == [False, True]


def test_labels_and_ids_stay_as_they_are_written(tmp_path):
    frame = read(tmp_path, "id,y,x\n007,NA,1\n008,,2\n", verbatim=("id", "y"))
    assert (frame["id"].tolist(), frame["y"].tolist()) == (["007", "008"], ["NA", ""])
    text = read(tmp_path, "code,x\n01,1\nNA,2\n", text=("code",))["code"]
    assert text.tolist()[0] == "01" and text.isna().tolist() == [False, True]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1" + b"\0" * 50 + b"PAR1", b"a,b\n1,2\n"])
def test_what_is_no_parquet_is_refused(tmp_path, content):
    pytest.importorskip("pyarrow")
    with pytest.raises(PprError, match="not a parquet file that can be read"):
        read(tmp_path, content, "table.parquet")
    with pytest.raises(PprError, match="cannot be read"):
        read_frame(str(tmp_path / "absent.parquet"))


def test_a_parquet_says_its_size_before_it_is_read(tmp_path, monkeypatch):
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"a": list(range(1000))}), tmp_path / "t.parquet")
    monkeypatch.setattr(frames, "MAX_ROWS", 999)
    with pytest.raises(PprError, match="1,000 rows"):
        read_frame(str(tmp_path / "t.parquet"))
    parquet.write_table(pyarrow.table([[1], [2]], names=["a", "a"]), tmp_path / "twice.parquet")
    with pytest.raises(PprError, match="more than one column is called 'a'"):
        read_frame(str(tmp_path / "twice.parquet"))
    parquet.write_table(pyarrow.table({"a": pyarrow.array([], "int64")}), tmp_path / "empty.parquet")
    with pytest.raises(PprError, match="a table without rows"):
        read_frame(str(tmp_path / "empty.parquet"))


def test_a_packed_table_is_read_and_bounded_as_it_is_unpacked(tmp_path, monkeypatch):
    for name, content in (("t.csv.gz", "a,b\n1,x\n"), ("t.TSV.GZ", "a\tb\n1\tx\n")):
        frame = read(tmp_path, gzip.compress(content.encode()), name)
        assert (list(frame.columns), frame["a"].tolist(), frame["b"].tolist()) == (["a", "b"], [1], ["x"])
    whole = gzip.compress(b"a,b\n" + b"1,2\n" * 1000)
    for content, part in ((whole[:-20], "cannot be read"), (b"a,b\n1,2\n", "cannot be read"), (whole[:30] + b"\xff" * 8 + whole[38:], "")):
        with pytest.raises(PprError, match=rf"table\.csv\.gz: {part}"):
            read(tmp_path, content, "table.csv.gz")
    monkeypatch.setattr(frames, "MAX_TABLE_BYTES", 1 << 20)
    with pytest.raises(PprError, match="more than"):
        read(tmp_path, gzip.compress(bytes(1 << 22)), "table.csv.gz")
    for name in ("table.parquet.gz", "table.gz", "table.npz.gz"):
        with pytest.raises(UsageError, match="not a table of a known kind"):
            read(tmp_path, whole, name)
