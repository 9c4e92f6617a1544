"""Slopes of two periods and death in one model: patients who decline faster may die sooner (shared random effects).

A patient's values follow a line broken at the knot with a random level, a random slope and a random change of slope;
the hazard of death is constant within each period, times exp(a u), where u is the patient's random slope in standard
deviations (Wulfsohn and Tsiatis 1997, Biometrics 53:330, with the slope shared as in Henderson et al. 2000,
Biostatistics 1:465). Given the values u is normal, so the likelihood is that of the mixed model times the mean of the
survival part over that normal distribution, by Gauss-Hermite quadrature. Limits and p are those of the likelihood
ratio, referred to n log(1 + t^2 / (n - 1)) as elsewhere in the package.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import logsumexp, stdtr, stdtrit

from immunolab.comparison.estimate import ALPHA, Estimate, untested

Array = NDArray[np.float64]

LEAST_DEATHS = 5  # deaths: the association with the slope is a parameter of its own (benchmarks/joint_slope.py)
_LEAST_PATIENTS = 8  # four variances and five means and hazards are estimated (the same)
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)  # nodes: seven digits of the likelihood at a = 2
_FURTHEST = 8.0  # standard errors from the estimate: a limit beyond is none
_BOUND = 4.0  # of the association in the search: exp(4) is a 55-fold hazard a standard deviation of slope


@dataclass(frozen=True)
class JointRows:
    """Values and survival of one cohort; patients are numbered 0..P-1.

    Attributes
    ----------
    value, months, patient
        ``(n,)`` scores, months since the knot (before it negative), and whose they are.
    at_risk
        ``(P, 2)`` months at risk in both periods.
    died
        ``(P,)`` 0 alive when last seen, 1 died in the earlier period, 2 in the later.
    """

    value: Array
    months: Array
    patient: NDArray[np.int64]
    at_risk: Array
    died: NDArray[np.int64]


@dataclass(frozen=True)
class _Padded:
    """Values by patient, padded to equal length, with their design (1, slope, change) and which are there."""

    y: Array
    design: Array  # (P, m, 3)
    mask: Array
    rows: JointRows


def joint_change(rows: JointRows, *, with_limits: bool = True) -> tuple[Estimate, float, float]:
    """Return the change of slope at the knot, and the association of slope and death with its p.

    Parameters
    ----------
    rows
        See `JointRows`.
    with_limits
        Whether limits are searched, which takes most of the time; NaN otherwise.

    Returns
    -------
    tuple of (Estimate, float, float)
        Later minus earlier slope; log hazard ratio a standard deviation of the patient's slope; two-sided p of it. Both
        are NaN where the data cannot carry the model, and the estimate's method says why.
    """
    n, deaths = len(rows.died), int((rows.died > 0).sum())
    if deaths < LEAST_DEATHS or n < _LEAST_PATIENTS:
        why = f"no joint model: {deaths} death(s) of {n} patients; {LEAST_DEATHS} of {_LEAST_PATIENTS} are needed"
        return untested(n, f"{why} (joint_rank.csv ranks them)"), np.nan, np.nan
    padded = _padded(rows)
    start = _start(padded)
    best = _fitted(padded, start, {})
    if best is None:
        return untested(n, "no joint model could be fitted"), np.nan, np.nan
    theta, deviance = best
    found = _limits(padded, theta, deviance, n, with_limits=with_limits)
    without = _fitted(padded, theta, {9: 0.0})
    p = _p_value(without[1] - deviance, n) if without else np.nan
    return found, float(theta[9]), p


def _padded(rows: JointRows) -> _Padded:
    order = np.argsort(rows.patient, kind="stable")
    size = np.bincount(rows.patient, minlength=len(rows.died))
    place = rows.patient[order], np.arange(order.size) - np.repeat(np.cumsum(size) - size, size)
    y, mask = np.zeros((size.size, size.max())), np.zeros((size.size, size.max()))
    design = np.zeros((size.size, size.max(), 3))
    months = rows.months[order]
    y[place], mask[place] = rows.value[order], 1.0
    design[place] = np.column_stack([np.ones(months.size), months, np.maximum(months, 0.0)])
    return _Padded(y, design, mask, rows)


def _start(at: _Padded) -> Array:
    """Return a start: least squares, spreads of its residuals, hazards of deaths over months, no association."""
    there = at.mask > 0
    x, y = at.design[there], at.y[there]
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    spread = max(float(np.std(y - x @ beta)), 1e-3)
    deaths = [max(int((at.rows.died == k).sum()), 0.5) for k in (1, 2)]
    hazards = np.log(deaths / np.maximum(at.rows.at_risk.sum(axis=0), 1.0))
    months = max(float(np.abs(x[:, 1]).max()), 1.0)
    return np.array([*beta, *np.log([spread, spread / months, spread / months / 2, spread / 3]), *hazards, -0.5])


def _deviance(theta: Array, at: _Padded) -> float:
    """Return -2 log likelihood; theta: three means, log sd of level, slope, change, residual, two log hazards, a."""
    sd = np.exp(np.clip(theta[3:7], -12.0, 12.0))
    z = at.design * sd[:3]
    residual = (at.y - at.design @ theta[:3]) * at.mask
    apart = (1.0 - at.mask)[:, :, None] * np.eye(at.mask.shape[1])  # absent values: unit variance, residual 0
    v = z @ z.transpose(0, 2, 1) + at.mask[:, :, None] * np.eye(at.mask.shape[1]) * sd[3] ** 2 + apart
    whole = np.concatenate([residual[:, :, None], z[:, :, 1:2]], axis=2)
    solved = np.linalg.solve(v, whole)
    quadratic = (residual * solved[:, :, 0]).sum(axis=1)
    mean = (z[:, :, 1] * solved[:, :, 0]).sum(axis=1)  # of u given the values
    variance = np.clip(1.0 - (z[:, :, 1] * solved[:, :, 1]).sum(axis=1), 0.0, 1.0)
    n_values = at.mask.sum()
    values = -0.5 * (np.linalg.slogdet(v)[1].sum() + quadratic.sum() + n_values * np.log(2.0 * np.pi))
    return float(-2.0 * (values + _survival(theta[7:], mean, np.sqrt(variance), at.rows).sum()))


def _survival(theta: Array, mean: Array, sd: Array, rows: JointRows) -> Array:
    """Return the log of the mean, over u, of each patient's survival likelihood."""
    u = mean[:, None] + sd[:, None] * _NODES
    log_hazard = np.clip(theta[:2], -30.0, 10.0)
    exposure = rows.at_risk @ np.exp(log_hazard)
    died = rows.died > 0
    part = np.where(died, log_hazard[np.maximum(rows.died, 1) - 1], 0.0)
    of_node = died[:, None] * (part[:, None] + theta[2] * u) - exposure[:, None] * np.exp(theta[2] * u)
    return np.asarray(logsumexp(of_node + np.log(_WEIGHTS / _WEIGHTS.sum()), axis=1))


