"""Linear mixed model by REML with independent random effects per patient and Satterthwaite df.

Model y = X b + sum_k z_k u_k + e, u_k ~ N(0, s_k^2) per patient. Variances are estimated by restricted
maximum likelihood (Patterson and Thompson 1971, Biometrika 58:545) over ratios to the residual variance,
bounded at zero; degrees of freedom follow Satterthwaite with the observed information of the variances
(Kuznetsova et al. 2017, J Stat Softw 82:13).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

Array = NDArray[np.float64]

AT_ZERO = 1e-6  # a variance below this share of the residual variance counts as zero


@dataclass(frozen=True)
class MixedFit:
    """A fitted mixed model.

    Attributes
    ----------
    beta, covariance : fixed effects ``(p,)`` and ``(p, p)``.
    sd : standard deviations of the random effects ``(q,)``, then of the residual.
    log_likelihood : restricted.
    converged : whether the optimiser stopped at a stationary point.
    singular : ``(q,)`` which random effects have no variance.
    """

    beta: Array
    covariance: Array
    sd: Array
    log_likelihood: float
    converged: bool
    singular: NDArray[np.bool_]
    _gradients: Array  # (q + 1, p, p): derivative of covariance by each variance
    _variance_covariance: Array

    def contrast(self, weights: Array) -> tuple[float, float, float]:
        """Return estimate, standard error and Satterthwaite df of ``weights @ beta``."""
        estimate = float(weights @ self.beta)
        variance = float(weights @ self.covariance @ weights)
        slope = np.einsum("i,kij,j->k", weights, self._gradients, weights)
        spread = float(slope @ self._variance_covariance @ slope)
        return estimate, float(np.sqrt(variance)), 2.0 * variance**2 / spread if spread > 0 else float("inf")


@dataclass(frozen=True)
class _Blocks:
    """Rows gathered by patient and padded to equal length: y (P, m), x (P, m, p), z (P, m, q), mask (P, m)."""

    y: Array
    x: Array
    z: Array
    mask: Array

    @property
    def n_rows(self) -> int:
        return int(self.mask.sum())


def fit_mixed(y: Array, x: Array, patient: NDArray[np.int64], z: Array) -> MixedFit:
    """Fit the model.

    Parameters
    ----------
    y : ``(n,)`` response on a scale where its errors are near normal.
    x : ``(n, p)`` fixed effects, full rank.
    patient : ``(n,)`` codes 0..P-1.
    z : ``(n, q)`` design of the random effects, each independent of the others.
    """
    blocks = _gather(y, x, patient, z)
    q = z.shape[1]
    found = minimize(
        _deviance,
        np.ones(q),
        args=(blocks,),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1e6)] * q,
        options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 500},
    )
    ratios = np.where(found.x < AT_ZERO, 0.0, found.x)
    _, gradient = _deviance(ratios, blocks)
    converged = bool(np.all(np.abs(gradient[ratios > 0]) * np.maximum(ratios[ratios > 0], 1e-3) < 1e-3))
    return _summary(ratios, blocks, converged)


def _gather(y: Array, x: Array, patient: NDArray[np.int64], z: Array) -> _Blocks:
    order = np.argsort(patient, kind="stable")
    size = np.bincount(patient)
    row = np.repeat(np.arange(size.size), size)
    column = np.arange(patient.size) - np.repeat(np.cumsum(size) - size, size)

    def padded(values: Array) -> Array:
        full = np.zeros((size.size, int(size.max()), *values.shape[1:]))
        full[row, column] = values[order]
        return full

    return _Blocks(padded(y), padded(x), padded(z), padded(np.ones(y.size)))


def _solve(ratios: Array, blocks: _Blocks) -> tuple[Array, Array, Array, Array, float]:
    """Return W^-1 (P, m, m), W^-1 X, (X' W^-1 X)^-1, W^-1 (y - X b) and log|W| of W = V / sigma^2."""
    m = blocks.y.shape[1]
    w = np.eye(m) + np.einsum("k,pik,pjk->pij", ratios, blocks.z, blocks.z)
    inverse = np.linalg.inv(w)
    wx = inverse @ blocks.x
    c = np.linalg.inv(np.einsum("pia,pib->ab", blocks.x, wx))
    beta = c @ np.einsum("pia,pi->a", wx, blocks.y)
    residual = np.einsum("pij,pj->pi", inverse, (blocks.y - blocks.x @ beta) * blocks.mask)
    return inverse, wx, c, residual, float(np.linalg.slogdet(w)[1].sum())


def _deviance(ratios: Array, blocks: _Blocks) -> tuple[float, Array]:
    inverse, wx, c, u, log_det = _solve(ratios, blocks)
    df = blocks.n_rows - blocks.x.shape[2]
    fitted = blocks.x @ (c @ np.einsum("pia,pi->a", wx, blocks.y))
    rss = float(((blocks.y - fitted) * u).sum())
    deviance = log_det - np.linalg.slogdet(c)[1] + df * (1.0 + np.log(2.0 * np.pi * rss / df))
    zx = np.einsum("pik,pia->pka", blocks.z, wx)
    trace = np.einsum("pik,pij,pjk->k", blocks.z, inverse, blocks.z) - np.einsum("pka,ab,pkb->k", zx, c, zx)
    explained = (np.einsum("pik,pi->pk", blocks.z, u) ** 2).sum(axis=0)
    return float(deviance), trace - explained * df / rss


def _summary(ratios: Array, blocks: _Blocks, converged: bool) -> MixedFit:
    df = blocks.n_rows - blocks.x.shape[2]
    deviance, _ = _deviance(ratios, blocks)
    inverse, wx, c, u, _ = _solve(ratios, blocks)
    beta = c @ np.einsum("pia,pi->a", wx, blocks.y)
    sigma2 = float(((blocks.y - blocks.x @ beta) * u).sum() / df)
    free = np.append(ratios > 0, True)
    parts = np.einsum("pik,pjk->kpij", blocks.z, blocks.z)
    eye = blocks.mask[:, :, None] * np.eye(blocks.mask.shape[1])
    derivative = np.concatenate([parts, eye[None]])[free]
    information, gradients = _information(derivative, inverse / sigma2, wx / sigma2, c * sigma2, u / sigma2)
    return MixedFit(
        beta,
        c * sigma2,
        np.sqrt(np.append(ratios, 1.0) * sigma2),
        -0.5 * deviance,
        converged,
        ratios == 0,
        gradients,
        np.asarray(2.0 * np.linalg.pinv(information), dtype=np.float64),
    )


def _information(derivative: Array, inverse: Array, vx: Array, c: Array, u: Array) -> tuple[Array, Array]:
    """Return the Hessian of the deviance by the variances, and the derivative of cov(beta) by each.

    With P = V^-1 - V^-1 X C X' V^-1 the Hessian is 2 y'P V_k P V_l P y - tr(P V_k P V_l).
    """
    av = np.einsum("kpij,pjl->kpil", derivative, inverse)  # V_k V^-1
    trace = np.einsum("kpij,lpji->kl", av, av)
    bx = np.einsum("kpij,pja->kpia", derivative, vx)  # V_k V^-1 X
    middle = np.einsum("kpia,pij,lpjb->klab", bx, inverse, bx)
    m = np.einsum("pia,kpib->kab", vx, bx)
    cm = np.einsum("ab,kbc->kac", c, m)
    projected = trace - 2.0 * np.einsum("ab,klba->kl", c, middle) + np.einsum("kab,lba->kl", cm, cm)
    w = np.einsum("kpij,pj->kpi", derivative, u)
    wx = np.einsum("kpi,pia->ka", w, vx)
    quadratic = np.einsum("kpi,pij,lpj->kl", w, inverse, w) - np.einsum("ka,ab,lb->kl", wx, c, wx)
    return 2.0 * quadratic - projected, np.einsum("kab,bc->kac", cm, c)
