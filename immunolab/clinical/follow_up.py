"""The patients of a study and how long each was followed: what events are counted of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from immunolab.study.sheet import Study
from immunolab.study.timeline import place, treatment_end


@dataclass(frozen=True)
class Followed:
    """One patient's time in the study.

    Attributes
    ----------
    treatment_end
        Last study day that counts as on treatment; None without a trial.
    last_day
        Last study day on which anything is known of the patient; 0 when no day is.
    """

    patient_id: str
    cohort: str
    treatment_end: int | None
    last_day: int

    def phase(self, day: int) -> str:
        """Return the phase of a study day: before the first dose, until the treatment ends, after it."""
        if day < 1:
            return "baseline"
        return "on_treatment" if self.treatment_end is None or day <= self.treatment_end else "follow_up"

    def days_in(self, phase: str) -> int:
        """Return for how many days the patient was followed in a phase from day 1 on."""
        end = self.last_day if self.treatment_end is None else min(self.treatment_end, self.last_day)
        return max(end, 0) if phase == "on_treatment" else max(self.last_day - max(end, 0), 0)


def study_patients(study: Study, measurements: pd.DataFrame) -> tuple[str, ...]:
    """Return every patient of the sheet, the measurements and the doses, in this order; bridging controls are none.

    Parameters
    ----------
    study
        Its samples and doses.
    measurements
        With a column patient_id.
    """
    sheet = [s.patient_id for s in study.samples if not s.control_of and s.patient_id]
    everyone = dict.fromkeys([*sheet, *map(str, measurements["patient_id"]), *study.doses])
    return tuple(patient for patient in everyone if patient not in study.comparison.bridges)


def enrolled(study: Study, measurements: pd.DataFrame) -> dict[str, str]:
    """Return the cohort of every patient of a study, see `Study.cohorts_of`.

    Parameters
    ----------
    study, measurements
        As for `study_patients`.
    """
    return study.cohorts_of(study_patients(study, measurements))


def followed(study: Study, measurements: pd.DataFrame, events: Sequence[pd.DataFrame]) -> tuple[Followed, ...]:
    """Return every patient with the time it was followed.

    Parameters
    ----------
    study
        Its samples name the patients and cohorts, its trial and doses the end of treatment.
    measurements
        With a visit, and study days where they are known; a row without a value is no visit.
    events
        Further tables of patients and study days (adverse events, outcomes).
    """
    cohorts = enrolled(study, measurements)
    last: dict[str, int] = {}
    for patient, day in _days(study, measurements, events):
        last[patient] = max(last.get(patient, 0), day)
    return tuple(
        Followed(
            patient,
            cohort,
            treatment_end(study.trial, study.doses.get(patient)) if study.trial else None,
            last.get(patient, 0),
        )
        for patient, cohort in cohorts.items()
    )


def _days(study: Study, measurements: pd.DataFrame, events: Sequence[pd.DataFrame]) -> Iterator[tuple[str, int]]:
    seen = {(s.patient_id, s.visit, s.study_day) for s in study.samples if not s.control_of}
    measured = measurements[measurements["value"].notna() | measurements["censored"].notna()]
    visits = measured.drop_duplicates(["patient_id", "visit", "study_day"])
    seen |= {
        (str(patient), str(visit), None if pd.isna(day) else int(day))
        for patient, visit, day in visits[["patient_id", "visit", "study_day"]].itertuples(index=False)
    }
    for patient, visit, known in seen:
        day = place(study.trial, visit, known).study_day
        if day is not None:
            yield patient, day
    for patient, doses in study.doses.items():
        yield patient, doses.days[-1]
    for table in events:
        yield from zip(table["patient_id"].astype(str), table["study_day"].astype(int), strict=True)
