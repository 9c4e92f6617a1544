"""``1.234`` in a table parted by semicolons: thousands where such tables come from; refused unless the table shows."""

from __future__ import annotations

from pathlib import Path

import pytest

from immunolab.errors import InputError
from immunolab.study.spreadsheet import read_text_table


def written(folder: Path, *values: str, separator: str = ";") -> Path:
    path = folder / "t.csv"
    path.write_text("\n".join([f"id{separator}value", *(f"P{i}{separator}{v}" for i, v in enumerate(values))]) + "\n")
    return path


@pytest.mark.parametrize("values", [("1.234", "987"), ("1.234", "2,5"), ("12.500", "-1.000"), ("1.234", "0.5", "2,5")])
def test_what_may_be_thousands_is_refused_with_the_way_out(tmp_path: Path, values: tuple[str, ...]) -> None:
    with pytest.raises(InputError) as refused:
        read_text_table(written(tmp_path, *values))
    first = refused.value.problems[0]
    assert first.place == "row 2, cell 2"
    assert first.message == f"'{values[0]}' may be {values[0].replace('.', '')}, or a number with three decimals"
    assert "separate columns by commas" in first.hint


@pytest.mark.parametrize("values", [("1.234", "12.5"), ("1.234", "0.123"), ("1234", "2,5"), ("0.234",), ("1234.567",)])
def test_a_table_that_shows_its_decimal_sign_is_read(tmp_path: Path, values: tuple[str, ...]) -> None:
    table = read_text_table(written(tmp_path, *values))
    assert [table.number(row["value"]) for row in table.rows] == [float(v.replace(",", ".")) for v in values]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_commas_and_tabs_part_columns_where_points_are_decimal(tmp_path: Path, separator: str) -> None:
    table = read_text_table(written(tmp_path, "1.234", "2.345", separator=separator))
    assert table.number(table.rows[0]["value"]) == 1.234


def test_a_long_table_names_a_few_cells(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        read_text_table(written(tmp_path, *(["1.234"] * 1000)))
    assert len(refused.value.problems) == 5


def test_ids_with_a_point_are_names_and_show_no_decimal_sign(tmp_path: Path) -> None:
    """Patients are numbered by site in many trials: 1.001 is the first of site 1; a lot 12.5 is no number either."""
    path = tmp_path / "t.csv"
    path.write_text("patient_id;lot;value\n1.001;12.5;987\n2.001;12.5;12\n")
    assert [row["patient_id"] for row in read_text_table(path).rows] == ["1.001", "2.001"]
    path.write_text("patient_id;lot;value\n1.001;12.5;1.234\n2.001;12.5;987\n")
    with pytest.raises(InputError) as refused:
        read_text_table(path)
    assert [problem.place for problem in refused.value.problems] == ["row 2, cell 3"]
