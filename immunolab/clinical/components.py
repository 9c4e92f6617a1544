"""What a composite response is made of: each measure before and after, its call and its points."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from immunolab.clinical.evaluate import totalled, wanted_scores
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
    wanted = [m for m in wanted_scores(trial) if m.components is not None and measured & set(m.measures)]
    rows: list[dict[str, object]] = []
    for patient, _ in totalled(measurements, trial, doses) if wanted else ():
        first = patient.baseline(trial, baseline)
        for visit in patient.visits_since(first) if first in patient.values else ():
            for method in wanted:
                parts = method.components(patient.at(first), patient.at(visit)) if method.components else ()
                head = {"patient_id": patient.patient_id, "visit": visit, "score": method.name}
                rows += [head | vars(part) for part in parts]
    return COMPONENTS.frame(rows) if rows else COMPONENTS.empty()
