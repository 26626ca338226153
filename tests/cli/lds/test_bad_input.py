"""What the commands say and return when a table, a graph, an option or a run cannot be used. No run is left behind then."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ...waiting import ctrl_c_after
from .conftest import QUICK, read_csv, records, write_csv

pytestmark = pytest.mark.usefixtures("undrawn")


def refused(answer, code: int, *parts: str) -> None:
    """The command ended with that code, said all that in at most three lines, and showed no result and no traceback."""
    assert answer.code == code, answer.err
    assert [part for part in parts if part not in answer.err] == [], answer.err
    assert answer.out == "" and "Traceback" not in answer.err
    assert answer.err.count("Error") == 1
    assert len(answer.err[answer.err.index("Error") :].splitlines()) <= 3


@pytest.fixture
def train(ppr, tmp_path):
    """`train(rows, *options)`: an answer, from a table of these records; the run is `tmp_path / "run"`."""

    def call(rows, *options):
        table = write_csv(tmp_path / "table.csv", rows) if isinstance(rows, list) else rows
        label = () if "--label" in options or not isinstance(rows, list) else ("--label", "diagnosis")
        return ppr("lds", "train", table, *label, *QUICK, "--no-baselines", "--out", tmp_path / "run", *options)

    return call


def changed(**columns) -> list[dict[str, object]]:
    """The sixty rows with some columns made anew: name=function of the row's number."""
    return [record | {name: make(row) for name, make in columns.items()} for row, record in enumerate(records())]


NOTED = [
    (changed(x=lambda row: "" if row < 3 else row % 7), "3 missing cells (x 3): a number is replaced by the column's median"),
    (
        changed(colour=lambda row: f"shade {row * 7919 % 997}"),
        "whose words are hashed, which blurs them: patient 60 texts, colour 60 texts",
    ),
    (changed(number=lambda row: row + 100), "all cells differ, as in a column of names or numbers of the rows"),
    (changed(number=lambda row: row + 100), "--drop patient,number?"),
    (records(), "column 'colour' alone predicts the label of 100.0% of the labelled rows"),
    (changed(x=lambda row: 5), "left out, constant: x"),
    (changed(z=lambda row: records()[row]["x"]), "left out, equal to an earlier column: z"),
    (changed(x=lambda row: "inf" if row == 4 else row % 7), "infinite numbers count as missing cells (x 1)"),
    (changed(z=lambda row: ""), "left out, without a single value: z"),
]


@pytest.mark.parametrize(("rows", "part"), NOTED, ids=[part[:30] for _rows, part in NOTED])
def test_what_is_done_to_odd_columns_is_said(train, rows, part):
    answer = train(rows)
    assert answer.code == 0, answer.err
    assert part in answer.err


def test_copies_are_noted_and_do_not_use_up_neighbours(train):
    rows = changed(patient=lambda row: "", x=lambda row: row % 10, y=lambda row: row % 4)
    answer = train(rows)
    assert answer.code == 0, answer.err
    assert "rows are copies of others in all columns; they are kept" in answer.err
    assert "rows are copies of others; they share the neighbours of the row they copy" in answer.err


