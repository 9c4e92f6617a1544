"""Texts that a spreadsheet would compute: written with an apostrophe, read back as they were, numbers untouched."""

import csv
import io
import re

import numpy as np
import pandas as pd
import pytest
from fcs_builder import write_fcs
from hypothesis import given
from hypothesis import strategies as st

from immunolab.privacy.keyfile import add_to_key, all_codes, read_key
from immunolab.schema.column import Column
from immunolab.schema.csv_files import read_text
from immunolab.schema.formula_cells import each_text, neutralised, restored
from immunolab.schema.table import Table
from immunolab.study.spreadsheet import read_text_table
from immunolab.vocabulary.panel import read_panel

HOSTILE = [
    "=1+1",
    "+SUM(A1)",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1",
    "\r=1",
    "'=1",
    "''+x",
    "a;=1+1",
    "a\n@b",
    "-",
]
PLAIN = ["", "-1.5", "+3", "-1e-5", ".5", "CD3+", "W10 - W0", "a=b", "'tis", "NA", "too_few_events;no_fmo", "-1;-2.5"]


def computed_by_a_spreadsheet(text):
    """Return the parts of a text that Excel takes for formulas, cells being parted at commas or at semicolons."""
    parts = re.split(r"[;\r\n]", text)
    return [
        part for part in parts if part[:1] and part[0] in "=+-@\t" and not re.fullmatch(r"[-+]?[\d.]+(e-?\d+)?", part)
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_what_a_spreadsheet_would_compute_gets_an_apostrophe(text):
    assert computed_by_a_spreadsheet(text) or text.startswith("'")
    assert not computed_by_a_spreadsheet(neutralised(text).replace("\r'", "'").replace("'\r", "'"))
    assert neutralised(text) != text
    assert restored(neutralised(text)) == text


@pytest.mark.parametrize("text", PLAIN)
def test_numbers_and_plain_texts_stay_as_they_are(text):
    assert neutralised(text) == restored(text) == text


@given(st.text(alphabet="'=+-@\t\r\n;,.15ae\" ", max_size=12))
def test_every_text_comes_back(text):
    assert restored(neutralised(text)) == text


TABLE = Table(
    "x",
    "x",
    (
        Column("name", "text", "x", nullable=True),
        Column("n", "number", "x"),
        Column("word", "text", "x", optional=True),
    ),
    own_columns=True,
)


@pytest.mark.parametrize("by", ["frame", "rows"])
def test_a_table_is_written_safely_and_read_back_the_same(tmp_path, by):
    names = HOSTILE + PLAIN[1:]
    frame = pd.DataFrame({"name": names, "n": np.linspace(-1.5, 2, len(names))})
    if by == "frame":
        frame["=own"] = pd.Categorical(names)
        TABLE.write(frame, tmp_path / "x.csv")
    else:
        TABLE.write_rows(frame.to_dict("records"), tmp_path / "x.csv")
    rows = list(csv.reader(io.StringIO((tmp_path / "x.csv").read_bytes().decode(), newline="")))
    assert rows[0][-1] == ("'=own" if by == "frame" else "n")
    assert [float(row[1]) for row in rows[1:]] == list(frame["n"])
    written = [row[0] for row in rows[1:]]
    assert written[0] == "'=1+1"
    assert written == [neutralised(name) for name in names]
    read = TABLE.read(tmp_path / "x.csv")
    assert list(read["name"]) == names
    if by == "frame":
        assert list(read["=own"]) == names


def test_tables_that_are_not_declared_come_back_too(tmp_path):
    frame = pd.DataFrame({"patient": ["=A", "'@B"], "-x": ["1", "-2"]})
    each_text(frame, neutralised).to_csv(tmp_path / "t.csv", index=False)
    assert (tmp_path / "t.csv").read_text() == "patient,'-x\n'=A,1\n''@B,-2\n"
    pd.testing.assert_frame_equal(read_text(tmp_path / "t.csv"), frame)


def test_a_sheet_a_panel_and_a_key_are_read_without_the_apostrophe(tmp_path):
    (tmp_path / "s.csv").write_text("patient,value\n'=P1,-1.5\n")
    assert read_text_table(tmp_path / "s.csv").rows[0].cells == {"patient": "=P1", "value": "-1.5"}
    (tmp_path / "p.csv").write_text("channel,marker\n'@FITC-A,CD25\n")
    assert read_panel(tmp_path / "p.csv") == {"@FITC-A": "CD25"}
    tube = write_fcs(tmp_path / "-a+.fcs", np.ones((3, 1)), ["FL1"])
    source = tube.relative_to(tmp_path)
    add_to_key(tmp_path / "key.csv", {source: "X1"})
    assert "'-a+.fcs" in (tmp_path / "key.csv").read_text()
    assert all_codes(tmp_path / "key.csv") == {"X1"}
    assert read_key(tmp_path / "key.csv", [source]) == {source: "X1"}
