"""Random-effects meta-analysis of a few small studies.

Between-study variance by restricted maximum likelihood (Paule and Mandel beside it), the mean's interval by Hartung and
Knapp 2001 (Stat Med 20:3875) with the ad hoc floor that it is never narrower than without their factor (Knapp and
Hartung 2003, Stat Med 22:2693; Jackson 2017, Stat Med 36:3923), limits of the variance from Cochran's Q as a function
of it (Viechtbauer 2007, Stat Med 26:37), and an interval for the true effect of a further study on t with k - 2 degrees
of freedom (Higgins 2009, J R Stat Soc A 172:137).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import chdtrc, chdtri, stdtr, stdtrit

from immunolab.comparison.count_weighted import paule_mandel
from immunolab.comparison.estimate import ALPHA
from immunolab.intervals import NORMAL_95

Array = NDArray[np.float64]
Model = Literal["reml", "paule_mandel", "common"]

LEAST_STUDIES = 2
_LEAST_TO_PREDICT = 3  # studies: the t of a further study has k - 2 degrees of freedom
_HIGHEST = 1e4  # times the spread of the estimates: where a limit of the variance is looked for last


@dataclass(frozen=True)
class Pooled:
    """The mean of several studies.

    Attributes
    ----------
    estimate, se, ci_low, ci_high, p_value, df
        Of the mean; df is infinite for a common effect.
    tau2, tau2_low, tau2_high
        Variance between studies and its 95 % limits; NaN for a common effect.
    factor
        Hartung and Knapp's, before the floor of 1.
    q, q_p_value, i2
        Cochran's heterogeneity, its p and the percentage of the variance that is between studies.
    predicted_low, predicted_high
        95 % limits of a further study's true effect; NaN below 3 studies.
    weights
        ``(k,)`` percent.
    """

    estimate: float
    se: float
    ci_low: float
    ci_high: float
    p_value: float
    df: float
    tau2: float
    tau2_low: float
    tau2_high: float
    factor: float
    q: float
    q_p_value: float
    i2: float
    predicted_low: float
    predicted_high: float
    weights: Array


def pooled(estimates: ArrayLike, errors: ArrayLike, model: Model = "reml") -> Pooled:
    """Return the mean of studies.

    Parameters
    ----------
    estimates, errors
        ``(k,)`` estimates and their standard errors, k at least 2.
    model
        Restricted maximum likelihood, Paule and Mandel, or one effect that all studies share.
    """
    y, v = np.asarray(estimates, dtype=float), np.asarray(errors, dtype=float) ** 2
    k = y.size
    q = _q(y, v, 0.0)
    tau2 = 0.0 if model == "common" else _reml(y, v) if model == "reml" else paule_mandel(y, v)
    weight = 1.0 / (v + tau2)
    mean = float((weight * y).sum() / weight.sum())
    factor = float(_q(y, v, tau2) / (k - 1))
    shared = model == "common"
    se = float(np.sqrt((1.0 if shared else max(1.0, factor)) / weight.sum()))
    df = np.inf if shared else k - 1.0
    t = NORMAL_95 if shared else float(stdtrit(df, 1.0 - ALPHA / 2.0))
    p = float(2.0 * stdtr(1e9 if shared else df, -abs(mean / se)))
    low, high = (np.nan, np.nan) if shared else _variance_limits(y, v)
    further = np.nan
    if k >= _LEAST_TO_PREDICT and not shared:
        further = float(stdtrit(k - 2.0, 1.0 - ALPHA / 2.0)) * float(np.sqrt(tau2 + se**2))
    typical = (k - 1) * (1.0 / v).sum() / ((1.0 / v).sum() ** 2 - (1.0 / v**2).sum())
    return Pooled(
        estimate=mean,
        se=se,
        ci_low=mean - t * se,
        ci_high=mean + t * se,
        p_value=p,
        df=df,
        tau2=np.nan if shared else tau2,
        tau2_low=low,
        tau2_high=high,
        factor=np.nan if shared else factor,
        q=q,
        q_p_value=float(chdtrc(k - 1.0, q)),
        i2=np.nan if shared else float(100.0 * tau2 / (tau2 + typical)),
        predicted_low=mean - further,
        predicted_high=mean + further,
        weights=100.0 * weight / weight.sum(),
    )


def _q(y: Array, v: Array, tau2: float) -> float:
    weight = 1.0 / (v + tau2)
    mean = (weight * y).sum() / weight.sum()
    return float((weight * (y - mean) ** 2).sum())


def _reml(y: Array, v: Array) -> float:
    """Return the variance between studies with the greatest restricted likelihood, 0 where that falls from 0 on."""

    def loss(tau2: float) -> float:
        weight = 1.0 / (v + tau2)
        return float(0.5 * (np.log(v + tau2).sum() + np.log(weight.sum()) + _q(y, v, tau2)))

    def slope(tau2: float) -> float:
        weight = 1.0 / (v + tau2)
        mean = (weight * y).sum() / weight.sum()
        return float((weight**2 * (y - mean) ** 2).sum() - weight.sum() + (weight**2).sum() / weight.sum())

    # the highest of a grid of square roots, so that small and large variances are found alike; then its slope's zero
    top = max(float(np.var(y, ddof=1)) * y.size, 1e-12) ** 0.5
    grid = np.linspace(0.0, top, 201) ** 2
    best = int(np.argmin([loss(float(tau2)) for tau2 in grid]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, grid.size - 1)])
    if slope(low) <= 0 or slope(high) >= 0:
        return float(grid[best])
    return float(brentq(slope, low, high, xtol=1e-16, rtol=1e-14))


def _variance_limits(y: Array, v: Array) -> tuple[float, float]:
    """Return the variances at which Q has the 97.5 and 2.5 % quantiles of chi-squared; 0 where Q never reaches one."""
    end = _HIGHEST * (float(np.var(y, ddof=1)) + float(v.max()))

    def at(tail: float) -> float:
        wanted = float(chdtri(y.size - 1.0, tail))
        if _q(y, v, 0.0) <= wanted:
            return 0.0
        return float(brentq(lambda tau2: _q(y, v, tau2) - wanted, 0.0, end, xtol=1e-14))

    return at(ALPHA / 2.0), at(1.0 - ALPHA / 2.0)