def test_rows_without_direction_are_noted(ppr, tmp_path):
    import numpy as np

    features = np.random.default_rng(0).random((60, 4)) + 0.1
    features[8] = 0
    sparse = {
        "x_data": features.ravel(),
        "x_indices": np.tile(np.arange(4), 60),
        "x_indptr": np.arange(61) * 4,
        "x_shape": np.array([60, 4]),
    }
    np.savez(tmp_path / "t.npz", y=np.arange(60) % 2, **sparse)
    answer = ppr("lds", "train", tmp_path / "t.npz", *QUICK, "--metric", "cosine", "--no-baselines", "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    assert "1 rows are all 0 and have no direction" in answer.err


REFUSED = [
    (changed(diagnosis=lambda row: "rare" if row < 2 else "ill" if row % 2 else "well"), (), 1, ("class 'rare'", "--merge-rare")),
    (changed(diagnosis=lambda row: ""), (), 1, ("not one row has a label",)),
    (changed(diagnosis=lambda row: "ill"), (), 1, ("all labelled rows are of the class 'ill'",)),
    (changed(diagnosis=lambda row: row * 1.37), (), 1, ("a measurement, not a class", "put it into bins", "qcut")),
    (records(), ("--label", "diagnosi"), 2, ("--label diagnosi: the table has no such column", "did you mean 'diagnosis'?")),
    (records(), ("--label", "diagnosis", "--drop", "colr"), 2, ("--drop colr", "did you mean 'colour'?")),
    (records(), ("--id", "colour"), 1, ("2 ids come more than once", "ids must be unique")),
    (records(), ("--split-col", "colour"), 1, ("is no part of a split",)),
    (records(), ("--k", "0"), 2, ("--k", "0 is not in the range x>=1")),
    (records(), ("--k", "60"), 2, ("k = 60: there are only 60 distinct rows", "--k 10")),
    (records(), ("--k", "3,x"), 2, ("'3,x' is not a list of numbers",)),
    (records(), ("--metric", "manhattan"), 2, ("--metric", "'manhattan' is none of cosine, euclidean")),
    (records(), ("--tau", "0"), 2, ("--tau", "0 is not in the range x>=1")),
    (records(), ("--candidates", "some"), 2, ("'some' is neither all, auto nor a number",)),
    (records(), ("--budget", "soon"), 2, ("'soon' is not a number with a unit, such as 90s, 10m",)),
    (records(), ("--train", "20"), 2, ("--val is missing",)),
    (records(), ("--train", "50", "--val", "10", "--es", "10"), 2, ("ask for 117% of the 60 labelled rows",)),
    (records(), ("--keep-edges", "0.5"), 2, ("there is no graph to keep edges of", "--graph")),
    (records(), ("--keep-edges", "0"), 2, ("--keep-edges",)),
    (records(), ("--graph", "absent.csv"), 1, ("absent.csv: cannot be read",)),
    (records(), ("--graph", "graph.gml"), 2, ("not a graph of a known kind",)),
    (records(), ("--set", "outer_iteration=3"), 2, ("did you mean 'outer_iterations'?",)),
    (records(), ("--set", "engine=dense", "--candidates", "5"), 2, ("engine=dense learns all pairs",)),
    (records(), ("--device", "gpu"), 2, ("gpu",)),
    ("absent.csv", ("--label", "y"), 1, ("absent.csv: cannot be read (No such file",)),
    ("wien", (), 2, ("wien: no such file or data set", "did you mean 'wine'?")),
    ("wine", ("--label", "class"), 2, ("--label class: wine has its labels and rows fixed",)),
    ("cora", (), 1, ("cora: this data set is not on this machine",)),
]


@pytest.mark.parametrize(("rows", "options", "code", "parts"), REFUSED, ids=[" ".join(parts)[:40] for *_rest, parts in REFUSED])
def test_a_wrong_training_is_refused_before_a_run_is_made(train, tmp_path, monkeypatch, rows, options, code, parts):
    monkeypatch.chdir(tmp_path)
    refused(train(rows, *options), code, *parts)
    assert not (tmp_path / "run").exists()


def test_rare_classes_can_be_merged(train):
    rows = changed(diagnosis=lambda row: f"rare {row}" if row < 4 else "ill" if row % 2 else "well")
    answer = train(rows, "--merge-rare")
    assert answer.code == 0, answer.err
    assert "4 classes with fewer than 3 rows are one class now" in answer.err


def test_without_a_label_or_a_table_the_choice_is_shown(ppr, tmp_path, patients):
    refused(ppr("lds", "train", patients, "--out", tmp_path / "run"), 2, "--label is missing", "patient, x, y, colour, diagnosis")
    refused(ppr("lds", "train", "--out", tmp_path / "run"), 2, "no table", "wine")
    refused(ppr("lds", "train", patients, "--label", "diagnosis"), 2, "give --out for a new run, or --resume")
    answer = ppr("lds", "repair", patients, "--features", patients, "--out", tmp_path / "run")
    refused(answer, 2, "the table is given twice")
    assert not (tmp_path / "run").exists()


def test_too_many_pairs_for_the_memory(train, tmp_path, monkeypatch):
    from ppr.methods.lds.learning import start

    monkeypatch.setattr(start, "available_memory", lambda: 1e5)
    refused(train(records(), "--candidates", "all"), 1, "all candidates of 60 rows need about", "--candidates 3")
    assert not (tmp_path / "run").exists()


def test_a_hypergradient_that_is_not_finite_stops_and_says_where(train, tmp_path, monkeypatch):
    from ppr.methods.lds.learning import theta

    genuine, calls = theta.AllPairs.descend, []

    def spoilt(self, factors, rate):
        calls.append(1)
        if len(calls) == 6:
            factors._degree[0][3] = float("nan")
        genuine(self, factors, rate)

    monkeypatch.setattr(theta.AllPairs, "descend", spoilt)
    answer = train(records())
    assert answer.code == 1
    assert "not finite at outer step 6 (outer iteration 2)" in answer.err and "--outer-lr" in answer.err
    assert (tmp_path / "run/resume.pt").is_file()


@pytest.mark.parametrize(
    ("lines", "code", "parts"),
    [
        (["source,target", "p00,nobody", "x1,p01"], 1, ("2 ids that the table has not: nobody, x1", "--id names the column")),
        (["source,target,weight", "p00,p01,2"], 1, ("the edge p00 - p01 has weight 2", "weights are in (0, 1]")),
        (["from,to", "p00,p01"], 1, ("no column 'source'",)),
    ],
)
def test_a_graph_that_does_not_fit(train, tmp_path, lines, code, parts):
    (tmp_path / "g.csv").write_text("\n".join(lines) + "\n")
    refused(train(records(), "--id", "patient", "--graph", tmp_path / "g.csv"), code, *parts)
    assert not (tmp_path / "run").exists()


def test_a_directed_weighted_graph_with_loops_copies_and_isolated_rows_is_taken(train, tmp_path):
    (tmp_path / "g.csv").write_text("source,target,weight\np00,p02,0.5\np02,p00,0.25\np01,p01,1\np01,p03,1\n")
    answer = train(records(), "--id", "patient", "--graph", tmp_path / "g.csv")
    assert answer.code == 0, answer.err
    for part in ("1 edges of the graph join a row to itself", "1 edges of the graph are other directions", "56 rows have no edge"):
        assert part in answer.err


def test_a_run_that_is_there_is_not_touched(ppr, tmp_path, patients, train):
    assert train(records()).code == 0
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()}
    refused(train(records()), 2, "holds an earlier run", "--resume", "--overwrite")
    assert {path.name: path.stat().st_mtime_ns for path in (tmp_path / "run").iterdir()} == before
    refused(ppr("lds", "train", "--resume", tmp_path / "run", "--k", "3"), 2, "--resume goes on with the run's own configuration")
    assert train(records(), "--overwrite").code == 0


