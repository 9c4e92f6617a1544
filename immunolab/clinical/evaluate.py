"""Scores of every patient and visit from a table of measurements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import pandas as pd

from immunolab.clinical.patients import Patient, measurement_problem, read_patients
from immunolab.clinical.scores import score_methods
from immunolab.clinical.scores.method import Score, ScoredVisit, ScoreMethod, not_evaluable
from immunolab.clinical.scores.scales import scales
from immunolab.clinical.slopes import slopes
from immunolab.clinical.totals import domain_totals, item_fault, item_total
from immunolab.errors import InputError, Problem
from immunolab.schema.clinical import COMPONENTS, SCORES
from immunolab.study.doses import PatientDoses
from immunolab.study.trial import Trial


def scores_table(
    measurements: pd.DataFrame,
    trial: Trial | None = None,
    *,
    doses: Mapping[str, PatientDoses] | None = None,
    baseline: str = "",
) -> pd.DataFrame:
    """Return every score that the measurements hold the parts of.

    Parameters
    ----------
    measurements
        Rows of `tables.MEASUREMENTS` in canonical units, each with its visit. Items of a score are variables named
        ``SCORE.item`` (``SELENA_SLEDAI.arthritis``), totals are named ``SCORE``.
    trial
        Its endpoints say which composite scores and slopes are wanted; its baseline phase is what they start from.
    doses
        Real doses by patient, for the phases of visits.
    baseline
        The baseline visit of a study without a trial.

    Returns
    -------
    DataFrame
        One row a patient, visit and score (`SCORES`); ``not_evaluable`` ones with the reason.

    Raises
    ------
    InputError
        Items and totals out of range and unknown items, each with its row.
    """
    problems = list(_range_problems(measurements))
    if problems:
        raise InputError(problems)
    wanted = _wanted_scores(trial)
    rows: list[ScoredVisit] = []
    for patient, totals in _totalled(measurements, trial, doses):
        rows += totals
        scored, whole = _composites(patient, wanted, patient.baseline(trial, baseline))
        rows += scored
        rows += slopes(whole, trial)
    return SCORES.frame([row.row() for row in rows])


def _wanted_scores(trial: Trial | None) -> tuple[ScoreMethod, ...]:
    """Return the registered scores a trial's endpoints ask for, with those that follow them; all without a trial."""
    methods = score_methods()
    if trial is None:
        return tuple(methods.values())
    asked = [name for endpoint in trial.endpoints for name in endpoint.needs.scores]
    names = [other.name for name in asked for other in methods.values() if name in (other.name, other.follows)]
    return tuple(methods[name] for name in dict.fromkeys(names))


def _totalled(
    measurements: pd.DataFrame, trial: Trial | None, doses: Mapping[str, PatientDoses] | None
) -> Iterator[tuple[Patient, list[ScoredVisit]]]:
    """Yield every patient with the totals of item scores among the values, and those totals.

    A total that contradicts its items is taken away: it is part of no composite score.
    """
    study_items = _items_of_the_study(measurements)
    for patient in read_patients(measurements, trial, doses or {}):
        totals = list(_totals(patient, study_items))
        whole = patient
        for name in dict.fromkeys(total.name for total in totals):
            whole = whole.scored(name, {total.visit: total.score.value for total in totals if total.name == name})
        yield whole, totals


def _range_problems(measurements: pd.DataFrame) -> Iterable[Problem]:
    known = scales()
    for index, variable, value in zip(measurements.index, measurements["variable"], measurements["value"], strict=True):
        name, _, item = str(variable).partition(".")
        scale = known.get(name)
        if scale is None or pd.isna(value):
            continue
        if item:
            text, hint = item_fault(scale, item, float(value))
        else:
            text = item_total(scale, {}, float(value)).reason
            hint = f"{name} goes from {scale.range[0]:g} to {scale.range[1]:g}" if text else ""
        if text:
            yield measurement_problem(measurements, index, "value", f"{name}: {text}", hint)


