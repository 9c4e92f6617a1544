"""Tables from spreadsheets: every row arrives, or the reader refuses and says which cell is at fault."""

import random
import re
import zipfile
from pathlib import Path

import pytest
from openpyxl import Workbook

from immunolab.errors import InputError
from immunolab.study.spreadsheet import read_text_table

ROWS = [[f"s{i}", f"P{i % 7}", "W0", float(i)] for i in range(1, 32)]


def book(path: Path, rows: list[list[object]] | None = None) -> Workbook:
    made = Workbook()
    for row in [["sample_id", "patient_id", "visit", "crp"], *(rows or ROWS)]:
        made.active.append(row)
    made.save(path)
    return made


def changed(path: Path, part: str, change) -> Path:
    """Return a copy of a workbook with one part's bytes changed."""
    with zipfile.ZipFile(path) as source:
        parts = {info.filename: source.read(info) for info in source.infolist()}
    parts[part] = change(parts[part])
    target = path.with_name("changed.xlsx")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in parts.items():
            made.writestr(name, content)
    return target


def problems(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_text_table(path)
    return str(caught.value)


@pytest.mark.parametrize("declared", ["A1:D12", "A1", "A1:D999999"])
def test_rows_beyond_a_stale_dimension_are_read(tmp_path, declared):
    book(tmp_path / "t.xlsx")
    stale = changed(
        tmp_path / "t.xlsx",
        "xl/worksheets/sheet1.xml",
        lambda text: re.sub(rb'<dimension ref="[^"]*"', b'<dimension ref="%s"' % declared.encode(), text),
    )
    table = read_text_table(stale)
    assert [row["sample_id"] for row in table.rows] == [f"s{i}" for i in range(1, 32)]
    assert [row.number for row in table.rows] == list(range(2, 33))


def test_a_stray_format_far_below_costs_nothing_and_gaps_keep_row_numbers(tmp_path):
    made = book(tmp_path / "t.xlsx")
    made.active.cell(1_048_576, 16_384).number_format = "0.00"
    made.active.cell(60, 1).value = "s60"
    made.save(tmp_path / "t.xlsx")
    assert [row.number for row in read_text_table(tmp_path / "t.xlsx").rows][-2:] == [32, 60]


def test_cells_that_show_an_error_are_all_named_and_no_row_is_a_comment_for_it(tmp_path):
    made = book(tmp_path / "t.xlsx")
    made.active["A5"] = "#REF!"
    made.active["D9"] = "#DIV/0!"
    made.active["A10"] = "# a remark"
    made.save(tmp_path / "t.xlsx")
    found = problems(tmp_path / "t.xlsx")
    assert "cell A5  shows #REF!" in found
    assert "cell D9  shows #DIV/0!" in found
    assert "2 problems" in found


@pytest.mark.parametrize("ending", ["csv", "tsv"])
def test_error_cells_of_an_exported_table_are_refused_too(tmp_path, ending):
    between = {"csv": ",", "tsv": "\t"}[ending]
    lines = [["sample_id", "patient_id"], ["#REF!", "P1"], ["# remark"], ["s2", "#N/A"]]
    (tmp_path / f"t.{ending}").write_text("\n".join(between.join(line) for line in lines))
    found = problems(tmp_path / f"t.{ending}")
    assert "row 2, cell 1  shows #REF!" in found
    assert "row 4, cell 2  shows #N/A" in found


def test_a_formula_without_a_stored_value_is_no_empty_cell(tmp_path):
    made = book(tmp_path / "t.xlsx")
    made.active["D3"] = "=D2*2"
    made.save(tmp_path / "t.xlsx")
    assert "cell D3  the formula =D2*2 has no stored value" in problems(tmp_path / "t.xlsx")


def test_percentages_are_not_taken_for_fractions(tmp_path):
    made = book(tmp_path / "t.xlsx")
    made.active["D4"] = 0.052
    made.active["D4"].number_format = "0.0%"
    made.save(tmp_path / "t.xlsx")
    assert "cell D4  is formatted as a percentage" in problems(tmp_path / "t.xlsx")


def test_merged_cells_are_named(tmp_path):
    made = book(tmp_path / "t.xlsx")
    made.active.merge_cells("B4:B6")
    made.save(tmp_path / "t.xlsx")
    assert "cells B4:B6  the cells are merged" in problems(tmp_path / "t.xlsx")


def test_a_title_above_the_names_of_columns_is_called_one(tmp_path):
    made = book(tmp_path / "t.xlsx")
    made.active.insert_rows(1, 2)
    made.active["A1"] = "Our trial"
    made.save(tmp_path / "t.xlsx")
    assert "row 1 is a title ('Our trial'), row 3 has more cells" in problems(tmp_path / "t.xlsx")
    assert "but the header has" not in problems(tmp_path / "t.xlsx")  # said of every row below the title


def test_cells_below_no_name_are_not_dropped(tmp_path):
    made = book(tmp_path / "t.xlsx")
    made.active["C1"] = None
    made.save(tmp_path / "t.xlsx")
    assert "column 3 has cells ('W0') but no name" in problems(tmp_path / "t.xlsx")
    # row numbers, as a data frame writes them, are no column
    (tmp_path / "t.csv").write_text(",sample_id\n0,s1\n1,s2\n")
    assert [row.cells for row in read_text_table(tmp_path / "t.csv").rows] == [{"sample_id": "s1"}, {"sample_id": "s2"}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('sample_id,patient_id\ns1,"P1\ns2,P2\ns3,P3\n', "line 4  no table"),
        (
            'sample_id,patient_id,visit\ns1,P1,"W0\ns2,P2,W0\ns3,P3",W0\ns4,P4,W0\n',
            "row 2  a quoted cell holds 3 lines of the table",
        ),
        ("sample_id,patient_id\ns1," + "x" * 200_000 + "\n", "line 2  no table: field larger"),
    ],
)
def test_a_stray_quotation_mark_swallows_no_rows(tmp_path, text, said):
    (tmp_path / "t.csv").write_text(text)
    assert said in problems(tmp_path / "t.csv")