@pytest.mark.parametrize("verb", [("infer",), ("evaluate",), ("explain", "--row", "1"), ("graph",), ("export",)])
def test_what_is_no_run(ppr, tmp_path, monkeypatch, verb):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("text.safetensors").write_text("not a checkpoint")
    refused(ppr("lds", verb[0], "absent", *verb[1:]), 2, "absent: no such file or model", "train --out")
    refused(ppr("lds", verb[0], "empty", *verb[1:]), 2, "empty: not a run directory")
    refused(ppr("lds", verb[0], "text.safetensors", *verb[1:]), 1, "text.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"empty", "text.safetensors"}


def test_resuming_what_is_no_run(ppr, tmp_path):
    refused(ppr("lds", "train", "--resume", tmp_path / "absent"), 2, "not a run directory")


def test_an_unknown_row_is_answered_with_the_nearest(ppr, trained):
    refused(ppr("lds", "explain", trained, "--row", "p7"), 2, "p7: no row of that id", "did you mean 'p")
    refused(ppr("lds", "explain", trained, "--row", "?"), 2, "ids are p00 to p59")


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ("", ("standard input: an empty file",)),
        ("x,y,colour\n", ("a header without rows",)),
        ("x,y\n1,2\n", ("lacks the columns 'colour'",)),
        ("x,y,colour\n1,tall,red\n", ("column 'y', row 0: 'tall' is not a number",)),
        ("x,y,colour\n1,2\n", ("line 2 has 2 cells, the header has 3",)),
    ],
)
def test_new_rows_that_cannot_be_used(ppr, monkeypatch, trained, content, parts):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))
    refused(ppr("lds", "infer", trained, "-"), 1, *parts)


