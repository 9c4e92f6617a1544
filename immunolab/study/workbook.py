"""The first sheet of an XLSX workbook as text: every cell that holds something, or a refusal that says why."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile, ZipFile

from immunolab.errors import InputError, Problem
from immunolab.input_files import read_input

if TYPE_CHECKING:
    from openpyxl.cell.cell import Cell
    from openpyxl.worksheet.worksheet import Worksheet

# What Excel and LibreOffice show in place of a value that they could not compute (ECMA-376 part 1, 18.18.11 and later)
CELL_ERRORS = frozenset(
    (
        "#NULL!",
        "#DIV/0!",
        "#VALUE!",
        "#REF!",
        "#NAME?",
        "#NUM!",
        "#N/A",
        "#GETTING_DATA",
        "#SPILL!",
        "#CALC!",
        "#BLOCKED!",
    )
)
ERROR_HINT = "correct the formula, or leave the cell empty where there is no value"
# Bytes of a workbook once unpacked, about 700,000 cells, which take some 10 s to read; judgement
MOST_BYTES = 32 * 2**20
NO_WORKBOOK = "is not an XLSX workbook that can be read"
_Cells = dict[tuple[int, int], "Cell"]


def read_workbook(path: Path) -> list[list[str]]:
    """Return the cells of the first sheet as text, a list a row; empty rows are empty lists.

    Cells are those that the sheet holds, not those of the range that it declares. Dates become ``YYYY-MM-DD``.

    Parameters
    ----------
    path
        An XLSX or XLSM file.

    Raises
    ------
    InputError
        The file is no workbook or too large; a cell shows an error, is a formula whose value was never stored, is
        merged with others or shows a percentage; all such cells are listed.
    """
    content = _content(path)
    values, formulas = (_load(path, content, data_only=wanted) for wanted in (True, False))
    cells = _cells(values)
    problems = [*_cell_problems(str(path), cells, _cells(formulas)), *_merged(str(path), values)]
    if problems:
        raise InputError(problems)
    lines: list[list[str]] = [[] for _ in range(max((row for row, _ in cells), default=0))]
    for (row, column), cell in sorted(cells.items()):
        line = lines[row - 1]
        line.extend([""] * (column - 1 - len(line)))
        line.append(_text(cell.value))
    return lines


def _content(path: Path) -> bytes:
    """Return a workbook's bytes, refused before they are unpacked where that is too much."""
    try:
        content = read_input(path)
        with ZipFile(BytesIO(content)) as parts:
            size = sum(part.file_size for part in parts.infolist())
    except OSError as error:
        raise InputError(Problem(str(path), "", f"cannot be read: {error.strerror}", "check the path")) from None
    except (BadZipFile, ValueError, NotImplementedError):
        raise InputError(Problem(str(path), "", NO_WORKBOOK, "save it again as XLSX or CSV")) from None
    if size > MOST_BYTES:
        text = f"holds {size / 2**20:,.0f} MiB once unpacked; at most {MOST_BYTES // 2**20} are read"
        raise InputError(Problem(str(path), "", text, "save the sheet as CSV, which may have any length"))
    return content


def _load(path: Path, content: bytes, *, data_only: bool) -> Worksheet:
    """Return the first sheet; whatever a damaged part makes the parser raise is a fault of the file."""
    import warnings

    from openpyxl import load_workbook

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of features that are not kept on writing, which nobody does here
            return load_workbook(BytesIO(content), data_only=data_only, keep_links=False).worksheets[0]
    except Exception as error:  # noqa: BLE001  any: a damaged part ends in whichever error its parser meets first
        text = f"{NO_WORKBOOK}: {type(error).__name__}"
        raise InputError(Problem(str(path), "", text, "save it again as XLSX or CSV")) from None


def _cells(sheet: Worksheet) -> _Cells:
    """Return the cells that hold something by (row, column), counted from 1.

    Sheets have no public list of the cells that are there: their iterators walk the whole range, which a single
    formatted cell far below stretches over millions.
    """
    return {place: cell for place, cell in sheet._cells.items() if cell.value not in (None, "")}


def _cell_problems(file: str, values: _Cells, formulas: _Cells) -> Iterator[Problem]:
    comments = {row for (row, column), cell in values.items() if column == 1 and _is_comment(cell)}
    for (row, column), cell in sorted(formulas.items()):
        if row in comments:
            continue
        value = values.get((row, column))
        place = f"cell {cell.coordinate}"
        if value is None:
            text = f"the formula {cell.value} has no stored value"
            yield Problem(file, place, text, "open the file in Excel or LibreOffice and save it again")
        elif value.data_type == "e" or value.value in CELL_ERRORS:
            yield Problem(file, place, f"shows {value.value}", ERROR_HINT)
        elif isinstance(value.value, float | int) and "%" in str(value.number_format):
            text = f"is formatted as a percentage: it shows {value.value:.4%} and holds {value.value}"
            yield Problem(file, place, text, "format the column as a plain number and say its unit")


def _is_comment(cell: Cell) -> bool:
    return cell.data_type == "s" and str(cell.value).lstrip().startswith("#") and cell.value not in CELL_ERRORS


def _merged(file: str, sheet: Worksheet) -> Iterator[Problem]:
    for merged in sheet.merged_cells.ranges:
        if sheet.cell(merged.min_row, merged.min_col).value is not None:
            text = "the cells are merged: the first one alone holds the value"
            yield Problem(file, f"cells {merged.coord}", text, "unmerge them and fill in each, or delete a title")


def _text(value: Any) -> str:
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == time() else value.isoformat(sep=" ")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else repr(value)
    return str(value)
