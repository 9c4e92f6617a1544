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

_AT_ZERO = 1e-6  # a variance below this share of the residual variance counts as zero
_KNOWN = 1e-6  # information of a variance, relative to that of the best known: below, rounding decides its sign
_STATIONARY = 1e-3  # gradient of -2 log likelihood by the log ratio: far below any difference that decides a test


@dataclass(frozen=True)
class MixedFit:
    """A fitted mixed model.

    Attributes
    ----------
    beta, covariance
        Fixed effects ``(p,)`` and ``(p, p)``.
    sd
        Standard deviations of the random effects ``(q,)``, then of the residual.
    log_likelihood
        Restricted.
    converged
        Whether the optimiser stopped at a stationary point.
    singular
        ``(q,)`` which random effects have no variance.
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
    """Fit the model by REML, see the head of this file.

    Parameters
    ----------
    y
        ``(n,)`` response on a scale where its errors are near normal.
    x
        ``(n, p)`` fixed effects, full rank.
    patient
        ``(n,)`` codes 0..P-1.
    z
        ``(n, q)`` design of the random effects, each independent of the others.
    """
    blocks = _gather(y, x, patient, z)
    products = _products(blocks)
    found = minimize(
        _deviance,
        np.ones(z.shape[1]),
        args=(products,),
        jac=True,
        method="L-BFGS-B",
        bounds=[(0.0, 1e6)] * z.shape[1],
        options={"ftol": 1e-14, "gtol": 1e-9, "maxiter": 500},
    )
    ratios = np.where(found.x < _AT_ZERO, 0.0, found.x)
    deviance, gradient = _deviance(ratios, products)
    free = ratios > 0
    converged = bool(np.all(np.abs(gradient[free]) * np.maximum(ratios[free], _STATIONARY) < _STATIONARY))
    return _summary(ratios, blocks, deviance, converged)


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


@dataclass(frozen=True)
class _Products:
    """Cross products per patient: all that the deviance needs, whatever the number of visits.

    y is taken as its residual from least squares, so that no large numbers cancel.
    """

    zz: Array  # (P, q, q)
    zx: Array  # (P, q, p)
    zy: Array  # (P, q, 1)
    xx: Array  # (p, p)
    xy: Array  # (p, 1)
    yy: float
    df: int


def _products(blocks: _Blocks) -> _Products:
    x = blocks.x.reshape(-1, blocks.x.shape[2])
    flat = blocks.y.reshape(-1, 1)
    residual = flat - x @ np.linalg.lstsq(x, flat, rcond=None)[0]
    y = residual.reshape(*blocks.y.shape, 1) * blocks.mask[:, :, None]
    zt = blocks.z.transpose(0, 2, 1)
    return _Products(
        zt @ blocks.z, zt @ blocks.x, zt @ y, x.T @ x, x.T @ residual, float((y**2).sum()), blocks.n_rows - x.shape[1]
    )


def _deviance(ratios: Array, at: _Products) -> tuple[float, Array]:
    """Return -2 log REML likelihood, the residual variance profiled out, and its gradient by the ratios.

    Woodbury: W^-1 = 1 - Z K Z' with K = L (1 + L Z'Z L)^-1 L and L the square roots of the ratios.
    """
    root = np.sqrt(ratios)
    inner = np.eye(ratios.size) + root[:, None] * at.zz * root
    k = root[:, None] * np.linalg.inv(inner) * root
    kzx, kzy = k @ at.zx, k @ at.zy
    zxt = at.zx.transpose(0, 2, 1)
    c = np.linalg.inv(at.xx - (zxt @ kzx).sum(axis=0))
    xy = at.xy - (zxt @ kzy).sum(axis=0)
    beta = c @ xy
    rss = float(at.yy - (at.zy * kzy).sum() - (beta * xy).sum())
    log_det = np.linalg.slogdet(inner)[1].sum() - np.linalg.slogdet(c)[1]
    deviance = log_det + at.df * (1.0 + np.log(2.0 * np.pi * rss / at.df))
    zwx = at.zx - at.zz @ kzx
    left = at.zy - at.zx @ beta
    zwr = (left - at.zz @ (k @ left))[:, :, 0]
    own = np.einsum("pkk->k", at.zz - at.zz @ k @ at.zz)
    trace = own - ((zwx @ c) * zwx).sum(axis=(0, 2))
    return float(deviance), trace - (zwr**2).sum(axis=0) * at.df / rss


def _summary(ratios: Array, blocks: _Blocks, deviance: float, converged: bool) -> MixedFit:
    w = np.eye(blocks.y.shape[1]) + (blocks.z * ratios) @ blocks.z.transpose(0, 2, 1)
    inverse: Array = np.linalg.inv(w).astype(np.float64)
    wx = inverse @ blocks.x
    c = np.linalg.inv(np.einsum("pia,pib->ab", blocks.x, wx))
    beta = c @ np.einsum("pia,pi->a", wx, blocks.y)
    residual = (blocks.y - blocks.x @ beta) * blocks.mask
    u = (inverse @ residual[:, :, None])[:, :, 0]
    sigma2 = float((residual * u).sum() / (blocks.n_rows - blocks.x.shape[2]))
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
        _inverse(information, np.append(ratios, 1.0)[free] * sigma2),
    )


def _inverse(information: Array, variances: Array) -> Array:
    """Return the covariance of the variances: twice the inverse of the deviance's Hessian, on their relative scale.

    What the rows say nothing of (a residual variance that random effects take up) is left out, as lmerTest does:
    by rounding it would have a negative variance, and a contrast any degrees of freedom.
    """
    values, vectors = np.linalg.eigh(information * np.outer(variances, variances))
    known = values > _KNOWN * values[-1]
    scaled = vectors[:, known] * variances[:, None]
    return np.asarray(2.0 * (scaled / values[known]) @ scaled.T, dtype=np.float64)


def _information(derivative: Array, inverse: Array, vx: Array, c: Array, u: Array) -> tuple[Array, Array]:
    """Return the Hessian of the deviance by the variances, and the derivative of cov(beta) by each.

    With P = V^-1 - V^-1 X C X' V^-1 the Hessian is 2 y'P V_k P V_l P y - tr(P V_k P V_l).
    """
    av = derivative @ inverse  # V_k V^-1
    trace = np.einsum("kpij,lpji->kl", av, av)
    bx = derivative @ vx  # V_k V^-1 X
    middle = np.einsum("kpia,lpib->klab", bx, inverse @ bx, optimize=True)
    m = np.einsum("pia,kpib->kab", vx, bx)
    cm = c @ m
    projected = trace - 2.0 * np.einsum("ab,klba->kl", c, middle) + np.einsum("kab,lba->kl", cm, cm)
    w = (derivative @ u[:, :, None])[..., 0]
    wx = np.einsum("kpi,pia->ka", w, vx)
    inner = (inverse @ w[..., None])[..., 0]
    quadratic = np.einsum("kpi,lpi->kl", w, inner) - wx @ c @ wx.T
    return 2.0 * quadratic - projected, cm @ c
