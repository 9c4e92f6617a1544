"""What a composite response is made of: each core-set measure before and after, its call and its points."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pandas as pd

from immunolab.clinical import composites
from immunolab.clinical.evaluate import baseline_of, core_sets, totalled, visits_since
from immunolab.clinical.patients import Patient
from immunolab.schema.clinical import COMPONENTS
from immunolab.study.doses import PatientDoses
from immunolab.study.trial import Trial


def components(
    measurements: pd.DataFrame,
    trial: Trial | None = None,
    *,
    doses: Mapping[str, PatientDoses] | None = None,
    baseline: str = "",
) -> pd.DataFrame:
    """Return each core-set measure of the myositis responses at every visit after baseline.

    Parameters
    ----------
    measurements, trial, doses, baseline : as for `evaluate.scores`.

    Returns
    -------
    Rows of `COMPONENTS`: for IMACS_DOI the improvement in percent of baseline with its call (20 % better,
    25 % worse), for ACR_EULAR_2016_TIS that in percent of the scale's range with the points it earns.
    A measure that is missing or has no percent change is ``not_evaluable``. Only scores that the trial
    asks for, or both without a trial; empty where no patient has a core-set measure at two visits.
    """
    makers = {"IMACS_DOI": _of_doi, "ACR_EULAR_2016_TIS": _of_tis}
    asked = {name for endpoint in trial.endpoints for name in endpoint.needs.scores} if trial else set(makers)
    wanted = {name: maker for name, maker in makers.items() if name in asked}
    rows: list[dict[str, object]] = []
    if not wanted or not set(composites.CORE_SET) & {str(v).partition(".")[0] for v in measurements["variable"]}:
        return COMPONENTS.empty()
    for patient, _ in totalled(measurements, trial, doses):
        first = baseline_of(patient, trial, baseline)
        for visit in visits_since(patient, first) if first in patient.values else ():
            head = {"patient_id": patient.patient_id, "visit": visit}
            for name, maker in wanted.items():
                rows += [head | {"score": name} | row for row in maker(patient, first, visit)]
    return COMPONENTS.frame(rows)


def _of_doi(patient: Patient, first: str, visit: str) -> Iterator[dict[str, object]]:
    before, after = patient.at(first), patient.at(visit)
    for measure in composites.CORE_SET:
        x, y = before.get(measure), after.get(measure)
        change = None if x is None or y is None else composites.improvement_percent(measure, x, y)
        calls = composites.doi_calls(measure, x, y)
        yield {
            "component": measure,
            "before": x,
            "after": y,
            "improvement": change,
            "improvement_of": "baseline",
            "call": next(iter(calls)) if len(calls) == 1 else "not_evaluable",
            "points": None,
        }


def _of_tis(patient: Patient, first: str, visit: str) -> Iterator[dict[str, object]]:
    before, after = core_sets(patient, first, visit)
    points, _ = composites.improvement_points(before, after)
    for measure in composites.CORE_SET:
        x, y = before[measure], after[measure]
        change = None if x is None or y is None else composites.scale_percent(measure, x, y)
        call = "not_evaluable" if change is None else "improved" if points[measure] else "same"
        yield {
            "component": measure,
            "before": x,
            "after": y,
            "improvement": change,
            "improvement_of": "scale range",
            "call": "worsened" if change is not None and change < 0 else call,
            "points": points.get(measure),
        }
