"""Repeated on and off cycles of a drug: response in each, and what carries over."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.paired import paired_t
from immunolab.errors import ComparisonError

_LEAST_PATIENTS = 3  # as in `cohort_tests`
_ON, _OFF = "peak", ("pre_dose", "trough", "off")


def cycle_shifts(rows: pd.DataFrame) -> pd.DataFrame:
    """Return how a cohort responds to repeated on and off cycles: one number a patient, tested by t.

    Every peak is compared with the mean of the patient's off-drug samples since the peak before it.

    Parameters
    ----------
    rows
        Columns patient_id, cohort, endpoint, study_day, cycle_state (``peak`` is on drug; pre_dose, trough and
        off are off drug), level and its scale, as `table.Comparison.levels`.

    Returns
    -------
    DataFrame
        Columns cohort, endpoint, measure, n_patients (with that measure), scale, estimate with its 95 % limits
        ci_low and ci_high (on scale; a trend per cycle), df, p_value (two-sided). Measures: ``peak_over_trough``
        (mean over cycles), ``response_trend`` (its change per cycle, from 2 cycles), ``trough_trend`` (carry-over:
        change of off-drug samples per cycle). A measure of fewer than 3 patients has no row.

    Raises
    ------
    ComparisonError
        A sample with a cycle state has no study day: which peak it belongs to is unknown.
    """
    known = rows[rows["cycle_state"].isin((_ON, *_OFF)) & np.isfinite(rows["level"])]
    undated = int((~np.isfinite(known["study_day"])).sum())
    if undated:
        text = f"{undated} of {len(known)} values with a cycle state have no study day: their order is unknown"
        raise ComparisonError(text, "study_day", "give each sample's study day in a column study_day")
    found = []
    for (cohort, endpoint), group in known.groupby(["cohort", "endpoint"], sort=False, dropna=False):
        measures: dict[str, list[float]] = {"peak_over_trough": [], "response_trend": [], "trough_trend": []}
        for _, patient in group.groupby("patient_id", sort=False):
            for name, value in _cycles_of(patient.sort_values("study_day", kind="stable")).items():
                measures[name].append(value)
        for name, values in measures.items():
            if len(values) >= _LEAST_PATIENTS:
                e = paired_t(values)
                limits = [e.estimate, e.ci_low, e.ci_high, e.df, e.p_value]
                found.append([cohort, endpoint, name, e.n, group["scale"].iloc[0], *limits])
    columns = ["cohort", "endpoint", "measure", "n_patients", "scale", "estimate", "ci_low", "ci_high", "df", "p_value"]
    return pd.DataFrame(found, columns=columns)


def _cycles_of(patient: pd.DataFrame) -> dict[str, float]:
    level, peak = patient["level"].to_numpy(dtype=float), (patient["cycle_state"] == _ON).to_numpy()
    # peaks seen before this sample: off samples belong to the peak that follows
    cycle: NDArray[np.int64] = np.cumsum(peak) - peak
    numbers = [c for c in np.unique(cycle[peak]) if ((cycle == c) & ~peak).any()]
    troughs: NDArray[np.int64] = np.unique(cycle[~peak])
    result = {}
    if numbers:
        responses = np.array([level[(cycle == c) & peak].mean() - level[(cycle == c) & ~peak].mean() for c in numbers])
        result["peak_over_trough"] = float(responses.mean())
        if len(numbers) > 1:
            result["response_trend"] = float(np.polyfit(numbers, responses, 1)[0])
    if troughs.size > 1:
        means = [level[(cycle == c) & ~peak].mean() for c in troughs]
        result["trough_trend"] = float(np.polyfit(troughs, means, 1)[0])
    return result
