"""Which intercurrent events of a trial's estimand happened to whom, and on which day."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from immunolab.clinical.follow_up import Followed, followed
from immunolab.clinical.patients import Patient, read_patients
from immunolab.schema.clinical import SCORES
from immunolab.schema.estimand import INTERCURRENT_EVENTS
from immunolab.study.endpoints import Endpoint
from immunolab.study.intercurrent import IntercurrentEvent, MissedDoses, Outcome, Rise
from immunolab.study.sheet import Study
from immunolab.study.trial import Trial

_NO_RESPONSE = 0.0  # value of a response score that meets no criterion
_Found = Iterator[tuple[str, int | None, str]]  # patient, day (None where not assessed), detail


def intercurrent_events(
    study: Study, measurements: pd.DataFrame, outcomes: pd.DataFrame | None, listed: pd.DataFrame | None
) -> pd.DataFrame:
    """Return rows of `INTERCURRENT_EVENTS`; none without an estimand.

    Parameters
    ----------
    study
        Its trial declares the events; doses and the sheet.
    measurements
        Rows of MEASUREMENTS with their visits.
    outcomes, listed
        Outcomes and the table of intercurrent events as read; None where the study has none.
    """
    if study.trial is None or study.trial.estimand is None:
        return INTERCURRENT_EVENTS.empty()
    people = followed(study, measurements, [])
    rows = []
    for one in study.trial.estimand.events:
        for patient, day, detail in _found(one, study.trial, study, people, measurements, outcomes, listed):
            assessed = "no" if day is None else "yes"
            row = {"patient_id": patient, "event": one.event, "study_day": day, "assessed": assessed}
            rows.append(row | {"seen_in": one.seen_in, "detail": detail})
    return INTERCURRENT_EVENTS.frame(rows)


def _found(
    one: IntercurrentEvent,
    trial: Trial,
    study: Study,
    people: Sequence[Followed],
    measurements: pd.DataFrame,
    outcomes: pd.DataFrame | None,
    listed: pd.DataFrame | None,
) -> _Found:
    if isinstance(one, MissedDoses):
        for who in people:
            yield from _missed_doses(one, trial, study, who)
    elif isinstance(one, Rise):
        patients = {p.patient_id: p for p in read_patients(measurements, trial, study.doses)}
        for who in people:
            yield from _rise(one, who.patient_id, patients.get(who.patient_id))
    elif isinstance(one, Outcome):
        own = None if outcomes is None else outcomes[outcomes["endpoint"] == one.outcome]
        yield from _by_patient(people, own, "outcomes", "no line in the outcomes", one.rule)
    else:
        own = None if listed is None else listed[listed["event"] == one.event].assign(status="event")
        yield from _by_patient(people, own, "intercurrent_events", "", one.rule)


def _by_patient(people: Sequence[Followed], own: pd.DataFrame | None, table: str, absent: str, detail: str) -> _Found:
    """Yield events of a table; a patient without a line is not assessed where ``absent`` says why, else without one."""
    lines = {} if own is None else {str(row["patient_id"]): row for row in own.to_dict("records")}
    for who in people:
        line = lines.get(who.patient_id)
        if own is None:
            yield who.patient_id, None, f"the study names no table of {table}"
        elif line is None and absent:
            yield who.patient_id, None, absent
        elif line is not None and line["status"] == "event":
            yield who.patient_id, int(line["study_day"]), detail


def _missed_doses(one: MissedDoses, trial: Trial, study: Study, who: Followed) -> _Found:
    """Yield the first planned dose by which more doses were missed, net, than the rule allows.

    Doses are counted to the day after the planned one, so that one given a day late is not missed, and until the
    patient was last seen.
    """
    doses = study.doses.get(who.patient_id)
    if doses is None:
        yield who.patient_id, None, "no doses recorded"
        return
    planned = trial.dosing.days
    for day in (day for day in planned if day <= who.last_day):
        due = sum(one <= day for one in planned)
        missed = due - sum(given <= day + 1 for given in doses.days)
        if missed > one.more_than / 100.0 * len(planned):
            yield who.patient_id, day, f"{missed} of {len(planned)} planned doses missed by day {day}"
            return


def _rise(one: Rise, name: str, patient: Patient | None) -> _Found:
    """Yield the first visit after baseline at which the variable is as far above its last value at baseline."""
    measured = {v: patient.at(v).get(one.variable) for v in patient.values} if patient else {}
    known = {v: value for v, value in measured.items() if value is not None}
    before = [v for v in known if patient and patient.places[v].phase == "baseline"]
    later = [v for v in known if v not in before]
    if patient is None or not before or not later:
        yield name, None, f"no {one.variable} at {'baseline' if not before else 'a later visit'}"
        return
    base = known[before[-1]]
    for visit in later:
        day = patient.places[visit].study_day
        if known[visit] - base >= one.rise and day is not None:
            text = f"{one.variable} {known[visit]:g} at {visit}, {base:g} at {before[-1]}"
            yield name, day, text
            return


def composite_failures(study: Study, happened: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return which visits of which response scores count as no response: score, patient_id, visit.

    Parameters
    ----------
    study
        Its trial declares endpoints and strategies.
    happened
        Rows of `INTERCURRENT_EVENTS`.
    scores
        Rows of `SCORES`; their visits count where an endpoint names none.
    """
    found: dict[tuple[str, str, str], None] = {}
    for endpoint in study.endpoints:
        for patient, day in _ended(study, endpoint, happened):
            score = str(endpoint.response)
            visits = endpoint.visits or tuple(dict.fromkeys(scores.loc[scores["score"] == score, "visit"]))
            found |= {(score, patient, visit): None for visit in visits if _day_of(study, visit) >= day}
    return pd.DataFrame(list(found), columns=["score", "patient_id", "visit"])


