"""What missing visits could hide: how unlike the others the lost patients must be to undo a result."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

from immunolab.comparison.estimate import is_constant
from immunolab.comparison.paired import paired_t

Array = NDArray[np.float64]

_LEAST_PAIRS = 3  # as in `cohort_tests`
_MOST_TIPPING = 20.0  # standard deviations; further than any shift that was seen


def tipping_point(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return how unlike the rest the missing patients must be for the interval to reach zero.

    Patients lacking one visit get the mean shift of the others moved against it by k standard
    deviations; the tipping point is the least k at which the 95 % interval includes zero.

    Parameters
    ----------
    pairs
        Rows of `tables.PAIRS`.

    Returns
    -------
    DataFrame
        Columns cohort, endpoint, n_pairs and n_missing (patients with both visits, and with one), shift_scale,
        estimate with its 95 % limits ci_low and ci_high (mean shift of the pairs by t, on shift_scale), tipping_sd
        (k, in standard deviations of their shifts; 0 when the interval already includes zero, empty when no patient
        is missing or no k to 20 suffices) and tipping_shift (what the missing patients' shift would then be, on
        shift_scale). An endpoint with fewer than 3 pairs has no row.
    """
    rows = []
    for (cohort, endpoint), group in pairs.groupby(["cohort", "endpoint"], sort=False, dropna=False):
        d = group["shift"].to_numpy(dtype=float, na_value=np.nan)
        seen, missing = d[np.isfinite(d)], int((~np.isfinite(d)).sum())
        if seen.size < _LEAST_PAIRS:
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
                "shift_scale": group["shift_scale"].iloc[0],
                "estimate": complete.estimate,
                "ci_low": complete.ci_low,
                "ci_high": complete.ci_high,
                "tipping_sd": k,
                "tipping_shift": complete.estimate + step,
            }
        )
    limits = ["estimate", "ci_low", "ci_high", "tipping_sd", "tipping_shift"]
    return pd.DataFrame(rows, columns=["cohort", "endpoint", "n_pairs", "n_missing", "shift_scale", *limits])


def _tipping_sd(seen: Array, missing: int) -> float:
    if is_constant(seen):
        return float("nan")
    direction, sd = np.sign(seen.mean()), float(seen.std(ddof=1))

    def margin(k: float) -> float:
        """Return how far the nearer limit stays from zero, below 0 once the interval includes it."""
        imputed = np.full(missing, seen.mean() - direction * k * sd)
        found = paired_t(np.concatenate([seen, imputed]))
        return float(direction * (found.ci_low if direction > 0 else found.ci_high))

    observed = paired_t(seen)
    if direction * (observed.ci_low if direction > 0 else observed.ci_high) <= 0:
        return 0.0
    return float("nan") if margin(_MOST_TIPPING) > 0 else float(brentq(margin, 0.0, _MOST_TIPPING, xtol=1e-9))
