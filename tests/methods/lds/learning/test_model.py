"""A trained model as a file: it comes back as it was, and damage is noticed when it is read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse
import torch

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.pairs import PairGraph
from ppr.methods.common.reading.tables.encoder import TableEncoder
from ppr.methods.common.running.checkpoint import load_checkpoint, save_checkpoint
from ppr.methods.lds.learning.model import LdsModel
from ppr.methods.lds.tables.splits import PARTS, stratified_split
from ppr.methods.lds.train import train_on

from ..conftest import clusters, quick


def equal(one: LdsModel, other: LdsModel) -> bool:
    graphs = [
        np.array_equal(getattr(getattr(one, name), part), getattr(getattr(other, name), part))
        for name in ("graph", "start")
        for part in ("first", "second", "prob")
    ]
    dense = [m.features.toarray() if scipy.sparse.issparse(m.features) else m.features for m in (one, other)]
    return (
        all(graphs)
        and np.array_equal(*dense)
        and (one.ids, one.classes, one.encoder) == (other.ids, other.classes, other.encoder)
        and replace(one.meta, version="") == replace(other.meta, version="")
        and np.array_equal(one.labels, other.labels)
        and all(np.array_equal(getattr(one.split, part), getattr(other.split, part)) for part in PARTS)
        and all(torch.equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))
    )


def sparse_model(run) -> LdsModel:
    """Bags of words with names that are not ASCII, an unlabelled row and a row without words."""
    table = clusters(30, 6)
    words = np.maximum(table.features, 0).round()
    words[4] = 0
    bags = scipy.sparse.csr_matrix(words)
    encoder = TableEncoder((), 6, "rows")
    labels = table.labels.copy()
    labels[7] = -1
    ids = [f"zeile-ä{row}" for row in range(30)]
    table = replace(table, ids=ids, features=encoder.transform(bags), labels=labels, encoder=encoder)
    return train_on(table, stratified_split(labels, seed=1, ids=ids), quick(metric=["cosine"]), run)


def test_a_model_comes_back_as_it_was(model, tmp_path):
    loaded = LdsModel.load(model.save(tmp_path / "best.safetensors"))
    assert equal(loaded, model)
    np.testing.assert_array_equal(loaded.probabilities(seed=3), model.probabilities(seed=3))
    assert equal(LdsModel.load(tmp_path), model)


def test_sparse_features_stay_sparse_and_unlabelled_rows_unlabelled(run):
    model = sparse_model(run)
    loaded = LdsModel.load(run.best)
    assert equal(loaded, model)
    assert scipy.sparse.issparse(loaded.features) and loaded.labels[7] == -1
    probabilities = loaded.probabilities()
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-5)
    assert probabilities.shape == (30, 3) and probabilities.dtype == np.float32


def test_the_table_of_a_model_has_the_graph_where_it_was_given(model, run):
    assert model.table().graph is None and model.choice["k"] == 3
    table = replace(clusters(), graph=PairGraph.build(48, [0, 1, 2], [3, 4, 5], [1, 0.5, 1]))
    given = train_on(table, stratified_split(table.labels, seed=1, ids=table.ids), quick(), run)
    assert "k" not in given.choice
    assert given.table().graph.prob.tolist() == [1, 0.5, 1]
    assert given.meta.data["sha256"] == model.meta.data["sha256"]  # the same ids and labels


def test_rows_are_found_by_name(model):
    assert model.row("r17") == 17
    with pytest.raises(UsageError, match="r177: no row of that id") as caught:
        model.row("r177")
    assert caught.value.hint == "did you mean 'r17'?"
    with pytest.raises(UsageError) as caught:
        model.row("?")
    assert caught.value.hint == "ids are r0 to r47"


def test_predictions_are_means_over_samples_and_the_seed_fixes_them(model):
    one, again, other = (model.probabilities(seed=seed) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert (one != other).any()
    more = replace(model, meta=replace(model.meta, config=model.meta.config | {"samples": 400}))
    assert np.abs(more.probabilities(seed=0) - more.probabilities(seed=1)).max() < np.abs(one - other).max()


def drop(name):
    return lambda state, meta: (state.pop(name), meta)[1]


def put(name, change):
    def damage(state, meta):
        state[name] = change(state[name])
        return meta

    return damage


def note(name, text):
    return lambda _state, meta: replace(meta, notes=meta.notes | {name: text})


DAMAGES = {
    "no weights": drop("second_layer"),
    "no graph": drop("graph.prob"),
    "no features": drop("features"),
    "fewer rows": put("features", lambda value: value[:-1].clone()),
    "other width": put("first_layer", lambda value: value[:-1].clone()),
    "other classes": put("second_layer", lambda value: value[:, :-1].clone()),
    "flat weights": put("first_layer", lambda value: value.flatten()),
    "a label without class": put("labels", lambda value: value + 9),
    "a pair outside": put("graph.second", lambda value: value + 100),
    "a probability above 1": put("graph.prob", lambda value: value + 1),
    "a row outside": put("split.test", lambda value: value + 100),
    "a row twice": lambda state, meta: (state.update({"split.val": state["split.train"].clone()}), meta)[1],
    "ids are no JSON": put("ids", lambda value: value[1:].clone()),
    "classes are no JSON": note("classes", "["),
    "no encoder": note("encoder", "{}"),
    "no choice": note("choice", "3"),
    "no notes": lambda _state, meta: replace(meta, notes={}),
    "no number of samples": lambda _state, meta: replace(meta, config={}),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_refused_in_one_line(model, tmp_path, name):
    path = model.save(tmp_path / "best.safetensors")
    checkpoint = load_checkpoint(path, method="lds")
    state = dict(checkpoint.state)
    meta = DAMAGES[name](state, checkpoint.meta)
    save_checkpoint(path, state, meta)
    with pytest.raises(PprError, match=r"best\.safetensors: damaged checkpoint") as caught:
        LdsModel.load(path)
    assert "\n" not in caught.value.message


def test_what_is_no_model_is_refused(tmp_path, model):
    with pytest.raises(UsageError, match="no such file or model"):
        LdsModel.load(tmp_path / "absent")
    with pytest.raises(UsageError, match="not a run directory"):
        LdsModel.load(tmp_path)
    (tmp_path / "best.safetensors").write_bytes(b"\0" * 40)
    with pytest.raises(PprError):
        LdsModel.load(tmp_path)
    path = model.save(tmp_path / "other.safetensors")
    checkpoint = load_checkpoint(path, method="lds")
    save_checkpoint(path, dict(checkpoint.state), replace(checkpoint.meta, method="imnet"))
    with pytest.raises(PprError, match="a checkpoint of 'imnet', not of 'lds'"):
        LdsModel.load(path)
    whole = model.save(tmp_path / "cut.safetensors").read_bytes()
    (tmp_path / "cut.safetensors").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(PprError):
        LdsModel.load(tmp_path / "cut.safetensors")
