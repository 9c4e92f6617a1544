"""Real dose dates of each patient: they override the trial's calendar."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from immunolab.errors import InputError, Problem
from immunolab.input_files import is_there
from immunolab.study.dates import read_dates
from immunolab.study.spreadsheet import Row, TextTable, column_problems, read_text_table

_MOST_DAYS = 36_525  # a hundred years from the first dose; beyond it a date or an id was written


@dataclass(frozen=True)
class PatientDoses:
    """Study days with a dose, rising, the first of them day 1; and the date of day 1 when known."""

    days: tuple[int, ...]
    first_date: date | None = None

    def study_day(self, day: date) -> int | None:
        """Return the study day of a date (day 1 is the first dose, there is no day 0)."""
        if self.first_date is None:
            return None
        elapsed = (day - self.first_date).days
        return elapsed + 1 if elapsed >= 0 else elapsed


def read_doses(path: Path | None) -> dict[str, PatientDoses]:
    """Read a table of doses: patient_id and date or study_day, one line a dose.

    Parameters
    ----------
    path
        CSV, TSV or XLSX; None gives no doses.

    Raises
    ------
    InputError
        Absent columns, empty cells, two date formats, a day that is no whole number from 1 on,
        a dose that is duplicated, a date and a study day that contradict each other.
    """
    if path is None or not is_there(path):
        return {}
    table = read_text_table(path)
    problems = list(column_problems(table, ("patient_id",), ("date", "study_day")))
    if not problems and not {"date", "study_day"} & set(table.columns):
        problems.append(table.problem(None, "date", "the column is missing", "give date or study_day"))
    if problems:
        raise InputError(problems)
    dates, problems = read_dates(table, table.rows)
    days, day_problems = read_study_days(table)
    problems += day_problems
    lines: dict[str, list[Row]] = {}
    for row in table.rows:
        if not row["patient_id"]:
            problems.append(table.problem(row, "patient_id", "the cell is empty"))
        if not row["date"] and not row["study_day"]:
            problems.append(table.problem(row, "date", "neither date nor study_day is given"))
        lines.setdefault(row["patient_id"], []).append(row)
    if problems:
        raise InputError(problems)
    found = {patient: _patient(table, rows, dates, days) for patient, rows in lines.items()}
    if problems := [problem for _, faults in found.values() for problem in faults]:
        raise InputError(problems)
    return {patient: doses for patient, (doses, _) in found.items()}


def read_study_days(table: TextTable) -> tuple[dict[int, int], list[Problem]]:
    """Return the study day of each row (by row number) and what is wrong with the column.

    Parameters
    ----------
    table
        With a column ``study_day``.
    """
    found, problems = {}, []
    for row in table.rows:
        if not row["study_day"]:
            continue
        value = table.number(row["study_day"])
        if value is None or not value.is_integer() or abs(value) > _MOST_DAYS:
            message = f"'{row['study_day']}' is not a whole number"
            problems.append(table.problem(row, "study_day", message, "day 1 is the first dose"))
        elif value == 0:
            text = "there is no study day 0"
            problems.append(table.problem(row, "study_day", text, "day 1 is the first dose, the day before is day -1"))
        else:
            found[row.number] = int(value)
    return found, problems


def _patient(
    table: TextTable, rows: list[Row], dates: dict[int, date], days: dict[int, int]
) -> tuple[PatientDoses, list[Problem]]:
    """Return a patient's dose days, and the rows that contradict each other.

    Day 1 is the date of the first dose; a row with both a date and a study day moves it to fit (the sheet may start
    later than the treatment).
    """
    first = min((dates[r.number] for r in rows if r.number in dates), default=None)
    both = [r.number for r in rows if r.number in dates and r.number in days]
    if both:
        first = dates[both[0]] - timedelta(days=days[both[0]] - 1)
    doses = PatientDoses((), first)
    problems: list[Problem] = []
    found: dict[int, Row] = {}
    for row in rows:
        dated = doses.study_day(dates[row.number]) if row.number in dates else None
        day = days.get(row.number, dated)
        if day is None:
            continue
        if dated is not None and dated != day:
            text = f"day {day}, but {row['date']} is day {dated} of this patient"
            problems.append(table.problem(row, "study_day", text, "fix the date or the study day"))
        if day < 1:
            problems.append(table.problem(row, "study_day", f"a dose on day {day}", "day 1 is the first dose"))
        if day in found:
            text = f"{row['patient_id']} has a dose on day {day} already in row {found[day].number}"
            problems.append(table.problem(row, "patient_id", text, "keep one line a dose"))
        found.setdefault(day, row)
    if found and min(found) != 1:
        row = found[min(found)]
        text = f"the first dose of {row['patient_id']} is day {min(found)}, but day 1 is the first dose"
        problems.append(table.problem(row, "study_day", text, "count days from the first dose"))
    return PatientDoses(tuple(sorted(found)), first), problems
