"""What missing visits could hide: how unlike the others the lost patients must be to undo a result."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

from immunolab.comparison.estimate import Estimate, is_constant
from immunolab.comparison.paired import paired_t
from immunolab.schema.comparison import TIPPING
from immunolab.schema.csv_files import cell_text

Array = NDArray[np.float64]

_LEAST_PAIRS = 3  # as in `cohort_tests`
_LIMITS = ("estimate", "ci_low", "ci_high")
_MOST_TIPPING = 20.0  # standard deviations; further than any shift that was seen


def tipping_point(pairs: pd.DataFrame, shifts: pd.DataFrame | None = None) -> pd.DataFrame:
    """Return how unlike the rest the missing patients must be for the interval to reach zero.

    Patients lacking one visit get the mean shift of the others moved against it by k standard deviations; the tipping
    point is the least k at which the 95 % interval includes zero. Where the result is not that of the pairs by t, its
    interval is moved instead by the missing patients' share of what they are unlike what the model takes them for
    (delta adjustment; National Research Council 2010, The Prevention and Treatment of Missing Data, chapter 5).

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
        complete = paired_t(seen)
        result = results.get(_key({"cohort": cohort, "endpoint": endpoint}))
        by_t = result is None or _same(result, complete)
        found = _by_pairs(complete, seen, missing) if by_t or result is None else _by_delta(result, seen, missing)
        rows.append(
            {"cohort": cohort, "endpoint": endpoint, "n_pairs": seen.size, "n_missing": missing}
            | {"shift_scale": group["shift_scale"].iloc[0]}
            | found
            | {"contrast": result["contrast"] if result else None, "method": result["method"] if result else "paired t"}
        )
    return TIPPING.frame(rows)


def _key(row: Mapping[str, Any]) -> tuple[str, str]:
    return cell_text(row["cohort"]), str(row["endpoint"])


def _same(result: Mapping[str, Any], complete: Estimate) -> bool:
    given = [float(result[name]) for name in _LIMITS]
    return bool(np.allclose(given, [complete.estimate, complete.ci_low, complete.ci_high], equal_nan=True))


def _by_pairs(complete: Estimate, seen: Array, missing: int) -> dict[str, float]:
    k = _tipping_sd(seen, missing) if missing else float("nan")
    shift = complete.estimate - np.sign(complete.estimate) * k * float(seen.std(ddof=1))
    limits = dict(zip(_LIMITS, (complete.estimate, complete.ci_low, complete.ci_high), strict=True))
    return {**limits, "tipping_sd": k, "tipping_shift": float(shift)}


def _by_delta(result: Mapping[str, Any], seen: Array, missing: int) -> dict[str, float]:
    """Return the tipping point of a result of its own: estimate and limits move by delta times the share missing."""
    estimate, low, high = (float(result[name]) for name in _LIMITS)
    limits = {"estimate": estimate, "ci_low": low, "ci_high": high}
    n = seen.size + missing
    if not missing or not np.isfinite([low, high]).all() or is_constant(seen):
        return {**limits, "tipping_sd": float("nan"), "tipping_shift": float("nan")}
    nearer = low if estimate > 0 else high
    delta = -nearer * n / missing if estimate * nearer > 0 else 0.0
    k = abs(delta) / float(seen.std(ddof=1))
    over_visits = np.isfinite(result.get("pairs_estimate", np.nan))
    taken_for = (n * estimate - seen.sum()) / missing if over_visits else estimate
    known = k <= _MOST_TIPPING
    return {**limits, "tipping_sd": k if known else np.nan, "tipping_shift": taken_for + delta if known else np.nan}


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
