"""The clinical side of a study: measurements, scores, adverse events, outcomes, read before any tube is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import pandas as pd

from immunolab.clinical.follow_up import Followed
from immunolab.errors import InputError, Problem, attempt
from immunolab.schema.endpoints import MEASUREMENTS
from immunolab.study.endpoints import Endpoint
from immunolab.study.intercurrent import IntercurrentEvent
from immunolab.study.sheet import Study

if TYPE_CHECKING:
    from immunolab.comparison.joint_rank import Death


@dataclass(frozen=True)
class Clinic:
    """The clinical tables of a study.

    Attributes
    ----------
    measurements
        In canonical units, with their visits.
    scores, responses, responders, event_counts, components
        What was made of them.
    rows
        Of the endpoint table.
    context
        Rows like those, of what is shown beside the endpoints and not compared.
    events
        The tables adverse_events, time_to_event, survival and suppression, where the study has their source.
    deaths
        By endpoint of slopes and patient, where the endpoint names an outcome that ranks beyond them.
    cohorts
        By patient, for all patients of the study.
    undeclared
        Endpoints of what a study without a trial measures besides those it declares.
    """

    measurements: pd.DataFrame
    scores: pd.DataFrame
    responses: pd.DataFrame
    responders: pd.DataFrame
    event_counts: pd.DataFrame
    components: pd.DataFrame
    rows: pd.DataFrame
    context: pd.DataFrame
    events: dict[str, pd.DataFrame] = field(default_factory=dict)
    deaths: dict[str, dict[str, Death]] = field(default_factory=dict)
    cohorts: dict[str, str] = field(default_factory=dict)
    undeclared: tuple[Endpoint, ...] = ()


@dataclass(frozen=True)
class ClinicSources:
    """What a study's clinical files hold, checked: measurements, scores, suppression curves, events by source."""

    measurements: pd.DataFrame
    scores: pd.DataFrame
    curves: pd.DataFrame
    happened: dict[str, pd.DataFrame]


def read_clinic(study: Study) -> ClinicSources | None:
    """Return a study's clinical files, or None when it names none.

    Raises
    ------
    InputError
        Every problem of the measurements, score items, adverse events and outcomes at once, each with its row.
    """
    from immunolab import clinical

    sheet, sheet_problems = attempt(lambda: clinical.sheet_covariates(study))
    named = study.measurements or study.adverse_events or study.outcomes or study.intercurrent_events
    if not (named or sheet_problems or (sheet is not None and len(sheet))):
        return None

    read, problems = attempt(lambda: _measured(study))
    measured = _with_sheet(_nothing_measured() if read is None else read, sheet)
    score = partial(clinical.scores_table, measured, study.trial, doses=study.doses, baseline=_baseline(study))
    found, score_problems = attempt(score)
    curves, curve_problems = attempt(lambda: clinical.suppression_curves(measured))
    happened, event_problems = _happened(study, None if read is None else clinical.study_patients(study, measured))
    problems = (*problems, *sheet_problems, *score_problems, *curve_problems, *event_problems)
    if problems or found is None or curves is None:
        raise InputError(problems)
    return ClinicSources(measured, found, curves, happened)


def clinic_of(study: Study, sources: ClinicSources) -> Clinic:
    """Return the clinical tables of a study, worked out from its files.

    Parameters
    ----------
    study
        Trial, doses and endpoints.
    sources
        Its clinical files, as read.
    """
    from immunolab import clinical

    measured, scores, curves = sources.measurements, sources.scores, sources.curves
    whole = clinical.with_suppression(measured, curves)
    intercurrent = intercurrent_of(study, sources)
    answered = clinical.with_failures(scores, clinical.composite_failures(study, intercurrent, scores))
    besides = clinical.undeclared_endpoints(study, whole, scores)
    followed = clinical.followed(study, measured, list(sources.happened.values()))
    patients = clinical.enrolled(study, measured)
    events = _event_tables(study, sources.happened, followed) | {"suppression": curves}
    planned = study.trial.target_days if study.trial else {}
    return Clinic(
        measurements=measured,
        scores=scores,
        responses=clinical.responses(answered, patients, planned),
        responders=clinical.responders(answered, patients, planned),
        event_counts=clinical.event_counts(scores, patients, study.endpoints),
        components=clinical.components(measured, study.trial, doses=study.doses, baseline=_baseline(study)),
        rows=clinical.endpoint_rows(study, whole, answered, besides),
        undeclared=besides,
        context=clinical.context_rows(study, measured, scores),
        events={name: table for name, table in events.items() if len(table)},
        deaths=_deaths(study, sources.happened.get("outcomes")),
        cohorts={patient.patient_id: patient.cohort for patient in followed},
    )


