"""What missing visits could hide: how unlike the others the lost patients must be to undo a result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import stdtrit

from immunolab.comparison.estimate import ALPHA, is_constant
from immunolab.comparison.paired import paired_t
from immunolab.schema.comparison import TIPPING
from immunolab.schema.csv_files import cell_text

Array = NDArray[np.float64]

_LEAST_PAIRS = 3  # as in `cohort_tests`
_LIMITS = ("estimate", "ci_low", "ci_high")
_MOST_TIPPING = 20.0  # standard deviations; further than any shift that was seen


def tipping_point(pairs: pd.DataFrame, shifts: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return how unlike the rest the missing patients must be for the interval to reach zero.

    The patients lacking a visit are taken to be k standard deviations against the result from what the others, or the
    model of all visits, say of them (delta adjustment; National Research Council 2010, The Prevention and Treatment of
    Missing Data, chapter 5). The mean of all moves by their share f of that distance, and its variance grows by
    distance^2 f (1 - f) / (n - 1), as the share itself is one of a sample (pattern mixture; Little 1993, JASA
    88:125): what multiple imputation gives. The tipping point is the least k at which the 95 % interval includes zero.

    Parameters
    ----------
    pairs
        Rows of `tables.PAIRS`.
    shifts
        Rows of `tables.SHIFTS` of the same comparison; None takes the pairs by t.

    Returns
    -------
    DataFrame
        Rows of `tables.TIPPING`. An endpoint with fewer than 3 pairs has no row.
    """
    results = {} if shifts is None else {_key(row): row for row in shifts.to_dict("records")}
    rows = []
    for (cohort, endpoint), group in pairs.groupby(["cohort", "endpoint"], sort=False, dropna=False):
        d = group["shift"].to_numpy(dtype=float, na_value=np.nan)
        seen, missing = d[np.isfinite(d)], int(group[["before", "after"]].isna().any(axis=1).sum())
        if seen.size < _LEAST_PAIRS:
            continue
        result = results.get(_key({"cohort": cohort, "endpoint": endpoint}))
        found = _tipping(result or vars(paired_t(seen)), seen, missing)
        rows.append(
            {"cohort": cohort, "endpoint": endpoint, "n_pairs": seen.size, "n_missing": missing}
            | {"shift_scale": group["shift_scale"].iloc[0]}
            | found
            | {"contrast": result["contrast"] if result else None, "method": result["method"] if result else "paired t"}
        )
    return TIPPING.frame(rows)


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return cell_text(row["cohort"]), str(row["endpoint"])


def _tipping(result: Mapping[str, Any], seen: Array, missing: int) -> dict[str, float]:
    """Return estimate, limits and tipping point of a result with the shifts of complete pairs."""
    estimate, low, high, df = (float(result[name]) for name in (*_LIMITS, "df"))
    n = seen.size + missing
    k = taken_for = float("nan")
    if missing and np.isfinite([low, high]).all() and not is_constant(seen):
        over_visits = np.isfinite(result.get("pairs_estimate", np.nan))
        taken_for = (n * estimate - seen.sum()) / missing if over_visits else estimate
        half = abs(estimate - (low if estimate > 0 else high))
        k = _distance(abs(estimate), half, df if df > 0 else seen.size - 1, n, missing) / float(seen.std(ddof=1))
        k = k if k <= _MOST_TIPPING else float("nan")
    shift = taken_for - np.sign(estimate) * k * float(seen.std(ddof=1))
    return {"estimate": estimate, "ci_low": low, "ci_high": high, "tipping_sd": k, "tipping_shift": float(shift)}


def _distance(estimate: float, half: float, df: float, n: int, missing: int) -> float:
    """Return the distance x at which ``estimate - f x`` is ``sqrt(half^2 + (t x)^2 f (1 - f) / (n - 1))``."""
    share = missing / n
    growth = float(stdtrit(df, 1.0 - ALPHA / 2.0)) ** 2 * share * (1.0 - share) / (n - 1)
    over = estimate**2 - half**2
    if estimate <= half:
        return 0.0
    return over / (estimate * share + math.sqrt((share * half) ** 2 + growth * over))  # the lesser root
