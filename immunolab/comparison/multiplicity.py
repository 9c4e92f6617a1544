"""Many endpoints: adjustment within the family an endpoint was declared in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, polygamma, stdtr, stdtrit

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.paired import sign_vectors

Array = NDArray[np.float64]

_LEAST_PRIOR = 1e-3  # excess variance that is shared at least, so that no endpoint's scale is counting alone


def benjamini_hochberg(p_values: ArrayLike) -> Array:
    """Return false-discovery-rate adjusted p (Benjamini and Hochberg 1995, J R Stat Soc B 57:289), by statsmodels.

    Parameters
    ----------
    p_values
        ``(m,)``; NaN stays NaN and is not counted.
    """
    return _adjusted(p_values, "fdr_bh")


def holm(p_values: ArrayLike) -> Array:
    """Return family-wise adjusted p (Holm 1979, Scand J Stat 6:65), by statsmodels.

    Parameters
    ----------
    p_values
        ``(m,)``; NaN stays NaN and is not counted.
    """
    return _adjusted(p_values, "holm")


def _adjusted(p_values: ArrayLike, method: str) -> Array:
    from statsmodels.stats.multitest import multipletests

    p = np.asarray(p_values, dtype=float)
    adjusted = np.full(p.shape, np.nan)
    tested = np.isfinite(p)
    if tested.any():
        adjusted[tested] = multipletests(p[tested], method=method)[1]
    return adjusted


def adjusted_by_role(p_values: ArrayLike, role: str) -> tuple[Array, str]:
    """Return q of a role's endpoints and the rule in words: Holm, for exploratory ones Benjamini-Hochberg.

    Parameters
    ----------
    p_values
        ``(m,)`` of the endpoints of one role and cohort; NaN where none was tested.
    role
        One of `plan.ROLES`.
    """
    p = np.asarray(p_values, dtype=float)
    n = int(np.isfinite(p).sum())
    if role == "primary" and p.size == 1:
        return p, "none (one primary)"
    if role == "exploratory":
        return benjamini_hochberg(p), f"Benjamini-Hochberg over {n} exploratory endpoints"
    return holm(p), f"Holm over {n} {role} endpoints"


def adjusted_together(tables: Sequence[pd.DataFrame], families: Sequence[str]) -> list[pd.DataFrame]:
    """Return shift tables of several contrasts with q over all of them: a role is one family over all visits.

    Parameters
    ----------
    tables
        `tables.SHIFTS` of one contrast each, adjusted by `adjusted_by_role`.
    families
        For each table, the set it belongs to; sets are adjusted apart.
    """
    result = [table.copy() for table in tables]
    for family in dict.fromkeys(families):
        mine = [i for i, name in enumerate(families) if name == family]
        if len(mine) < 2:
            continue
        whole = pd.concat([result[i][["cohort", "role", "p_value"]] for i in mine], keys=mine)
        for (_, role), rows in whole.groupby([whole["cohort"].fillna(""), "role"], sort=False):
            q, text = adjusted_by_role(rows["p_value"], str(role))
            if rows.index.get_level_values(0).nunique() == 1:
                continue
            for (i, row), value in zip(rows.index, q, strict=True):
                result[i].loc[row, ["q_value", "adjustment"]] = [float(value), f"{text} of all contrasts"]
    return result


def fixed_sequence(p_values: ArrayLike) -> Array:
    """Return adjusted p of hypotheses tested in the order given: the largest p so far.

    Parameters
    ----------
    p_values
        ``(m,)`` in the order declared. An endpoint without p stops the sequence: those after it get NaN.
    """
    p = np.asarray(p_values, dtype=float)
    return np.maximum.accumulate(p)  # NaN propagates


@dataclass(frozen=True)
class MaxT:
    """Sign-flip p values of a family.

    Attributes
    ----------
    raw
        ``(K,)`` each endpoint alone.
    single_step, step_down
        ``(K,)`` adjusted for the largest t of all, and of those not yet rejected (family-wise).
    exact
        Whether all sign vectors were used.
    """

    raw: Array
    single_step: Array
    step_down: Array
    exact: bool


def max_t(shifts: ArrayLike, *, seed: int = 0) -> MaxT:
    """Return max-T sign-flip p values (Westfall and Young 1993), patients flipped whole.

    Parameters
    ----------
    shifts
        ``(n, K)`` patients x endpoints; NaN where a patient lacks a pair, whose t then comes from the rest.
    seed
        Of the draws above 13 patients.
    """
    d = np.asarray(shifts, dtype=float)
    there = np.isfinite(d)
    filled = np.where(there, d, 0.0)
    signs, exact = sign_vectors(d.shape[0], seed)
    n, squares = there.sum(axis=0), (filled**2).sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = (signs @ filled) / n
        t = np.abs(mean) / np.sqrt(np.maximum(squares - n * mean**2, 0.0) / (n - 1) / n)
    t = np.where(np.isnan(t), -np.inf, t)
    observed = t[0]
    limit = observed - 1e-9 * np.maximum(1.0, np.abs(observed))
    raw = (t >= limit).mean(axis=0)
    single = (t.max(axis=1)[:, None] >= limit).mean(axis=0)
    order = np.argsort(-observed, kind="stable")
    tail = np.maximum.accumulate(t[:, order[::-1]], axis=1)[:, ::-1]
    step = np.empty(d.shape[1])
    step[order] = np.maximum.accumulate((tail >= limit[order]).mean(axis=0))
    untested = ~np.isfinite(observed) & (observed < 0)
    for p in (raw, single, step):
        p[untested] = np.nan
    return MaxT(raw, single, step, exact)


@dataclass(frozen=True)
class Moderated:
    """Moderated t of every endpoint.

    Attributes
    ----------
    estimate, ci_low, ci_high, p_value, df
        ``(K,)`` mean shift, its 95 % limits, two-sided p and degrees of freedom.
    prior_df, prior_variance
        The prior that variances were shrunk to.
    """

    estimate: Array
    ci_low: Array
    ci_high: Array
    p_value: Array
    df: Array
    prior_df: float
    prior_variance: float


def moderated_t(shifts: ArrayLike, variances: ArrayLike | None = None) -> Moderated:
    """Return t tests whose variances are shrunk towards a common prior (Smyth 2004, SAGMB 3:3).

    With counting variances the prior follows what counting alone makes unequal: it is common only after
    the mean counting variance of an endpoint plus the median excess over it has been divided out.

    Parameters
    ----------
    shifts
        ``(n, K)`` patients x endpoints; NaN where a patient lacks a pair. At least 2 a column.
    variances
        ``(n, K)`` counting variances of the shifts; None shares one plain prior.
    """
    d = np.asarray(shifts, dtype=float)
    n = np.isfinite(d).sum(axis=0)
    mean, s2 = np.nanmean(d, axis=0), np.nanvar(d, axis=0, ddof=1)
    scale = np.ones(d.shape[1])
    if variances is not None:
        counting = np.nanmean(np.where(np.isfinite(d), np.asarray(variances, dtype=float), np.nan), axis=0)
        scale = counting + max(_LEAST_PRIOR, float(np.median(s2 - counting)))
    df = n - 1.0
    prior_variance, prior_df = variance_prior(s2 / scale, df)
    if np.isinf(prior_df):
        posterior = scale * prior_variance
    else:
        posterior = (scale * prior_df * prior_variance + df * s2) / (prior_df + df)
    total = np.minimum(prior_df + df, df.sum())
    se = np.sqrt(posterior / n)
    half = stdtrit(total, 1.0 - ALPHA / 2.0) * se
    p = 2.0 * stdtr(total, -np.abs(mean) / se)
    return Moderated(mean, mean - half, mean + half, p, total, prior_df, prior_variance)


def variance_prior(s2: Array, df: Array) -> tuple[float, float]:
    """Return scale and df of the prior by the moments of log variances; df is inf when they spread no wider.

    Parameters
    ----------
    s2, df
        ``(K,)`` variances and their degrees of freedom, above 0.
    """
    x = np.maximum(s2, 1e-5 * float(np.median(s2)))
    e = np.log(x) - digamma(df / 2.0) + np.log(df / 2.0)
    excess = float(np.var(e, ddof=1) - polygamma(1, df / 2.0).mean())
    if excess <= 0:
        return float(x.mean()), float("inf")
    prior_df = 2.0 * _trigamma_inverse(excess)
    return float(np.exp(e.mean() + digamma(prior_df / 2.0) - np.log(prior_df / 2.0))), prior_df


def _trigamma_inverse(value: float) -> float:
    y = 0.5 + 1.0 / value  # Newton on 1 / trigamma converges monotonically from here
    for _ in range(50):
        trigamma = float(polygamma(1, y))
        step = trigamma * (1.0 - trigamma / value) / float(polygamma(2, y))
        y += step
        if -step / y < 1e-10:
            break
    return y
