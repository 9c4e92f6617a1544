"""Tables that people write in a spreadsheet, read as text: CSV, TSV or the first sheet of an XLSX."""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import chain, islice
from pathlib import Path

from immunolab.errors import InputError, Problem, nearest
from immunolab.input_files import read_input
from immunolab.schema.formula_cells import restored
from immunolab.study.workbook import CELL_ERRORS, ERROR_HINT, read_workbook

_THOUSANDS = re.compile(r"[-+]?[1-9]\d{0,2}\.\d{3}")  # may be thousands in groups, or a number with three decimals
# columns of names, in which 1.001 is a site and a patient, and 12.5 a lot: they say nothing of the decimal sign
_NAMES = re.compile(r"(.*_)?(id|patient|subject|participant|sample|visit|cohort|batch|lot|file|panel|aliquot)(_.*)?")
_POINT, _COMMA = re.compile(r"[-+]?\d+\.\d+"), re.compile(r"[-+]?\d+,\d+")
_MOST_GROUPED = 5  # cells named: the others are like them
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # a remark may have tabs and several lines


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: its number as a spreadsheet shows it, its cells, and the place of each of its columns."""

    number: int
    line: Sequence[str]
    places: Mapping[str, int]

    def __getitem__(self, column: str) -> str:
        place = self.places.get(column, len(self.line))
        return self.line[place] if place < len(self.line) else ""

    @property
    def cells(self) -> dict[str, str]:
        """Cells by column; those beyond the end of the line are left out."""
        return {column: self.line[place] for column, place in self.places.items() if place < len(self.line)}


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
        value = float(text) if _NUMBER.fullmatch(text) else math.inf
        return value if math.isfinite(value) else None


def read_text_table(path: Path) -> TextTable:
    """Read a table as text; cells are stripped, wholly empty lines are skipped.

    A text that a spreadsheet would compute may have the apostrophe that our tables give it (`formula_cells`).
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
        The file cannot be read, is not UTF-8 text or no workbook, holds nothing, or has cells that show an error.
    """
    if path.suffix.lower() in (".xlsx", ".xlsm"):
        lines, separator = read_workbook(path), ","
    else:
        lines, separator = _read_separated(path)
    stripped = _Stripped()
    for line in lines:
        line[:] = map(stripped.__getitem__, line)
    numbered = [(i, line) for i, line in enumerate(lines, start=1) if any(line) and not _is_comment(line)]
    grouped = _grouped(str(path), numbered, separator) if separator != "," else ()
    if faults := [*_cell_problems(str(path), numbered), *grouped]:
        raise InputError(faults)
    if not numbered:
        raise InputError(Problem(str(path), "", "the table is empty", "write a header line and one line a sample"))
    return numbered, separator != ","


class _Stripped(dict[str, str]):
    """Cells without what is around them; those of one text are one object, for the columns of a long table hold few."""

    def __missing__(self, cell: str) -> str:
        self[cell] = found = restored(cell.strip())
        return found


def _cell_problems(file: str, numbered: Sequence[tuple[int, list[str]]]) -> Iterator[Problem]:
    """Yield a Problem for each cell that shows an error, then for each that holds a control character."""
    texts = {cell for _, line in numbered for cell in line}
    errors, controls = texts & set(CELL_ERRORS), set(filter(_CONTROL.search, texts))
    for place, cell in _places(numbered, errors):
        yield Problem(file, place, f"shows {cell}", ERROR_HINT)
    for place, cell in _places(numbered, controls):
        yield Problem(file, place, f"holds a control character: {cell!r}", "type the cell again")


def _grouped(file: str, numbered: Sequence[tuple[int, list[str]]], separator: str) -> Iterator[Problem]:
    """Yield a Problem for cells such as ``1.234``, where the table does not show that its point is decimal.

    Countries that separate columns by semicolons write thousands so. Another number with a point (``12.5``, ``0.123``)
    shows a decimal one, unless some number of the table has a comma; so do tabs, which are of all countries. Names,
    such as the patient 1.001 of site 1, are text.
    """
    names = {k for k, cell in enumerate(numbered[0][1]) if _NAMES.fullmatch(_word(cell))} if numbered else set()
    lines = [(i, ["" if k in names else cell for k, cell in enumerate(line)]) for i, line in numbered]
    texts = {cell for _, line in lines[1:] for cell in line}
    found = set(filter(_THOUSANDS.fullmatch, texts))
    point = separator == "\t" or any(_POINT.fullmatch(cell) for cell in texts - found)
    comma = any(_COMMA.fullmatch(cell) for cell in texts)
    if not found or (point and not comma):
        return
    hint = "write thousands without a point and ids with a dash; where it is decimal, separate columns by commas"
    for place, cell in islice(_places(lines, found), _MOST_GROUPED):
        whole = cell.replace(".", "")
        yield Problem(file, place, f"'{cell}' may be {whole}, or a number with three decimals", hint)


def _places(numbered: Sequence[tuple[int, list[str]]], texts: set[str]) -> Iterator[tuple[str, str]]:
    """Yield where each of some texts is, and the text."""
    for i, line in numbered if texts else ():
        yield from ((f"row {i}, cell {k}", cell) for k, cell in enumerate(line, start=1) if cell in texts)


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
        A column is duplicated or has cells but no name, the first row is a title, or a line is longer than the header.
    """
    header = [_word(cell) for cell in numbered[0][1]]
    if title := [*_title_problem(file, numbered)]:
        raise InputError(title)  # every line below is longer: said once
    problems = [*_header_problems(file, header), *_unnamed(file, header, numbered)]
    rows = []
    places = {name: k for k, name in enumerate(header) if name}
    for number, line in numbered[1:]:
        if len(line) > len(header) and any(line[len(header) :]):
            text = f"{len(line)} cells, but the header has {len(header)}"
            problems.append(Problem(file, f"row {number}", text, "quote cells that hold the separator"))
        rows.append(Row(number, line, places))
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


