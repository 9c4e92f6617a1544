"""The sign flip of shifts from which batches and covariates are taken off."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from immunolab.comparison.estimate import ALPHA, Estimate
from immunolab.comparison.paired import hodges_lehmann, in_blocks, sign_vectors

Array = NDArray[np.float64]

_AS_EXTREME = 1e-9  # relative: a flipped statistic this close to the observed one is as extreme
_WIDEST = 1e3  # standard errors from the estimate: a limit beyond is none
_LEAST_SPREAD = 1e-10  # of a flip's variance: one with less is a vector that the adjustment explains


def adjusted_sign_flip(shifts: Array, others: Array, what: str, *, seed: int = 0) -> Estimate:
    """Return the mean shift given ``others`` with the standardised sign-flip score test and its interval.

    The rank sum of shifts has no place for a covariate. The score of the mean is a sum of one contribution a patient;
    their signs are flipped and each flip is divided by its own standard error, so that what was estimated for the
    others does not make the test liberal (Hemerik, Goeman and Finos 2020, J R Stat Soc B 82:841; standardised
    as in De Santis et al. 2022, Inference in generalized linear models with robustness to misspecified variances). The
    interval inverts the test.

    Parameters
    ----------
    shifts
        ``(n,)``.
    others
        ``(n, k)`` what is taken off, not the mean; the mean must be estimable beside them.
    what
        What they are, in words.
    seed
        Of the draws above 13 patients.
    """
    left, values, _ = np.linalg.svd(others, full_matrices=False)
    basis = left[:, values > values[0] * 1e-10] if values.size else left[:, :0]
    ones = np.ones(shifts.size)
    mean = ones - basis @ (basis.T @ ones)
    rest = shifts - basis @ (basis.T @ shifts)
    signs, exact = sign_vectors(shifts.size, seed)
    parts: list[tuple[Array, Array]] = []
    least = 0.0
    for some in in_blocks(signs):
        flipped = some * mean
        spread = (flipped**2).sum(axis=1) - ((flipped @ basis) ** 2).sum(axis=1)
        least = least if parts else _LEAST_SPREAD * float(spread[0])
        known = spread > least
        flipped, error = flipped[known], np.sqrt(spread[known])
        parts.append((flipped @ rest / error, flipped @ mean / error))
    at_zero, slope = (np.concatenate(of) for of in zip(*parts, strict=True))

    def share(shift: float) -> float:
        statistic = np.abs(at_zero - shift * slope)
        return float(np.mean(statistic >= statistic[0] * (1.0 - _AS_EXTREME)))

    estimate = float(at_zero[0] / slope[0])
    scale = float(np.abs(at_zero - estimate * slope).max() / slope[0])
    low, high = (_limit(share, estimate, sign * scale) for sign in (-1.0, 1.0))
    draws = "" if exact else f", {signs.shape[0] - 1} draws, seed {seed}"
    method = f"sign flip of scores adjusted for {what}{draws}"
    return Estimate(estimate, low, high, share(0.0), np.nan, method, shifts.size)


def _limit(share: Callable[[float], float], estimate: float, scale: float) -> float:
    """Return the shift at which the share of flips as extreme comes down to 0.05; NaN where it never does."""
    far = estimate + scale * _WIDEST
    if share(far) > ALPHA or scale == 0:
        return float("nan")
    return float(brentq(lambda shift: share(shift) - ALPHA - 1e-12, estimate, far, xtol=abs(scale) * 1e-9))


def adjusted_hodges_lehmann(shifts: Array, others: Array) -> float:
    """Return the Hodges-Lehmann estimate of shifts less what least squares puts down to ``others``.

    Parameters
    ----------
    shifts, others
        As in `adjusted_sign_flip`.
    """
    design = np.column_stack([np.ones(shifts.size), others])
    beta, *_ = np.linalg.lstsq(design, shifts, rcond=None)
    return hodges_lehmann(shifts - others @ beta[1:])[0]
