"""Slopes of scores and variables over the periods that a trial registers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from immunolab.clinical.patients import Patient
from immunolab.clinical.scores.method import Score, ScoredVisit, not_evaluable
from immunolab.clinical.scores.scales import scales
from immunolab.schema.flags import Flag
from immunolab.study.endpoints import Period
from immunolab.study.endpoints.slope_difference import slope_name
from immunolab.study.trial import Trial

_MONTH = 365.25 / 12  # days
_FEWEST = 3  # values: a line broken at a knot has three parameters


def slopes(patient: Patient, trial: Trial | None) -> Iterator[ScoredVisit]:
    """Yield the slope of each registered period, in the row of the visit the period ends with.

    Parameters
    ----------
    patient
        With totals of scores among the values.
    trial
        Its endpoints name scores, variables and periods.
    """
    for endpoint in trial.endpoints if trial else ():
        name = endpoint.fitted
        if endpoint.slopes is None or not patient.measured([name]):
            continue
        scale = scales().get(name)
        source, verified = (scale.source, scale.verified) if scale else (endpoint.source, True)
        unit = endpoint.unit or "points/month"
        for period, score in zip(endpoint.slopes, _of_periods(patient, name, *endpoint.slopes), strict=True):
            yield ScoredVisit(patient.patient_id, period.last, slope_name(name), score, unit, source, verified)


def slopes_by_period(days: Sequence[float], values: Sequence[float], knot: float) -> tuple[float, float] | None:
    """Return the slopes before and after a knot, in units a month of 30.4375 days.

    A line broken at the knot is fitted by least squares; with three visits it runs through them.

    Parameters
    ----------
    days, values
        Study days, and the value on each.
    knot
        Study day on which the line breaks.

    Returns
    -------
    tuple or None
        None when a period has no visit besides the knot, or there are fewer than three values.
    """
    import numpy as np

    t = (np.asarray(days, dtype=float) - knot) / _MONTH
    design = np.column_stack([np.ones_like(t), np.minimum(t, 0), np.maximum(t, 0)])
    if len(t) < _FEWEST or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    fitted = np.linalg.lstsq(design, np.asarray(values, dtype=float), rcond=None)[0]
    return round(float(fitted[1]), 12), round(float(fitted[2]), 12)


def _of_periods(patient: Patient, name: str, earlier: Period, later: Period) -> tuple[Score, Score]:
    first, knot, last = earlier.first, earlier.last, later.last
    known = {visit: value for visit in patient.values if (value := patient.at(visit).get(name)) is not None}
    absent = [visit for visit in (first, knot, last) if visit not in known]
    if absent:
        missing = not_evaluable(f"no {name} at {', '.join(absent)}")
        return missing, missing
    days = {visit: patient.day(visit) for visit in known}
    used = {visit: value for visit, value in known.items() if days[first] <= days[visit] <= days[last]}
    fitted = slopes_by_period([days[visit] for visit in used], list(used.values()), days[knot])
    if fitted is None:
        missing = not_evaluable("the visits do not separate the two periods")
        return missing, missing
    scale = scales().get(name)
    flag = Flag.AT_LIMIT_OF_SCALE if scale and any(value in scale.range for value in used.values()) else ""
    return Score(fitted[0], flag=flag), Score(fitted[1], flag=flag)
