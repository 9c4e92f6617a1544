"""Ordinary least squares with the few numbers a shift needs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

_RANK = 1e-10  # of the largest singular value: smaller ones are dependence of columns


@dataclass(frozen=True)
class LinearFit:
    """A least-squares fit.

    Attributes
    ----------
    beta, covariance
        ``(p,)`` coefficients and their ``(p, p)`` covariance, NaN without residual degrees of freedom.
    sigma2, df
        Residual variance and its degrees of freedom.
    """

    beta: Array
    covariance: Array
    sigma2: float
    df: int


def least_squares(design: Array, response: Array) -> LinearFit:
    """Return the least-squares fit by singular values; dependent columns share their effect.

    Parameters
    ----------
    design
        ``(n, p)``, any rank.
    response
        ``(n,)``.
    """
    left, values, right = np.linalg.svd(design, full_matrices=False)
    rank = int((values > values[0] * _RANK).sum()) if values.size else 0
    inverse = right[:rank].T / values[:rank]
    beta = inverse @ (left[:, :rank].T @ response)
    df = response.size - rank
    residual = float(((response - design @ beta) ** 2).sum())
    sigma2 = residual / df if df > 0 else float("nan")
    return LinearFit(beta, sigma2 * (inverse @ inverse.T), sigma2, df)
