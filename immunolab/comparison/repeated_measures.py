"""Mixed model for repeated measures: visits as they come, one unstructured covariance of a patient's visits, REML.

The standard errors are those of Kenward and Roger (1997, Biometrics 53:983) with one change. Where a visit is missing
because of what was seen before, the information about the means depends on the covariance that was estimated, and
the expected information that Kenward and Roger use is too large (Kenward and Molenberghs 1998, Stat Sci 13:236): one
half of their correction, the spread of the means with the covariance, is taken from the observed information here.
Without missing visits both are the same, and a contrast of two visits is the paired t.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_MOST_STEPS = 100  # scoring steps; in simulated trials 10 are enough
_MOST_HALVINGS = 25  # of a step that does not lower the deviance
_STATIONARY = 1e-8  # squared length of the last step in standard errors of the variances
_SINGULAR = 1e-6  # smallest over largest eigenvalue of the covariance: below, visits are copies of each other


@dataclass(frozen=True)
class RepeatedMeasuresFit:
    """A fitted model.

    Attributes
    ----------
    beta
        ``(p,)`` fixed effects.
    covariance, adjusted
        ``(p, p)`` covariance of beta with the visits' covariance taken as known, and with its spread.
    log_likelihood
        Restricted.
    converged
        Whether the scoring stopped at a stationary point with a covariance that is not singular.
    """

    beta: Array
    covariance: Array
    adjusted: Array
    log_likelihood: float
    converged: bool
    _gradients: Array  # (K, p, p): derivative of covariance by each entry of the covariance of visits
    _spread: Array  # (K, K): covariance of these entries

    def contrast(self, weights: Array) -> tuple[float, float, float]:
        """Return estimate, adjusted standard error and Satterthwaite df of ``weights @ beta``."""
        slope = np.einsum("i,kij,j->k", weights, self._gradients, weights)
        spread = float(slope @ self._spread @ slope)
        variance = float(weights @ self.covariance @ weights)
        se = float(np.sqrt(weights @ self.adjusted @ weights))
        return float(weights @ self.beta), se, 2.0 * variance**2 / spread if spread > 0 else float("inf")


@dataclass(frozen=True)
class _Grouped:
    """Rows by patient and visit: y (P, V), x (P, V, p), mask (P, V); absent ones are 0."""

    y: Array
    x: Array
    mask: Array

    @property
    def both(self) -> Array:
        """Whether both visits of a pair are there, ``(P, V, V)``."""
        pairs: Array = self.mask[:, :, None] * self.mask[:, None, :]
        return pairs


@dataclass(frozen=True)
class _AtCovariance:
    """The model at one covariance: its inverse by patient, fixed effects and what follows from both."""

    inverse: Array  # (P, V, V), 0 at absent visits
    c: Array
    beta: Array
    u: Array  # (P, V): inverse times residual
    deviance: float


def fit_repeated_measures(
    level: Array, design: Array, patient: NDArray[np.int64], visit: NDArray[np.int64]
) -> RepeatedMeasuresFit:
    """Fit the model by REML, see the head of this file.

    Parameters
    ----------
    level
        ``(n,)`` response on a scale where it is near normal; one row a patient and visit.
    design
        ``(n, p)`` fixed effects, full rank.
    patient, visit
        ``(n,)`` codes 0..P-1 and 0..V-1.
    """
    rows = _gathered(level, design, patient, visit)
    entries = _entries(rows.y.shape[1])
    theta = _start(level, design, visit) @ np.array([np.diag(e) for e in entries]).T
    state = _at(theta, entries, rows)
    length = np.inf
    for _ in range(_MOST_STEPS):
        gradient, expected, _ = _scores(state, entries, rows)
        step = np.linalg.pinv(expected) @ gradient
        length = float(gradient @ step)
        if length < _STATIONARY:
            break
        moved = _lower(theta, step, entries, rows, state.deviance)
        if moved is None:
            break
        theta, state = moved
    covariance = np.einsum("k,kij->ij", theta, entries)
    values = np.linalg.eigvalsh(covariance)
    converged = length < _STATIONARY and values[0] > _SINGULAR * values[-1]
    return _fit(state, entries, rows, bool(converged))


def _gathered(level: Array, design: Array, patient: NDArray[np.int64], visit: NDArray[np.int64]) -> _Grouped:
    shape = (int(patient.max()) + 1, int(visit.max()) + 1)
    y, mask, x = np.zeros(shape), np.zeros(shape), np.zeros((*shape, design.shape[1]))
    y[patient, visit], mask[patient, visit], x[patient, visit] = level, 1.0, design
    return _Grouped(y, x, mask)


def _entries(n: int) -> Array:
    """Return the matrices ``(K, n, n)`` whose weighted sum is any symmetric matrix: its entries are the weights."""
    first, second = np.triu_indices(n)
    entries = np.zeros((first.size, n, n))
    order = np.arange(first.size)
    entries[order, first, second] = entries[order, second, first] = 1.0
    return entries


def _start(level: Array, design: Array, visit: NDArray[np.int64]) -> Array:
    """Return each visit's variance about the least-squares fit, ``(V,)``."""
    residual = level - design @ np.linalg.lstsq(design, level, rcond=None)[0]
    whole = float(residual @ residual) / max(1, level.size - design.shape[1])
    own = np.bincount(visit, weights=residual**2) / np.bincount(visit)
    return np.asarray(np.maximum(own, 0.1 * whole), dtype=np.float64)  # a tenth: one patient alone has no variance


