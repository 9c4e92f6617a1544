"""Rank correlation of an endpoint's shift with a clinical change, over patients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtr

from immunolab.comparison.estimate import ALPHA, is_constant
from immunolab.comparison.linear import least_squares
from immunolab.comparison.paired import midranks

Array = NDArray[np.float64]

_LEAST_PATIENTS = 4  # Fisher's z has variance 1 / (n - 3)
_LEAST_PARTIAL = 6  # patients: two baselines taken out leave three degrees of freedom
_MOST_EXACT = 8  # patients: 40,320 orders
_LEAST_T = 10  # patients from which the t approximation is used; below, p is by permutation
_PERMUTATIONS = 9_999  # so that the smallest p is 1e-4 (Phipson and Smyth 2010, SAGMB 9:39)


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's correlation.

    Attributes
    ----------
    rho, ci_low, ci_high
        The coefficient and its 95 % limits; NaN below 4 patients or for a constant.
    p_value
        Two-sided.
    p_method
        How the p value was found.
    """

    rho: float
    ci_low: float
    ci_high: float
    p_value: float
    p_method: str


def spearman(x: ArrayLike, y: ArrayLike, *, seed: int = 0) -> RankCorrelation:
    """Return Spearman's rank correlation of two values of each patient.

    Limits by Fisher's z with Bonett and Wright's (2000, Psychometrika 65:23) standard error, half a step of the ranks
    further out, so that a perfect order of 5 patients is not taken for a perfect correlation; p by permutation below 10
    patients (all orders to 8), else by Student's t.

    Parameters
    ----------
    x, y
        ``(n,)`` without NaN.
    seed
        Of the permutations at 9 patients.
    """
    a, b = midranks(np.asarray(x, dtype=float)), midranks(np.asarray(y, dtype=float))
    n = a.size
    if n < _LEAST_PATIENTS or is_constant(a) or is_constant(b):
        return RankCorrelation(np.nan, np.nan, np.nan, np.nan, "not tested")
    rho = float(np.corrcoef(a, b)[0, 1])
    low, high = _limits(rho, n)
    if n >= _LEAST_T:
        t = abs(rho) * np.sqrt((n - 2) / max(1.0 - rho**2, 1e-300))
        p, method = float(2.0 * stdtr(n - 2, -t)), "t approximation"
    else:
        p, method = _permutation_p(a, b, seed)
    return RankCorrelation(rho, low, high, p, method)


def _limits(rho: float, n: int) -> tuple[float, float]:
    half = -float(ndtri(ALPHA / 2.0)) * np.sqrt((1.0 + rho**2 / 2.0) / (n - 3))
    step = 6.0 / (n * (n**2 - 1.0))  # half of what rho changes by where two neighbours change places
    low = np.tanh(np.arctanh(rho - step) - half) if rho - step > -1.0 else -1.0
    high = np.tanh(np.arctanh(rho + step) + half) if rho + step < 1.0 else 1.0
    return float(low), float(high)


def _permutation_p(a: Array, b: Array, seed: int) -> tuple[float, str]:
    n = a.size
    exact = n <= _MOST_EXACT
    if exact:
        orders = _all_orders(n)
    else:
        draws = np.random.default_rng(seed).random((_PERMUTATIONS, n))
        orders = np.concatenate([np.arange(n)[None], np.argsort(draws, axis=1)])
    centred = a - a.mean()
    statistic = np.abs(b[orders] @ centred)
    p = float((statistic >= abs(float(b @ centred)) * (1.0 - 1e-9)).mean())  # equal up to rounding is as extreme
    return p, "exact permutation" if exact else f"permutation, {_PERMUTATIONS} draws, seed {seed}"


@cache
def _all_orders(n: int) -> NDArray[np.int64]:
    return np.array(list(permutations(range(n))))


def correlate_shifts(
    pairs: pd.DataFrame,
    change: Mapping[str, float],
    baseline: Mapping[str, float] | None = None,
    *,
    seed: int = 0,
) -> pd.DataFrame:
    """Correlate each endpoint's shift with a clinical change over patients, see `spearman`.

    Parameters
    ----------
    pairs
        Rows of `tables.PAIRS`.
    change
        ``patient_id`` -> clinical change over the same visits.
    baseline
        ``patient_id`` -> clinical value before; with it a correlation given both baselines is added, for both
        changes regress to the mean.
    seed
        Of the permutations at 9 patients.

    Returns
    -------
    DataFrame
        Columns of `schema.comparison.CORRELATIONS`, from ``endpoint`` to ``partial_rho``.
    """
    rows = []
    for endpoint, group in pairs[pairs["shift"].notna()].groupby("endpoint", sort=False):
        kept = group[group["patient_id"].isin(change)]
        kept = kept[np.isfinite(kept["patient_id"].map(change).to_numpy(dtype=float))]
        x = np.asarray(kept["shift"], dtype=np.float64)
        y = np.asarray(kept["patient_id"].map(change), dtype=np.float64)
        found = spearman(x, y, seed=seed)
        partial = np.nan
        if baseline is not None and np.isfinite(found.rho):
            clinical = np.asarray(kept["patient_id"].map(baseline), dtype=np.float64)
            partial = _partial(x, y, np.asarray(kept["before"], dtype=np.float64), clinical)
        rows.append([endpoint, x.size, *vars(found).values(), partial])
    columns = ["endpoint", "n", "rho", "ci_low", "ci_high", "p_value", "p_method", "partial_rho"]
    return pd.DataFrame(rows, columns=columns)


def _partial(x: Array, y: Array, *given: Array) -> float:
    """Return the rank correlation of x and y with the given values taken out; NaN when it cannot be had."""
    if x.size < _LEAST_PARTIAL or not np.isfinite(given).all():
        return float("nan")
    design = np.column_stack([np.ones(x.size), *(midranks(column) for column in given)])
    residuals = []
    for values in (x, y):
        ranks = midranks(values)
        residuals.append(ranks - design @ least_squares(design, ranks).beta)
    if min(float(r.std()) for r in residuals) < 1e-12:  # nothing left but rounding
        return float("nan")
    return float(np.corrcoef(residuals[0], residuals[1])[0, 1])
