"""Scores of every patient and visit from a table of measurements."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise

import pandas as pd

from immunolab.clinical import composites
from immunolab.clinical.definitions import ClinicalScale, definitions
from immunolab.clinical.patients import Patient, read_patients
from immunolab.clinical.totals import Score, domain_totals, item_fault, item_total, not_evaluable
from immunolab.errors import InputError, Problem
from immunolab.schema.clinical import SCORES
from immunolab.study.doses import PatientDoses
from immunolab.study.endpoints import Period
from immunolab.study.endpoints.slope_difference import slope_name
from immunolab.study.trial import Trial

_COMPOSITES = {
    "SRI_4": ("SELENA_SLEDAI", "PGA"),
    "SLE_relapse": ("SELENA_SLEDAI",),
    "IMACS_DOI": ("MMT_8", "PhGA"),
    "ACR_EULAR_2016_TIS": ("MMT_8", "PhGA"),
    "PMR_AS": ("morning_stiffness",),
    "PMR_relapse": ("morning_stiffness",),
}


def scores(
    measurements: pd.DataFrame,
    trial: Trial | None = None,
    *,
    doses: Mapping[str, PatientDoses] | None = None,
    baseline: str = "",
) -> pd.DataFrame:
    """Return every score that the measurements hold the parts of.

    Parameters
    ----------
    measurements : rows of `tables.MEASUREMENTS` in canonical units, each with its visit. Items of a
        score are variables named ``SCORE.item`` (``SELENA_SLEDAI.arthritis``), totals are named ``SCORE``.
    trial : its endpoints say which composite scores and slopes are wanted; its baseline phase is
        what they start from.
    doses : real doses by patient, for the phases of visits.
    baseline : the baseline visit of a study without a trial.

    Returns
    -------
    One row a patient, visit and score (`SCORES`); ``not_evaluable`` ones with the reason.

    Raises
    ------
    InputError
        Items and totals out of range and unknown items, each with its row.
    """
    problems = list(_range_problems(measurements))
    if problems:
        raise InputError(problems)
    rows: list[dict[str, object]] = []
    for patient, totals in totalled(measurements, trial, doses):
        rows += totals
        rows += _composites(patient, trial, baseline)
        rows += _slopes(patient, trial)
    return SCORES.frame(rows)


def totalled(
    measurements: pd.DataFrame, trial: Trial | None, doses: Mapping[str, PatientDoses] | None
) -> Iterator[tuple[Patient, list[dict]]]:
    """Yield every patient with the totals of scores among the values, and the totals' rows of `SCORES`."""
    study_items = _items_of_the_study(measurements)
    for patient in read_patients(measurements, trial, doses or {}):
        totals = _totals(patient, study_items)
        for row in totals:
            held = patient.values[str(row["visit"])]
            if row["value"] is None:
                held.pop(str(row["score"]), None)  # a total that contradicts its items feeds no composite
            else:
                held[str(row["score"])] = float(str(row["value"]))
        yield patient, totals


def baseline_of(patient: Patient, trial: Trial | None, baseline: str) -> str:
    """Return the visit a patient's change is counted from; empty where the patient has none."""
    return (patient.visits_in("baseline") or [""])[-1] if trial else baseline


def visits_since(patient: Patient, first: str) -> list[str]:
    """Return the visits a change from the baseline visit is told at: no other one before treatment."""
    return [visit for visit in patient.values if visit != first and patient.places[visit].phase != "baseline"]


def _range_problems(measurements: pd.DataFrame) -> Iterable[Problem]:
    scales = definitions().scales
    file = str(measurements.attrs.get("file", "measurements"))
    for index, variable, value in zip(measurements.index, measurements["variable"], measurements["value"], strict=True):
        name, _, item = str(variable).partition(".")
        scale = scales.get(name)
        if scale is None or pd.isna(value):
            continue
        number = measurements["row"].get(index, index) if "row" in measurements else index
        if item:
            text, hint = item_fault(scale, item, float(value))
        else:
            text = item_total(scale, {}, float(value)).reason
            hint = f"{name} goes from {scale.range[0]:g} to {scale.range[1]:g}" if text else ""
        if text:
            yield Problem(file, f"row {number}, column value", f"{name}: {text}", hint)


