"""Measurements by patient and visit, each visit with its place in the trial."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import pandas as pd

from immunolab.errors import InputError, Problem, nearest
from immunolab.schema.csv_files import cell_text
from immunolab.study.doses import PatientDoses
from immunolab.study.timeline import Timeline, place
from immunolab.study.trial import Trial

Doses = Mapping[str, PatientDoses]


@dataclass(frozen=True)
class PatientVisit:
    """What was measured of a patient at a visit.

    Attributes
    ----------
    values
        Value by variable or score, in canonical units; a variable without a value is absent.
    units
        Unit by variable, as last given for the patient.
    """

    values: Mapping[str, float]
    units: Mapping[str, str]

    def get(self, name: str) -> float | None:
        """Return the value of a variable or score; None where it was not measured."""
        return self.values.get(name)

    def items(self, score: str) -> dict[str, float]:
        """Return the items of a score: the value of ``SCORE.item`` under ``item``."""
        head = f"{score}."
        return {name.removeprefix(head): value for name, value in self.values.items() if name.startswith(head)}


@dataclass(frozen=True)
class Patient:
    """Values of one patient by visit, in calendar order."""

    patient_id: str
    values: Mapping[str, Mapping[str, float]]
    units: Mapping[str, str]
    places: Mapping[str, Timeline]

    def at(self, visit: str) -> PatientVisit:
        """Return what was measured at a visit; nothing for a visit that the patient lacks."""
        return PatientVisit(self.values.get(visit, {}), self.units)

    def day(self, visit: str) -> float:
        """Return the study day of a visit, infinite when unknown."""
        day = self.places[visit].study_day
        return float("inf") if day is None else float(day)

    def visits_in(self, phase: str) -> list[str]:
        """Return the patient's visits of a phase in calendar order."""
        return [visit for visit in self.values if self.places[visit].phase == phase]

    def visits_since(self, first: str) -> list[str]:
        """Return the visits at which a change from the visit ``first`` is assessed: no other before treatment."""
        return [visit for visit in self.values if visit != first and self.places[visit].phase != "baseline"]

    def baseline(self, trial: Trial | None, named: str) -> str:
        """Return the visit that changes are counted from; empty where the patient has none.

        Parameters
        ----------
        trial
            Its phases say which visits are baseline; None without a trial.
        named
            The baseline visit of a study without a trial.
        """
        return (self.visits_in("baseline") or [""])[-1] if trial else named

    def measured(self, names: Iterable[str]) -> bool:
        """Return whether the patient has any of the variables or scores at any visit."""
        return any(name in values for values in self.values.values() for name in names)

    def scored(self, score: str, found: Mapping[str, float | None]) -> Patient:
        """Return the patient with a score by visit among the values; None takes the score's value away.

        Parameters
        ----------
        score
            Name under which the score goes.
        found
            Score by visit.
        """
        values = {
            visit: {
                **{name: value for name, value in held.items() if name != score or visit not in found},
                **({score: value} if (value := found.get(visit)) is not None else {}),
            }
            for visit, held in self.values.items()
        }
        return replace(self, values=values)


def read_patients(measurements: pd.DataFrame, trial: Trial | None, doses: Doses) -> Iterator[Patient]:
    """Yield patients in the order of the table; rows without a visit belong to no visit and are left out.

    Parameters
    ----------
    measurements
        Rows of `tables.MEASUREMENTS` with their visits.
    trial, doses
        For the place of each visit in the trial.
    """
    frame = measurements if "study_day" in measurements else measurements.assign(study_day=pd.NA)
    known = frame[frame["visit"].notna() & (frame["visit"] != "")]
    for patient_id, rows in known.groupby(known["patient_id"].astype(str), sort=False):
        days: dict[str, int | None] = {}
        values: dict[str, dict[str, float]] = {}
        units: dict[str, str] = {}
        columns = (rows[name].tolist() for name in ("visit", "study_day", "variable", "value", "unit"))
        for visit, day, variable, value, unit in zip(*columns, strict=True):
            days[visit] = days.get(visit) or (None if pd.isna(day) else int(day))
            held = values.setdefault(visit, {})
            if not pd.isna(value):
                held[str(variable)] = float(value)
                units[str(variable)] = cell_text(unit)
        places = {visit: place(trial, visit, days[visit], doses.get(str(patient_id))) for visit in values}
        patient = Patient(str(patient_id), values, units, places)
        yield replace(patient, values={visit: values[visit] for visit in sorted(values, key=patient.day)})


