"""Adverse events by term and phase: patients and events, worst grades, exact intervals, rates."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from immunolab.clinical.follow_up import Followed
from immunolab.clinical.proportions import proportion
from immunolab.schema.clinical import ADVERSE_EVENTS, ANY_EVENT, GRADES, PHASES

_DAYS_PER_YEAR = 365.25  # days of a Julian year, for patient years


def adverse_events_table(events: pd.DataFrame, patients: Sequence[Followed]) -> pd.DataFrame:
    """Return adverse events by cohort, phase and term, the commonest term first.

    Events before the first dose are counted in the phase ``baseline``; an event of day 1 counts as after the dose.
    A patient with a term several times counts once in ``n_with_event`` and each time in ``n_events``. Rates are of
    the days from the first dose to the last day known of each patient; events of one patient are not independent, so
    no interval is given for them.

    Parameters
    ----------
    events
        As read by `loaders.patient_events.read_adverse_events`.
    patients
        All patients, with the time followed.

    Returns
    -------
    DataFrame
        Rows of `ADVERSE_EVENTS`; each cohort and phase has its row of all terms, even without an event.
    """
    known = {patient.patient_id: patient for patient in patients}
    pairs = zip(events["patient_id"].astype(str), events["study_day"].astype(int), strict=True)
    placed = events.assign(phase=[known[patient].phase(day) for patient, day in pairs])
    rows: list[dict[str, object]] = []
    for cohort in dict.fromkeys(patient.cohort for patient in patients):
        own = [patient for patient in patients if patient.cohort == cohort]
        of_cohort = placed[placed["patient_id"].isin({patient.patient_id for patient in own})]
        for phase in PHASES:
            there = of_cohort[of_cohort["phase"] == phase]
            by_term = {str(term): group for term, group in there.groupby("term", sort=True)}
            ranked = sorted(by_term, key=lambda term: -by_term[term]["patient_id"].nunique())
            for term in (ANY_EVENT, *ranked):
                rows.append(
                    {
                        "cohort": cohort or None,
                        "phase": phase,
                        "term": term,
                        **_counts(by_term.get(term, there), own, phase),
                    }
                )
    return ADVERSE_EVENTS.frame(rows)


def _counts(events: pd.DataFrame, patients: Sequence[Followed], phase: str) -> dict[str, object]:
    share = proportion(int(events["patient_id"].nunique()), len(patients))
    worst = events.groupby("patient_id")["grade"].max().astype("Float64")
    years = None if phase == "baseline" else sum(p.days_in(phase) for p in patients) / _DAYS_PER_YEAR
    return {
        "n_patients": share.n,
        "n_with_event": share.n_responders,
        "percent": share.percent,
        "ci_low": share.ci_low,
        "ci_high": share.ci_high,
        "n_events": len(events),
        **{f"n_{word}": _yes(events[word]) for word in ("serious", "related")},
        **{f"grade_{grade}": int((worst == grade).sum()) for grade in GRADES},
        "not_graded": int(worst.isna().sum()),
        "patient_years": years,
        "events_per_patient_year": len(events) / years if years else None,
    }


def _yes(answers: pd.Series) -> int | None:
    """Return how many events were answered yes; None where the table does not ask."""
    return int((answers == "yes").sum()) if answers.notna().all() else None