def _title_problem(file: str, numbered: Sequence[tuple[int, list[str]]]) -> Iterator[Problem]:
    """Yield a Problem where the first row holds its first cell alone and one below holds more."""
    (first, line), later = numbered[0], numbered[1:]
    wide = next((row for row, cells in later if sum(map(bool, cells)) > 1), None)
    if wide is not None and line[0] and not any(line[1:]):
        text = f"row {first} is a title ('{line[0]}'), row {wide} has more cells"
        yield Problem(file, f"row {first}", text, "delete what is above the row of column names, or begin it with #")


def _unnamed(file: str, header: list[str], numbered: Sequence[tuple[int, list[str]]]) -> Iterator[Problem]:
    """Yield a Problem for each column with cells but no name, but for one that counts the rows."""
    rows = [line for _, line in numbered[1:]]
    for k in (k for k, name in enumerate(header) if not name):
        cells = [line[k] if k < len(line) else "" for line in rows]
        counts = [[str(i) for i in range(start, start + len(rows))] for start in (0, 1)]
        if any(cells) and cells not in counts:
            text = f"column {k + 1} has cells ('{next(filter(None, cells))}') but no name"
            yield Problem(file, f"row {numbered[0][0]}", text, "name the column, or delete it")


def _is_comment(line: list[str]) -> bool:
    return line[0].startswith("#") and line[0] not in CELL_ERRORS


def _read_separated(path: Path) -> tuple[list[list[str]], str]:
    try:
        text = read_input(path).decode("utf-8-sig")
    except OSError as error:
        raise InputError(Problem(str(path), "", f"cannot be read: {error.strerror}", "check the path")) from None
    except UnicodeDecodeError:
        raise InputError(Problem(str(path), "", "is not UTF-8 text", "save it as 'CSV UTF-8' or as XLSX")) from None
    first = next((line for line in text.splitlines() if line.strip() and not line.lstrip('"').startswith("#")), "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    try:
        shared: dict[str, str] = {}  # cells of one text are one object
        lines = [[shared.setdefault(cell, cell) for cell in line] for line in reader]
    except csv.Error as error:
        hint = "a quotation mark opens a cell that another one closes; double those that are part of a text"
        raise InputError(Problem(str(path), f"line {reader.line_num}", f"no table: {error}", hint)) from None
    swallowed = list(_swallowed(str(path), lines, separator))
    if swallowed:
        raise InputError(swallowed)
    return lines, separator


def _swallowed(file: str, lines: list[list[str]], separator: str) -> Iterator[Problem]:
    """Yield a Problem for each cell that holds whole lines of the table, as between two stray quotation marks."""
    width = Counter(map(len, lines)).most_common(1)[0][0] if lines else 0
    several = {cell for cell in set(chain.from_iterable(lines)) if len(cell.splitlines()) > 1}
    for i, line in enumerate(lines if several else (), start=1):
        for cell in filter(several.__contains__, line):
            inside = cell.splitlines()[1:]
            # in a table of two columns a remark with a comma looks the same
            if width > 2 and any(text.count(separator) >= width - 1 for text in inside):
                text = f"a quoted cell holds {len(inside) + 1} lines of the table"
                yield Problem(file, f"row {i}", text, "remove the stray quotation mark that opens it")