def with_visits(measurements: pd.DataFrame, trial: Trial | None, doses: Doses | None = None) -> pd.DataFrame:
    """Return measurements with visit and study_day filled from dates, study days and windows.

    A date becomes a study day through the patient's first recorded dose; a study day becomes a visit
    through the windows.

    Parameters
    ----------
    measurements
        Rows of `tables.MEASUREMENTS`, with a visit, a study day or a date.
    trial
        Its windows; without one every row names its visit.
    doses
        Recorded doses by patient.

    Raises
    ------
    InputError
        A visit that the trial does not have; a row whose day is in no window, or whose date cannot
        become a day; two measurements of a variable in one window.
    """
    frame = measurements.copy()
    for column in ("study_day", "date"):
        frame[column] = frame.get(column, pd.Series(pd.NA, index=frame.index))
    problems: list[Problem] = []
    visits, days = [], []
    columns = (frame[name].tolist() for name in ("patient_id", "visit", "study_day", "date"))
    for index, patient, named, study_day, when in zip(frame.index, *columns, strict=True):
        day = _study_day(study_day, when, (doses or {}).get(str(patient)))
        visit = cell_text(named)
        found, text, hint = (visit, *_fault(visit, trial)) if visit else _assigned(trial, day)
        if text:
            problems.append(measurement_problem(frame, index, "visit", text, hint))
        visits.append(found)
        days.append(day)
    frame["visit"] = pd.array(visits, dtype="string")
    frame["study_day"] = pd.array(days, dtype="Int64")
    problems += [] if problems else _duplicated(frame)
    if problems:
        raise InputError(problems)
    frame.attrs = dict(measurements.attrs)
    return frame


def measurement_problem(frame: pd.DataFrame, index: Hashable, column: str, message: str, hint: str = "") -> Problem:
    """Return a Problem at a row and column of the measurements, as the user's file numbers them.

    Parameters
    ----------
    frame
        Measurements; ``attrs['file']`` and a column ``row`` say where they were read from.
    index, column
        Of the cell.
    message, hint
        What is wrong and how to fix it.
    """
    number = frame["row"].get(index, index) if "row" in frame else index
    return Problem(str(frame.attrs.get("file", "measurements")), f"row {number}, column {column}", message, hint)


def _study_day(study_day: Any, when: Any, recorded: PatientDoses | None) -> int | None:
    if not pd.isna(study_day):
        return int(study_day)
    if recorded is None or pd.isna(when) or not when:
        return None
    return recorded.study_day(date.fromisoformat(str(when)))


def _fault(visit: str, trial: Trial | None) -> tuple[str, str]:
    """Return what is wrong with a visit's name, and how to fix it; empty when nothing is."""
    if trial is None or visit in trial.visit_names:
        return "", ""
    hint = f"{nearest(visit, trial.visit_names)} visits: {', '.join(trial.visit_names)}".strip()
    return f"'{visit}' is no visit of {trial.id}", hint


def _assigned(trial: Trial | None, day: int | None) -> tuple[str, str, str]:
    """Return the visit of a study day, or why there is none and how to fix it."""
    if trial is None or day is None:
        hint = "name the visit, or give study_day or dated doses" if trial else "name the visit: there is no trial"
        return "", "the visit is not known", hint
    found = trial.visit_on(day)
    if found is None:
        return "", f"day {day} is in no visit's window: {trial.describe_gap(day)}", "name the visit it belongs to"
    return found.name, "", ""


def _duplicated(frame: pd.DataFrame) -> Iterator[Problem]:
    key = ["patient_id", "visit", "variable"]
    for index in frame.index[frame.duplicated(key)]:
        row = frame.loc[index]
        message = f"{row['variable']} of {row['patient_id']} is duplicated at {row['visit']}"
        yield measurement_problem(frame, index, "visit", message, "two days fall in one window: keep one")
