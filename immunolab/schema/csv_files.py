"""CSV by one rule: UTF-8, one header line, a missing value is an empty field, and every other text is itself.

Texts that a spreadsheet would compute are written and read as `formula_cells` says.
A cohort named ``NA`` stays ``NA``: no word is taken for missing in a table of ours. In tables that people
write, some words mean that a number is missing; they are declared here and used by every reader of numbers.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from pathlib import Path

import pandas as pd

from immunolab.errors import InputError, Problem
from immunolab.schema.files import write_atomically
from immunolab.schema.formula_cells import each_text, neutralised, restored

MISSING = ""  # how a missing value is written
MISSING_NUMBERS = frozenset({MISSING, "NA", "na", "N/A", "n/a", "#N/A", ".", "-"})
"""Words of a user's number column that mean a missing value."""
MISSING_RESULTS = frozenset(
    {MISSING, "na", "n/a", "nan", "nd", "n.d.", "missing", ".", "-", "--", "---", "***", "null", "none"}
)
"""Words, in lower case, by which instruments and laboratories say that there is no result."""


def cell_text(value: object) -> str:
    """Return a cell's text; "" where it is missing."""
    return "" if pd.isna(value) else str(value)  # type: ignore[call-overload]


def read_columns(source: Path | io.StringIO, text: Iterable[str]) -> pd.DataFrame:
    """Read a CSV of ours: the named columns as text, the others as numbers.

    Parameters
    ----------
    source
        Path or open text.
    text
        Columns that hold text; in them and in all others only an empty field is missing.
    """
    read = pd.read_csv(source, dtype=dict.fromkeys(text, "string"), keep_default_na=False, na_values=[MISSING])
    return each_text(read, restored)


def read_text(path: Path | str, hint: str = "save it as CSV, UTF-8") -> pd.DataFrame:
    """Read a user's comma-separated table as text; an empty field is ``""``.

    Parameters
    ----------
    path
        The file.
    hint
        What to do when it is not a CSV file.

    Raises
    ------
    InputError
        The file cannot be read, or is not CSV.
    """
    try:
        return each_text(pd.read_csv(path, dtype=str, keep_default_na=False), restored)
    except OSError as error:
        raise InputError(Problem(str(path), "", f"cannot be read: {error.strerror}", "check the path")) from None
    except ValueError as error:
        raise InputError(Problem(str(path), "", f"is not a CSV file: {error}", hint)) from None


def read_without_header(path: Path) -> pd.DataFrame:
    """Read a list of another program: fields parted by tabs, no header, quotes are letters; all of it is text.

    Parameters
    ----------
    path
        The file, zipped where it ends in ``.gz``; columns are called 0, 1, 2 ...
    """
    return pd.read_csv(path, sep="\t", header=None, dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)


def same_headings(paths: Iterable[Path]) -> Iterator[io.StringIO]:
    """Yield files as one text for each run of files that share a heading: one table is parsed faster than many."""
    heading, lines = None, io.StringIO()
    for path in paths:
        with path.open(encoding="utf-8", newline="") as handle:  # a carriage return inside a text stays one
            head, _, body = handle.read().partition("\n")
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


def write_plain_table(table: pd.DataFrame, path: Path, *, separator: str = ",") -> Path:
    """Write a table of another body's format, which is not declared here, and return its path.

    Parameters
    ----------
    table
        Its columns as they are; a missing value is an empty field, and no text runs as a formula.
    path
        Replaced when it exists.
    separator
        Between fields.
    """
    written = each_text(table, neutralised)
    write_atomically(path, lambda part: written.to_csv(part, index=False, sep=separator, lineterminator="\n"))
    return path
