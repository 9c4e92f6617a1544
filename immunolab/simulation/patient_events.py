"""What happens to a virtual patient on a day: doses really given, adverse events, the end of follow-up."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from immunolab.study.trial import Dosing

DAYS_PER_MONTH = 30.4375  # a twelfth of a Julian year
_FRAILTY = 2.0, 0.5  # shape and scale of a gamma of mean 1: some patients have many events, some none (judgement)
_SCREENING_DAYS = 14  # adverse events are recorded from two weeks before the first dose


@dataclass(frozen=True)
class DoseRule:
    """How real doses depart from the calendar; see clinic.yaml."""

    cycles: tuple[int, int]
    missed: float = 0.0
    late: float = 0.0


@dataclass(frozen=True)
class OutcomeRule:
    """When an event that ends follow-up comes; see clinic.yaml."""

    per_month: float
    from_day: int
    adverse_event: str


@dataclass(frozen=True)
class AdverseEventRule:
    """How often an adverse event comes; see clinic.yaml."""

    term: str
    grades: tuple[float, ...]
    per_dose: float = 0.0
    per_month: float = 0.0
    serious: float = 0.0
    related: bool = False


def real_doses(dosing: Dosing, rule: DoseRule, rng: np.random.Generator) -> tuple[int, ...]:
    """Return the study days with a dose in one patient: some cycles of the calendar, doses missed or a day late.

    Parameters
    ----------
    dosing, rule
        The calendar of the design, and how patients depart from it.
    rng
        Of this patient alone.
    """
    length = dosing.cycle_days or max(dosing.days)
    last_day = length * int(rng.integers(rule.cycles[0], rule.cycles[1] + 1))
    given = {1}  # the first dose makes the first day
    for day in (*dosing.days, *dosing.optional_days):
        fate = rng.random()
        if 1 < day <= last_day and fate >= rule.missed:
            given.add(day + 1 if fate < rule.missed + rule.late else day)
    return tuple(sorted(given))


def event_day(rule: OutcomeRule, last_day: int, rng: np.random.Generator) -> int | None:
    """Return the study day of an event of constant hazard; None when it does not come until the last day.

    Parameters
    ----------
    rule
        The hazard, and the day it begins.
    last_day
        Last study day that is looked at.
    rng
        Of this patient alone.
    """
    day = rule.from_day + int(rng.exponential(DAYS_PER_MONTH / rule.per_month))
    return day if day <= last_day else None


def adverse_events(
    rules: Sequence[AdverseEventRule], doses: Sequence[int], last_day: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    """Return one patient's adverse events until a day: study_day, term, grade, serious, related, by day.

    Parameters
    ----------
    rules
        How often each comes.
    doses, last_day
        Study days with a dose, and the last day that is looked at.
    rng
        Of this patient alone.
    """
    found: dict[tuple[int, str], dict[str, object]] = {}
    for rule in rules:
        prone = float(rng.gamma(*_FRAILTY))
        after_dose = [day + int(rng.integers(0, 2)) for day in doses if rng.random() < rule.per_dose * prone]
        span = np.array([day for day in range(-_SCREENING_DAYS, last_day + 1) if day != 0])
        n_others = rng.poisson(rule.per_month * prone * len(span) / DAYS_PER_MONTH)
        for day in (*after_dose, *rng.choice(span, n_others).tolist()):
            if day <= last_day:
                found.setdefault((day, rule.term), _event(rule, day, rng))
    return [found[key] for key in sorted(found)]


def _event(rule: AdverseEventRule, day: int, rng: np.random.Generator) -> dict[str, object]:
    return {
        "study_day": day,
        "term": rule.term,
        "grade": 1 + int(rng.choice(len(rule.grades), p=rule.grades)),
        "serious": "yes" if rng.random() < rule.serious else "no",
        "related": "yes" if rule.related else "no",
    }


def fatal_event(rule: OutcomeRule, day: int) -> dict[str, object]:
    """Return the adverse event that ends a patient's follow-up.

    Parameters
    ----------
    rule
        Names the event.
    day
        Study day of the death.

    Returns
    -------
    dict
        A row of the adverse events without the patient.
    """
    return {"study_day": day, "term": rule.adverse_event, "grade": 5, "serious": "yes", "related": "no"}


def outcome_line(patient: str, endpoint: str, day: int | None, last_seen: int | None) -> dict[str, object]:
    """Return a line of the outcomes table: the event's day, or the last day a patient was seen without it.

    Parameters
    ----------
    patient
        Its id.
    endpoint
        Id of a time_to_event endpoint.
    day
        Study day of the event; None without one.
    last_seen
        Last study day without the event.
    """
    status = "censored" if day is None else "event"
    known = last_seen if day is None else day
    return {"patient_id": patient, "endpoint": endpoint, "study_day": known, "status": status}
