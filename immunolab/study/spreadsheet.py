"""Tables that people write in a spreadsheet, read as text: CSV, TSV or the first sheet of an XLSX."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from immunolab.errors import InputError, Problem, nearest

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")


@dataclass(frozen=True)
class Row:
    """One line of a table: its number as a spreadsheet shows it, and its cells by column."""

    number: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        return self.cells.get(column, "")


@dataclass(frozen=True)
class TextTable:
    """A table of text cells. ``decimal_comma`` says that ``2,5`` means two and a half."""

    file: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    decimal_comma: bool = False

    def problem(self, row: Row | None, column: str, message: str, hint: str = "") -> Problem:
        """Return a Problem at a row and column of this table.

        Parameters
        ----------
        row
            None for a fault of the whole table.
        column
            Name as the table spells it; "" for a fault of a whole row.
        message
            What is wrong.
        hint
            How to fix it.
        """
        place = [f"row {row.number}"] if row else []
        return Problem(self.file, ", ".join([*place, f"column {column}"] if column else place), message, hint)

    def number(self, text: str) -> float | None:
        """Return a cell as a number, or None when it is not one."""
        text = text.strip().replace("\u2212", "-")
        if self.decimal_comma and text.count(",") == 1 and "." not in text:
            text = text.replace(",", ".")
        return float(text) if _NUMBER.fullmatch(text) else None


def read_text_table(path: Path) -> TextTable:
    """Read a table as text; cells are stripped, wholly empty lines are skipped.

    CSV may be separated by comma, semicolon or tab and may start with a byte order mark. Dates in
    XLSX cells become ``YYYY-MM-DD``. Lines that begin with ``#`` are comments. Header words are
    compared without case, blanks and hyphens.

    Parameters
    ----------
    path
        CSV, TSV or XLSX.

    Raises
    ------
    InputError
        The file cannot be read, is not UTF-8, has no header, or repeats a column.
    """
    numbered, comma = read_lines(path)
    return text_table(str(path), numbered, comma)


def read_lines(path: Path) -> tuple[list[tuple[int, list[str]]], bool]:
    """Return the stripped cells of every line that is not empty, with its number, and whether commas are decimal.

    Parameters
    ----------
    path
        CSV, TSV or XLSX.

    Raises
    ------
    InputError
        The file cannot be read, is not UTF-8 text or no workbook, or holds nothing.
    """
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        lines, comma = _read_workbook(path), False
    else:
        lines, comma = _read_separated(path)
    stripped = [(i, [cell.strip() for cell in line]) for i, line in enumerate(lines, start=1)]
    numbered = [(i, line) for i, line in stripped if any(line) and not line[0].startswith("#")]
    if not numbered:
        raise InputError(Problem(str(path), "", "the table is empty", "write a header line and one line a sample"))
    return numbered, comma


def text_table(file: str, numbered: Sequence[tuple[int, list[str]]], decimal_comma: bool = False) -> TextTable:
    """Return numbered lines, the header first, as a table.

    Parameters
    ----------
    file
        Its name, for messages.
    numbered
        Number and cells of each line, the header first.
    decimal_comma
        Whether ``2,5`` is two and a half.

    Raises
    ------
    InputError
        A column is duplicated or a line is longer than the header.
    """
    header = [_word(cell) for cell in numbered[0][1]]
    problems = list(_header_problems(file, header))
    rows = []
    for number, line in numbered[1:]:
        if len(line) > len(header) and any(line[len(header) :]):
            text = f"{len(line)} cells, but the header has {len(header)}"
            problems.append(Problem(file, f"row {number}", text, "quote cells that hold the separator"))
        rows.append(Row(number, {name: cell for name, cell in zip(header, line, strict=False) if name}))
    if problems:
        raise InputError(problems)
    return TextTable(file, tuple(name for name in header if name), tuple(rows), decimal_comma)


def column_problems(table: TextTable, needed: Sequence[str], optional: Sequence[str]) -> Iterator[Problem]:
    """Yield a Problem for each needed column that is absent and each optional one that is misspelt.

    Parameters
    ----------
    table
        As read.
    needed, optional
        Names of columns.
    """
    absent = [name for name in needed if name not in table.columns]
    strangers = [name for name in table.columns if name not in (*needed, *optional)]
    for name in absent:
        close = nearest(name, strangers)
        hint = f"{close} rename it to '{name}'" if close else f"the table has: {', '.join(table.columns)}"
        yield table.problem(None, name, "the column is missing", hint)
    for stranger in strangers:
        meant = [n for n in optional if n not in table.columns and _misspelt(stranger, n)]
        if meant:
            hint = f"did you mean '{meant[0]}'? a further column needs a name less like it"
            yield table.problem(None, stranger, "unknown column", hint)


def _misspelt(stranger: str, name: str) -> bool:
    begins = len(stranger) > 4 and name.startswith(stranger)
    return begins or SequenceMatcher(None, stranger, name).ratio() >= 0.8


def _word(text: str) -> str:
    return re.sub(r"[\s\-]+", "_", text.strip().lower())


def _header_problems(file: str, header: list[str]) -> Iterator[Problem]:
    for name in sorted({name for name in header if name and header.count(name) > 1}):
        yield Problem(file, f"column {name}", "the column is duplicated", "keep one of them")


def _read_separated(path: Path) -> tuple[list[list[str]], bool]:
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise InputError(Problem(str(path), "", f"cannot be read: {error.strerror}", "check the path")) from None
    except UnicodeDecodeError:
        raise InputError(Problem(str(path), "", "is not UTF-8 text", "save it as 'CSV UTF-8' or as XLSX")) from None
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip('"').startswith("#")), "")
    separator = max(",;\t", key=first.count)
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=separator)), separator != ","


def _read_workbook(path: Path) -> list[list[str]]:
    from zipfile import BadZipFile

    from openpyxl import load_workbook
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        book = load_workbook(path, read_only=True, data_only=True)
    except OSError as error:
        raise InputError(Problem(str(path), "", f"cannot be read: {error.strerror}", "check the path")) from None
    except (BadZipFile, InvalidFileException, KeyError):
        raise InputError(Problem(str(path), "", "is not an XLSX workbook", "save it again as XLSX or CSV")) from None
    try:
        return [[_cell(value) for value in line] for line in book.worksheets[0].iter_rows(values_only=True)]
    finally:
        book.close()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)
