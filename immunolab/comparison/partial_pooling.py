"""Each patient's change drawn towards the cohort's, as far as its own error asks for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison.count_weighted import paule_mandel
from immunolab.intervals import NORMAL_95

Array = NDArray[np.float64]

_LEAST_PATIENTS = 3  # whose spread says how much patients differ in their response


def partial_pooling(shifts: Array, variances: Array) -> tuple[Array, Array, Array]:
    """Return the pooled change of each patient with its 95 % limits: shown beside a call, deciding none.

    The empirical Bayes estimate of the normal model (Morris 1983, JASA 78:47, which also has the variance of the
    shared mean in each interval), between-patient variance by Paule and Mandel.

    Parameters
    ----------
    shifts, variances
        ``(P,)`` changes of a cohort's patients and their error variances; NaN where there is none.

    Returns
    -------
    tuple of array
        ``(P,)`` estimates, lower and upper limits; NaN below 3 patients.
    """
    known = np.isfinite(shifts) & np.isfinite(variances)
    found = np.full((3, shifts.size), np.nan)
    if known.sum() < _LEAST_PATIENTS:
        return found[0], found[1], found[2]
    d, v = shifts[known], variances[known]
    tau2 = paule_mandel(d, v)
    weights = 1.0 / (v + tau2)
    mean = float((weights * d).sum() / weights.sum())
    kept = tau2 / (v + tau2)
    error = np.sqrt(v * kept + (1.0 - kept) ** 2 / weights.sum())
    centre = mean + kept * (d - mean)
    found[:, known] = centre, centre - NORMAL_95 * error, centre + NORMAL_95 * error
    return found[0], found[1], found[2]