def test_a_remark_over_two_lines_is_a_cell(tmp_path):
    (tmp_path / "u.csv").write_text('sample_id,visit,remark\ns1,W0,"thawed,\nlate, warm"\ns2,W0,\n')
    assert read_text_table(tmp_path / "u.csv").rows[0]["remark"] == "thawed,\nlate, warm"


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path):
    book(tmp_path / "t.xlsx")
    bomb = changed(tmp_path / "t.xlsx", "xl/worksheets/sheet1.xml", lambda text: text + b" " * 100 * 2**20)
    assert bomb.stat().st_size < 2**20
    assert "MiB once unpacked; at most 32 are read" in problems(bomb)


def test_damaged_workbooks_give_their_rows_or_a_refusal(tmp_path):
    book(tmp_path / "t.xlsx")
    whole, rng = (tmp_path / "t.xlsx").read_bytes(), random.Random(20261126)
    parts = zipfile.ZipFile(tmp_path / "t.xlsx").namelist()
    expected = [row.cells for row in read_text_table(tmp_path / "t.xlsx").rows]
    refused = 0
    for turn in range(150):
        if turn % 3:  # one part damaged inside a sound archive
            damaged = changed(tmp_path / "t.xlsx", rng.choice(parts), lambda text: _damage(text, rng))
        else:
            damaged = tmp_path / "damaged.xlsx"
            damaged.write_bytes(_damage(whole, rng))
        try:
            found = read_text_table(damaged)
        except InputError:
            refused += 1
        else:
            assert len(found.rows) <= len(expected)
    assert 20 < refused < 150


def _damage(text: bytes, rng: random.Random) -> bytes:
    place, length = rng.randrange(len(text)), rng.randrange(1, 40)
    how = rng.randrange(3)
    if how == 0:
        return text[:place] + text[place + length :]
    if how == 1:
        return text[:place] + rng.randbytes(length) + text[place + length :]
    return text[:place]
