"""What a declared table is: its columns, their kinds and limits; checked, written and read by its declaration."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from immunolab.errors import InputError, Problem
from immunolab.schema.column import DTYPES, Column, cast_column
from immunolab.schema.csv_files import MISSING, read_columns, same_headings
from immunolab.schema.files import write_atomically
from immunolab.schema.formula_cells import each_text, is_number, neutralised

_ROWS_UNFOLDED = 5_000  # rows kept as records: judgement, a few samples' worth against the cost of a frame each


@dataclass(frozen=True)
class Table:
    """A declared table.

    Attributes
    ----------
    name
        Its name; ``expression_*`` declares every table that begins with ``expression_``.
    meaning
        What one row is, in words.
    columns
        In the order they are written.
    key
        Columns that no two rows share.
    notes
        What a reader of the table must know besides.
    files
        Command and path of each file that holds it, ``run: samples/*/counts.csv``.
    own_columns
        Whether columns of the user's own may follow the declared ones.
    """

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    notes: str = ""
    files: tuple[str, ...] = ()
    own_columns: bool = False

    @property
    def names(self) -> list[str]:
        """Names of the columns that are always there, in order."""
        return [column.name for column in self.columns if not column.optional]

    def column(self, name: str) -> Column | None:
        """Return the declaration of a column; None for one that is not declared."""
        return next((column for column in self.columns if fnmatchcase(name, column.name)), None)

    def empty(self) -> pd.DataFrame:
        """Return the table with no rows and the declared dtypes."""
        return _empty(self).copy()

    def described(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return the frame itself with what its columns are in ``attrs``.

        ``attrs["units"]`` is column to unit, a unit that is the name of a column being said by that column;
        ``attrs["columns"]`` the data dictionary, column to meaning, unit, kind and whether a value may be missing.

        Parameters
        ----------
        frame
            Rows of the table; its ``attrs`` are replaced.
        """
        units, columns = _dictionary(self, tuple(map(str, frame.columns)))
        frame.attrs = {"table": self.name, "meaning": self.meaning, "units": units, "columns": columns}
        return frame

    def frame(self, rows: Sequence[Mapping[str, object]]) -> pd.DataFrame:
        """Return rows as a checked frame: declared columns first, missing nullable ones empty."""
        return self.check(pd.DataFrame(rows)) if rows else self.empty()

    def joined(self, frames: Iterable[pd.DataFrame]) -> pd.DataFrame:
        """Return frames of this table as one; empty ones are left out, whatever their columns."""
        filled = [frame for frame in frames if len(frame)]
        return pd.concat(filled, ignore_index=True) if filled else self.empty()

    def check(self, frame: pd.DataFrame, where: str = "") -> pd.DataFrame:
        """Return the frame with declared order and dtypes; columns that are not declared follow.

        Parameters
        ----------
        frame
            Rows of the table.
        where
            What the rows are of, in messages.

        Raises
        ------
        InputError
            Lists every fault: missing columns, wrong kinds, values not allowed, duplicated keys.
        """
        where = where or self.name
        checked: dict[str, pd.Series] = {}
        problems: list[Problem] = []
        for column in self.columns:
            present = [name for name in frame.columns if fnmatchcase(str(name), column.name)]
            if not present and not column.optional and "*" not in column.name:
                if column.nullable:
                    checked[column.name] = pd.Series(None, index=frame.index, dtype=DTYPES[column.kind])
                else:
                    problems.append(Problem(where, f"column {column.name}", "the column is missing"))
            for name in present:
                checked[name], faults = cast_column(column, frame[name])
                problems += [Problem(where, f"row {row}, column {name}", text) for row, text in faults]
        problems += self._duplicates(frame, where)
        if problems:
            raise InputError(problems)
        extra = [name for name in frame.columns if name not in checked]
        whole = pd.DataFrame(checked, index=frame.index).join(frame[extra]) if extra else pd.DataFrame(checked)
        return self.described(whole)

    def _duplicates(self, frame: pd.DataFrame, where: str) -> Iterator[Problem]:
        if not self.key or not set(self.key) <= set(frame.columns):
            return
        repeated = frame.index[frame.duplicated(list(self.key))]
        for row in repeated:
            label = ", ".join(f"{name} {frame.at[row, name]}" for name in self.key)
            yield Problem(where, f"row {row}", f"{label} is duplicated", "keep one row of each")

    def refuse_undeclared(self, names: Iterable[str]) -> None:
        """Raise when a column is not declared.

        Raises
        ------
        ValueError
            Names every such column: what is written must be declared first.
        """
        unknown = [] if self.own_columns else [name for name in names if self.column(str(name)) is None]
        if unknown:
            raise ValueError(f"table '{self.name}': {', '.join(map(str, unknown))} not declared in immunolab.schema")

    def write(self, frame: pd.DataFrame, path: Path) -> pd.DataFrame:
        """Check the frame, write it as CSV with full precision, and return it as it was written.

        Parameters
        ----------
        frame
            Rows of the table.
        path
            Its file; written whole or not at all.

        Raises
        ------
        InputError
            As `check`.
        ValueError
            A column is not declared.
        """
        written = self.as_written(frame)
        self.write_as_given(written, path)
        return written

    def as_written(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Return a checked frame as it is after writing and reading: rows numbered from 0, empty text missing.

        Parameters
        ----------
        frame
            Rows of the table.

        Raises
        ------
        InputError
            As `check`.
        """
        checked = self.check(frame.reset_index(drop=True))
        text = [name for name in checked.columns if checked[name].dtype == "string"]
        return checked.assign(**{name: checked[name].mask(checked[name] == MISSING) for name in text})

    def write_as_given(self, frame: pd.DataFrame, path: Path, *, float_format: str | None = None) -> None:
        """Write a frame whose columns are declared without changing the kind or the order of any.

        Parameters
        ----------
        frame
            Rows of the table.
        path
            Its file; written whole or not at all.
        float_format
            Format of numbers, ``%.8g``; None keeps full precision.

        Raises
        ------
        ValueError
            A column is not declared.
        """
        self.refuse_undeclared(frame.columns)
        safe = each_text(frame, neutralised)
        quoting = _quoting(text for name in safe if not is_number(safe[name]) for text in safe[name].unique())

        def write(part: Path) -> None:
            safe.to_csv(part, index=False, lineterminator="\n", float_format=float_format, quoting=quoting)

        write_atomically(path, write)

    def write_rows(self, rows: Iterable[Mapping[str, object]], path: Path) -> None:
        """Write records as CSV with the columns that are always there; values are checked when `read` gathers them.

        Parameters
        ----------
        rows
            Column to value; columns that are always there may be missing.
        path
            Replaced if it exists.

        Raises
        ------
        ValueError
            A record has a column that is not declared.
        """
        cells = [{name: _cell(value) for name, value in row.items()} for row in rows]
        quoting = _quoting(value for row in cells for value in row.values())
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, self.names, lineterminator="\n", quoting=quoting)
            writer.writeheader()
            writer.writerows(cells)

    def read(self, *paths: Path) -> pd.DataFrame:
        """Read CSVs written by `write` or `write_rows` as one table; text stays text (`NA` stays `NA`)."""
        frames = [self._parsed(lines) for lines in same_headings(paths)]
        filled = [frame for frame in frames if len(frame)]
        return self.check(pd.concat(filled, ignore_index=True), str(paths[0])) if filled else self.empty()

    def _parsed(self, lines: StringIO) -> pd.DataFrame:
        return read_columns(lines, [column.name for column in self.columns if column.kind == "text"])


class Described(dict[str, Any]):
    """Words of columns in a frame's ``attrs``: a dict that every copy of the frame shares, as pandas copies deeply."""

    def __deepcopy__(self, memo: object) -> Described:
        return self


@lru_cache(maxsize=512)
def _empty(table: Table) -> pd.DataFrame:
    always = [column for column in table.columns if not column.optional and "*" not in column.name]
    return table.described(pd.DataFrame({c.name: pd.Series(dtype=DTYPES[c.kind]) for c in always}))


@lru_cache(maxsize=512)
def _dictionary(table: Table, names: tuple[str, ...]) -> tuple[Described, Described]:
    """Return units and data dictionary of the declared columns among some names."""
    found = {name: column for name in names if (column := table.column(name)) is not None}
    words = {
        name: {"meaning": c.meaning, "unit": c.unit, "kind": c.kind, "may_be_missing": c.nullable}
        for name, c in found.items()
    }
    return Described({name: c.unit for name, c in found.items() if c.unit}), Described(words)


class Gathered:
    """A table that grows sample by sample; rows are folded into frames, so that thousands of samples take little."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self._rows: list[dict[str, object]] = []
        self._frames: list[pd.DataFrame] = []

    def add(self, rows: Iterable[dict[str, object]]) -> None:
        """Add the rows of a sample."""
        self._rows += rows
        if len(self._rows) > _ROWS_UNFOLDED:
            self._fold()

    def frame(self, order: Sequence[str]) -> pd.DataFrame:
        """Return the checked table, samples in the given order, each sample's rows in their own."""
        self._fold()
        if not self._frames:
            return self.table.empty()
        frame = pd.concat(self._frames, ignore_index=True)
        place = {sample: i for i, sample in enumerate(order)}
        return self.table.check(
            frame.iloc[np.argsort(frame["sample_id"].map(place), kind="stable")].reset_index(drop=True)
        )

    def _fold(self) -> None:
        if self._rows:
            self._frames.append(self.table.frame(self._rows))
            self._rows = []


def _quoting(cells: Iterable[object]) -> Literal[0, 2]:
    """Return how cells are quoted: those that need it, but every text where one holds a carriage return.

    Python's csv leaves a carriage return without quotes unless lines end with one; readers take it for a line's end.
    """
    found = any(isinstance(cell, str) and "\r" in cell for cell in cells)
    return csv.QUOTE_NONNUMERIC if found else csv.QUOTE_MINIMAL


def _cell(value: object) -> object:
    """Return a value as it is written: nothing for NaN, and a text so that no spreadsheet computes it."""
    if isinstance(value, str):
        return neutralised(value)
    return MISSING if value != value else value