def _ended(study: Study, endpoint: Endpoint, happened: pd.DataFrame) -> Iterator[tuple[str, int]]:
    """Yield patient and day of the events that are no response in an endpoint."""
    estimand = study.trial.estimand if study.trial else None
    if estimand is None or endpoint.response is None:
        return
    for row in happened[happened["study_day"].notna()].to_dict("records"):
        if estimand.strategy(row["event"], endpoint.id) == "composite":
            yield str(row["patient_id"]), int(row["study_day"])


def _day_of(study: Study, visit: str) -> int:
    return study.trial.visit(visit).target_day if study.trial else 0


def with_failures(scores: pd.DataFrame, failures: pd.DataFrame) -> pd.DataFrame:
    """Return the scores with failures as no response: patients who were lost have a row, and are evaluable.

    Parameters
    ----------
    scores
        Rows of `SCORES`.
    failures
        As `composite_failures` gives them.
    """
    if failures.empty:
        return scores
    keys = set(failures.itertuples(index=False, name=None))
    own = list(zip(scores["score"], scores["patient_id"], scores["visit"], strict=True))
    failed = pd.Series([key in keys for key in own], index=scores.index, dtype=bool)
    changed = scores.assign(value=scores["value"].mask(failed, _NO_RESPONSE), reason=scores["reason"].mask(failed))
    rows = [
        _added(scores[scores["score"] == score], patient, visit)
        for score, patient, visit in keys - set(own)
        if (scores["score"] == score).any()
    ]
    rows.sort(key=lambda row: (str(row["score"]), str(row["patient_id"]), str(row["visit"])))
    return pd.concat([changed, SCORES.frame(rows)], ignore_index=True) if rows else changed


def _added(own: pd.DataFrame, patient: str, visit: str) -> Mapping[str, object]:
    known = {name: own[name].iloc[0] for name in ("score", "unit", "source", "verified")}
    return {**known, "patient_id": patient, "visit": visit, "value": _NO_RESPONSE}
