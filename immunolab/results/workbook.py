"""A run's tables as a workbook: a sheet a table, after the contents and a dictionary of every column and word."""

from __future__ import annotations

import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from immunolab.results.office_files import write_office_file
from immunolab.schema import flags
from immunolab.schema.table import Table
from immunolab.schema.tables import declared

if TYPE_CHECKING:
    from openpyxl import Workbook

WORKBOOK = "tables.xlsx"
ROWS_OF_A_SHEET = 1_048_575  # rows of a sheet below its headings (Excel's limit)
_CHARACTERS = 32_767  # of a cell (Excel's limit)
_NAME = 31  # characters of a sheet's name (Excel's limit)
_NOT_IN_NAMES = re.compile(r"[\[\]:*?/\\]")
# What a spreadsheet takes for a formula (OWASP, CSV injection) or an error word, and characters no XML file can hold.
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
_UNSAFE = re.compile(rf"\A[=+\-@\t\r#]|{_CONTROL.pattern}")
_CUT = " [cut here: the whole text is in the CSV of this table]"
_WIDTHS = 8, 48  # characters: narrowest and widest column (judgement: a sentence is read in its cell)
_DIGITS = 6  # of a number that a column is as wide as: columns of 17 digits hide the others
_SAMPLED = 200  # rows whose texts decide a column's width (judgement: quick, and tables are alike from row to row)
_FIRST = ("shifts", "pairs", "endpoints")  # what readers look for; others follow as declared
_CONTENTS = ("sheet", "one row is", "rows", "one row for each")
_DICTIONARY = ("sheet", "column", "holds", "unit", "kind", "words allowed", "may be empty")
_WORDS = ("word", "kind", "rank", "means")


@dataclass(frozen=True)
class WorkbookSheet:
    """A sheet of the workbook: a table, or a part of one that is longer than a sheet.

    Attributes
    ----------
    name
        Of the sheet.
    table
        The table's declaration.
    rows
        What it holds.
    """

    name: str
    table: Table
    rows: pd.DataFrame


def write_workbook(tables: Mapping[str, pd.DataFrame], path: Path, *, study: str, made: str) -> Path:
    """Write a run's tables as XLSX and return its path.

    Text is text, whatever it begins with, and numbers are numbers of full precision; a missing value is an empty cell.
    The same run gives the same bytes.

    Parameters
    ----------
    tables
        By name; those without a row are left out.
    path
        Where to; replaced if it exists.
    study, made
        Whose tables they are, and what made them, for the first lines of the contents.
    """
    from openpyxl import Workbook

    book = Workbook(write_only=True)
    book.properties.creator, book.properties.title = "immunolab", study
    sheets = list(sheets_of(tables))
    _add(book, "contents", _CONTENTS, _contents(study, made, sheets))
    _add(book, "dictionary", _DICTIONARY, _dictionary(sheets))
    _add(book, "words", _WORDS, _words())
    for sheet in sheets:
        rows = sheet.rows.astype(object).itertuples(index=False, name=None)
        _add(book, sheet.name, tuple(map(str, sheet.rows.columns)), rows)
    content = io.BytesIO()
    book.save(content)
    return write_office_file(content.getvalue(), path)


def sheets_of(tables: Mapping[str, pd.DataFrame]) -> Iterator[WorkbookSheet]:
    """Yield the sheets of a run's tables that have rows: shifts, pairs and endpoints first.

    Parameters
    ----------
    tables
        By name.
    """
    taken = {"contents", "dictionary", "words"}
    for name in [*(name for name in _FIRST if name in tables), *(name for name in tables if name not in _FIRST)]:
        table = tables[name]
        for start in range(0, len(table), ROWS_OF_A_SHEET):
            sheet = _sheet_name(name, taken)
            taken.add(sheet.lower())
            yield WorkbookSheet(sheet, declared(name), table.iloc[start : start + ROWS_OF_A_SHEET])


