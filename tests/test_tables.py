"""Declared tables: what a column may hold, and many files read as one."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from immunolab.errors import InputError
from immunolab.schema.column import Column
from immunolab.schema.table import Table

TABLE = Table("some", "some", (Column("name", "text", "a name"), Column("n", "integer", "a count", nullable=True)))


def test_a_number_too_large_for_a_count_is_reported_and_not_wrapped() -> None:
    with pytest.raises(InputError) as caught:
        TABLE.check(pd.DataFrame({"name": ["a", "b", "c", "d"], "n": [1e20, 9.3e18, float("inf"), 2.5]}))
    assert [p.message for p in caught.value.problems] == [
        "1e+20 is not a whole number within 2^53",
        "9.3e+18 is not a whole number within 2^53",
        "inf is not a whole number within 2^53",
        "2.5 is not a whole number",
    ]
    held = TABLE.check(pd.DataFrame({"name": ["a", "b"], "n": [2.0**53, None]}))["n"]
    assert held[0] == 9_007_199_254_740_992
    assert held.isna().tolist() == [False, True]


def test_files_are_read_as_one_whatever_the_order_of_their_columns(tmp_path: Path) -> None:
    texts = ("name,n\nNA,1\n", "name,n\n", "n,name\n2,b", "name,n\nc,\n")
    paths = [tmp_path / f"{i}.csv" for i in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    found = TABLE.read(*paths)
    assert found["name"].tolist() == ["NA", "b", "c"]
    assert found["n"].fillna(-1).tolist() == [1, 2, -1]


@pytest.mark.parametrize("place", [0, 1])
def test_a_file_without_a_heading_is_not_taken_for_one_without_rows(place: int, tmp_path: Path) -> None:
    paths = [tmp_path / "0.csv", tmp_path / "1.csv"]
    for i, path in enumerate(paths):
        path.write_text("" if i == place else "name,n\na,1\n")
    with pytest.raises(ValueError, match="No columns"):
        TABLE.read(*paths)


def test_records_are_written_in_the_declared_order_and_no_other_column(tmp_path: Path) -> None:
    path = tmp_path / "some.csv"
    TABLE.write_rows([{"n": 3, "name": "a,b"}, {"name": "c", "n": float("nan")}], path)
    assert path.read_text() == 'name,n\n"a,b",3\nc,\n'
    with pytest.raises(ValueError, match="more"):
        TABLE.write_rows([{"name": "a", "more": 1}], path)
