"""Tables as the page shows them: each cell a text, and the exact value behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from immunolab.plots.numbers import number, p_number, probability, with_minus
from immunolab.vocabulary.display_names import unit_name

_WORDS = {
    "label": "label",
    "kind": "number",
    "contrast": "number",
    "method": "words",
    "adjustment": "words",
    "what": "label",
    "message": "label",
}


@dataclass(frozen=True)
class Cell:
    """One cell.

    Attributes
    ----------
    text
        What is read.
    value
        The exact value of the CSV where the text is rounded; empty for words.
    kind
        Word for the style sheet (number, alarm, quiet, rise ...).
    link
        Where the text leads, relative to the page.
    """

    text: str
    value: str = ""
    kind: str = ""
    link: str = ""


@dataclass(frozen=True)
class Grid:
    """A table: headings, and rows of cells.

    Attributes
    ----------
    headings, rows
        From the left, from the top.
    empty
        What is read when there is no row.
    row_heading
        Place of the column that names a row, for readers who hear the table.
    whole
        How many rows there are where ``rows`` holds the first of them; 0 where it holds all.
    pages
        Words and link of each page that holds some of all the rows.
    note
        What is said of every row, above them.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    empty: str = "None."
    row_heading: int = 0
    whole: int = 0
    pages: tuple[tuple[str, str], ...] = ()
    note: str = ""


def grid(
    frame: pd.DataFrame,
    columns: Mapping[str, str],
    *,
    empty: str = "None.",
    alarms: Sequence[str] = (),
    row_heading: str = "",
) -> Grid:
    """Return a table's columns (name to heading) as cells; text in the columns of ``alarms`` is red.

    Parameters
    ----------
    frame
        Any table; its other columns are left out.
    columns
        Column name to heading, from the left.
    empty
        Words where there is no row.
    alarms
        Columns in which any text is red.
    row_heading
        Column that names a row; the first one by default.
    """
    rows = []
    for _, row in frame.iterrows():
        cells = [cell(row[name], name) for name in columns]
        rows.append(
            tuple(
                Cell(one.text, one.value, "alarm", one.link) if name in alarms and one.text else one
                for name, one in zip(columns, cells, strict=True)
            )
        )
    place = list(columns).index(row_heading) if row_heading in columns else 0
    return Grid(tuple(columns.values()), tuple(rows), empty, place)


def turned(table: Grid) -> Grid:
    """Return a table whose columns are its rows, for few rows of more columns than a page is wide.

    Parameters
    ----------
    table
        Its first row then heads the columns; a row without a text is left out.
    """
    columns = [[Cell(heading, kind="label") for heading in table.headings], *table.rows]
    first, *rows = (tuple(cells) for cells in zip(*columns, strict=True))
    return Grid(tuple(one.text for one in first), tuple(row for row in rows if any(one.text for one in row[1:])))


def cell(value: object, name: str = "") -> Cell:
    """Return a value as a cell: numbers rounded for reading with the exact one kept, missing ones empty.

    Parameters
    ----------
    value
        Number, text, truth value or nothing.
    name
        Of its column, which decides how p values and words are shown.
    """
    if value is None or pd.isna(value):  # type: ignore[call-overload]
        return Cell("")
    if isinstance(value, bool) or not isinstance(value, int | float):
        text = unit_name(str(value)) if name == "unit" else with_minus(str(value))
        return Cell(text, "", _WORDS.get(name, ""))
    if name.endswith(("p_value", "q_value")):
        return Cell(p_number(float(value)), repr(float(value)), "number")
    if name.startswith("power") or name == "assurance":
        return Cell(probability(float(value)), repr(float(value)), "number")
    if float(value).is_integer() and abs(value) < 10**9:
        return Cell(f"{int(value):,}".replace("-", "−"), repr(float(value)), "number")
    return Cell(number(float(value)), repr(float(value)), "number")
