"""Binomial mixed model for two visits, by Laplace approximation: patient and sample random effects.

y_ij ~ Bin(N_ij, logit^-1(b0 + b1 after_j + u_i + o_ij)). Its Wald z is anti-conservative below 40 patients,
so the p value goes by t(n - 1) and the result is exploratory beside the paired t.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.special import expit, gammaln

from immunolab.comparison.estimate import Estimate, t_estimate, untested
from immunolab.schema.flags import Code

Array = NDArray[np.float64]


@dataclass(frozen=True)
class BinomialMixedFit:
    """Fixed effects (before, shift), their standard errors, the two standard deviations, log-likelihood.

    Where the likelihood has no peak (no event at one visit, a singular curvature) the standard errors are NaN.
    """

    beta: Array
    se: Array
    sd_patient: float
    sd_sample: float
    log_likelihood: float
    converged: bool


def fit_binomial_mixed(events: ArrayLike, parents: ArrayLike, *, with_shift: bool = True) -> BinomialMixedFit:
    """Fit the model to complete pairs.

    Parameters
    ----------
    events, parents
        ``(n, 2)`` counts of the population and of its parent, before and after.
    with_shift
        False leaves the shift out, for a likelihood ratio.
    """
    y, n = np.asarray(events, dtype=float), np.asarray(parents, dtype=float)
    start = np.log((y.sum() + 0.5) / (n.sum() - y.sum() + 0.5))
    fixed = 2 if with_shift else 1

    def loss(theta: Array) -> float:
        return -_laplace(theta if with_shift else np.insert(theta, 1, 0.0), y, n)

    first = np.array([start, 0.0, 0.5, 0.2]) if with_shift else np.array([start, 0.5, 0.2])
    found = minimize(loss, first, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-7, "maxiter": 2000})
    found = minimize(loss, found.x, method="BFGS", options={"gtol": 1e-6})
    sd = np.abs(found.x[fixed:])
    free = np.append(np.arange(fixed), fixed + np.flatnonzero(sd > 1e-3))
    curvature = _hessian(loss, found.x)[np.ix_(free, free)]
    peaked = bool(np.isfinite(curvature).all() and np.linalg.eigvalsh(curvature)[0] > 0)
    se = np.sqrt(np.diag(np.linalg.inv(curvature))[:fixed]) if peaked else np.full(fixed, np.nan)
    stationary = peaked and bool(np.max(np.abs(found.jac)) < 1e-2)
    return BinomialMixedFit(found.x[:fixed], se, float(sd[0]), float(sd[1]), -float(found.fun), stationary)


def binomial_mixed(events: ArrayLike, parents: ArrayLike) -> Estimate:
    """Return the log odds ratio of the binomial mixed model with p by t(n - 1); exploratory.

    Parameters
    ----------
    events, parents
        ``(n, 2)`` counts of the population and of its parent, before and after.
    """
    fit = fit_binomial_mixed(events, parents)
    n = np.asarray(events).shape[0]
    codes = () if fit.converged else (Code.W_NOCONV,)
    if not np.isfinite(fit.se).all():
        return untested(n, "not tested: the likelihood of the binomial mixed model has no peak", codes=codes)
    method = "binomial mixed model, Laplace, t(n - 1); exploratory"
    return t_estimate(float(fit.beta[1]), float(fit.se[1]), n - 1.0, method, n, codes=codes, half_count=False)


def _laplace(theta: Array, y: Array, n: Array) -> float:
    """Return the Laplace log-likelihood; random effects are standard normal (u) and (o) times their deviations."""
    u, o = _modes(theta, y, n)
    p = expit(_linear(theta, u, o))
    w = n * p * (1.0 - p)
    do, du = _arrow(theta, w)
    log_det = np.log(do).sum(axis=1) + np.log(du)
    choose = (gammaln(n + 1) - gammaln(y + 1) - gammaln(n - y + 1)).sum()
    return float((_joint(theta, y, n, u, o) - 0.5 * log_det).sum() + choose)


def _linear(theta: Array, u: Array, o: Array) -> Array:
    eta: Array = theta[0] + theta[1] * np.array([0.0, 1.0]) + theta[2] * u + theta[3] * o
    return eta


def _joint(theta: Array, y: Array, n: Array, u: Array, o: Array) -> Array:
    eta = _linear(theta, u, o)
    total: Array = (y * eta - n * np.logaddexp(0.0, eta) - o**2 / 2.0).sum(axis=1) - u[:, 0] ** 2 / 2.0
    return total


def _arrow(theta: Array, w: Array) -> tuple[Array, Array]:
    """Return the pivots of a patient's curvature: the two samples', then the patient's given both."""
    do = theta[3] ** 2 * w + 1.0
    du = theta[2] ** 2 * w.sum(axis=1) + 1.0 - ((theta[2] * theta[3] * w) ** 2 / do).sum(axis=1)
    return do, du


def _modes(theta: Array, y: Array, n: Array) -> tuple[Array, Array]:
    """Return the most likely random effects by damped Newton steps, all patients at once."""
    u, o = np.zeros((y.shape[0], 1)), np.zeros_like(y)
    best = _joint(theta, y, n, u, o)
    for _ in range(100):
        p = expit(_linear(theta, u, o))
        w = n * p * (1.0 - p)
        do, du = _arrow(theta, w)
        go = theta[3] * (y - n * p) - o
        gu = theta[2] * (y - n * p).sum(axis=1) - u[:, 0]
        cross = theta[2] * theta[3] * w
        step_u = ((gu - (cross / do * go).sum(axis=1)) / du)[:, None]
        step_o = (go - cross * step_u) / do
        damping = np.ones_like(u)
        for _ in range(30):
            trial = _joint(theta, y, n, u + damping * step_u, o + damping * step_o)
            worse = trial < best - 1e-12 * np.abs(best)
            if not worse.any():
                break
            damping[worse] /= 2.0
        u, o, best = u + damping * step_u, o + damping * step_o, trial
        if max(float(np.abs(step_u).max()), float(np.abs(step_o).max())) < 1e-10:
            break
    return u, o


def _hessian(function: Callable[[Array], float], at: Array) -> Array:
    size, step = at.size, 1e-3
    hessian = np.empty((size, size))
    for i in range(size):
        for j in range(i, size):
            ei, ej = step * np.eye(size)[i], step * np.eye(size)[j]
            corners = [function(at + a * ei + b * ej) for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1))]
            hessian[i, j] = hessian[j, i] = (corners[0] - corners[1] - corners[2] + corners[3]) / (4 * step**2)
    return hessian