def _row(patient: Patient, visit: str, name: str, score: Score, unit: str, source: str, verified: bool) -> dict:
    flags = [flag for flag in (score.flag, "" if verified else "unverified") if flag]
    return {
        "patient_id": patient.patient_id,
        "visit": visit,
        "score": name,
        "value": score.value,
        "unit": unit,
        "flag": ";".join(flags) or None,
        "reason": score.reason or None,
        "source": source,
        "verified": "yes" if verified else "no",
    }


def _items_of_the_study(measurements: pd.DataFrame) -> dict[str, set[str]]:
    """Return the items each score has anywhere in the study: where the protocol chooses them, all must be there."""
    found: dict[str, set[str]] = {}
    for variable in measurements["variable"].unique():
        name, _, item = str(variable).partition(".")
        if item:
            found.setdefault(name, set()).add(item)
    return found


def _totals(patient: Patient, study_items: Mapping[str, set[str]]) -> list[dict]:
    rows = []
    for visit, values in patient.values.items():
        for name, scale in definitions().scales.items():
            items: dict[str, float | None] = {
                key.partition(".")[2]: value for key, value in values.items() if key.startswith(f"{name}.")
            }
            if not items and name not in values:
                continue
            if scale.open_items and items:
                items = {item: items.get(item) for item in sorted(study_items[name])}
            score = item_total(scale, items, values.get(name))
            rows.append(_row(patient, visit, name, score, "points", scale.source, scale.verified))
            rows += _domains(patient, visit, name, scale, items)
    return rows


def _domains(
    patient: Patient, visit: str, name: str, scale: ClinicalScale, items: Mapping[str, float | None]
) -> list[dict]:
    if not items:
        return []
    return [
        _row(patient, visit, f"{name}.{domain}", score, "points", scale.source, True)
        for domain, score in domain_totals(scale, items).items()
    ]


def _composites(patient: Patient, trial: Trial | None, baseline: str) -> list[dict]:
    wanted = {name for endpoint in trial.endpoints for name in endpoint.needs.scores} if trial else set(_COMPOSITES)
    wanted |= {"PMR_relapse"} if "PMR_AS" in wanted else set()
    seen = {variable for values in patient.values.values() for variable in values}
    first = baseline_of(patient, trial, baseline)
    rows = []
    for name, needed in _COMPOSITES.items():
        if name in wanted and seen & set(needed):
            rows += list(_composite(patient, name, first))
    return rows


def _composite(patient: Patient, name: str, first: str) -> Iterable[dict]:
    rule = definitions().rule(name)
    if name == "SLE_relapse":
        scored = {patient.visits_in("follow_up")[-1]: _sle_relapse(patient)} if patient.visits_in("follow_up") else {}
    elif name == "PMR_AS":
        scored = {visit: _pmr_as(patient.at(visit)) for visit in patient.values}
        for visit, score in scored.items():
            if score.value is not None:
                patient.values[visit]["PMR_AS"] = score.value
    elif name == "PMR_relapse":
        scored = {
            visit: composites.pmr_relapse(patient.at(before).get("PMR_AS"), patient.at(visit).get("PMR_AS"))
            for before, visit in pairwise(patient.values)
            if visit in visits_since(patient, first)
        }
    else:
        scored = {visit: _against_baseline(patient, name, first, visit) for visit in visits_since(patient, first)}
    unit = "points" if name in ("PMR_AS", "ACR_EULAR_2016_TIS") else "responder"
    unit = "relapse" if name.endswith("relapse") else unit
    for visit, score in scored.items():
        yield _row(patient, visit, name, score, unit, rule.source, rule.verified)