def intercurrent_of(study: Study, sources: ClinicSources | None) -> pd.DataFrame:
    """Return the intercurrent events of a study's patients; no row without an estimand in the trial file.

    Parameters
    ----------
    study
        Its trial, doses and sheet.
    sources
        Its clinical files, where it has any.
    """
    from immunolab.clinical import intercurrent_events

    if sources is None:
        return intercurrent_events(study, _nothing_measured(), None, None)
    happened = sources.happened
    return intercurrent_events(
        study, sources.measurements, happened.get("outcomes"), happened.get("intercurrent_events")
    )


def _baseline(study: Study) -> str:
    return "" if study.trial else study.comparison.before


def _nothing_measured() -> pd.DataFrame:
    return MEASUREMENTS.empty().assign(study_day=pd.Series(dtype="Int64"), date="", flag="", row=0)


def _with_sheet(measured: pd.DataFrame, sheet: pd.DataFrame | None) -> pd.DataFrame:
    """Return the measurements with what only the sample sheet says of the trial's covariates."""
    further = None if sheet is None else sheet[~sheet["variable"].isin(set(measured["variable"]))]
    if further is None or further.empty:
        return measured
    whole = further if measured.empty else pd.concat([measured, further], ignore_index=True)
    whole.attrs = dict(measured.attrs)
    return whole


def _measured(study: Study) -> pd.DataFrame:
    from immunolab.clinical import with_visits
    from immunolab.loaders.measurements import read_measurements

    if study.measurements is None:
        return _nothing_measured()
    return with_visits(read_measurements(study.measurements, samples=study.samples), study.trial, study.doses)


def _happened(study: Study, patients: Sequence[str] | None) -> tuple[dict[str, pd.DataFrame], tuple[Problem, ...]]:
    """Return the study's adverse events, outcomes and intercurrent events as read, and the problems of their files."""
    from immunolab.loaders.patient_events import read_adverse_events, read_intercurrent_events, read_outcomes

    readers: dict[str, Callable[[], pd.DataFrame]] = {}
    if harms := study.adverse_events:
        readers["adverse_events"] = partial(read_adverse_events, harms, patients, study.doses)
    if outcomes := study.outcomes:
        ids = [endpoint.id for endpoint in _timed(study)]
        readers["outcomes"] = partial(read_outcomes, outcomes, ids, patients, study.doses)
    if listed := study.intercurrent_events:
        names = [event.event for event in _estimated(study) if event.seen_in == "table"]
        readers["intercurrent_events"] = partial(read_intercurrent_events, listed, names, patients, study.doses)
    found = {name: attempt(read) for name, read in readers.items()}
    tables = {name: table for name, (table, _) in found.items() if table is not None}
    return tables, tuple(problem for _, problems in found.values() for problem in problems)


def _estimated(study: Study) -> tuple[IntercurrentEvent, ...]:
    return study.trial.estimand.events if study.trial and study.trial.estimand else ()


def _timed(study: Study) -> list[Endpoint]:
    return [endpoint for endpoint in study.endpoints if endpoint.needs.outcomes]


def _event_tables(
    study: Study, happened: Mapping[str, pd.DataFrame], followed: Sequence[Followed]
) -> dict[str, pd.DataFrame]:
    from immunolab.clinical import adverse_events_table, survival_tables

    tables = {}
    if "adverse_events" in happened:
        tables["adverse_events"] = adverse_events_table(happened["adverse_events"], followed)
    if "outcomes" in happened:
        summary, curves = survival_tables(_timed(study), happened["outcomes"], followed, study.trial)
        tables |= {"time_to_event": summary, "survival": curves}
    return tables


def _deaths(study: Study, outcomes: pd.DataFrame | None) -> dict[str, dict[str, Death]]:
    """Return who died before the last visit of a difference of slopes, and in which of its periods."""
    from immunolab.comparison.joint_rank import Death

    found: dict[str, dict[str, Death]] = {}
    if outcomes is None or study.trial is None:
        return found
    for endpoint in study.endpoints:
        if not endpoint.death_endpoint or endpoint.slopes is None:
            continue
        knot, end = (study.trial.visit(period.last) for period in endpoint.slopes)
        died = outcomes[(outcomes["endpoint"] == endpoint.death_endpoint) & (outcomes["status"] == "event")]
        days = zip(died["patient_id"].astype(str), died["study_day"].astype(int), strict=True)
        found[endpoint.id] = {
            patient: Death(end.window[1] - day, day > knot.target_day) for patient, day in days if day <= end.window[1]
        }
    return found
