"""Measurements and scores as rows of the endpoint table, so that they are compared like subsets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import pandas as pd

from immunolab.clinical.responders import is_responder
from immunolab.clinical.scores import criteria
from immunolab.clinical.scores.scales import scales
from immunolab.schema.csv_files import cell_text
from immunolab.schema.endpoints import ENDPOINTS
from immunolab.schema.flags import Flag
from immunolab.study.endpoints import Endpoint, PairedChange
from immunolab.study.rows import Sample
from immunolab.study.sheet import Study
from immunolab.study.timeline import Timeline, place

_CENSORED = {"below": Flag.BELOW_LIMIT, "above": Flag.ABOVE_LIMIT}


def endpoint_rows(
    study: Study, measurements: pd.DataFrame, scores: pd.DataFrame, besides: Iterable[Endpoint] = ()
) -> pd.DataFrame:
    """Return rows of `tables.ENDPOINTS` for every endpoint that is a variable, a score or an assay.

    Parameters
    ----------
    study
        Its endpoints say what is wanted.
    measurements, scores
        With a visit in every row.
    besides
        Further endpoints (`undeclared_endpoints`).

    Returns
    -------
    DataFrame
        One row a patient, visit and endpoint. ``sample_id`` is the patient's sample of that visit, or
        ``PATIENT:VISIT`` where there is none. A value outside the assay's limits is given as the limit, flagged
        ``below_limit`` or ``above_limit``; one that cannot be evaluated is empty, flagged. A slope is in the row of the
        visit its period ends with, and of no day: study day, days since the last dose and state of the cycle are empty.
    """
    desk = _Desk.of(study, measurements, scores)
    endpoints = (*study.endpoints, *besides)
    return ENDPOINTS.frame([row for endpoint in endpoints for row in _rows(desk, endpoint, measurements, scores)])


def undeclared_endpoints(study: Study, measurements: pd.DataFrame, scores: pd.DataFrame) -> tuple[Endpoint, ...]:
    """Return every variable and score of a study without a trial as an exploratory endpoint; none with a trial.

    Parameters
    ----------
    study
        The study.
    measurements, scores
        What the clinic measured.
    """
    if study.trial:
        return ()
    stated: dict[str, Any] = {"source": "every measurement of a study without a trial", "role": "exploratory"}
    scored = [name for name in dict.fromkeys(scores["score"]) if "." not in name]
    names = [name for name in dict.fromkeys(measurements["variable"]) if "." not in name]
    variables = [PairedChange(id=name, variable=name, **stated) for name in names if name not in set(scores["score"])]
    return (*variables, *(PairedChange(id=name, score=name, **stated) for name in scored))


def context_rows(study: Study, measurements: pd.DataFrame, scores: pd.DataFrame) -> pd.DataFrame:
    """Return rows of `tables.ENDPOINTS` for what is shown beside the endpoints and not compared.

    Parameters
    ----------
    study
        Its endpoints and covariates.
    measurements, scores
        With a visit in every row.

    Returns
    -------
    DataFrame
        As `endpoint_rows`, of the trial's covariates, and of the scores and variables that slopes are fitted to, each
        only where it is no endpoint itself. ``endpoint`` and ``population`` are the variable's name.
    """
    sloped = [endpoint.needs for endpoint in study.endpoints if endpoint.slopes]
    others = [endpoint for endpoint in study.endpoints if not endpoint.slopes]
    courses = {name for endpoint in others if endpoint.is_course for name in endpoint.needs.scores}
    declared = {name for endpoint in others for name in endpoint.needs.variables}
    scored = dict.fromkeys(name for needs in sloped for name in needs.scores if name not in courses)
    names = [*(name for needs in sloped for name in needs.variables), *(study.trial.covariates if study.trial else ())]
    measured = dict.fromkeys(name for name in names if name not in declared)
    source = "shown beside the endpoints"
    wanted = [PairedChange(id=name, source=source, score=name) for name in scored]
    wanted += [PairedChange(id=name, source=source, variable=name) for name in measured]
    desk = _Desk.of(study, measurements, scores)
    return ENDPOINTS.frame([row for endpoint in wanted for row in _rows(desk, endpoint, measurements, scores)])


@dataclass(frozen=True)
class _Desk:
    """The study with its samples at hand by patient and visit."""

    study: Study
    samples: dict[tuple[str, str], Sample]
    cohorts: dict[str, str]

    @classmethod
    def of(cls, study: Study, *tables: pd.DataFrame) -> _Desk:
        stained = [s for s in reversed(study.samples) if not s.control_of]
        samples = {(s.patient_id, s.visit): s for s in stained}
        patients = dict.fromkeys(str(patient) for table in tables for patient in table["patient_id"].unique())
        return cls(study, samples, study.cohorts_of(patients))


def _rows(
    desk: _Desk, endpoint: Endpoint, measurements: pd.DataFrame, scores: pd.DataFrame
) -> Iterator[dict[str, object]]:
    name, found = endpoint.records(measurements, scores)
    for record in found.to_dict("records"):
        yield _row(desk, endpoint, name, record)


def _row(desk: _Desk, endpoint: Endpoint, name: str, record: dict) -> dict[str, object]:
    patient, visit = str(record["patient_id"]), str(record["visit"])
    sample = desk.samples.get((patient, visit))
    day = record.get("study_day")
    known = sample.study_day if sample else (None if day is None or pd.isna(day) else int(day))
    found = place(desk.study.trial, visit, known, desk.study.doses.get(patient))
    if not endpoint.of_one_day:
        found = Timeline(phase=found.phase)
    value, unit = _value(endpoint, name, record)
    return {
        "sample_id": sample.sample_id if sample else f"{patient}:{visit}",
        "patient_id": patient,
        "cohort": desk.cohorts[patient] or None,
        "visit": visit,
        "study_day": found.study_day,
        "days_since_last_dose": found.days_since_last_dose,
        "phase": found.phase,
        "cycle_state": found.cycle_state,
        "cycle": found.cycle,
        "endpoint": endpoint.id,
        "population": name,
        "parent": None,
        "definition": _definition(endpoint, name, record),
        "value": value,
        "unit": unit,
        "n_events": None,
        "n_parent": None,
        "flag": _flag(record),
    }


def _value(endpoint: Endpoint, name: str, record: dict) -> tuple[float | None, str]:
    value = None if pd.isna(record["value"]) else float(record["value"])
    unit = cell_text(record["unit"])
    if endpoint.response and criteria(name):
        return (None if value is None else float(is_responder(name, value))), "responder"
    return value, endpoint.unit or unit or "points"


def _definition(endpoint: Endpoint, name: str, record: dict) -> str | None:
    if isinstance(record.get("definition"), str):
        return str(record["definition"])
    if endpoint.response and criteria(name):
        return f"{name} {criteria(name)[0].name}"
    scale = scales().get(name)
    return f"{name} {scale.range[0]:g} to {scale.range[1]:g}" if scale else None


def _flag(record: dict) -> str | None:
    words = [str(record["flag"])] if not pd.isna(record.get("flag")) and record.get("flag") else []
    censored = record.get("censored")
    words += [_CENSORED[censored]] if isinstance(censored, str) and censored in _CENSORED else []
    if pd.isna(record["value"]) and Flag.NOT_EVALUABLE not in ";".join(words):
        words.append(Flag.NOT_EVALUABLE if "score" in record else Flag.NO_VALUE)
    return ";".join(words) or None
