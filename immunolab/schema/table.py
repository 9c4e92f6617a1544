"""What a declared table is: its columns, their kinds and limits; checked, written and read by its declaration."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.errors import InputError, Problem

Kind = Literal["text", "integer", "number"]
_ROWS_UNFOLDED = 5_000
_DTYPES: dict[str, str] = {"text": "string", "integer": "Int64", "number": "float64"}
_LARGEST = 2.0**53  # beyond it a float64 no longer tells whole numbers apart


@dataclass(frozen=True)
class Column:
    """One column: its name, kind, unit, meaning, whether it may be empty, what it may hold."""

    name: str
    kind: Kind
    meaning: str
    unit: str = ""
    nullable: bool = False
    allowed: tuple[str, ...] = ()
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Table:
    """A declared table. Columns beyond the declared ones may follow them."""

    name: str
    meaning: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """Declared column names in order."""
        return [column.name for column in self.columns]

    def empty(self) -> pd.DataFrame:
        """Return the table with no rows and the declared dtypes."""
        return pd.DataFrame({c.name: pd.Series(dtype=_DTYPES[c.kind]) for c in self.columns})

    def frame(self, rows: list[dict[str, object]]) -> pd.DataFrame:
        """Return rows as a checked frame: declared columns first, absent nullable ones empty."""
        if not rows:
            return self.empty()
        return self.check(pd.DataFrame(rows))

    def check(self, frame: pd.DataFrame, where: str = "") -> pd.DataFrame:
        """Return the frame with declared order and dtypes.

        Raises
        ------
        InputError
            Lists every fault: absent columns, wrong kinds, values not allowed, duplicate keys.
        """
        where = where or self.name
        checked, problems = {}, []
        for column in self.columns:
            if column.name not in frame.columns:
                if column.nullable:
                    checked[column.name] = pd.Series(None, index=frame.index, dtype=_DTYPES[column.kind])
                else:
                    problems.append(Problem(where, f"column {column.name}", "the column is missing"))
                continue
            values, faults = _cast(column, frame[column.name])
            checked[column.name] = values
            problems += [Problem(where, f"row {row}, column {column.name}", text) for row, text in faults]
        problems += self._duplicates(frame, where)
        if problems:
            raise InputError(problems)
        extra = [name for name in frame.columns if name not in self.names]
        return pd.DataFrame(checked, index=frame.index).join(frame[extra]) if extra else pd.DataFrame(checked)

    def _duplicates(self, frame: pd.DataFrame, where: str) -> Iterator[Problem]:
        if not self.key or not set(self.key) <= set(frame.columns):
            return
        repeated = frame.index[frame.duplicated(list(self.key))]
        for row in repeated:
            label = ", ".join(f"{name} {frame.at[row, name]}" for name in self.key)
            yield Problem(where, f"row {row}", f"{label} stands twice", "keep one row of each")

    def write(self, frame: pd.DataFrame, path: Path) -> None:
        """Check the frame and write it as UTF-8 CSV with full precision."""
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.part")
        self.check(frame).to_csv(temporary, index=False, lineterminator="\n")
        temporary.replace(path)

    def write_rows(self, rows: Iterable[Mapping[str, object]], path: Path) -> None:
        """Write records as CSV with the declared columns; values are checked when `read` gathers them.

        Raises
        ------
        ValueError
            A record has a column that is not declared.
        """
        with path.open("w", encoding="utf-8", newline="") as handle:
            writer = csv.DictWriter(handle, self.names, lineterminator="\n")
            writer.writeheader()
            writer.writerows({name: "" if value != value else value for name, value in row.items()} for row in rows)

    def read(self, *paths: Path) -> pd.DataFrame:
        """Read CSVs written by `write` or `write_rows` as one table; text columns stay text (`NA` stays `NA`)."""
        text = {column.name: "string" for column in self.columns if column.kind == "text"}
        frames = [pd.read_csv(lines, dtype=text, keep_default_na=False, na_values=[""]) for lines in _joined(paths)]
        filled = [frame for frame in frames if len(frame)]
        return self.check(pd.concat(filled, ignore_index=True), str(paths[0])) if filled else self.empty()


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


def _joined(paths: Iterable[Path]) -> Iterator[io.StringIO]:
    """Yield files as one text for each run of files that share a heading: one table is parsed faster than many."""
    heading, lines = None, io.StringIO()
    for path in paths:
        head, _, body = path.read_text(encoding="utf-8").partition("\n")
        if head != heading:
            if heading is not None:
                lines.seek(0)
                yield lines
            heading, lines = head, io.StringIO()
            lines.write(f"{head}\n")
        lines.write(body if body.endswith("\n") or not body else f"{body}\n")
    if heading is not None:
        lines.seek(0)
        yield lines


def _cast(column: Column, values: pd.Series) -> tuple[pd.Series, list[tuple[object, str]]]:
    """Return a column in its declared dtype, and (row, fault) for each value that it may not hold."""
    if column.kind == "text":
        cast = values.astype("string")
        missing = cast.isna().to_numpy(bool)
        return cast, [*_absent(column, values, missing), *_not_allowed(column, cast, missing)]
    numbers, faults = _numbers(values)
    outside = np.zeros(len(numbers), dtype=bool)
    if column.low is not None:
        outside |= numbers < column.low
    if column.high is not None:
        outside |= numbers > column.high
    if outside.any():
        limits = f"{column.low if column.low is not None else ''}..{column.high if column.high is not None else ''}"
        faults += [(values.index[i], f"{numbers[i]:g} is outside {limits}") for i in np.flatnonzero(outside)]
    missing = np.isnan(numbers)
    if column.kind == "number":
        return pd.Series(numbers, index=values.index), [*faults, *_absent(column, values, missing)]
    whole = (np.abs(numbers) <= _LARGEST) & (numbers == np.floor(numbers))
    fraction = ~missing & ~whole
    faults += [(values.index[i], _not_whole(numbers[i])) for i in np.flatnonzero(fraction)]
    cast = pd.Series(
        pd.arrays.IntegerArray(np.where(whole, numbers, 0.0).astype(np.int64), missing), index=values.index
    )
    return cast, [*faults, *_absent(column, values, missing)]


def _not_whole(number: float) -> str:
    return f"{number:g} is not a whole number" + (" within 2^53" if abs(number) > _LARGEST else "")


def _numbers(values: pd.Series) -> tuple[NDArray[np.float64], list[tuple[object, str]]]:
    """Return values as float64 (NaN where empty), and a fault for each that is no number."""
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan)
    if values.dtype.kind in "biuf" or not np.isnan(numbers).any():
        return numbers, []
    bad = (
        np.isnan(numbers) & values.notna().to_numpy(bool) & (values.astype("string") != "").fillna(False).to_numpy(bool)
    )
    return numbers, [(values.index[i], f"{values.iloc[i]!r} is not a number") for i in np.flatnonzero(bad)]


def _absent(column: Column, values: pd.Series, missing: NDArray[np.bool_]) -> Iterator[tuple[object, str]]:
    if column.nullable or not missing.any():
        return
    for i in np.flatnonzero(missing & values.isna().to_numpy(bool)):
        yield values.index[i], "the value is missing"


def _not_allowed(column: Column, cast: pd.Series, missing: NDArray[np.bool_]) -> Iterator[tuple[object, str]]:
    if not column.allowed:
        return
    allowed = ", ".join(column.allowed)
    for i in np.flatnonzero(~missing & ~cast.isin(column.allowed).to_numpy(bool)):
        yield cast.index[i], f"'{cast.iloc[i]}' is not one of: {allowed}"
