"""Few events: how a patient's events are split between two visits, given how many there are in all.

Given the total, the events at the later visit follow Fisher's noncentral hypergeometric distribution (a binomial one
where exposures are given in place of parents), with the log odds ratio theta + d of the patient, d ~ N(0, sigma^2)
between patients. The patient's own level drops out, and no half is added to anything. This is the conditional model of
Stijnen, Hamza and Ozdemir 2010 (Stat Med 29:3046) for sparse events. Its likelihood ratio is referred to
n log(1 + t^2 / (n - 1)), which it is exactly for n normal shifts, t with n - 1 degrees of freedom.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize_scalar
from scipy.special import gammaln, logsumexp, stdtr, stdtrit

from immunolab.comparison.estimate import ALPHA, Estimate, untested

Array = NDArray[np.float64]

_LEAST_PATIENTS = 3  # with an event; as in `cohort_tests`
_FURTHEST = 8.0  # log odds ratio: 3,000 fold; an estimate there has no event at one visit
_STEP = 0.04  # of the grid of log odds ratios: half the width of a patient with 700 events at both visits
_NARROWEST = 0.1  # least sd between patients on the log odds ratio: 10 %, under any counting error of few events
_WIDEST = 3.0  # greatest: a factor of 20
_SDS = np.array([_NARROWEST, 0.25, 0.5, 0.9, 1.6, _WIDEST])  # where the likelihood's peak is looked for first
_TAILS = 6.0  # log odds ratios that the grid goes on: two sd of the widest
_BEYOND = 1.02 * _FURTHEST  # limits of the search for limits


@dataclass(frozen=True)
class SplitLikelihood:
    """Log likelihood of the shift theta and the standard deviation between patients."""

    grid: Array  # log odds ratios
    log_density: Array  # (n, G): of each patient's split at them

    @property
    def n(self) -> int:
        """Patients with an event."""
        return self.log_density.shape[0]

    @cached_property
    def _top(self) -> Array:
        return self.log_density.max(axis=1)

    @cached_property
    def _density(self) -> Array:
        return np.exp(self.log_density - self._top[:, None])

    def at(self, theta: float, sd: float) -> float:
        """Return the natural log likelihood at a shift and a standard deviation between patients."""
        weights = np.exp(-0.5 * ((self.grid - theta) / sd) ** 2)
        mixed = self._density @ (weights / weights.sum())
        return float(np.log(np.maximum(mixed, np.finfo(float).tiny)).sum() + self._top.sum())

    def profile(self, theta: float) -> tuple[float, float]:
        """Return the greatest log likelihood at a shift, and the standard deviation it is reached with."""
        values = [self.at(theta, sd) for sd in _SDS]
        best = int(np.argmax(values))
        low, high = _SDS[max(best - 1, 0)], _SDS[min(best + 1, _SDS.size - 1)]
        found = minimize_scalar(
            lambda sd: -self.at(theta, sd), bounds=(low, high), method="bounded", options={"xatol": 1e-4}
        )
        return max((values[best], float(_SDS[best])), (float(-found.fun), float(found.x)))


def split_likelihood(events: Array, parents: Array, *, exposures: bool = False) -> SplitLikelihood:
    """Return the likelihood of patients with an event.

    Parameters
    ----------
    events
        ``(n, 2)`` events before and after.
    parents
        ``(n, 2)`` events of the parent, or exposures (events per unit of concentration).
    exposures
        Whether they are exposures.
    """
    grid = np.arange(-_FURTHEST - _TAILS, _FURTHEST + _TAILS + _STEP / 2, _STEP)
    some = events.sum(axis=1) > 0
    split = _binomial if exposures else _hypergeometric
    rows = [split(grid, y, of) for y, of in zip(events[some], parents[some], strict=True)]
    return SplitLikelihood(grid, np.array(rows).reshape(-1, grid.size))


def _binomial(grid: Array, y: Array, exposure: Array) -> Array:
    eta, total = grid + np.log(exposure[1] / exposure[0]), y.sum()
    choose = gammaln(total + 1) - gammaln(y + 1).sum()
    return np.asarray(choose + y[1] * eta - total * np.logaddexp(0.0, eta), dtype=np.float64)


def _hypergeometric(grid: Array, y: Array, n: Array) -> Array:
    total = y.sum()
    later = np.arange(max(0.0, total - n[0]), min(total, n[1]) + 1)
    weight = _choose(n[1], later) + _choose(n[0], total - later)
    own = weight[int(y[1] - later[0])] + y[1] * grid
    return np.asarray(own - logsumexp(weight[:, None] + later[:, None] * grid, axis=0), dtype=np.float64)


def _choose(n: float, k: Array) -> Array:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1), dtype=np.float64)


def event_split(events: Array, parents: Array, *, exposures: bool = False) -> Estimate:
    """Return the cohort's shift as log odds ratio (log ratio with exposures), its 95 % limits and p.

    Where one visit has no event at all the shift has no estimate and one limit.

    Parameters
    ----------
    events, parents, exposures
        As in `split_likelihood`.
    """
    likelihood = split_likelihood(events, parents, exposures=exposures)
    n = likelihood.n
    if n < _LEAST_PATIENTS:
        return untested(n, f"not tested: {n} patient(s) with an event")
    found = minimize_scalar(
        lambda theta: -likelihood.profile(theta)[0],
        bounds=(-_FURTHEST, _FURTHEST),
        method="bounded",
        options={"xatol": 1e-6},
    )
    best, top = float(found.x), float(-found.fun)
    t = float(stdtrit(n - 1.0, 1.0 - ALPHA / 2.0))
    allowed = n * np.log1p(t * t / (n - 1.0))

    def excess(theta: float) -> float:
        """Return by how much the likelihood ratio against a shift exceeds what the interval allows."""
        return 2.0 * (top - likelihood.profile(theta)[0]) - allowed

    low, high = (_limit(excess, best, end) for end in (-_BEYOND, _BEYOND))
    ratio = max(0.0, 2.0 * (top - likelihood.profile(0.0)[0]))
    p = float(2.0 * stdtr(n - 1.0, -np.sqrt((n - 1.0) * np.expm1(ratio / n))))
    one_sided = not events.sum(axis=0).all()
    return Estimate(np.nan if one_sided else best, low, high, p, n - 1.0, _METHOD, n, half_count=False)


_METHOD = "conditional count model (noncentral hypergeometric, normal shifts between patients, likelihood ratio)"


def _limit(excess: Callable[[float], float], best: float, end: float) -> float:
    return float(brentq(excess, best, end, xtol=1e-6)) if excess(end) > 0 else float("nan")