def _sheet_name(table: str, taken: set[str]) -> str:
    """Return a name that Excel takes and no other sheet has; cases of a letter are one to it."""
    whole = _NOT_IN_NAMES.sub("_", table)
    name, number = whole[:_NAME], 2
    while name.lower() in taken:
        end = f"_{number}"
        name, number = whole[: _NAME - len(end)] + end, number + 1
    return name


def _contents(study: str, made: str, sheets: Sequence[WorkbookSheet]) -> Iterator[tuple[Any, ...]]:
    yield study, made, None, ""
    yield "dictionary", "a column of a sheet: what it holds and its unit", None, "sheet, column"
    yield "words", "a flag, check, code or call, and what it means", None, "word, kind"
    for sheet in sheets:
        yield sheet.name, sheet.table.meaning, len(sheet.rows), ", ".join(sheet.table.key)


def _dictionary(sheets: Sequence[WorkbookSheet]) -> Iterator[tuple[Any, ...]]:
    for sheet in sheets:
        for name in sheet.rows.columns:
            column = sheet.table.column(str(name))
            if column is not None:
                empty = "yes" if column.nullable else "no"
                allowed = ", ".join(column.allowed)
                yield sheet.name, str(name), column.meaning, column.unit, column.kind, allowed, empty


def _words() -> Iterator[tuple[Any, ...]]:
    for kind, words in (("flag", flags.Flag), ("check", flags.Check), ("code", flags.Code)):
        for one in words:
            yield str(one), kind, one.rank, one.meaning
    for kind, meanings in (("call of a patient", flags.VERDICTS), ("status of a check", flags.STATUSES)):
        for word, meaning in meanings.items():
            yield word, kind, "", meaning


def _shown(value: object) -> str:
    """Return what a cell shows: a number as a sheet rounds it to fit, though the cell holds all its digits."""
    return f"{value:.{_DIGITS}g}" if isinstance(value, float) else str(value)


def _add(book: Workbook, name: str, headings: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> None:
    """Add a sheet with bold headings that stay in view, columns as wide as their texts, and a filter."""
    from openpyxl.cell import WriteOnlyCell
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    sheet = book.create_sheet(name)
    kept = list(rows)
    for place, heading in enumerate(headings):
        texts = [heading, *(_shown(row[place]) for row in kept[:_SAMPLED] if row[place] is not None)]
        width = min(max(_WIDTHS[0], *map(len, texts)), _WIDTHS[1])
        sheet.column_dimensions[get_column_letter(place + 1)].width = width + 1
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = f"A1:{get_column_letter(len(headings))}{len(kept) + 1}"
    heads = [WriteOnlyCell(sheet, value=heading) for heading in headings]
    for head in heads:
        head.font = Font(bold=True)
    sheet.append(heads)
    for row in kept:
        sheet.append([_cell(sheet, value) for value in row])


def _cell(sheet: Any, value: Any) -> Any:
    """Return a value as a sheet takes it: numbers and plain text as they are, other text marked as text."""
    if value is None or value is pd.NA or value != value:
        return None
    if not isinstance(value, str):
        return _number(sheet, value)
    return _text(sheet, value) if _UNSAFE.search(value) or len(value) > _CHARACTERS else value


def _number(sheet: Any, value: float) -> Any:
    """Return a number that is read back as it is: openpyxl writes 16 digits, and some doubles need 17."""
    from openpyxl.cell import WriteOnlyCell

    if not math.isfinite(value):
        return str(value)
    if float(f"{value:.16g}") == value:
        return value
    cell = WriteOnlyCell(sheet, value=repr(float(value)))
    cell.data_type = "n"
    return cell


def _text(sheet: Any, value: str) -> Any:
    from openpyxl.cell import WriteOnlyCell

    whole = _CONTROL.sub("\N{REPLACEMENT CHARACTER}", value)
    cell = WriteOnlyCell(sheet, value=whole if len(whole) <= _CHARACTERS else whole[: _CHARACTERS - len(_CUT)] + _CUT)
    cell.data_type = "s"
    cell.quotePrefix = True  # Excel keeps it text when the cell is edited
    return cell
