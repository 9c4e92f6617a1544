"""Several visits: the mixed model of one endpoint, cycles on and off, and what missing visits could hide."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from immunolab.comparison.mixed import MixedFit, fit_mixed
from immunolab.comparison.paired import Estimate, is_constant, paired_t, t_interval

Array = NDArray[np.float64]

LEAST_PAIRS = 3
MOST_TIPPING = 20.0  # standard deviations; further than any shift that was seen


@dataclass(frozen=True)
class LongRows:
    """Rows of one endpoint and cohort: ``(n,)`` arrays, covariates ``(n, k)`` centred.

    ``side`` is 0 before, 1 after, -1 for other visits; ``other`` names the level of those (visit or phase).
    ``on`` marks rows on treatment, whose patients may respond each in their own way.
    """

    level: Array
    patient: NDArray[np.int64]
    side: NDArray[np.int64]
    other: NDArray[np.object_]
    on: NDArray[np.bool_]
    covariates: Array


def mixed_shift(rows: LongRows, patient_shifts: Array) -> Estimate:
    """Return the shift by REML with a random intercept and a random treatment response per patient.

    A model without the random response takes more visits for more patients and is wrong about the
    cohort. Where a variance is estimated at zero, the fit fails, or patients have two visits only, the
    mean shift of each patient is tested instead, and the method says so.

    Parameters
    ----------
    rows : all visits of the endpoint in the cohort.
    patient_shifts : ``(P,)`` each complete patient's mean after minus mean before, for the fallback.
    """
    fallback = paired_t(patient_shifts)
    if np.bincount(rows.patient).max() < 3:
        return replace(fallback, method="paired t (two visits: the mixed model is the same)")
    design = _fixed_effects(rows)
    if np.linalg.matrix_rank(design) < design.shape[1] or rows.level.size <= design.shape[1] + 3:
        return _instead(fallback, "W_COVARIATE", "the design cannot be separated")
    random = np.column_stack([np.ones(rows.level.size), rows.on.astype(float)])
    fit = fit_mixed(rows.level, design, rows.patient, random)
    if not fit.converged:
        return _instead(fallback, "W_NOCONV", "no convergence")
    if fit.singular[1]:
        return _instead(fallback, "W_SLOPE0", "response variance at 0")
    if fit.singular[0]:
        return _instead(fallback, "W_SINGULAR", "patient variance at 0")
    return _contrast(fit, design.shape[1], patient_shifts.size, bool(rows.covariates.shape[1]))


def _contrast(fit: MixedFit, columns: int, n: int, adjusted: bool) -> Estimate:
    weights = np.zeros(columns)
    weights[1] = 1.0
    estimate, se, df = fit.contrast(weights)
    low, high, p = t_interval(estimate, se, df)
    method = "REML mixed model, random intercept and response, Satterthwaite"
    if adjusted:
        method += ", adjusted for covariates"
    return Estimate(estimate, low, high, p, df, method, n)


def _fixed_effects(rows: LongRows) -> Array:
    columns = [np.ones(rows.level.size), (rows.side == 1).astype(float)]
    columns += [((rows.side < 0) & (rows.other == name)).astype(float) for name in _levels(rows)]
    if rows.covariates.shape[1]:
        columns += list(rows.covariates.T)
    return np.column_stack(columns)


def _levels(rows: LongRows) -> list[str]:
    return sorted(set(rows.other[rows.side < 0]))


def _instead(fallback: Estimate, code: str, why: str) -> Estimate:
    return replace(fallback, method=f"t on each patient's mean shift (mixed model: {why})", codes=(code,))


def tipping_point(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return how unlike the rest the missing patients must be for the interval to reach zero.

    Patients lacking one visit get the mean shift of the others moved against it by k standard
    deviations; the tipping point is the least k at which the 95 % interval includes zero.

    Parameters
    ----------
    pairs : rows of `tables.PAIRS`.

    Returns
    -------
    cohort, endpoint, n_pairs, n_missing, estimate, ci_low, ci_high (complete cases), tipping_sd (k; 0 when
    the complete cases already include zero, empty when nobody is missing or no k to 20 suffices) and
    tipping_shift (what the missing patients' shift would then be).
    """
    rows = []
    for (cohort, endpoint), group in pairs.groupby(["cohort", "endpoint"], sort=False, dropna=False):
        d = group["shift"].to_numpy(dtype=float, na_value=np.nan)
        seen, missing = d[np.isfinite(d)], int((~np.isfinite(d)).sum())
        if seen.size < LEAST_PAIRS:
            continue
        complete = paired_t(seen)
        k = _tipping_sd(seen, missing) if missing else float("nan")
        step = -np.sign(complete.estimate) * k * float(seen.std(ddof=1))
        rows.append(
            {
                "cohort": cohort,
                "endpoint": endpoint,
                "n_pairs": seen.size,
                "n_missing": missing,
                "estimate": complete.estimate,
                "ci_low": complete.ci_low,
                "ci_high": complete.ci_high,
                "tipping_sd": k,
                "tipping_shift": complete.estimate + step,
            }
        )
    limits = ["estimate", "ci_low", "ci_high", "tipping_sd", "tipping_shift"]
    return pd.DataFrame(rows, columns=["cohort", "endpoint", "n_pairs", "n_missing", *limits])


