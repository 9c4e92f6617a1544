"""Values beyond an assay's limits: the mean change of pairs that are normal, each value seen or known to be beyond.

A value below a limit enters with the probability of being below it, not as the limit (Tobin 1958, Econometrica 26:24,
for pairs). Both visits of a patient are bivariate normal with means, standard deviations and a correlation of their
own; a patient with one visit enters with that. Limits and p come from the likelihood ratio, referred to
n log(1 + t^2 / (n - 1)): without values beyond limits and without missing visits it is the paired t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import log_ndtr, ndtr, stdtr, stdtrit

from immunolab.comparison.estimate import ALPHA, Estimate, untested

Array = NDArray[np.float64]

_LEAST_PAIRS = 3  # as in `cohort_tests`
_LEAST_SEEN = 3  # values within the limits at each visit; fewer leave its spread unknown
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(48)  # bivariate normal probabilities to 1e-9 at correlations to 0.99
_MOST_CORRELATED = 2.6  # atanh of 0.989: closer visits are one measurement
_WIDEST_SEARCH = 20.0  # standard deviations of the values: limits beyond are none
_LOG_2PI = float(np.log(2.0 * np.pi))


@dataclass(frozen=True)
class CensoredPairs:
    """Two visits of patients.

    Attributes
    ----------
    level
        ``(n, 2)`` on the endpoint's scale; the limit where a value is beyond it, NaN where there is none.
    beyond
        ``(n, 2)`` -1 below the level, 1 above it, 0 the value itself.
    """

    level: Array
    beyond: NDArray[np.int64]

    def log_likelihood(self, theta: Array) -> float:
        """Return the log likelihood.

        Parameters
        ----------
        theta
            Mean before, change, log standard deviations before and after, atanh of the correlation.
        """
        mean = np.array([theta[0], theta[0] + theta[1]])
        sd, rho = np.exp(theta[2:4]), float(np.tanh(theta[4]))
        z = (self.level - mean) / sd
        return float(_log_densities(z, self.beyond, np.log(sd), rho).sum())


def _log_densities(z: Array, beyond: NDArray[np.int64], log_sd: Array, rho: float) -> Array:
    """Return each patient's log likelihood from standardised values ``(n, 2)``."""
    there = np.isfinite(z)
    alone = np.where(beyond == 0, -0.5 * (z**2 + _LOG_2PI) - log_sd, log_ndtr(-beyond * z))
    result = np.where(there, alone, 0.0).sum(axis=1)  # right for one visit; pairs follow
    root = np.sqrt(1.0 - rho**2)
    pairs = there.all(axis=1)
    for first, second in ((0, 1), (1, 0)):  # the second given the first, which is seen
        own = pairs & (beyond[:, first] == 0) & ((beyond[:, second] != 0) | (first == 0))
        given = (z[own, second] - rho * z[own, first]) / root
        side = beyond[own, second]
        seen = -0.5 * (given**2 + _LOG_2PI) - np.log(root) - log_sd[second]
        result[own] = alone[own, first] + np.where(side == 0, seen, log_ndtr(-side * given))
    both = pairs & (beyond != 0).all(axis=1)
    if both.any():
        sides = -beyond[both]
        h, k = (sides * z[both]).T
        result[both] = np.log(np.maximum(_both_below(h, k, sides.prod(axis=1) * rho), np.finfo(float).tiny))
    return result


def _both_below(h: Array, k: Array, rho: Array) -> Array:
    """Return P(X < h, Y < k) of standard normals with correlation rho (Drezner and Wesolowsky 1990)."""
    end = np.arcsin(rho)[:, None]
    angle = end * (_NODES + 1.0) / 2.0
    sine, h2, k2 = np.sin(angle), h[:, None], k[:, None]
    inside = np.exp(-(h2**2 + k2**2 - 2.0 * h2 * k2 * sine) / (2.0 * np.cos(angle) ** 2))
    return np.asarray(ndtr(h) * ndtr(k) + (inside @ _WEIGHTS) * end[:, 0] / (4.0 * np.pi), dtype=np.float64)


