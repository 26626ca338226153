"""Reading JSON lines: numbers of lines, what is refused, and that one bad line costs no other."""

from __future__ import annotations

import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ppr.methods.common.errors import PprError
from ppr.methods.common.reading.jsonl import MAX_DEPTH, lines, read_log, read_records

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@given(values=st.lists(st.tuples(VALUES, st.sampled_from(["\n", "\r\n", "\n\n", "\n \t\n"]))), ended=st.booleans(), escaped=st.booleans())
def test_every_value_is_read_from_its_own_line(values, ended, escaped):
    """Also texts with line separators that JSON need not escape, such as U+2028."""
    text = "".join(json.dumps(value, ensure_ascii=escaped) + end for value, end in values)
    found = list(lines(io.BytesIO((text if ended else text.rstrip("\n")).encode())))
    assert [line.value() for line in found] == [value for value, _end in values]
    numbers = [1 + sum(end.count("\n") for _value, end in values[:place]) for place in range(len(values))]
    assert [line.number for line in found] == numbers


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b"hello", "not JSON (Expecting value"),
        (b'{"a": 1', "not JSON"),
        (b"\xff\xfe{", "not JSON"),
        (b"1" * 5000, "not JSON"),
        (b"[1]", "not a JSON object"),
        (b"[" * 100_000, "too many brackets"),
        (nested(MAX_DEPTH + 1).encode(), f"more than {MAX_DEPTH} brackets"),
        (b'{"a":' * MAX_DEPTH + b"[]" + b"}" * MAX_DEPTH, f"more than {MAX_DEPTH} brackets"),
        (b'"' + b"x" * 300_000 + b'"', "longer than 200,000 bytes"),
    ],
)
def test_a_bad_line_is_named_and_the_next_is_read(content, part):
    first, second = lines(io.BytesIO(b"\n" + content + b'\n{"good": 1}'), "talk.jsonl", max_bytes=200_000)
    with pytest.raises(PprError) as caught:
        first.record(hint="one line is {…}")
    assert caught.value.message.startswith("talk.jsonl, line 2: ") and part in caught.value.message
    assert caught.value.hint == "one line is {…}"
    assert second.record() == {"good": 1} and second.where == "talk.jsonl, line 3"


def test_what_is_just_within_the_bounds_is_read():
    (line,) = lines(io.BytesIO(nested(MAX_DEPTH).encode()))
    assert json.dumps(line.value()) == nested(MAX_DEPTH)
    wide = b"[" + b",".join([b"[]"] * 500) + b"]"
    (line,) = lines(io.BytesIO(wide + b"\r\n"), max_bytes=len(wide))
    assert line.value() == [[]] * 500
    (line,) = lines(io.BytesIO(wide + b"\r\n"), max_bytes=len(wide) - 1)
    with pytest.raises(PprError, match=r"^line 1: longer than"):
        line.value()


def test_a_line_is_given_before_the_next_one_is_asked_for():
    class Pipe(io.BytesIO):
        asked = 0

        def readline(self, size=-1):
            self.asked += 1
            return super().readline(size)

    pipe = Pipe(b"1\n2\n")
    assert next(lines(pipe)).value() == 1
    assert pipe.asked == 1


def test_records_of_a_file(tmp_path):
    path = tmp_path / "talk.jsonl"
    path.write_text('{"turn": "hello"}\n\n{"turn": "good day"}\n', encoding="utf-8")
    assert [record["turn"] for record in read_records(path)] == ["hello", "good day"]
    packed = tmp_path / "talk.jsonl.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert list(read_records(packed)) == list(read_records(path))
    path.write_text('{"turn": "hello"}\n3\n')
    with pytest.raises(PprError, match=r"talk\.jsonl, line 2: not a JSON object"):
        list(read_records(path))
    with pytest.raises(PprError, match=r"absent\.jsonl: cannot be read \(No such file"):
        list(read_records(tmp_path / "absent.jsonl"))


def test_a_log_that_was_cut_keeps_its_whole_lines(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert read_log(path) == []
    path.write_bytes(b'{"epoch": 1, "loss": NaN}\n[2]\n{"epoch": 2}\n{"epo')
    assert [record["epoch"] for record in read_log(path)] == [1, 2]
