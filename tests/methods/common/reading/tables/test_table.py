"""A table in one call: what each role, rule and missing cell does to the arrays, and new rows that are encoded as the first were."""

from __future__ import annotations

import io

import numpy as np
import pytest

from ppr.methods.common.errors import PprError, UsageError
from ppr.methods.common.reading.tables.frames import read_frame
from ppr.methods.common.reading.tables.roles import Roles
from ppr.methods.common.reading.tables.table import Rules, read_rows, read_table

LINES = [
    "name,size,colour,note,fold,kind",
    *(
        f"m{row:02d},{row % 7},{['red', 'blue'][row % 2]},x,{'train' if row < 20 else 'test'},{['bolt', 'nut'][row % 3 == 0]}"
        for row in range(30)
    ),
]


def read(lines=LINES, *, name="parts.csv", folder=None, **how):
    content = "\n".join(lines) + "\n"
    if folder is None:
        return read_table("-", stdin=io.BytesIO(content.encode()), **how)
    (folder / name).write_text(content.replace(",", "\t") if name.endswith(".tsv") else content)
    return read_table(str(folder / name), **how)


ROLES = Roles(label="kind", id="name", split="fold", drop=("note",))


def test_every_column_becomes_what_its_role_says(tmp_path):
    for table in (read(roles=ROLES), read(folder=tmp_path, roles=ROLES), read(folder=tmp_path, name="parts.tsv", roles=ROLES)):
        assert table.ids == [f"m{row:02d}" for row in range(30)]
        assert table.classes == ["bolt", "nut"] and table.labels.tolist() == [int(row % 3 == 0) for row in range(30)]
        assert table.labels.dtype == np.int64 and table.features.dtype == np.float32
        assert {name: rows.tolist() for name, rows in table.parts.items()} == {"train": [*range(20)], "val": [], "test": [*range(20, 30)]}
        assert table.encoder.feature_names == ["size", "colour=blue", "colour=red"]
        assert table.features[:, 0].mean() == pytest.approx(0, abs=1e-6) and table.features[:, 0].std() == pytest.approx(1, abs=1e-6)
        assert table.features[:, 2].tolist() == [1 - row % 2 for row in range(30)]


def test_without_roles_the_rows_are_numbered_and_nothing_is_split():
    table = read(roles=Roles(label="kind"))
    assert table.ids == [str(row) for row in range(30)] and table.parts is None
    assert "fold=train" in table.encoder.feature_names


def test_missing_cells_are_the_words_that_the_rules_say():
    lines = [line.replace(",3,", ",?,").replace(",6,", ",-999,") for line in LINES]
    usual, told = read(lines, roles=ROLES), read(lines, roles=ROLES, rules=Rules(missing=("?", "-999")))
    assert "size is missing" in usual.encoder.feature_names and "size is missing" in told.encoder.feature_names
    flag = [table.features[:, table.encoder.feature_names.index("size is missing")].tolist() for table in (usual, told)]
    assert flag == [[float(row % 7 == 3) for row in range(30)], [float(row % 7 in (3, 6)) for row in range(30)]]
    column = told.encoder.columns[0]
    assert column.median == np.median([row % 7 for row in range(30) if row % 7 not in (3, 6)])
    assert told.features[3, 0] == pytest.approx((column.median - column.mean) / column.std)
    assert any("missing cells" in note for note in told.notes)


def test_rows_without_a_label_are_in_no_part():
    lines = [line.replace("bolt", "unknown") if line.startswith("m0") else line for line in LINES]
    table = read(lines, roles=ROLES, rules=Rules(unlabelled=("unknown",)))
    assert table.classes == ["bolt", "nut"] and (table.labels < 0).sum() == 6
    assert table.parts["train"].tolist() == [row for row in range(20) if table.labels[row] >= 0]
    assert "6 rows of the split have no label and are left out of it" in table.notes


def test_classes_below_a_number_are_merged_only_when_asked_for():
    lines = [line.replace("bolt", f"odd {row}") if row in (2, 3) else line for row, line in enumerate(LINES)]
    assert read(lines, roles=ROLES).classes == ["bolt", "nut", "odd 2", "odd 3"]
    merged = read(lines, roles=ROLES, rules=Rules(merge_below=2))
    assert merged.classes == ["(rare)", "bolt", "nut"]
    assert any(note.startswith("2 classes with fewer than 2 rows are one class now") for note in merged.notes)


@pytest.mark.parametrize(
    ("roles", "kind", "part"),
    [
        (Roles(), UsageError, "--label is missing"),
        (Roles(label="knid"), UsageError, "--label knid: the table has no such column"),
        (Roles(label="kind", id="nmae"), UsageError, "--id nmae"),
        (Roles(label="kind", split="kind"), UsageError, "name the same column"),
        (Roles(label="kind", drop=("kind",)), UsageError, "that is the label column"),
        (Roles(label="kind", drop=("size", "nothing")), UsageError, "--drop nothing"),
        (Roles(label="kind", id="colour"), PprError, "2 ids come more than once: red, blue"),
        (Roles(label="kind", split="colour"), PprError, "column 'colour', row 1: 'blue' is no part of a split"),
    ],
)
def test_roles_that_cannot_be_filled_are_refused(roles, kind, part):
    with pytest.raises(kind, match=part):
        read(roles=roles)


def test_data_without_columns_refuse_any_role():
    Roles().refuse("wine")
    for roles, part in ((Roles(split="a"), "--split-col a: wine"), (Roles(drop=("a", "b")), "--drop a,b: wine")):
        with pytest.raises(UsageError, match=part):
            roles.refuse("wine")


def test_new_rows_are_encoded_as_the_table_was(tmp_path):
    table = read(roles=ROLES)
    lines = ["who,colour,size,extra", "n1,red,5,9", "n2,green,0,9"]
    found = read_rows("-", table.encoder, "who", stdin=io.BytesIO("\n".join(lines).encode()))
    assert found.ids == ["n1", "n2"]
    same = next(row for row in range(30) if row % 7 == 5 and row % 2 == 0)
    assert np.asarray(found.features[0]).tolist() == table.features[same].tolist()
    assert found.features[1, 1:].tolist() == [0, 0]
    assert found.notes == ["column 'colour' has values that the training table had not: green"]
    (tmp_path / "new.csv").write_text("colour\nred\n")
    with pytest.raises(PprError, match="lacks the columns 'size'"):
        read_rows(str(tmp_path / "new.csv"), table.encoder)


def test_a_hint_names_what_the_caller_reads_besides():
    with pytest.raises(UsageError) as caught:
        read_frame("table.xlsx", also=(".arff",))
    assert caught.value.hint == "a file of one of: .csv, .tsv, .parquet, .arff; or '-' for csv"
