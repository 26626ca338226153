"""Tables: each case of bad cells, labels and columns does what it says, and is told."""

from __future__ import annotations

import io
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.tables.frames import read_frame
from ppr.methods.lds.tables.splits import default_split
from ppr.methods.lds.tables.table import TableOptions, frame_table, read_table

BY_Y = TableOptions(label="y")


def frame(rows=60, **columns):
    """Two random features, a label of two classes that neither of them gives away, and more columns."""
    rng = np.random.default_rng(0)
    plain = {
        "a": rng.standard_normal(rows).round(3),
        "b": rng.standard_normal(rows).round(3),
        "y": np.where(np.arange(rows) % 2, "yes", "no"),
    }
    return pd.DataFrame(plain | columns)


def table(options=BY_Y, **columns):
    return frame_table(frame(**columns), "test", options)


def names(found):
    return found.encoder.feature_names


def test_a_plain_table_is_standardised_and_needs_no_note():
    found = table()
    assert (found.features.dtype, found.features.shape, found.notes) == (np.float32, (60, 2), [])
    np.testing.assert_allclose(found.features.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(found.features.std(0), 1, atol=1e-6)
    assert (found.classes, found.labels[:3].tolist(), found.ids[:2]) == (["no", "yes"], [0, 1, 0], ["0", "1"])


def test_missing_cells_become_median_and_indicator_or_a_level():
    number = np.where(np.arange(60) < 4, np.nan, np.arange(60.0) ** 2 % 17)
    level = np.where(np.arange(60) % 3 == 0, None, np.where(np.arange(60) % 4 < 2, "red", "blue"))
    found = table(number=number, level=level)
    assert names(found)[2:] == ["number", "number is missing", "level=blue", "level=red", "level is missing"]
    block = found.features[:, 2:]
    assert block[:4, 1].tolist() == [1] * 4 and block[4:, 1].sum() == 0
    filled = np.where(np.isnan(number), np.nanmedian(number), number)
    np.testing.assert_allclose(block[:, 0], (filled - filled.mean()) / filled.std(), atol=1e-5)
    assert (block[:, 2:].sum(1) == 1).all() and block[0, 4] == 1
    assert found.notes[0].startswith("24 missing cells (number 4, level 20)")


def test_texts_of_more_than_50_levels_are_hashed_with_a_warning():
    rng = np.random.default_rng(1)
    texts = [f"word{a} word{b}" for a, b in rng.integers(0, 12, (120, 2))]
    found = frame_table(frame(120, text=texts), "test", BY_Y)
    block = found.features[:, 2:]
    assert block.shape[1] == 64
    np.testing.assert_allclose(np.linalg.norm(block, axis=1), 1, atol=1e-6)
    same = [row for row in range(1, 120) if sorted(texts[row].split()) == sorted(texts[0].split())]
    assert all((block[row] == block[0]).all() for row in same)
    assert any("more than 50 texts" in note and "text" in note for note in found.notes)
    few = frame_table(frame(120, text=[f"level{row % 50}" for row in range(120)]), "test", BY_Y)
    assert few.features.shape[1] == 52 and not any("hashed" in note for note in few.notes)


def test_columns_like_ids_are_proposed_for_drop():
    rows = np.random.default_rng(0).permutation(60)
    found = table(number=rows + 100, code=[f"c{row}" for row in rows])
    (note,) = [note for note in found.notes if "--drop" in note]
    assert "--drop number,code" in note
    assert not any("all cells differ" in note for note in table().notes)  # distinct measurements are no ids
    dropped = table(TableOptions(label="y", drop=("number", "code")), number=rows, code=[f"c{row}" for row in rows])
    assert dropped.notes == [] and names(dropped) == ["a", "b"]


@pytest.mark.parametrize("kind", ["words", "number", "bool"])
def test_a_copy_of_the_label_is_warned_of(kind):
    truth = np.arange(60) % 2 == 1
    copy = {"words": np.where(truth, "ja", "nein"), "number": np.where(truth, 3.5, 1.5) + np.arange(60) / 1000, "bool": truth}[kind]
    (note,) = [note for note in table(copy=copy).notes if "'copy' alone predicts the label of 100.0%" in note]
    assert "--drop copy" in note


def test_a_useful_or_unique_column_is_no_leak():
    truth = np.arange(60) % 2 == 1
    near = np.where(truth, "ja", "nein")
    near[[7, 22]] = "ja"
    unique = [f"c{row}" for row in range(60)]
    assert not any("predicts the label" in note for note in table(near=near, unique=unique).notes)
    few = frame_table(frame(20, copy=truth[:20]), "test", BY_Y)
    assert not any("predicts the label" in note for note in few.notes)


def test_a_rare_class_is_an_error_that_names_it_or_is_merged():
    labels = np.array(["common"] * 30 + ["other"] * 25 + ["rare1"] * 2 + ["rare2"] * 2 + ["rare3"])
    with pytest.raises(PprError, match=r"class 'rare1' \(and 2 more classes\) has 2 labelled rows") as caught:
        table(y=labels)
    assert "--merge-rare" in (caught.value.hint or "")
    merged = table(TableOptions(label="y", merge_rare=True), y=labels)
    assert merged.classes == ["(rare)", "common", "other"]
    assert np.bincount(merged.labels).tolist() == [5, 30, 25]
    assert "rare1, rare2, rare3" in merged.notes[0]
    with pytest.raises(PprError, match=r"class '\(rare\)' has 1 labelled rows"):
        table(TableOptions(label="y", merge_rare=True), y=np.array(["common"] * 30 + ["other"] * 29 + ["rare3"]))


def test_columns_that_say_nothing_are_left_out_with_a_note():
    found = table(constant=1, word="x", empty=np.nan, nothing=None, copy=frame()["a"], infinite=np.inf)
    assert names(found) == ["a", "b"]
    assert found.notes == [
        "infinite numbers count as missing cells (infinite 60)",
        "left out, without a single value: empty, nothing, infinite",
        "left out, constant: constant, word",
        "left out, equal to an earlier column: copy",
    ]
    with pytest.raises(PprError, match="no column is left"):
        frame_table(frame()[["y"]].assign(constant=1), "test", BY_Y)


def test_infinite_and_enormous_numbers_are_missing_cells():
    values = np.arange(60.0) % 13
    values[[0, 1, 2]] = [np.inf, -np.inf, 1e200]
    found = table(x=values)
    assert np.isfinite(found.features).all()
    assert found.features[:, names(found).index("x is missing")].sum() == 3
    assert "infinite numbers count as missing cells (x 3)" in found.notes


def test_a_constant_with_gaps_keeps_the_gaps():
    found = table(x=np.where(np.arange(60) % 5 == 0, np.nan, 7.0))
    assert names(found)[2:] == ["x=7", "x is missing"]


def test_duplicate_rows_are_kept_and_told():
    base = frame()
    twice = pd.concat([base, base.iloc[:7]], ignore_index=True)
    found = frame_table(twice, "test", BY_Y)
    assert len(found.ids) == 67
    assert found.notes == ["7 rows are copies of others in all columns; they are kept"]


@pytest.mark.parametrize(
    ("target", "part"),
    [
        (np.random.default_rng(0).standard_normal(60), "numbers with decimals"),
        (np.arange(60) % 3 + 0.5, "numbers with decimals"),
        (np.arange(60) % 30, "30 different numbers in 60 rows"),
    ],
)
def test_a_measurement_is_no_class(target, part):
    with pytest.raises(PprError, match=part) as caught:
        table(y=target)
    assert "bins" in (caught.value.hint or "")


@pytest.mark.parametrize(("target", "classes"), [(np.arange(60) % 20, 20), (np.arange(60.0) % 2, 2), (np.arange(60) % 2 == 0, 2)])
def test_few_whole_numbers_are_classes(target, classes):
    found = table(y=target)
    assert len(found.classes) == classes
    assert not any("." in name for name in found.classes)


def test_many_rows_allow_many_whole_numbers():
    assert len(frame_table(frame(300, y=np.arange(300) % 25), "test", BY_Y).classes) == 25


def test_unlabelled_rows_are_those_with_an_empty_label_or_as_said():
    labels = np.array(["no", "yes", "", "?", "NA", None] * 10, dtype=object)
    found = table(TableOptions(label="y", unlabelled=("", "?")), y=labels)
    assert (found.labels < 0).sum() == 30
    assert found.classes == ["NA", "no", "yes"]
    assert "'NA' is taken as a class of 'y'; --unlabelled NA makes its 10 rows unlabelled" in found.notes
    with pytest.raises(PprError, match="not one row has a label"):
        table(y="")
    with pytest.raises(PprError, match="all labelled rows are of the class 'no'"):
        table(y="no")


def test_ids_must_be_there_and_unique():
    rows = [f"r{row}" for row in range(60)]
    assert table(TableOptions(label="y", id="key"), key=rows).ids == rows
    assert table(TableOptions(label="y", id="key"), key=np.arange(60.0)).ids[:2] == ["0", "1"]
    with pytest.raises(PprError, match="2 ids come more than once: r0, r5"):
        table(TableOptions(label="y", id="key"), key=["r0", "r5", *rows[:58]])
    with pytest.raises(PprError, match="row 3 has no id"):
        table(TableOptions(label="y", id="key"), key=[*rows[:3], None, *rows[4:]])


@pytest.mark.parametrize(
    ("options", "part", "hint"),
    [
        (TableOptions(label="labl"), "--label labl: the table has no such column", "did you mean 'label'?"),
        (TableOptions(label="label", id="keyy"), "--id keyy", "did you mean 'key'?"),
        (TableOptions(label="label", drop=("bb",)), "--drop bb", "did you mean 'b'?"),
        (TableOptions(label="label", split_col="prt"), "--split-col prt", "did you mean 'part'?"),
        (TableOptions(), "--label is missing", "the columns are: a, b, label, key, part"),
        (TableOptions(label="label", drop=("label",)), "that is the label column", ""),
        (TableOptions(label="label", id="label"), "the same column", ""),
    ],
)
def test_columns_that_are_not_there(options, part, hint):
    cells = frame(key=range(60), part="train").rename(columns={"y": "label"})[["a", "b", "label", "key", "part"]]
    with pytest.raises(UsageError) as caught:
        frame_table(cells, "test", options)
    assert part in caught.value.message and hint in (caught.value.hint or "")


def test_a_column_can_say_the_split():
    words = np.array(["train", "Val", "es", "test", ""] * 12)
    found = table(TableOptions(label="y", split_col="part"), part=words)
    assert [len(rows) for rows in (found.split.train, found.split.val, found.split.es, found.split.test)] == [12] * 4
    assert names(found) == ["a", "b"]
    assert default_split("x", found.labels, found.ids, found.split, 5) is found.split
    with pytest.raises(PprError, match="row 3: 'tset' is no part"):
        table(TableOptions(label="y", split_col="part"), part=np.where(words == "test", "tset", words))
    with pytest.raises(PprError, match="no labelled row in val"):
        table(TableOptions(label="y", split_col="part"), part="train")
    with pytest.raises(PprError, match="class 'yes' has no row in the train part"):
        table(TableOptions(label="y", split_col="part"), part=np.where(np.arange(60) % 2, "val", "train"))
    half = table(TableOptions(label="y", split_col="part"), part=words, y=np.where(np.arange(60) < 10, "", frame()["y"]))
    assert "8 rows of the split have no label and are left out of it" in half.notes


def test_permuting_the_rows_of_a_table_permutes_everything():
    cells = frame(key=[f"r{row}" for row in range(60)], c=np.where(np.arange(60) % 3, "u", "v"))
    order = np.random.default_rng(2).permutation(60)
    options = TableOptions(label="y", id="key")
    plain, moved = frame_table(cells, "t", options), frame_table(cells.iloc[order].reset_index(drop=True), "t", options)
    np.testing.assert_allclose(moved.features, plain.features[order], atol=1e-6)
    assert (moved.labels == plain.labels[order]).all()
    before, after = (default_split(found.name, found.labels, found.ids, None, 4) for found in (plain, moved))
    for part in ("train", "val", "es", "test"):
        assert {plain.ids[row] for row in getattr(before, part)} == {moved.ids[row] for row in getattr(after, part)}


def test_csv_tsv_parquet_and_standard_input_give_the_same_table(tmp_path):
    pytest.importorskip("pyarrow")
    cells = frame(c=np.where(np.arange(60) % 3, "u", "v"), n=np.where(np.arange(60) % 7, np.arange(60.0) % 5, np.nan))
    cells.to_csv(tmp_path / "t.csv", index=False)
    cells.to_csv(tmp_path / "t.tsv", index=False, sep="\t")
    cells.to_parquet(tmp_path / "t.parquet")
    found = [read_table(str(tmp_path / f"t.{suffix}"), BY_Y) for suffix in ("csv", "tsv", "parquet")]
    found.append(read_table("-", BY_Y, stdin=io.BytesIO((tmp_path / "t.csv").read_bytes())))
    for other in found[1:]:
        assert (other.features == found[0].features).all()
        assert (other.labels == found[0].labels).all() and other.encoder == found[0].encoder
    assert [other.name for other in found] == ["t.csv", "t.tsv", "t.parquet", "standard input"]


def test_penguins_need_only_the_label():
    file = Path(os.environ.get("PPR_TEST_DATA", Path(__file__).parents[5] / "shared/data/saliency")).parent / "lds/penguins.csv"
    if not file.is_file():
        pytest.skip("no penguins.csv (set PPR_TEST_DATA)")
    found = read_table(str(file), TableOptions(label="species"))
    assert (found.features.shape, found.classes) == ((344, 14), ["Adelie", "Chinstrap", "Gentoo"])
    assert [note for note in found.notes if not note.startswith("19 missing cells")] == []
    again = found.encoder.transform(read_frame(str(file), text=found.encoder.text_columns))
    assert (again == found.features).all()
