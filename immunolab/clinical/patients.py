"""Measurements by patient and visit, each visit with its place in the trial."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pandas as pd

from immunolab.errors import InputError, Problem, nearest
from immunolab.study.doses import PatientDoses
from immunolab.study.timeline import Timeline, place
from immunolab.study.trial import Trial

Doses = Mapping[str, PatientDoses]


@dataclass
class Patient:
    """Values of one patient by visit, in calendar order."""

    patient_id: str
    values: dict[str, dict[str, float]] = field(default_factory=dict)
    units: dict[str, str] = field(default_factory=dict)
    places: dict[str, Timeline] = field(default_factory=dict)

    def at(self, visit: str) -> dict[str, float]:
        """Return the values of a visit by variable."""
        return self.values.get(visit, {})

    def day(self, visit: str) -> float:
        """Return the study day of a visit, infinite when unknown."""
        day = self.places[visit].study_day
        return float("inf") if day is None else float(day)

    def visits_in(self, phase: str) -> list[str]:
        """Return the patient's visits of a phase in calendar order."""
        return [visit for visit in self.values if self.places[visit].phase == phase]


def read_patients(measurements: pd.DataFrame, trial: Trial | None, doses: Doses) -> Iterator[Patient]:
    """Yield patients in the order of the table; rows without a visit belong to no visit and are left out."""
    nothing = [None] * len(measurements)
    days = measurements["study_day"].tolist() if "study_day" in measurements else nothing
    columns = [measurements[name].tolist() for name in ("patient_id", "visit", "variable", "value", "unit")]
    patients: dict[str, Patient] = {}
    known: dict[tuple[str, str], int | None] = {}
    for patient_id, visit, variable, value, unit, day in zip(*columns, days, strict=True):
        if pd.isna(visit) or not visit:
            continue
        patient = patients.setdefault(str(patient_id), Patient(str(patient_id)))
        held = patient.values.setdefault(visit, {})
        key = (patient.patient_id, visit)
        known[key] = known.get(key) or (None if pd.isna(day) else int(day))
        if not pd.isna(value):
            held[str(variable)] = float(value)
            patient.units[str(variable)] = "" if pd.isna(unit) else str(unit)
    for patient in patients.values():
        recorded = doses.get(patient.patient_id)
        patient.places = {v: place(trial, v, known[patient.patient_id, v], recorded) for v in patient.values}
        patient.values = {visit: patient.values[visit] for visit in sorted(patient.values, key=patient.day)}
        yield patient


def with_visits(measurements: pd.DataFrame, trial: Trial | None, doses: Doses | None = None) -> pd.DataFrame:
    """Return measurements with visit and study_day filled from dates, study days and windows.

    A date becomes a study day through the patient's first recorded dose; a study day becomes a visit
    through the windows.

    Raises
    ------
    InputError
        A visit that the trial does not have; a row whose day lies in no window, or whose date cannot
        become a day; two measurements of a variable in one window.
    """
    frame = measurements.copy()
    for column in ("study_day", "date"):
        frame[column] = frame.get(column, pd.Series(pd.NA, index=frame.index))
    problems: list[Problem] = []
    visits, days = [], []
    for index, row in zip(frame.index, frame.to_dict("records"), strict=True):
        where = _Row(frame, index)
        day = _study_day(row, (doses or {}).get(str(row["patient_id"])))
        visit = "" if pd.isna(row["visit"]) else str(row["visit"])
        visits.append(visit or _assigned(where, trial, day, problems))
        days.append(day)
        if visit and trial and visit not in trial.visit_names:
            hint = f"{nearest(visit, trial.visit_names)} visits: {', '.join(trial.visit_names)}".strip()
            problems.append(where.problem("visit", f"'{visit}' is no visit of {trial.id}", hint))
    frame["visit"] = pd.array(visits, dtype="string")
    frame["study_day"] = pd.array(days, dtype="Int64")
    problems += [] if problems else _twice(frame)
    if problems:
        raise InputError(problems)
    frame.attrs = dict(measurements.attrs)
    return frame


@dataclass(frozen=True)
class _Row:
    frame: pd.DataFrame
    index: object

    def problem(self, column: str, message: str, hint: str = "") -> Problem:
        number = self.frame["row"].get(self.index, self.index) if "row" in self.frame else self.index
        return Problem(
            str(self.frame.attrs.get("file", "measurements")), f"row {number}, column {column}", message, hint
        )


def _study_day(row: Mapping[Hashable, Any], recorded: PatientDoses | None) -> int | None:
    if not pd.isna(row["study_day"]):
        return int(row["study_day"])
    if recorded is None or pd.isna(row["date"]) or not row["date"]:
        return None
    return recorded.study_day(date.fromisoformat(str(row["date"])))


def _assigned(where: _Row, trial: Trial | None, day: int | None, problems: list[Problem]) -> str:
    if trial is None or day is None:
        hint = "name the visit, or give study_day or dated doses" if trial else "name the visit: there is no trial"
        problems.append(where.problem("visit", "the visit is not known", hint))
        return ""
    found = trial.visit_on(day)
    if found is None:
        message = f"day {day} is in no visit's window: {trial.describe_gap(day)}"
        problems.append(where.problem("visit", message, "name the visit it stands for"))
    return found.name if found else ""


def _twice(frame: pd.DataFrame) -> Iterator[Problem]:
    key = ["patient_id", "visit", "variable"]
    for index in frame.index[frame.duplicated(key)]:
        row = frame.loc[index]
        message = f"{row['variable']} of {row['patient_id']} stands twice at {row['visit']}"
        yield _Row(frame, index).problem("visit", message, "two days fall in one window: keep one")