def _items_of_the_study(measurements: pd.DataFrame) -> dict[str, set[str]]:
    """Return the items each score has anywhere in the study: where the protocol chooses them, all must be there."""
    found: dict[str, set[str]] = {}
    for variable in measurements["variable"].unique():
        name, _, item = str(variable).partition(".")
        if item:
            found.setdefault(name, set()).add(item)
    return found


def _totals(patient: Patient, study_items: Mapping[str, set[str]]) -> Iterator[ScoredVisit]:
    for visit in patient.values:
        held = patient.at(visit)
        for name, scale in scales().items():
            items: dict[str, float | None] = {**held.items(name)}
            if not items and held.get(name) is None:
                continue
            if scale.open_items and items:
                items = {item: items.get(item) for item in sorted(study_items[name])}
            total = item_total(scale, items, held.get(name))
            yield ScoredVisit(patient.patient_id, visit, name, total, "points", scale.source, scale.verified)
            domains = domain_totals(scale, items) if items else {}
            for domain, score in domains.items():
                yield ScoredVisit(patient.patient_id, visit, f"{name}.{domain}", score, "points", scale.source, True)


def _composites(patient: Patient, wanted: Iterable[ScoreMethod], first: str) -> tuple[list[ScoredVisit], Patient]:
    """Return the composite scores of a patient, and the patient with them: a score may be part of another."""
    rows: list[ScoredVisit] = []
    for method in wanted:
        if not patient.measured(method.needs):
            continue
        found = _scored(method, patient, first)
        rows += [
            ScoredVisit(patient.patient_id, visit, method.name, score, method.unit, method.source, method.verified)
            for visit, score in found.items()
        ]
        patient = patient.scored(method.name, {v: s.value for v, s in found.items() if s.value is not None})
    return rows, patient


def _scored(method: ScoreMethod, patient: Patient, first: str) -> Mapping[str, Score]:
    """Return a score by visit, its function given what the method wants."""
    function, since = method.function, patient.visits_since(first)
    if method.wants == "course":
        found: Mapping[str, Score] = function(patient)
        return found
    if method.wants == "visit":
        return {visit: function(patient.at(visit)) for visit in patient.values}
    if method.wants == "previous":
        pairs = pairwise(patient.values)
        return {visit: function(patient.at(before), patient.at(visit)) for before, visit in pairs if visit in since}
    if first not in patient.values:
        return {visit: not_evaluable("no baseline visit") for visit in since}
    return {visit: function(patient.at(first), patient.at(visit)) for visit in since}


def components(
    measurements: pd.DataFrame,
    trial: Trial | None = None,
    *,
    doses: Mapping[str, PatientDoses] | None = None,
    baseline: str = "",
) -> pd.DataFrame:
    """Return the measures of composite responses at every visit after baseline.

    Parameters
    ----------
    measurements, trial, doses, baseline
        As for `evaluate.scores_table`.

    Returns
    -------
    DataFrame
        Rows of `COMPONENTS`, by the wanted scores that have components: for IMACS_DOI the improvement in percent of
        baseline with its call (20 % better, 25 % worse), for ACR_EULAR_2016_TIS that in percent of the scale's range
        with the points it earns. A measure that is missing or has no percent change is ``not_evaluable``.
    """
    measured = {str(variable).partition(".")[0] for variable in measurements["variable"]}
    wanted = [m for m in _wanted_scores(trial) if m.components is not None and measured & set(m.measures)]
    rows: list[dict[str, object]] = []
    for patient, _ in _totalled(measurements, trial, doses) if wanted else ():
        first = patient.baseline(trial, baseline)
        for visit in patient.visits_since(first) if first in patient.values else ():
            for method in wanted:
                parts = method.components(patient.at(first), patient.at(visit)) if method.components else ()
                head = {"patient_id": patient.patient_id, "visit": visit, "score": method.name}
                rows += [head | vars(part) for part in parts]
    return COMPONENTS.frame(rows) if rows else COMPONENTS.empty()
