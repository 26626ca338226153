"""What a training writes down of its learners."""

from __future__ import annotations

import json
import time

import pytest

from ppr.methods.codedmarl.codes.construction import build
from ppr.methods.codedmarl.learners.journal import Journal, read_members
from ppr.methods.codedmarl.learners.local import LocalEngine

from ..toy import arrays
from .controlled import AGENTS, controlled, right

pytestmark = pytest.mark.usefixtures("importable")


def test_what_is_written_down(tmp_path):
    code = build("balanced", 6, AGENTS, tolerance=2, field="gf256")
    late = dict.fromkeys(range(6), 1.0)  # so that those with another fault come first, however busy the machine is
    faults = {1: late | {0: 20.0, 1: "kill"}, 2: late | {2: "corrupt"}}
    with controlled(code, faults, engine=LocalEngine(spares=1), folder=tmp_path) as controller:
        for iteration in range(5):
            assert right(controller.iterate(iteration, arrays()), iteration)
            controller.journal.flush()
            time.sleep(0.05)
        record = read_members(tmp_path)
        assert record is not None
        assert {one["pid"] for one in record["learners"]} == {member.pid for member in controller.engine.members()}
        assert sorted(one["learner"] for one in record["learners"] if one["learner"] is not None) == list(range(6))
        controller.journal.close()
    assert not (tmp_path / "learners.json").exists()
    lines = (tmp_path / "shares.csv").read_text().splitlines()
    rows = [dict(zip(lines[0].split(","), line.split(","), strict=True)) for line in lines[1:]]
    outcomes = {(row["iteration"], row["learner"]): row for row in rows}
    assert outcomes["1", "0"]["outcome"] == "abandoned"
    assert float(outcomes["1", "0"]["delay"]) == 20
    assert outcomes["1", "1"]["outcome"] == "lost"
    assert outcomes["2", "2"]["outcome"] == "corrupt"
    assert all(int(row["weight"]) == code.weights[int(row["learner"])] for row in rows)
    used = [row for row in rows if row["outcome"] == "used"]
    assert all(0 < float(row["first"]) <= float(row["seconds"]) for row in used)
    assert all(0 <= float(row["submitted"]) < float(row["received"]) for row in used)
    kinds = [json.loads(line)["event"] for line in (tmp_path / "events.jsonl").read_text().splitlines()]
    assert kinds.count("lost") == kinds.count("back") == 1
    parquet = pytest.importorskip("pyarrow.parquet")
    assert parquet.read_table(tmp_path / "shares.parquet").num_rows == len(rows)


def test_a_journal_that_goes_on_forgets_what_was_written_too_much(tmp_path):
    (tmp_path / "shares.csv").write_text("wrong,header\n0,1,a\n4,1,b\n5,1,c\n6,1")
    (tmp_path / "events.jsonl").write_text('{"iteration": 4, "event": "x"}\n{"iteration": 5, "event": "y"}\n{"iter')
    Journal(tmp_path, start=5)
    assert [line.split(",")[0] for line in (tmp_path / "shares.csv").read_text().splitlines()] == ["iteration", "0", "4"]
    assert (tmp_path / "events.jsonl").read_text() == '{"iteration": 4, "event": "x"}\n'
