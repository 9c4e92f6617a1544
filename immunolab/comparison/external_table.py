"""A user's table as text cells, and its cells as numbers: CSV, XLSX or a DataFrame."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.diagnostics import name_rows
from immunolab.errors import InputError, Problem, nearest
from immunolab.schema.csv_files import MISSING_NUMBERS
from immunolab.schema.flags import Code
from immunolab.study.spreadsheet import read_lines

Array = NDArray[np.float64]

_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_LIMIT = re.compile(rf"([<>≤≥])=?\s*({_NUMBER.pattern})")
_NOT_FINITE = re.compile(r"[-+]?(nan|inf(inity)?)", re.IGNORECASE)
_MOST_NAMED = 12  # columns listed in a message


@dataclass(frozen=True)
class ExternalTable:
    """A table as text; the frame's index is the row number a spreadsheet shows.

    Attributes
    ----------
    name
        File, or what the table is called in messages.
    frame
        Text cells; ``""`` where there is nothing.
    decimal_comma
        Whether ``2,5`` means two and a half.
    """

    name: str
    frame: pd.DataFrame
    decimal_comma: bool = False

    @property
    def columns(self) -> list[str]:
        """Names of the columns in order."""
        return [str(name) for name in self.frame.columns]

    def absent(self, column: str) -> Problem:
        """Return the problem of a column that is not there, with the nearest name."""
        there = self.columns
        shown = ", ".join(there[:_MOST_NAMED])
        if len(there) > _MOST_NAMED:
            shown += f" ... ({len(there)} columns)"
        hint = f"{nearest(column, there)} columns: {shown}".strip()
        return Problem(self.name, "", f"there is no column '{column}'", hint)

    def beyond(self, column: str) -> NDArray[np.int64]:
        """Return -1 where a cell is below a limit (``<2.3``), 1 where it is above one, else 0."""
        found = [_LIMIT.fullmatch(self._point(cell)) for cell in self.frame[column]]
        return np.array([0 if one is None else -1 if one[1] in "<≤" else 1 for one in found], dtype=np.int64)

    def numbers(self, column: str, *, limits: bool = False) -> tuple[Array, list[Problem]]:
        """Return a column as numbers, NaN for missing cells; each kind of fault is one problem naming its rows.

        Parameters
        ----------
        column
            Its name.
        limits
            Whether cells may be limits (``<2.3``), see `beyond`; the limit is then the number.
        """
        cells = self.frame[column].to_numpy(dtype=object)
        texts = [self._point(cell) for cell in cells]
        if limits:
            texts = [found[2] if (found := _LIMIT.fullmatch(text)) else text for text in texts]
        values = np.array([float(text) if _NUMBER.fullmatch(text) else np.nan for text in texts])
        faults: dict[tuple[Code, str, str], list[int]] = {}
        for i, text in enumerate(texts):
            if text not in MISSING_NUMBERS and not _NUMBER.fullmatch(text):
                faults.setdefault(_diagnosis(text), []).append(i)
        return values, [*self._fault_problems(column, cells, faults), *self._range_problems(column, values)]

    def is_numeric(self, column: str) -> bool:
        """Return whether a column holds numbers, and nothing else but missing cells."""
        cells = [self._point(cell) for cell in self.frame[column] if cell not in MISSING_NUMBERS]
        return bool(cells) and all(_NUMBER.fullmatch(cell) or _LIMIT.fullmatch(cell) for cell in cells)

    def _point(self, cell: str) -> str:
        text = cell.replace("\u2212", "-")  # the minus sign of typography
        return text.replace(",", ".") if self.decimal_comma and text.count(",") == 1 and "." not in text else text

    def _fault_problems(
        self, column: str, cells: NDArray[np.object_], faults: dict[tuple[Code, str, str], list[int]]
    ) -> Iterator[Problem]:
        for (code, message, hint), places in faults.items():
            rows = name_rows(self.frame.index[places])
            shown = ", ".join(f"'{cell}'" for cell in dict.fromkeys(cells[places][:3]))
            yield Problem(self.name, f"{rows}, column {column}", f"{message}: {shown} ({code})", hint)

    def _range_problems(self, column: str, values: Array) -> Iterator[Problem]:
        infinite = np.isinf(values)
        if infinite.any():
            rows = name_rows(self.frame.index[infinite])
            yield Problem(self.name, f"{rows}, column {column}", f"a number out of range ({Code.E_NONFINITE})")


def _diagnosis(text: str) -> tuple[Code, str, str]:
    """Return what a cell is that is no number: its code, in words, and how to fix it."""
    if _NOT_FINITE.fullmatch(text):
        return Code.E_NONFINITE, "a value is infinite or not a number", "leave the cell empty when it is missing"
    if text[:1] in "<>≤≥":
        return Code.E_TEXT, "a limit, not a value", "a measured value may be below or above a limit, a count may not"
    if text.endswith("%"):
        return Code.E_TEXT, "text in a number column", "remove the percent sign; percentages are 0..100"
    if re.fullmatch(r"[-+]?\d+,\d+", text):
        hint = "write a point, or separate columns by semicolons"
        return Code.E_TEXT, "a decimal comma in a comma-separated table", hint
    return Code.E_TEXT, "text in a number column", "write a number, or leave the cell empty when it is missing"


def external_table(table: pd.DataFrame | Path | str) -> ExternalTable:
    """Return a table as text cells.

    Parameters
    ----------
    table
        A CSV (comma, semicolon or tab), an XLSX (its first sheet), or a DataFrame: its missing values are
        empty cells, and its index names the rows in messages; one that names two rows alike, as that of frames put
        together, or by several words gives way to their numbers from 0.

    Raises
    ------
    InputError
        It is neither a file nor a DataFrame; the file cannot be read, is empty, repeats a column name or has a
        line longer than its header.
    """
    if not isinstance(table, pd.DataFrame | Path | str):
        hint = "give a DataFrame, or the name of a CSV or XLSX file"
        raise InputError(Problem("", "table", f"{type(table).__name__} is not a table", hint))
    if isinstance(table, pd.DataFrame):
        names = [str(name).strip() for name in table.columns]
        _raise_repeated(names, "the table", "")
        text = table.astype(object).where(table.notna(), "").map(lambda cell: str(cell).strip())
        named = text.index.is_unique and text.index.nlevels == 1
        text = text.rename_axis(index=None) if named else text.reset_index(drop=True)
        return ExternalTable("the table", text.set_axis(names, axis=1))
    path = Path(table)
    numbered, comma = read_lines(path)
    header = numbered[0][1]
    problems = [
        Problem(str(path), f"row {number}", f"{len(cells)} cells, but the header has {len(header)}")
        for number, cells in numbered[1:]
        if any(cells[len(header) :])
    ]
    _raise_repeated([name for name in header if name], str(path), "row 1", problems)
    cells = [(line + [""] * len(header))[: len(header)] for _, line in numbered[1:]]
    frame = pd.DataFrame(cells, columns=header, index=[number for number, _ in numbered[1:]], dtype=object)
    return ExternalTable(str(path), frame.loc[:, [bool(name) for name in header]], comma)


def _raise_repeated(names: Sequence[str], where: str, place: str, others: Sequence[Problem] = ()) -> None:
    problems = [
        Problem(where, place, f"the column '{name}' is duplicated", "give each column a different name")
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if problems or others:
        raise InputError([*problems, *others])