def _at(theta: Array, entries: Array, rows: _Grouped) -> _AtCovariance:
    """Return the model at a covariance, with -2 log REML likelihood (inf where it is not positive definite)."""
    covariance = np.einsum("k,kij->ij", theta, entries)
    absent = (1.0 - rows.mask)[:, :, None] * np.eye(rows.mask.shape[1])
    whole = covariance * rows.both + absent
    if np.linalg.eigvalsh(covariance)[0] <= 0:
        nothing = np.zeros(0)
        return _AtCovariance(nothing, nothing, nothing, nothing, float("inf"))
    inverse = np.linalg.inv(whole) * rows.both
    information = np.einsum("pia,pij,pjb->ab", rows.x, inverse, rows.x, optimize=True)
    c = np.linalg.inv(information)
    beta = c @ np.einsum("pia,pij,pj->a", rows.x, inverse, rows.y, optimize=True)
    residual = (rows.y - rows.x @ beta) * rows.mask
    u = np.einsum("pij,pj->pi", inverse, residual)
    log_det = np.linalg.slogdet(whole)[1].sum() + np.linalg.slogdet(information)[1]
    free = rows.mask.sum() - beta.size
    deviance = log_det + float((residual * u).sum()) + free * np.log(2.0 * np.pi)
    return _AtCovariance(inverse, c, beta, u, float(deviance))


def _lower(
    theta: Array, step: Array, entries: Array, rows: _Grouped, deviance: float
) -> tuple[Array, _AtCovariance] | None:
    """Return the covariance after as much of a step as lowers the deviance, or None where none does."""
    for halvings in range(_MOST_HALVINGS):
        moved = theta - step / 2.0**halvings
        state = _at(moved, entries, rows)
        if state.deviance < deviance:
            return moved, state
    return None


@dataclass(frozen=True)
class _Derivatives:
    """Derivatives with R = the inverse: P_k = -X'R S_k R X, Q_kl = X'R S_k R S_l R X, M_k = X'R S_k R r."""

    p: Array  # (K, p, p)
    q: Array  # (K, K, p, p)
    m: Array  # (K, p)


def _scores(state: _AtCovariance, entries: Array, rows: _Grouped) -> tuple[Array, Array, _Derivatives]:
    """Return gradient and expected Hessian of the deviance by the entries, and the parts of the correction."""
    rs = np.einsum("pij,kjl->kpil", state.inverse, entries)
    rx = np.einsum("pij,pja->pia", state.inverse, rows.x)
    srx = np.einsum("kij,pja->kpia", entries, rx)
    p = -np.einsum("pia,kpib->kab", rx, srx)
    q = np.einsum("kpia,pij,lpjb->klab", srx, state.inverse, srx, optimize=True)
    m = np.einsum("pia,kij,pj->ka", rx, entries, state.u, optimize=True)
    cp = state.c @ p
    gradient = np.einsum("kpii->k", rs) + np.einsum("kaa->k", cp)
    gradient -= np.einsum("pi,kij,pj->k", state.u, entries, state.u, optimize=True)
    flat = rs.reshape(rs.shape[0], -1)
    turned = rs.transpose(0, 1, 3, 2).reshape(rs.shape[0], -1)
    expected = flat @ turned.T - 2.0 * np.einsum("ab,klba->kl", state.c, q) + np.einsum("kab,lba->kl", cp, cp)
    return gradient, expected, _Derivatives(p, q, m)


def _fit(state: _AtCovariance, entries: Array, rows: _Grouped, converged: bool) -> RepeatedMeasuresFit:
    """Return the fit with its standard errors."""
    _, expected, parts = _scores(state, entries, rows)
    su = np.einsum("kij,pj->kpi", entries, state.u)
    quadratic = np.einsum("kpi,pij,lpj->kl", su, state.inverse, su, optimize=True) - parts.m @ state.c @ parts.m.T
    observed = 2.0 * quadratic - expected
    definite = np.linalg.eigvalsh(observed)[0] > 0
    known = 2.0 * np.linalg.pinv(expected)
    seen = 2.0 * np.linalg.pinv(observed) if definite else known
    means = parts.m.T @ seen @ parts.m
    bias = np.einsum("kl,klab->ab", known, parts.q)
    bias -= np.einsum("kl,kac,cd,ldb->ab", known, parts.p, state.c, parts.p, optimize=True)
    adjusted = state.c + state.c @ (means + bias) @ state.c
    gradients = -state.c @ parts.p @ state.c
    return RepeatedMeasuresFit(
        state.beta,
        state.c,
        np.asarray(adjusted, dtype=np.float64),
        -0.5 * state.deviance,
        converged and bool(definite),
        gradients,
        np.asarray(seen, dtype=np.float64),
    )
