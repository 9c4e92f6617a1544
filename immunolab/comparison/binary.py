"""Responses that are yes or no: against a reference rate, before and after, between arms, and over visits."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit
from scipy.stats import binomtest, fisher_exact
from scipy.stats.contingency import odds_ratio

from immunolab.comparison.estimate import ALPHA, Estimate, untested
from immunolab.intervals import clopper_pearson_percent

Array = NDArray[np.float64]

_LEAST_PATIENTS = (
    8  # of a GEE: below, its corrected covariance was not calibrated (benchmarks/calibration_responders.py)
)
_LEAST_RESPONSES = 3  # and as many others: a rate over time of fewer is that of single patients (the same)
_FURTHEST = 10.0  # log odds between first and last visit: an estimate beyond is at infinity, as under separation
_GEE = "GEE, exchangeable, trend over visits, Mancl and DeRouen covariance, t on n - 2"


def exact_binomial(n_responders: int, n: int, percent: float) -> Estimate:
    """Return the share of responders in percent, Clopper-Pearson limits, and the exact two-sided p against a rate.

    Parameters
    ----------
    n_responders, n
        Responders, and patients.
    percent
        Reference rate. Outcomes no likelier than the one seen make p, as in R's binom.test.
    """
    if n == 0:
        return untested(0, "not tested: no patient")
    low, high = clopper_pearson_percent(n_responders, n)
    p = float(binomtest(n_responders, n, percent / 100.0).pvalue)
    method = f"exact binomial test against {percent:g} %"
    return Estimate(100.0 * n_responders / n, low, high, p, np.nan, method, n)


def mcnemar(before: Array, after: Array) -> Estimate:
    """Return the odds of a change into response against one out of it, and McNemar's exact p (1947).

    Parameters
    ----------
    before, after
        ``(n,)`` 0 or 1, NaN where missing: those patients are left out.

    Returns
    -------
    Estimate
        The conditional odds ratio with exact limits; 0, infinite or empty where one kind of change or both are absent.
    """
    both = np.isfinite(before) & np.isfinite(after)
    gained, lost = int((after > before)[both].sum()), int((after < before)[both].sum())
    n, method = int(both.sum()), f"exact McNemar test, {gained} into response, {lost} out of it"
    if gained + lost == 0:
        return untested(n, "not tested: no patient's response changes")
    shares = np.array([100.0 * gained / (gained + lost), *clopper_pearson_percent(gained, gained + lost)])
    with np.errstate(divide="ignore"):
        estimate, low, high = (shares / (100.0 - shares)).tolist()
    return Estimate(estimate, low, high, float(binomtest(gained, gained + lost, 0.5).pvalue), np.nan, method, n)


def fisher(arm: tuple[int, int], control: tuple[int, int]) -> Estimate:
    """Return the conditional odds ratio of response between two arms with Fisher's exact p and exact limits.

    Parameters
    ----------
    arm, control
        Responders and patients of each.
    """
    table = [[arm[0], arm[1] - arm[0]], [control[0], control[1] - control[0]]]
    n = arm[1] + control[1]
    if min(arm[1], control[1]) == 0 or arm[0] + control[0] in (0, n):
        return untested(n, "not tested: all patients of both arms respond alike")
    found = odds_ratio(table, kind="conditional")
    limits = found.confidence_interval(1.0 - ALPHA)
    p = float(fisher_exact(table).pvalue)
    return Estimate(float(found.statistic), float(limits.low), float(limits.high), p, np.nan, "Fisher's exact test", n)


def gee_trend(response: Array, days: Array, unit: float) -> Estimate:
    """Return the odds ratio of response for ``unit`` days more, over all patients and visits.

    Generalised estimating equations with an exchangeable correlation (Liang and Zeger 1986), by statsmodels. The
    covariance is that of Mancl and DeRouen (2001, Biometrics 57:126), referred to t with n - 2 degrees of freedom:
    the uncorrected one is too small with few patients, this one careful (benchmarks/calibration_responders.py).

    Parameters
    ----------
    response
        ``(n, V)`` 0 or 1, NaN where missing.
    days
        ``(V,)`` of the visits.
    unit
        Days that the odds ratio is for.

    Returns
    -------
    Estimate
        Untested, with the reason, below 8 patients, below 3 responses or 3 others, and where time parts both.
    """
    there = np.isfinite(response)
    patient, visit = np.nonzero(there)
    y, time = response[there], (days - days.mean())[visit] / unit
    n = int(there.any(axis=1).sum())
    if why := _not_fitted(y, time, n):
        return untested(n, f"not tested: {why}")
    found = _fitted(y, time, patient)
    reach = float(np.ptp(days)) / unit
    if found is None or not abs(found[0]) * reach < _FURTHEST:
        return untested(n, "not tested: the model has no finite estimate")
    slope, se = found
    half = float(stdtrit(n - 2.0, 1.0 - ALPHA / 2.0)) * se
    odds, low, high = np.exp([slope, slope - half, slope + half]).tolist()
    return Estimate(odds, low, high, float(2.0 * stdtr(n - 2.0, -abs(slope / se))), n - 2.0, _GEE, n)


def _not_fitted(y: Array, time: Array, n: int) -> str:
    """Return why no model is fitted; empty where one is."""
    if n < _LEAST_PATIENTS:
        return f"{n} patients, a GEE needs {_LEAST_PATIENTS}"
    fewest = int(min(y.sum(), (1 - y).sum()))
    if fewest < _LEAST_RESPONSES:
        return f"{int(y.sum())} of {y.size} visits with a response: a GEE needs {_LEAST_RESPONSES} with and without"
    with_, without = time[y == 1], time[y == 0]
    if with_.max() <= without.min() or without.max() <= with_.min():
        return "separation: all responses are later, or all earlier, than the other visits"
    return ""


def _fitted(y: Array, time: Array, patient: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return slope and corrected standard error; None where the equations have no solution."""
    from statsmodels.genmod.cov_struct import Exchangeable
    from statsmodels.genmod.families import Binomial
    from statsmodels.genmod.generalized_estimating_equations import GEE

    design = np.column_stack([np.ones(y.size), time])
    model = GEE(y, design, groups=patient, family=Binomial(), cov_struct=Exchangeable())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they warn of, no convergence and overflow, is checked below
        try:
            fit = model.fit(cov_type="bias_reduced", ctol=1e-9, maxiter=200)
        except (np.linalg.LinAlgError, ValueError):
            return None
    slope, se = float(fit.params[1]), float(fit.bse[1])
    return (slope, se) if fit.converged and np.isfinite([slope, se]).all() and se > 0 else None
