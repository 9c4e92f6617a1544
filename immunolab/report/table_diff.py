"""How a table that was written differs from the same table computed again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from immunolab.errors import InputError, Problem
from immunolab.results.run import Run
from immunolab.schema.csv_files import cell_text
from immunolab.schema.table import Table

CHANGED = "the file was changed after the run; run the study again, or restore it"
_OTHER_MACHINE = 1e-6  # relative: sums of many events or tubes in another order of addition on another machine
_RELATIVE = 1e-9  # of a value: far above rounding of a CSV, far below any digit that is shown


def differences(
    table: Table,
    stored: pd.DataFrame,
    again: pd.DataFrame,
    keys: tuple[str, ...],
    numbers: tuple[str, ...],
    words: tuple[str, ...] = (),
    *,
    relative: float = _RELATIVE,
) -> Iterator[Problem]:
    """Yield each row that one of two tables lacks, and each number or word in which they differ.

    Parameters
    ----------
    table
        Declares both; names the file in problems.
    stored, again
        The table as written, and computed again.
    keys
        Columns that name a row.
    numbers, words
        Columns that are compared; an optional one that was not written, as earlier runs had none, is passed over.
    relative
        Share of a number by which it may differ.
    """
    was, now = _keyed(stored, keys), _keyed(again, keys)
    unwritten = {column.name for column in table.columns if column.optional and column.name not in stored}
    numbers, words = (tuple(name for name in names if name not in unwritten) for names in (numbers, words))
    for key in [*was, *(key for key in now if key not in was)]:
        place = ", ".join(part for part in key if part)
        if key not in now or key not in was:
            text = "is in the table but does not come out again" if key in was else "is missing from the table"
            yield Problem(file_of(table), place, text, CHANGED)
            continue
        for column in numbers:
            if not same(was[key][column], now[key][column], relative):
                yield differs(table, place, column, was[key][column], now[key][column])
        for column in words:
            both_missing = pd.isna(was[key][column]) and pd.isna(now[key][column])
            if was[key][column] != now[key][column] and not both_missing:
                yield Problem(
                    file_of(table), place, f"{column} is '{was[key][column]}', computed again '{now[key][column]}'"
                )


def row_differences(
    table: Table,
    written: pd.DataFrame,
    again: pd.DataFrame,
    *,
    names: Sequence[str] = (),
    columns: Sequence[str] = (),
) -> Iterator[Problem]:
    """Yield each cell in which a table as written differs from its rows computed again in the same order.

    Parameters
    ----------
    table
        Declares both; names the file in problems.
    written, again
        Rows as written, whose index counts the rows of the file, and computed again.
    names
        Columns that name a row beside its number.
    columns
        Those that are compared; all of the table's by default.
    """
    if len(written) != len(again):
        yield Problem(file_of(table), "", f"{len(written)} rows, computed again {len(again)}", CHANGED)
        return
    compared = [column for column in table.columns if column.name in again and column.name in (columns or again)]
    rows = zip(written.index, written.to_dict("records"), again.to_dict("records"), strict=True)
    for number, row, wanted in rows:
        named = [str(row[name]) for name in names if not pd.isna(row[name])]
        place = ", ".join([f"row {number + 2}", *named])
        for column in compared:
            old, new = row.get(column.name), wanted[column.name]
            if column.kind == "text":
                was, now = (cell_text(cell) for cell in (old, new))
                if was != now:
                    text = f"{column.name} is '{was}', computed again '{now}'"
                    yield Problem(file_of(table), place, text, CHANGED)
            elif not same(old, new, _OTHER_MACHINE):
                yield differs(table, place, column.name, old, new)


def _keyed(frame: pd.DataFrame, keys: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, Any]]:
    rows = frame.assign(**{key: frame[key].astype("string").fillna("") for key in keys}).to_dict("records")
    return {tuple(row[key] for key in keys): row for row in rows}  # type: ignore[misc]


def same(a: Any, b: Any, relative: float = _RELATIVE) -> bool:
    """Return whether two numbers agree, to nine digits where nothing else is said, or are both missing.

    Parameters
    ----------
    a, b
        Numbers, NaN or None.
    relative
        Share of the number by which they may differ.
    """
    if pd.isna(a) or pd.isna(b):
        return bool(pd.isna(a) and pd.isna(b))
    return bool(np.isclose(float(a), float(b), rtol=relative, atol=1e-300))


def differs(table: Table, place: str, column: str, stored: Any, wanted: Any) -> Problem:
    """Return the problem of a number that is another when computed again.

    Parameters
    ----------
    table
        Names the file.
    place
        The row, by its keys.
    column
        Of the number.
    stored, wanted
        The number as written, and as computed again.
    """
    text = f"{column} is {_number(stored)}, computed again {_number(wanted)}"
    return Problem(file_of(table), place, text, "the number, or what it depends on, was changed after the run")


def _number(value: Any) -> str:
    return "empty" if pd.isna(value) else f"{float(value):.12g}"


def file_of(table: Table) -> str:
    """Return where a run keeps a table, relative to its folder."""
    return f"tables/{table.name}.csv"


def file_in(run: Run, table: Table) -> Path:
    """Return the CSV file of a run's table.

    Parameters
    ----------
    run
        Its folder is where the file is.
    table
        Its name is that of the file.
    """
    return run.folder / file_of(table)


def read_written(run: Run, table: Table) -> pd.DataFrame | tuple[Problem, ...]:
    """Return a table as its CSV file holds it now, or why it cannot be read.

    Parameters
    ----------
    run
        The finished run.
    table
        Declaration of the table.
    """
    try:
        return table.read(file_in(run, table))
    except InputError as error:
        return error.problems
    except (OSError, ValueError) as error:
        return (Problem(file_of(table), "", f"cannot be read: {error}", CHANGED),)
