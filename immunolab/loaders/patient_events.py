"""Adverse events and outcomes: tables of one line an event, each of a patient and a day."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import pandas as pd

from immunolab.errors import InputError, nearest
from immunolab.study.dates import read_dates
from immunolab.study.doses import PatientDoses, read_study_days
from immunolab.study.spreadsheet import Row, column_problems, read_text_table

_YES, _NO = ("yes", "y", "true", "1"), ("no", "n", "false", "0")
_WORDS = {
    "serious": (_YES, _NO),
    "related": (
        (*_YES, "related", "possible", "possibly", "probable", "probably", "definite", "definitely"),
        (*_NO, "unrelated", "not related", "unlikely"),
    ),
}
_GRADE = re.compile(r"(?:g|grade)?\s*([1-5])", re.IGNORECASE)
_FIRST_DAY = "day 1 is the first dose"


def read_adverse_events(
    path: Path, patients: Collection[str] | None, doses: Mapping[str, PatientDoses] | None = None
) -> pd.DataFrame:
    """Read adverse events: patient_id, date or study_day, term; optional grade (CTCAE 1 to 5), serious, related.

    Parameters
    ----------
    path
        CSV, TSV or XLSX.
    patients
        Every patient of the study; None where they are not all known, so that any may be right.
    doses
        Dated doses by patient, which turn a date into a study day.

    Returns
    -------
    DataFrame
        patient_id, study_day, term, grade, serious, related. A term keeps its first spelling where others differ by
        capitals, blanks or hyphens. ``serious`` and ``related`` (yes, no) are empty where the table has no such
        column; a possible or probable relation is one.

    Raises
    ------
    InputError
        All problems at once, by row and column: absent columns, unknown patients, days that are none or unknown,
        no term, a grade outside 1 to 5, a word that is neither yes nor no, a duplicated line.
    """
    reader = _EventReader(path, ("patient_id", "term"), ("grade", "serious", "related"), patients, doses or {})
    spelled: dict[str, str] = {}
    rows: list[dict[str, object]] = []
    for row in reader.table.rows:
        patient, day = reader.who_and_when(row)
        key = re.sub(r"[\s\-]+", " ", row["term"]).casefold()
        if not row["term"]:
            reader.fault(row, "term", "the cell is empty", "name the event")
        else:
            label = f"{row['term']} of {patient} on day {day}"
            reader.once(row, "term", (patient, day, key), label, "keep one line an event")
        found: dict[str, object] = {"patient_id": patient, "study_day": day}
        found |= {"term": spelled.setdefault(key, row["term"]), "grade": reader.grade(row)}
        rows.append(found | {column: reader.answer(row, column) for column in _WORDS})
    return reader.frame(rows, ("patient_id", "study_day", "term", "grade", "serious", "related"))


def read_outcomes(
    path: Path,
    endpoints: Collection[str],
    patients: Collection[str] | None,
    doses: Mapping[str, PatientDoses] | None = None,
) -> pd.DataFrame:
    """Read outcomes for time-to-event endpoints: patient_id, endpoint, date or study_day, status.

    ``status`` is event, or censored where the patient was last seen without it on that day; one line a patient
    and endpoint.

    Parameters
    ----------
    path
        CSV, TSV or XLSX.
    endpoints
        Ids of the time_to_event endpoints that the study declares.
    patients, doses
        As for `read_adverse_events`.

    Returns
    -------
    DataFrame
        patient_id, endpoint, study_day, status.

    Raises
    ------
    InputError
        All problems at once, by row and column: absent columns, unknown patients and endpoints, days before the
        first dose, another status, a duplicated patient for an endpoint.
    """
    reader = _EventReader(path, ("patient_id", "endpoint", "status"), (), patients, doses or {})
    known = f"declared: {', '.join(endpoints) or 'none'}"
    rows: list[dict[str, object]] = []
    for row in reader.table.rows:
        patient, day = reader.who_and_when(row)
        endpoint, status = row["endpoint"], row["status"].lower()
        if endpoint not in endpoints:
            hint = f"{nearest(endpoint, endpoints)} {known}".strip()
            reader.fault(row, "endpoint", f"'{endpoint}' is no time_to_event endpoint of the study", hint)
        if status not in ("event", "censored"):
            hint = "censored: last seen without the event on this day"
            reader.fault(row, "status", f"'{row['status']}' is neither event nor censored", hint)
        if day is not None and day < 1:
            reader.fault(row, reader.day_column(row), f"day {day} is before the first dose", _FIRST_DAY)
        reader.once(row, "patient_id", (patient, endpoint), f"{endpoint} of {patient}", "keep one line of each")
        rows.append({"patient_id": patient, "endpoint": endpoint, "study_day": day, "status": status})
    return reader.frame(rows, ("patient_id", "endpoint", "study_day", "status"))


def read_intercurrent_events(
    path: Path,
    events: Collection[str],
    patients: Collection[str] | None,
    doses: Mapping[str, PatientDoses] | None = None,
) -> pd.DataFrame:
    """Read a table of intercurrent events: patient_id, event, date or study_day; one line a patient and event.

    Parameters
    ----------
    path
        CSV, TSV or XLSX.
    events
        Names of the events that the trial's estimand looks for in a table.
    patients, doses
        As for `read_adverse_events`.

    Returns
    -------
    DataFrame
        patient_id, event, study_day.

    Raises
    ------
    InputError
        All problems at once, by row and column: absent columns, unknown patients and events, no day, a duplicated
        patient for an event.
    """
    reader = _EventReader(path, ("patient_id", "event"), (), patients, doses or {})
    rows: list[dict[str, object]] = []
    for row in reader.table.rows:
        patient, day = reader.who_and_when(row)
        if row["event"] not in events:
            hint = (
                f"{nearest(row['event'], events)} declared with seen_in: table: {', '.join(events) or 'none'}".strip()
            )
            reader.fault(row, "event", f"'{row['event']}' is no intercurrent event of the trial", hint)
        key = (patient, row["event"])
        reader.once(row, "event", key, f"{row['event']} of {patient}", "keep the first day of each")
        rows.append({"patient_id": patient, "event": row["event"], "study_day": day})
    return reader.frame(rows, ("patient_id", "event", "study_day"))


class _EventReader:
    """Reads the cells that both tables share and gathers what is wrong on the way."""

    def __init__(
        self,
        path: Path,
        needed: Sequence[str],
        optional: Sequence[str],
        patients: Collection[str] | None,
        doses: Mapping[str, PatientDoses],
    ) -> None:
        self.table = read_text_table(path)
        faults = list(column_problems(self.table, needed, ("date", "study_day", *optional)))
        if not {"date", "study_day"} & set(self.table.columns):
            faults.append(self.table.problem(None, "study_day", "the column is missing", "give date or study_day"))
        if faults:
            raise InputError(faults)
        self.patients, self.doses = patients, doses
        self.dates, self.problems = read_dates(self.table, self.table.rows)
        self.days, day_faults = read_study_days(self.table)
        self.problems += day_faults
        self.seen: dict[tuple[object, ...], int] = {}

    def fault(self, row: Row, column: str, message: str, hint: str = "") -> None:
        self.problems.append(self.table.problem(row, column, message, hint))

    def day_column(self, row: Row) -> str:
        return "study_day" if row["study_day"] else "date"

    def who_and_when(self, row: Row) -> tuple[str, int | None]:
        """Return patient and study day; None after telling why there is no day."""
        patient = row["patient_id"]
        if not patient:
            self.fault(row, "patient_id", "the cell is empty")
        elif self.patients is not None and patient not in self.patients:
            hint = nearest(patient, self.patients) or (
                "patients are those of the sheet, measurements and doses: one without a sample needs a row there, "
                "such as a baseline value"
            )
            self.fault(row, "patient_id", f"'{patient}' is no patient of the study", hint)
        if not (row["date"] or row["study_day"]):
            self.fault(row, "study_day", "the cell is empty", "give date or study_day")
        written, dated = self.days.get(row.number), self._dated(row)
        if written is not None and dated is not None and written != dated:
            text = f"day {written}, but {row['date']} is day {dated} after the first recorded dose"
            self.fault(row, "study_day", text, "fix the date or the study day")
        return patient, dated if written is None else written

    def _dated(self, row: Row) -> int | None:
        found = self.dates.get(row.number)
        if found is None:
            return None
        recorded = self.doses.get(row["patient_id"])
        day = recorded.study_day(found) if recorded else None
        if day is None and not row["study_day"]:
            text = f"{row['date']} cannot become a study day: no dated dose of '{row['patient_id']}' is known"
            self.fault(row, "date", text, "give study_day, or dated doses (study.yaml: doses)")
        return day

    def once(self, row: Row, column: str, key: tuple[object, ...], label: str, hint: str) -> None:
        """Report a key that an earlier row has already."""
        first = self.seen.setdefault(key, row.number)
        if first != row.number and None not in key:
            self.fault(row, column, f"{label} is in row {first} already", hint)

    def grade(self, row: Row) -> int | None:
        found = _GRADE.fullmatch(row["grade"])
        if row["grade"] and not found:
            self.fault(row, "grade", f"'{row['grade']}' is no grade", "1 to 5, or empty where it was not graded")
        return int(found.group(1)) if found else None

    def answer(self, row: Row, column: str) -> str | None:
        """Return yes or no; None where the table does not ask."""
        word = row[column].lower()
        for answer, words in zip(("yes", "no"), _WORDS[column], strict=True):
            if word in words:
                return answer
        if column in self.table.columns:
            text = f"'{row[column]}' is neither yes nor no" if word else "the cell is empty"
            self.fault(row, column, text, "yes or no; leave the whole column out where it was not asked")
        return None

    def frame(self, rows: Sequence[dict[str, object]], columns: Sequence[str]) -> pd.DataFrame:
        if self.problems:
            raise InputError(sorted(self.problems, key=lambda p: int((re.findall(r"^row (\d+)", p.place) or [0])[0])))
        return pd.DataFrame(list(rows), columns=list(columns))
