"""Differential abundance of many clusters: a negative binomial model with quasi-likelihood, paired by patient.

log E(y) = log(cells of the parent) + patient + visit (+ batch), variance s2 (mu + phi mu^2). phi is one for all
clusters (Cox-Reid adjusted profile likelihood: McCarthy 2012, Nucleic Acids Res 40:4288), s2 is each cluster's own,
shrunk to a common prior (Lund 2012, SAGMB 11:5; Smyth 2004, SAGMB 3:3), and degrees of freedom lost to patients without
an event are taken off (Lun and Smyth 2017, SAGMB 16:83). This is edgeR's quasi-likelihood F test with a common
dispersion; its limits are the shifts at which F is at its 5 % quantile.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import chdtrc, fdtrc, fdtri, gammaln

from immunolab.comparison.estimate import ALPHA
from immunolab.comparison.moderation import variance_prior

Array = NDArray[np.float64]

_ITERATIONS = 60  # of weighted least squares; a cluster with an empty visit takes most
_SETTLED = 1e-10  # relative change of the deviance at which a fit is done
_FURTHEST = 12.0  # log fold: beyond is no event at one visit
_MOST_DISPERSION = 4.0  # squared coefficient of variation between samples; edgeR searches as far
_LEAST_CLUSTERS = 3  # that a prior of their variances can be taken from; fewer keep their own
_LEAST_EVENTS = 5.0  # of a cluster over all samples, to say anything of the dispersion (edgeR)
_NO_EVENT = 1e-4  # expected events: below, a sample without one is fitted exactly (edgeR)
_BISECTIONS = 45  # of the way to a limit: to a millionth


@dataclass(frozen=True)
class DifferentialAbundance:
    """Log fold (natural) of each cluster, arrays ``(K,)``.

    Attributes
    ----------
    estimate, ci_low, ci_high
        NaN where one visit has no event (the estimate and one limit) or nothing can be said.
    p_value, df
        Of the F test, and its denominator degrees of freedom.
    s2, posterior
        Each cluster's quasi-likelihood dispersion, and shrunk.
    dispersion
        Of all clusters.
    """

    estimate: Array
    ci_low: Array
    ci_high: Array
    p_value: Array
    df: Array
    s2: Array
    posterior: Array
    dispersion: float


def differential_abundance(
    counts: ArrayLike, parents: ArrayLike, design: ArrayLike, *, dispersion: float | None = None
) -> DifferentialAbundance:
    """Return the log fold of the last column of a design, cluster by cluster.

    Parameters
    ----------
    counts
        ``(K, S)`` events of each cluster in each sample.
    parents
        ``(S,)`` clustered events of each sample.
    design
        ``(S, p)``; full rank, the last column is tested.
    dispersion
        Of all clusters; None estimates it.
    """
    y, x = np.asarray(counts, dtype=float), np.asarray(design, dtype=float)
    offset = np.broadcast_to(np.log(np.asarray(parents, dtype=float)), y.shape)
    phi = common_dispersion(y, offset, x) if dispersion is None else dispersion
    full, null = _fit(y, offset, x, phi), _fit(y, offset, x[:, :-1], phi)
    df = _degrees(y, full.mu, x)
    with np.errstate(divide="ignore", invalid="ignore"):
        s2 = np.where(df > 0, full.deviance / df, 0.0)
    known = df > 0
    prior, prior_df = variance_prior(s2[known], df[known]) if known.sum() >= _LEAST_CLUSTERS else (1.0, 0.0)
    total = np.minimum(df + prior_df, y.shape[0] * (x.shape[0] - x.shape[1]))
    if np.isinf(prior_df):
        posterior = np.full(s2.shape, prior)
    else:
        with np.errstate(invalid="ignore"):  # no degree of freedom at all: not tested below
            posterior = (df * s2 + prior_df * prior) / (df + prior_df)
    p = fdtrc(1.0, total, np.maximum(null.deviance - full.deviance, 0.0) / posterior)
    p = np.maximum(p, _poisson_bound(y, offset, x, full.mu, phi, posterior))
    p = np.where((total > 0) & (y.sum(axis=1) > 0), p, np.nan)
    low, high = _limits(y, offset, x, phi, full, posterior * fdtri(1.0, total, 1.0 - ALPHA))
    later = x[:, -1] != 0
    one_sided = (y[:, later].sum(axis=1) == 0) | (y[:, ~later].sum(axis=1) == 0)
    tested = np.isfinite(p)
    estimate = np.where(one_sided | ~tested, np.nan, full.beta[:, -1])
    low, high = (np.where(tested, side, np.nan) for side in (low, high))
    return DifferentialAbundance(estimate, low, high, p, total, s2, posterior, phi)


def common_dispersion(y: Array, offset: Array, x: Array) -> float:
    """Return the dispersion with the greatest adjusted profile likelihood over all clusters with 5 events.

    Parameters
    ----------
    y, offset
        ``(K, S)`` counts, and logarithms of what they are shares of.
    x
        ``(S, p)`` design.
    """
    some = y.sum(axis=1) >= _LEAST_EVENTS
    if not some.any():
        return 0.0

    def loss(root: float) -> float:
        return -float(_adjusted_likelihood(y[some], offset[some], x, root**4).sum())

    found = minimize_scalar(loss, bounds=(0.0, _MOST_DISPERSION**0.25), method="bounded", options={"xatol": 1e-5})
    return float(found.x**4)


@dataclass(frozen=True)
class _Fits:
    beta: Array  # (K, p)
    mu: Array  # (K, S)
    deviance: Array  # (K,)


def _fit(y: Array, offset: Array, x: Array, phi: float) -> _Fits:
    """Return fits by iteratively weighted least squares, all clusters at once; the deviance never rises."""
    start = np.log(np.maximum(y, 0.5)) - offset
    beta = np.asarray(np.linalg.lstsq(x, start.T, rcond=None)[0].T, dtype=np.float64)
    mu = np.exp(np.clip(beta @ x.T, -40.0, 5.0) + offset)
    deviance = _deviance(y, mu, phi)
    for _ in range(_ITERATIONS):
        weight = mu / (1.0 + phi * mu)
        score = ((y - mu) / (1.0 + phi * mu)) @ x
        step = _solved(weight, score, x)
        size = np.ones(y.shape[0])
        for _ in range(30):
            tried = beta + size[:, None] * step
            mu_tried = np.exp(np.clip(tried @ x.T, -40.0, 5.0) + offset)
            new = _deviance(y, mu_tried, phi)
            worse = ~(new <= deviance * (1.0 + 1e-12) + 1e-12)
            if not worse.any():
                break
            size[worse] /= 2.0
        settled = np.abs(deviance - new) <= _SETTLED * (np.abs(new) + 0.1)
        beta, mu, deviance = tried, mu_tried, new
        if settled.all():
            break
    return _Fits(beta, mu, deviance)


def _solved(weight: Array, score: Array, x: Array) -> Array:
    """Return Newton's steps ``(K, p)``; a ridge keeps those of patients without an event finite."""
    information = np.einsum("ks,sp,sq->kpq", weight, x, x)
    ridge = 1e-8 + 1e-6 * np.einsum("kpp->k", information)[:, None, None] / x.shape[1]
    step = np.linalg.solve(information + ridge * np.eye(x.shape[1]), score[..., None])[..., 0]
    return np.asarray(np.clip(step, -5.0, 5.0), dtype=np.float64)