def _tipping_sd(seen: Array, missing: int) -> float:
    if is_constant(seen):
        return float("nan")
    direction, sd = np.sign(seen.mean()), float(seen.std(ddof=1))

    def holds(k: float) -> bool:
        imputed = np.full(missing, seen.mean() - direction * k * sd)
        estimate = paired_t(np.concatenate([seen, imputed]))
        return bool(direction * (estimate.ci_low if direction > 0 else estimate.ci_high) > 0)

    observed = paired_t(seen)
    if direction * (observed.ci_low if direction > 0 else observed.ci_high) <= 0:
        return 0.0
    if holds(MOST_TIPPING):
        return float("nan")
    low, high = 0.0, MOST_TIPPING
    while high - low > 1e-6:
        middle = (low + high) / 2.0
        low, high = (middle, high) if holds(middle) else (low, middle)
    return high


def cycle_shifts(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the answer to repeated on and off cycles, each patient one number, cohort by t.

    Every peak is compared with the mean of the patient's off-drug samples since the peak before it.

    Parameters
    ----------
    rows : columns patient_id, cohort, endpoint, study_day, cycle_state (``peak`` is on drug; pre_dose,
        trough and off are off drug) and level (on the endpoint's scale), as in `pairing.Paired.rows`.

    Returns
    -------
    cohort, endpoint, measure, n_patients, estimate, ci_low, ci_high, df, p_value. Measures:
    ``peak_over_trough`` (mean over cycles), ``response_trend`` (its change per cycle, from 2 cycles),
    ``trough_trend`` (carry-over: change of off-drug samples per cycle).
    """
    known = rows[rows["cycle_state"].isin(("peak", "pre_dose", "trough", "off")) & np.isfinite(rows["level"])]
    found = []
    for (cohort, endpoint), group in known.groupby(["cohort", "endpoint"], sort=False, dropna=False):
        measures: dict[str, list[float]] = {"peak_over_trough": [], "response_trend": [], "trough_trend": []}
        for _, patient in group.groupby("patient_id", sort=False):
            for name, value in _cycles_of(patient.sort_values("study_day", kind="stable")).items():
                measures[name].append(value)
        for name, values in measures.items():
            if len(values) >= LEAST_PAIRS:
                e = paired_t(values)
                found.append([cohort, endpoint, name, e.n, e.estimate, e.ci_low, e.ci_high, e.df, e.p_value])
    columns = ["cohort", "endpoint", "measure", "n_patients", "estimate", "ci_low", "ci_high", "df", "p_value"]
    return pd.DataFrame(found, columns=columns)


def _cycles_of(patient: pd.DataFrame) -> dict[str, float]:
    level, peak = patient["level"].to_numpy(dtype=float), (patient["cycle_state"] == "peak").to_numpy()
    cycle: NDArray[np.int64] = (
        np.cumsum(peak) - peak
    )  # peaks seen before this sample: off samples belong to the peak that follows
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