def _fitted(at: _Padded, start: Array, held: dict[int, float]) -> tuple[Array, float] | None:
    """Return the parameters of least deviance with some held at a value; None where the search does not end."""
    free = np.array([i for i in range(start.size) if i not in held])
    scale = np.ones(start.size)
    scale[:3] = np.exp(start[3:6]).clip(1e-3)

    def whole(x: Array) -> Array:
        theta = start.copy()
        theta[free] = start[free] + x * scale[free]
        for i, value in held.items():
            theta[i] = value
        return theta

    bounds = [(-_BOUND - start[i], _BOUND - start[i]) if i == 9 else (None, None) for i in free]
    found = minimize(
        lambda x: _deviance(whole(x), at),
        np.zeros(free.size),
        method="L-BFGS-B",
        bounds=bounds,
        options={"maxiter": 400, "maxfun": 20_000, "ftol": 1e-12, "gtol": 1e-5},
    )
    return (whole(found.x), float(found.fun)) if np.isfinite(found.fun) and found.nit < 400 else None


def _limits(at: _Padded, theta: Array, deviance: float, n: int, *, with_limits: bool) -> Estimate:
    """Return the change of slope with the limits of its profile likelihood."""
    estimate, step = float(theta[2]), float(np.exp(theta[4]) + np.exp(theta[5])) / np.sqrt(n)
    allowed = n * np.log1p(float(stdtrit(n - 1, 1.0 - ALPHA / 2.0)) ** 2 / (n - 1))
    excess = partial(_excess, at, theta, deviance)
    limits = []
    for sign in (-1.0, 1.0) if with_limits else ():
        far = next((k for k in (1.0, 2.0, 4.0, _FURTHEST) if excess(estimate + sign * k * step) > allowed), None)
        if far is None:
            limits.append(np.nan)
            continue
        ends = sorted((estimate, estimate + sign * far * step))
        limits.append(float(brentq(lambda x: excess(x) - allowed, *ends, xtol=1e-4 * step)))
    p = _p_value(excess(0.0), n)
    method = "joint model of slopes and death, shared random slope (likelihood ratio)"
    low, high = limits or (np.nan, np.nan)
    return Estimate(estimate, low, high, p, float(n - 1), method, n)


def _excess(at: _Padded, theta: Array, deviance: float, change: float) -> float:
    found = _fitted(at, theta, {2: change})
    return float("nan") if found is None else max(found[1] - deviance, 0.0)


def _p_value(excess: float, n: int) -> float:
    """Return p of a likelihood ratio, referred to n log(1 + t^2 / (n - 1))."""
    t = np.sqrt((n - 1) * np.expm1(max(excess, 0.0) / n))
    return float(2.0 * stdtr(n - 1, -t))