def _deviance(y: Array, mu: Array, phi: float) -> Array:
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(y > 0, y * np.log(y / mu), 0.0)
    if phi < 1e-8:
        return np.asarray(2.0 * (own - (y - mu)).sum(axis=1))
    return np.asarray(2.0 * (own - (y + 1.0 / phi) * np.log1p(phi * (y - mu) / (1.0 + phi * mu))).sum(axis=1))


def _adjusted_likelihood(y: Array, offset: Array, x: Array, phi: float) -> Array:
    """Return Cox and Reid's adjusted profile log likelihood of each cluster at a dispersion."""
    mu = _fit(y, offset, x, phi).mu
    weight = np.where((y < _NO_EVENT) & (mu < _NO_EVENT), 0.0, mu / (1.0 + phi * mu))  # as if they were not there
    values = np.linalg.eigvalsh(np.einsum("ks,sp,sq->kpq", weight, x, x))
    adjustment = 0.5 * np.log(np.maximum(values, 1e-10)).sum(axis=1)
    if phi < 1e-8:
        likelihood = y * np.log(mu) - mu - gammaln(y + 1.0)
    else:
        r = 1.0 / phi
        likelihood = gammaln(y + r) - gammaln(r) - gammaln(y + 1.0) - r * np.log1p(phi * mu)
        likelihood = likelihood + y * (np.log(phi * mu) - np.log1p(phi * mu))
    return np.asarray(likelihood.sum(axis=1) - adjustment)


def _degrees(y: Array, mu: Array, x: Array) -> Array:
    """Return residual degrees of freedom without samples whose absence of events is fitted exactly."""
    there = ~((y < _NO_EVENT) & (mu < _NO_EVENT))
    return np.array(
        [max(0, int(kept.sum()) - int(np.linalg.matrix_rank(x[kept]))) if kept.any() else 0 for kept in there],
        dtype=float,
    )


def _poisson_bound(y: Array, offset: Array, x: Array, mu: Array, phi: float, posterior: Array) -> Array:
    """Return p of the Poisson model where the variance would be below that of counting; 0 elsewhere."""
    below = ((1.0 + phi * mu) * posterior[:, None] < 1.0).any(axis=1)
    bound = np.zeros(y.shape[0])
    if below.any():
        fits = [_fit(y[below], offset[below], design, 0.0).deviance for design in (x, x[:, :-1])]
        bound[below] = chdtrc(1.0, np.maximum(fits[1] - fits[0], 0.0))
    return bound


def _limits(y: Array, offset: Array, x: Array, phi: float, full: _Fits, allowed: Array) -> tuple[Array, Array]:
    """Return the folds at which the deviance is ``allowed`` above its least; NaN where it never is."""
    best = np.clip(full.beta[:, -1], -_FURTHEST, _FURTHEST)
    sides = []
    for end in (-_FURTHEST, _FURTHEST):
        near, far = best.copy(), np.full(best.shape, end)
        reached = _at(y, offset, x, phi, far) - full.deviance > allowed
        for _ in range(_BISECTIONS):
            middle = (near + far) / 2.0
            beyond = _at(y, offset, x, phi, middle) - full.deviance > allowed
            near, far = np.where(beyond, near, middle), np.where(beyond, middle, far)
            if np.abs(far - near).max() < 1e-6:
                break
        sides.append(np.where(reached, (near + far) / 2.0, np.nan))
    return sides[0], sides[1]


def _at(y: Array, offset: Array, x: Array, phi: float, fold: Array) -> Array:
    """Return the deviance with the last coefficient held at ``fold`` ``(K,)``."""
    return _fit(y, offset + fold[:, None] * x[:, -1], x[:, :-1], phi).deviance
