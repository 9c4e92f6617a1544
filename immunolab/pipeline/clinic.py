"""The clinical side of a study: measurements, scores, adverse events, outcomes, read before any tube is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from immunolab.errors import InputError, Problem
from immunolab.study.sheet import Study
from immunolab.tables import MEASUREMENTS


@dataclass(frozen=True)
class Clinic:
    """The clinical tables of a study.

    Attributes
    ----------
    measurements : in canonical units, with their visits.
    scores, responders, components : what was made of them.
    rows : of the endpoint table.
    context : rows like those, of what is shown beside the endpoints and not compared.
    events : adverse_events, time_to_event, survival and suppression, where the study has their source.
    """

    measurements: pd.DataFrame
    scores: pd.DataFrame
    responders: pd.DataFrame
    components: pd.DataFrame
    rows: pd.DataFrame
    context: pd.DataFrame
    events: dict[str, pd.DataFrame] = field(default_factory=dict)


def read_clinic(study: Study) -> Clinic | None:
    """Return a study's clinic, or None when it names no table of the clinic.

    Raises
    ------
    InputError
        Every problem of the measurements, score items, adverse events and outcomes at once, each with its row.
    """
    if not (study.measurements or study.adverse_events or study.outcomes):
        return None
    from immunolab import clinical

    problems: list[Problem] = []
    baseline = "" if study.trial else study.comparison.before
    read = _collect(problems, lambda: _measured(study))
    measured = _nothing_measured() if read is None else read
    found = _collect(problems, lambda: clinical.scores(measured, study.trial, doses=study.doses, baseline=baseline))
    curves = _collect(problems, lambda: clinical.suppression_curves(measured))
    events = _events(study, measured, problems)
    if problems:
        raise InputError(problems)
    return Clinic(
        measurements=measured,
        scores=found,
        responders=clinical.responders(found),
        components=clinical.components(measured, study.trial, doses=study.doses, baseline=baseline),
        rows=clinical.endpoint_rows(study, clinical.with_suppression(measured, curves), found),
        context=clinical.context_rows(study, measured, found),
        events={name: table for name, table in (events | {"suppression": curves}).items() if len(table)},
    )


def _collect(problems: list[Problem], read: Callable[[], Any]) -> Any:
    try:
        return read()
    except InputError as error:
        problems += error.problems
        return None


def _nothing_measured() -> pd.DataFrame:
    return MEASUREMENTS.empty().assign(study_day=pd.Series(dtype="Int64"), date="", flag="", row=0)


def _measured(study: Study) -> pd.DataFrame:
    from immunolab.clinical import with_visits
    from immunolab.loaders.measurements import read_measurements

    if study.measurements is None:
        return _nothing_measured()
    return with_visits(read_measurements(study.measurements, samples=study.samples), study.trial, study.doses)


def _events(study: Study, measured: pd.DataFrame, problems: list[Problem]) -> dict[str, pd.DataFrame]:
    """Return the tables of what happened to patients; problems of their files are added to ``problems``."""
    from immunolab import clinical
    from immunolab.loaders.patient_events import read_adverse_events, read_outcomes

    patients = clinical.study_patients(study, measured)
    timed = [endpoint for endpoint in study.endpoints if endpoint.statistic == "time_to_event"]
    harms = outcomes = None
    if harm_file := study.adverse_events:
        harms = _collect(problems, lambda: read_adverse_events(harm_file, patients, study.doses))
    if outcome_file := study.outcomes:
        ids = [endpoint.id for endpoint in timed]
        outcomes = _collect(problems, lambda: read_outcomes(outcome_file, ids, patients, study.doses))
    everybody = clinical.followed(study, measured, [table for table in (harms, outcomes) if table is not None])
    tables = {}
    if harms is not None:
        tables["adverse_events"] = clinical.adverse_events_table(harms, everybody)
    if outcomes is not None:
        curves = clinical.survival_tables(timed, outcomes, everybody, study.trial)
        tables["time_to_event"], tables["survival"] = curves
    return tables
