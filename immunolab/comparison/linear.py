"""Ordinary least squares with the few numbers a shift needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LinearFit:
    """A least-squares fit: coefficients, their covariance, residual variance and degrees of freedom."""

    beta: Array
    covariance: Array
    sigma2: float
    df: int


def least_squares(design: Array, response: Array) -> LinearFit:
    """Return the fit of ``response`` ``(n,)`` on ``design`` ``(n, p)``; dependent columns share their effect.

    Without residual degrees of freedom the covariance is NaN.
    """
    left, values, right = np.linalg.svd(design, full_matrices=False)
    rank = int((values > values[0] * 1e-10).sum()) if values.size else 0
    inverse = right[:rank].T / values[:rank]
    beta = inverse @ (left[:, :rank].T @ response)
    df = response.size - rank
    residual = float(((response - design @ beta) ** 2).sum())
    sigma2 = residual / df if df > 0 else float("nan")
    return LinearFit(beta, sigma2 * (inverse @ inverse.T), sigma2, df)
