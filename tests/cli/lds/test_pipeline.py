"""From a table to predictions, reasons, graphs and an exported network, through the command line."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from .conftest import QUICK, read_csv, records, write_csv

FILES = {
    "best.safetensors",
    "config.yaml",
    "curves.png",
    "edges.csv",
    "graph.graphml",
    "graph.npz",
    "graph.png",
    "metrics.jsonl",
    "predictions.csv",
    "pyg_data.pt",
    "report.json",
    "resume.pt",
    "theta_hist.png",
}


pytestmark = pytest.mark.usefixtures("undrawn")


def lines_of_json(text: str) -> list[dict[str, object]]:
    """Every line is a JSON object that any reader takes: no NaN."""
    found = [json.loads(line, parse_constant=pytest.fail) for line in text.splitlines()]
    assert all(isinstance(record, dict) for record in found)
    return found


def stdin(monkeypatch, content: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content.encode())))


@pytest.mark.slow
def test_a_table_with_labels_is_trained_scored_and_leaves_everything_behind(ppr, tmp_path, patients):
    run = tmp_path / "run"
    answer = ppr("lds", "train", patients, "--label", "diagnosis", "--id", "patient", *QUICK, "--out", run)
    assert answer.code == 0, answer.err
    assert answer.out.splitlines()[-1] == str(run / "best.safetensors")
    assert "logistic-regression" in answer.out and "lds" in answer.out
    assert "LDS is " in answer.err
    assert {path.name for path in run.iterdir() if not path.name.startswith(".")} == FILES

    predictions = read_csv(run / "predictions.csv")
    assert [row["id"] for row in predictions] == [f"p{row:02d}" for row in range(60)]
    assert all(abs(float(row["p(ill)"]) + float(row["p(well)"]) - 1) < 1e-4 for row in predictions)
    report = json.loads((run / "report.json").read_text())
    tested = [row for row in predictions if row["split"] == "test"]
    accuracy = sum(row["correct"] == "True" for row in tested) / len(tested)
    assert report["methods"]["lds"]["accuracy"] == pytest.approx(100 * accuracy)

    import networkx
    import torch

    graph, table = networkx.read_graphml(run / "graph.graphml"), read_csv(run / "edges.csv")
    assert graph.number_of_edges() == len(table) > 0
    data = torch.load(run / "pyg_data.pt", weights_only=True)
    assert data["edge_index"].shape[1] == 2 * len(table) and data["x"].shape == (60, 4)
    assert int(data["test_mask"].sum()) == len(tested)


@pytest.mark.slow
def test_json_is_json_on_every_line(ppr, tmp_path, patients):
    no_test_rows = ("--set", "train=0.5", "--set", "val=0.25", "--set", "es=0.25")
    for number, extra in enumerate(((), no_test_rows, ("--outer-lr", "0", "--no-baselines"))):
        answer = ppr("lds", "train", patients, "--label", "diagnosis", *QUICK, *extra, "--json", "--out", tmp_path / f"run{number}")
        assert answer.code == 0, answer.err
        found = lines_of_json(answer.out)
        assert found[0]["epoch"] == 1 and "methods" in found[-2]
        assert found[-1] == {"checkpoint": str(tmp_path / f"run{number}" / "best.safetensors")}


def test_rows_without_a_label_are_predicted(ppr, tmp_path, some_unlabelled):
    run = tmp_path / "run"
    answer = ppr(
        "lds", "train", some_unlabelled, "--label", "diagnosis", "--id", "patient", *QUICK, "--set", "inner_steps=80", "--out", run
    )
    assert answer.code == 0, answer.err
    assert "there are no test rows" in answer.err
    missing = ppr("lds", "infer", run, "--unlabelled-only", "--jsonl").records
    assert [row["id"] for row in missing] == [f"p{row:02d}" for row in range(50, 60)]
    right = [record["diagnosis"] for record in records()[50:]]
    assert sum(row["predicted"] == label for row, label in zip(missing, right, strict=True)) >= 9
    assert all(row["label"] is None and row["correct"] is None for row in missing)
    refused = ppr("lds", "evaluate", run)
    assert (refused.code, refused.out) == (1, "")
    assert "had no test rows" in refused.err


def test_a_table_from_standard_input(ppr, tmp_path, monkeypatch, patients):
    stdin(monkeypatch, patients.read_text())
    answer = ppr("lds", "train", "-", "--label", "diagnosis", *QUICK, "--no-baselines", "--out", tmp_path / "run")
    assert answer.code == 0, answer.err


def test_parquet_and_npz_tables(ppr, tmp_path, patients):
    pytest.importorskip("pyarrow")
    import pandas as pd

    frame = pd.read_csv(patients)
    frame.to_parquet(tmp_path / "patients.parquet")
    common = (*QUICK, "--no-baselines")
    answer = ppr("lds", "train", tmp_path / "patients.parquet", "--label", "diagnosis", *common, "--out", tmp_path / "p")
    assert answer.code == 0, answer.err
    labels = (frame["diagnosis"] == "ill").to_numpy(np.int64)
    np.savez(tmp_path / "t.npz", x=frame[["x", "y"]].to_numpy(np.float32), y=labels)
    answer = ppr("lds", "train", tmp_path / "t.npz", *common, "--out", tmp_path / "n")
    assert answer.code == 0, answer.err
    np.savez(tmp_path / "new.npz", x=frame[["x", "y"]].to_numpy(np.float32)[:3], ids=np.array(["a", "b", "c"]))
    found = ppr("lds", "infer", tmp_path / "n", tmp_path / "new.npz", "--jsonl")
    assert found.code == 0, found.err
    assert [row["id"] for row in found.records] == ["a", "b", "c"]


@pytest.mark.slow
def test_evaluate_prints_the_scores_of_the_report(ppr, trained):
    answer = ppr("lds", "evaluate", trained, "--json")
    (summary,) = lines_of_json(answer.out)
    assert (summary["methods"].keys(), answer.err) == ({"lds"}, "")
    report = json.loads((trained / "report.json").read_text())
    assert summary["methods"]["lds"] == pytest.approx(report["methods"]["lds"])
    assert ppr("lds", "evaluate", trained / "best.safetensors", "--json").out == answer.out
    shown = ppr("lds", "evaluate", trained, "--baselines")
    assert shown.code == 0 and "random-forest" in shown.out and "LDS is " in shown.err


def new_rows(path: Path, **extra: str) -> Path:
    """Two clear cases with names of their own."""
    rows = [{"name": "n1", "x": 0, "y": 0, "colour": "red"}, {"name": "n2", "x": 3, "y": 3, "colour": "blue"}]
    return write_csv(path, [row | extra for row in rows])


@pytest.mark.slow
def test_the_baselines_of_a_table_without_a_training(ppr, patients):
    given = ("lds", "evaluate", patients, "--label", "diagnosis", "--id", "patient")
    answer = ppr(*given, "--baselines", "--seeds", "2", "--json")
    assert answer.code == 0, answer.err
    (summary,) = lines_of_json(answer.out)
    assert "lds" not in summary["methods"] and "knn-gcn" in summary["methods"]
    assert [one["seed"] for one in summary["seeds"]] == [1, 2]
    best = max(summary["methods"], key=lambda name: summary["methods"][name]["accuracy"])
    assert summary["verdict"] == f"{best} is the best baseline"
    refused = ppr(*given)
    assert refused.code == 2 and "a table, not a run" in refused.err


def test_new_rows_from_a_file_and_from_a_pipe_are_the_same(ppr, tmp_path, monkeypatch, trained):
    new = new_rows(tmp_path / "new.csv")
    answer = ppr("lds", "infer", trained, new, "--id", "name", "--jsonl")
    assert answer.code == 0, answer.err
    found = lines_of_json(answer.out)
    assert [(row["id"], row["predicted"]) for row in found] == [("n1", "ill"), ("n2", "well")]
    stdin(monkeypatch, new.read_text())
    assert ppr("lds", "infer", trained, "-", "--id", "name", "--jsonl").out == answer.out
    out = ppr("lds", "infer", trained, new, "--id", "name", "-o", tmp_path / "found.csv")
    assert out.out.strip() == str(tmp_path / "found.csv")
    written = read_csv(tmp_path / "found.csv")
    assert [(row["id"], row["predicted"]) for row in written] == [("n1", "ill"), ("n2", "well")]
    assert list(written[0]) == ["id", "predicted", "confidence", "p(ill)", "p(well)"]
    shown = ppr("lds", "infer", trained, new)
    assert [line.split()[:2] for line in shown.out.splitlines()[3:5]] == [["0", "ill"], ["1", "well"]]


def test_labels_beside_new_rows_are_not_looked_at(ppr, tmp_path, trained):
    plain = ppr("lds", "infer", trained, new_rows(tmp_path / "a.csv"), "--jsonl")
    wrong = ppr("lds", "infer", trained, new_rows(tmp_path / "b.csv", diagnosis="neither", patient="p00"), "--jsonl")
    assert plain.code == wrong.code == 0
    assert plain.out == wrong.out


def test_the_neighbours_of_new_rows(ppr, tmp_path, trained):
    new = new_rows(tmp_path / "new.csv")
    for row in ppr("lds", "infer", trained, new, "--neighbours", "--jsonl").records:
        assert len(row["neighbours"]) == 3
        assert all(0 <= pair["prob"] <= 1 and pair["id"].startswith("p") for pair in row["neighbours"])
    ppr("lds", "infer", trained, new, "--neighbours", "-o", tmp_path / "n.csv")
    assert [len(row["neighbours"].split()) for row in read_csv(tmp_path / "n.csv")] == [3, 3]


def test_a_value_that_the_table_had_not_is_pointed_out(ppr, tmp_path, trained):
    answer = ppr("lds", "infer", trained, new_rows(tmp_path / "new.csv", colour="green"), "--jsonl")
    assert answer.code == 0
    assert "column 'colour' has values that the training table had not: green" in answer.err


def test_the_rows_of_the_training_again(ppr, tmp_path, trained):
    found = ppr("lds", "infer", trained, "--seed", "1", "--jsonl").records
    written = read_csv(trained / "predictions.csv")
    assert [(row["id"], row["predicted"], str(row["p(ill)"])) for row in found] == [
        (row["id"], row["predicted"], row["p(ill)"]) for row in written
    ]
    none = ppr("lds", "infer", trained, "--unlabelled-only", "-o", tmp_path / "none.csv")
    assert none.code == 0 and "all rows of the table have a label" in none.err
    header = "id,predicted,confidence,p(ill),p(well),split,label,correct\n"
    assert (tmp_path / "none.csv").read_text() == header


def test_explain_tells_the_neighbours_of_a_row(ppr, trained):
    (found,) = lines_of_json(ppr("lds", "explain", trained, "--row", "p07", "--json").out)
    assert (found["row"], found["label"]) == ("p07", "well")
    assert sum(found["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert {pair["status"] for pair in found["neighbours"]} <= {"added", "removed", "weakened", "kept"}
    assert len(found["neighbours"]) == min(20, found["pairs"])
    shown = ppr("lds", "explain", trained, "--row", "p07", "--most", "2")
    assert "row p07: predicted" in shown.err and len(shown.out.strip().splitlines()) == 4


@pytest.mark.parametrize("format", ["graphml", "gexf", "npz", "csv", "pyg", "json"])
def test_the_graph_in_each_format(ppr, tmp_path, monkeypatch, trained, format):
    monkeypatch.chdir(tmp_path)
    answer = ppr("lds", "graph", trained, "--threshold", "0.3", "--format", format)
    assert answer.code == 0, answer.err
    written = Path(answer.out.strip())
    assert written.stem == "graph" and written.stat().st_size
    (record,) = lines_of_json(ppr("lds", "graph", trained, "--threshold", "0.3", "-o", "again" + written.suffix, "--json").out)
    with np.load(trained / "graph.npz") as arrays:
        assert record["edges"] == (arrays["prob"] >= 0.3).sum()
    assert Path(record["path"]).stat().st_size == written.stat().st_size
    again = ppr("lds", "graph", trained, "--format", format)
    assert again.code == 2 and "exists already" in again.err


def test_a_threshold_that_no_edge_reaches_says_so(ppr, tmp_path, trained):
    from dataclasses import replace

    from ppr.methods.common.reading.pairs import PairGraph
    from ppr.methods.lds.learning.model import LdsModel

    model = LdsModel.load(trained)
    graph = PairGraph(model.graph.nodes, model.graph.first, model.graph.second, model.graph.prob * np.float32(0.5))
    replace(model, graph=graph).save(tmp_path / "faint.safetensors")
    answer = ppr("lds", "graph", tmp_path / "faint.safetensors", "--threshold", "0.6", "-o", tmp_path / "g.csv", "--json")
    (record,) = lines_of_json(answer.out)
    assert (record["edges"], record["homophily"]) == (0, None)
    assert "the file has nodes alone" in answer.err


@pytest.mark.parametrize(("form", "format"), [("edges", "onnx"), ("dense", "onnx"), ("edges", "torchscript")])
def test_the_exported_network_predicts_what_explain_does(ppr, tmp_path, trained, form, format):
    path = tmp_path / f"lds{'.onnx' if format == 'onnx' else '.pt'}"
    answer = ppr("lds", "export", trained, "--form", form, "--format", format, "-o", path, "--json")
    assert answer.code == 0, answer.err
    (record,) = lines_of_json(answer.out)
    assert record["parity"]["max_difference"] < 1e-5
    if format != "onnx":
        return
    import onnxruntime

    from ppr.methods.lds.learning.model import LdsModel

    model = LdsModel.load(trained)
    inputs = {"features": model.features}
    if form == "edges":
        inputs |= {"edge_index": np.stack([model.graph.first, model.graph.second]), "edge_prob": model.graph.prob}
    else:
        inputs["adjacency"] = np.zeros((60, 60), np.float32)
        inputs["adjacency"][model.graph.first, model.graph.second] = model.graph.prob
        inputs["adjacency"] += inputs["adjacency"].T
    (found,) = onnxruntime.InferenceSession(path).run(None, inputs)
    (explained,) = ppr("lds", "explain", trained, "--row", "p07", "--json").records
    np.testing.assert_allclose(found[7], list(explained["probabilities"].values()), atol=1e-4)
    described = ppr("info", path, "--json").records[0]
    assert described["metadata"]["method"] == "lds" and described["metadata"]["classes"] == ["ill", "well"]


def test_repair_says_what_became_of_the_edges(ppr, tmp_path, patients, edges):
    run = tmp_path / "run"
    common = ("--label", "diagnosis", "--id", "patient", "--graph", edges, *QUICK, "--no-baselines")
    answer = ppr("lds", "repair", "--features", patients, *common, "--json", "--out", run)
    assert answer.code == 0, answer.err
    found = lines_of_json(answer.out)
    assert found[-1] == {"checkpoint": str(run / "best.safetensors")}
    (counts,) = [record for record in found if "homophily_before" in record]
    assert counts["kept"] + counts["removed"] == 61
    assert counts["homophily_before"] == pytest.approx(58 / 61)
    changed = read_csv(run / "changes.csv")
    for status in ("kept", "added", "removed"):
        assert sum(row["status"] == status for row in changed) == counts[status]
    again = ppr("lds", "repair", patients, *common, "--keep-edges", "0.5", "--overwrite", "--out", run)
    assert again.code == 0, again.err
    assert again.out.splitlines()[-1] == str(run / "best.safetensors")
    assert sum(row["status"] != "added" for row in read_csv(run / "changes.csv")) < 50


@pytest.mark.slow
def test_several_seeds_are_averaged_and_the_best_is_kept(ppr, tmp_path, patients):
    run = tmp_path / "run"
    common = ("lds", "train", patients, "--label", "diagnosis", *QUICK, "--no-baselines")
    answer = ppr(*common, "--seeds", "2", "--out", run)
    assert answer.code == 0, answer.err
    report = json.loads((run / "report.json").read_text())
    assert [one["seed"] for one in report["seeds"]] == [1, 2]
    (summary,) = ppr("lds", "evaluate", run, "--json").records
    accuracies = [one["scores"]["lds"]["accuracy"] for one in summary["seeds"]]
    assert summary["methods"]["lds"]["accuracy"] == pytest.approx(100 * np.mean(accuracies))
    assert summary["methods"]["lds"]["std"] == pytest.approx(100 * np.std(accuracies))
    assert FILES - {"curves.png", "metrics.jsonl", "resume.pt"} <= {path.name for path in run.iterdir()}
    assert "std" in ppr("lds", "evaluate", run).out

    # A finished run goes on to the same report without training; one with fewer seeds does not count those of before.
    before = (run / "seed-2/best.safetensors").stat().st_mtime_ns
    assert ppr("lds", "train", "--resume", run).code == 0
    assert (run / "seed-2/best.safetensors").stat().st_mtime_ns == before
    assert ppr(*common, "--overwrite", "--out", run).code == 0
    assert len(ppr("lds", "evaluate", run, "--json").records[0]["seeds"]) == 1


def test_a_run_can_be_described(ppr, trained):
    (described,) = ppr("info", trained / "best.safetensors", "--json").records
    assert (described["method"], described["arch"]) == ("lds", "gcn")
    assert described["data"]["rows"] == 60
    assert "es_accuracy" in described["metrics"]
    (folder,) = ppr("info", trained, "--json").records
    assert folder["epochs_done"] == 2 and folder["config"]["label"] == "diagnosis"