def test_options_of_infer_that_say_nothing_are_refused(ppr, tmp_path, trained, patients):
    refused(ppr("lds", "infer", trained, patients, "--unlabelled-only"), 2, "--unlabelled-only: is for predictions without ROWS")
    refused(ppr("lds", "infer", trained, "--neighbours"), 2, "--neighbours: is for predictions with ROWS")
    refused(ppr("lds", "infer", trained, "--id", "patient"), 2, "--id: is for predictions with ROWS")
    refused(ppr("lds", "infer", trained, patients, "--id", "name"), 2, "--id name: the table has no such column")
    (tmp_path / "there.csv").write_text("old")
    refused(ppr("lds", "infer", trained, patients, "-o", tmp_path / "there.csv"), 2, "exists already")
    assert (tmp_path / "there.csv").read_text() == "old"


def test_other_programs_graph_suffixes_are_answered_with_the_known_ones(ppr, tmp_path, trained):
    answer = ppr("lds", "graph", trained, "-o", tmp_path / "graph.dot")
    refused(answer, 2, "'.dot' is no suffix of a graph format", ".graphml", ".gexf", ".pt")
    refused(ppr("lds", "graph", trained, "--threshold", "1.5"), 2, "--threshold")
    refused(ppr("lds", "bench", "wine"), 1, "wine: has no graph to time")


def command(*arguments: str | Path) -> list[str]:
    return [sys.executable, "-m", "ppr.cli.main", "lds", *map(str, arguments)]


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error(tmp_path, trained):
    """Five thousand predictions into a pipe whose reader takes one line."""
    many = write_csv(tmp_path / "many.csv", records(5000, seed=3))
    process = subprocess.Popen(command("infer", trained, many, "--jsonl"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    first = json.loads(process.stdout.readline())
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    assert process.wait(timeout=300) == 0, err
    assert first["id"] == "0" and "Traceback" not in err and "Broken" not in err


@pytest.mark.slow
def test_ctrl_c_ends_with_130_and_the_run_goes_on_to_what_it_would_have_been(ppr, tmp_path, patients):
    settings = ("--label", "diagnosis", *QUICK, "--set", "outer_iterations=12", "--set", "outer_patience=12", "--no-baselines")
    run, whole = tmp_path / "run", tmp_path / "whole"
    with ctrl_c_after((run / "metrics.jsonl").exists):
        stopped = ppr("lds", "train", patients, *settings, "--out", run)
    assert stopped.code == 130, stopped.err
    assert "Traceback" not in stopped.err
    assert not (run / "best.safetensors").exists() and (run / "resume.pt").is_file()
    assert ppr("lds", "train", "--resume", run).code == 0
    assert ppr("lds", "train", patients, *settings, "--out", whole).code == 0
    from safetensors.numpy import load_file

    found, expected = (load_file(folder / "best.safetensors") for folder in (run, whole))
    assert {name: array.tobytes() for name, array in found.items()} == {name: array.tobytes() for name, array in expected.items()}
    assert read_csv(run / "predictions.csv") == read_csv(whole / "predictions.csv")


def test_the_printed_configuration_is_accepted(ppr, tmp_path):
    import yaml

    from ppr.methods.lds.config import TrainConfig

    text = ppr("lds", "config").out
    assert TrainConfig(**yaml.safe_load(text)) == TrainConfig()
    (tmp_path / "c.yaml").write_text(text)
    answer = ppr("lds", "train", "--config", tmp_path / "c.yaml", *QUICK, "--no-baselines", "--out", tmp_path / "run")
    assert answer.code == 0, answer.err
    (described,) = ppr("info", tmp_path / "run", "--json").records
    assert described["config"]["data"] == "wine"