def censored_shift(level: Array, beyond: NDArray[np.int64]) -> Estimate:
    """Return the mean change with its 95 % limits and p, or why there is none.

    Parameters
    ----------
    level, beyond
        As in `CensoredPairs`; patients without either visit are left out.
    """
    there = np.isfinite(level).any(axis=1)
    pairs = CensoredPairs(level[there], np.where(np.isfinite(level[there]), beyond[there], 0))
    seen = (np.isfinite(pairs.level) & (pairs.beyond == 0)).sum(axis=0)
    n = int(np.isfinite(pairs.level).all(axis=1).sum())
    if n < _LEAST_PAIRS:
        return untested(n, f"not tested: {n} pair(s) with both visits, a test needs {_LEAST_PAIRS}")
    if seen.min() < _LEAST_SEEN:
        return untested(n, f"not tested: {seen.min()} value(s) within the assay's limits at a visit")
    best, top = _peak(pairs, _start(pairs))
    t = float(stdtrit(n - 1.0, 1.0 - ALPHA / 2.0))
    allowed = n * np.log1p(t * t / (n - 1.0))

    def ratio(change: float) -> float:
        """Return twice the log likelihood that a change loses against the best one."""
        return max(0.0, 2.0 * (top - _peak(pairs, best, change)[1]))

    reach = _WIDEST_SEARCH * float(np.exp(best[2:4]).max())
    low, high = (_limit(lambda d: ratio(d) - allowed, float(best[1]), sign * reach) for sign in (-1, 1))
    p = float(2.0 * stdtr(n - 1.0, -np.sqrt((n - 1.0) * np.expm1(ratio(0.0) / n))))
    counts = f"{int((pairs.beyond != 0).sum())} of {int(np.isfinite(pairs.level).sum())} values beyond the limits"
    return Estimate(float(best[1]), low, high, p, n - 1.0, f"{_METHOD}, {counts}", n)


_METHOD = "censored normal pairs (Tobit, likelihood ratio)"


def _start(pairs: CensoredPairs) -> Array:
    mean, sd = np.nanmean(pairs.level, axis=0), np.nanstd(pairs.level, axis=0)
    log_sd = np.log(np.maximum(sd, 0.05 * max(float(sd.max()), np.finfo(float).eps)))
    return np.array([mean[0], mean[1] - mean[0], *log_sd, 0.5])


def _peak(pairs: CensoredPairs, start: Array, change: float | None = None) -> tuple[Array, float]:
    """Return where the likelihood is greatest and how great, with the change held where one is given."""
    free = np.array([0, 1, 2, 3, 4]) if change is None else np.array([0, 2, 3, 4])
    whole = start.copy()
    if change is not None:
        whole[0] += (start[1] - change) / 2.0
        whole[1] = change

    def loss(some: Array) -> float:
        whole[free] = some
        return -pairs.log_likelihood(whole)

    narrowest = np.log(1e-3) + start[2:4].max()  # a thousandth of the spread that is there
    bounds = {2: (narrowest, None), 3: (narrowest, None), 4: (-_MOST_CORRELATED, _MOST_CORRELATED)}
    found = minimize(loss, whole[free], method="L-BFGS-B", bounds=[bounds.get(int(k), (None, None)) for k in free])
    whole[free] = found.x
    return whole.copy(), -float(found.fun)


def _limit(excess: Callable[[float], float], best: float, reach: float) -> float:
    """Return where the likelihood ratio leaves the interval, NaN where it never does."""
    step = reach / 64.0
    while abs(step) <= abs(reach):
        if excess(best + step) > 0:
            return float(brentq(excess, best, best + step, xtol=1e-7))
        step *= 2.0
    return float("nan")
