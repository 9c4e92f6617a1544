"""Dates as people write them: one format a column, never guessed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date, datetime

from immunolab.errors import Problem
from immunolab.study.spreadsheet import Row, TextTable

_FORMATS: dict[str, tuple[str, str]] = {
    "year-month-day": (r"\d{4}-\d{1,2}-\d{1,2}", "%Y-%m-%d"),
    "year/month/day": (r"\d{4}/\d{1,2}/\d{1,2}", "%Y/%m/%d"),
    "day.month.year": (r"\d{1,2}\.\d{1,2}\.\d{4}", "%d.%m.%Y"),
    "day-Mon-year": (r"\d{1,2}-[A-Za-z]{3}-\d{4}", "%d-%b-%Y"),
    "day/month/year": (r"\d{1,2}/\d{1,2}/\d{4}", "%d/%m/%Y"),
    "month/day/year": (r"\d{1,2}/\d{1,2}/\d{4}", "%m/%d/%Y"),
}
_SLASHED = ("day/month/year", "month/day/year")
_DATE = "date"  # the column, in every table that has dates
_ISO = "write dates as 2024-03-05"


def read_dates(table: TextTable, rows: Sequence[Row]) -> tuple[dict[int, date], list[Problem]]:
    """Return the date of each row (by row number) and what is wrong with the column ``date``.

    The first date sets the column's format; a date in another format is a problem. Dates such as
    ``03/05/2024`` are taken only when some row of the column shows which number is the day.

    Parameters
    ----------
    table, rows
        A table and those of its rows that are read.
    """
    filled = [row for row in rows if row[_DATE]]
    slashed = _slashed_format([row[_DATE] for row in filled])
    found: dict[int, date] = {}
    problems: list[Problem] = []
    first: tuple[str, int] | None = None
    for row in filled:
        text = _without_midnight(row[_DATE])
        name = _format_of(text, slashed)
        if name == "ambiguous":
            message = f"'{row['date']}' may be day/month/year or month/day/year"
            problems.append(table.problem(row, _DATE, message, _ISO))
            continue
        day = _parse(text, name)
        if day is None:
            problems.append(table.problem(row, _DATE, f"'{row['date']}' is not a date", _ISO))
            continue
        first = first or (name, row.number)
        if name != first[0]:
            message = f"'{row['date']}' is {name}, but row {first[1]} writes {first[0]}"
            problems.append(table.problem(row, _DATE, message, f"use one format in the column; {_ISO}"))
            continue
        found[row.number] = day
    return found, problems


def _without_midnight(text: str) -> str:
    return re.sub(r"[ T]\d{1,2}:\d{2}(:\d{2}(\.\d+)?)?$", "", text.strip())


def _slashed_format(texts: Sequence[str]) -> str:
    pairs = [tuple(map(int, text.split("/")[:2])) for text in texts if re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4}.*", text)]
    day_first, month_first = any(a > 12 for a, _ in pairs), any(b > 12 for _, b in pairs)
    if day_first == month_first:
        return "ambiguous"
    return _SLASHED[0] if day_first else _SLASHED[1]


def _format_of(text: str, slashed: str) -> str:
    for name, (pattern, _) in _FORMATS.items():
        if re.fullmatch(pattern, text):
            return slashed if name in _SLASHED else name
    return ""


def _parse(text: str, name: str) -> date | None:
    if not name:
        return None
    try:
        return datetime.strptime(text, _FORMATS[name][1]).date()
    except ValueError:
        return None