def _against_baseline(patient: Patient, name: str, first: str, visit: str) -> Score:
    if first not in patient.values:
        return not_evaluable("no baseline visit")
    before, after = patient.at(first), patient.at(visit)
    if name == "SRI_4":
        new_a, new_b = _new_bilag(before, after)
        sledai = before.get("SELENA_SLEDAI"), after.get("SELENA_SLEDAI")
        return composites.sri_4(*sledai, new_a, new_b, before.get("PGA"), after.get("PGA"))
    if name == "IMACS_DOI":
        return composites.imacs_doi(before, after)
    return composites.total_improvement(*core_sets(patient, first, visit))


def core_sets(patient: Patient, first: str, visit: str) -> tuple[dict[str, float | None], dict[str, float | None]]:
    """Return the core-set measures of two visits, the muscle enzyme in times its upper limit."""
    before, after = patient.at(first), patient.at(visit)
    unit = patient.units.get("muscle_enzyme", "")
    limits = before.get("muscle_enzyme_ULN"), after.get("muscle_enzyme_ULN")
    limit = next((value for value in limits if value), None)
    return composites.core_set(before, limit, unit), composites.core_set(after, limit, unit)


def _new_bilag(before: Mapping[str, float], after: Mapping[str, float]) -> tuple[float | None, float | None]:
    if "BILAG_new_A" in after or "BILAG_new_B" in after:
        return after.get("BILAG_new_A"), after.get("BILAG_new_B")
    grades = [{k: v for k, v in values.items() if k.startswith("BILAG.")} for values in (before, after)]
    return composites.new_bilag(grades[0], grades[1])


def _sle_relapse(patient: Patient) -> Score:
    last_day = 7 * definitions().sle_relapse.within_weeks + 1 + 14  # a fortnight's window
    on_drug = [patient.at(visit).get("SELENA_SLEDAI") for visit in patient.visits_in("on_treatment")]
    later = [v for v in patient.visits_in("follow_up") if patient.day(v) <= last_day]
    return composites.sle_relapse(on_drug, [patient.at(visit).get("SELENA_SLEDAI") for visit in later])


def _pmr_as(values: Mapping[str, float]) -> Score:
    parts = [values.get(name) for name in ("CRP", "pain", "PhGA", "morning_stiffness", "EUL")]
    return composites.pmr_as(*parts)


def _slopes(patient: Patient, trial: Trial | None) -> list[dict]:
    """Return the slope of each registered period, in the row of the visit the period ends with."""
    rows = []
    for endpoint in trial.endpoints if trial else ():
        name = endpoint.fitted
        if endpoint.slopes is None or not any(name in values for values in patient.values.values()):
            continue
        scale = definitions().scales.get(name)
        source, verified = (scale.source, scale.verified) if scale else (endpoint.source, True)
        unit = endpoint.unit or "points/month"
        for period, score in zip(endpoint.slopes, _period_slopes(patient, name, *endpoint.slopes), strict=True):
            rows.append(_row(patient, period.last, slope_name(name), score, unit, source, verified))
    return rows


def _period_slopes(patient: Patient, name: str, earlier: Period, later: Period) -> tuple[Score, Score]:
    first, knot, last = earlier.first, earlier.last, later.last
    absent = [visit for visit in (first, knot, last) if name not in patient.at(visit)]
    if absent:
        missing = not_evaluable(f"no {name} at {', '.join(absent)}")
        return missing, missing
    days = {visit: patient.day(visit) for visit in patient.values}
    used = [v for v in patient.values if name in patient.at(v) and days[first] <= days[v] <= days[last]]
    slopes = composites.slopes_by_period([days[v] for v in used], [patient.at(v)[name] for v in used], days[knot])
    if slopes is None:
        missing = not_evaluable("the visits do not tell the two periods apart")
        return missing, missing
    scale = definitions().scales.get(name)
    at_floor = scale is not None and any(patient.at(v)[name] in scale.range for v in used)
    flag = "at_limit_of_scale" if at_floor else ""
    return Score(slopes[0], flag=flag), Score(slopes[1], flag=flag)
