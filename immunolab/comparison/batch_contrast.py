"""What batches take off or add to a patient's change, judged by the other patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from immunolab.comparison.linear import least_squares
from immunolab.comparison.pairing import Paired

Array = NDArray[np.float64]

_ESTIMABLE = 1e-8  # of a contrast's length: a longer rest outside the other patients' design is not estimable


@dataclass(frozen=True)
class BatchContrast:
    """What is taken off each patient's change for batch; arrays ``(P,)``.

    Attributes
    ----------
    effect
        On the endpoint's scale; 0 where both visits are of one batch, NaN where it cannot be estimated.
    variance, df
        Of the effect, and the degrees of freedom of that; 0 and infinity where both visits are of one batch.
    """

    effect: Array
    variance: Array
    df: Array


def batch_contrasts(paired: Paired, e: int) -> BatchContrast:
    """Return the batch effect in each patient's change of endpoint number ``e``, from all other patients.

    The other patients' changes are fitted by what batches their visits were in, with a mean for each cohort: the
    patient's own change has no part in what is taken off it.

    Parameters
    ----------
    paired
        Both sides of every patient.
    e
        Number of the endpoint.
    """
    shift, sides = paired.shift[e], paired.batches[e]
    n = shift.size
    effect, variance, df = np.zeros(n), np.zeros(n), np.full(n, np.inf)
    if not sides.shape[-1]:
        return BatchContrast(effect, variance, df)
    moved = sides[:, 1] - sides[:, 0]
    unknown = ~np.isfinite(moved).all(axis=1)
    effect[unknown] = np.nan
    cohorts = (paired.cohorts[:, None] == np.array(list(dict.fromkeys(paired.cohorts)), dtype=object)).astype(float)
    usable = np.isfinite(shift) & ~unknown
    for i in np.flatnonzero(usable & (np.abs(moved).max(axis=1, initial=0.0) > 0)):
        others = usable & (np.arange(n) != i)
        contrast = np.concatenate([np.zeros(cohorts.shape[1]), moved[i]])
        effect[i], variance[i], df[i] = _effect(np.hstack([cohorts, moved])[others], shift[others], contrast)
    return BatchContrast(effect, variance, df)


def _effect(design: Array, shifts: Array, contrast: Array) -> tuple[float, float, float]:
    """Return a contrast of a fit with its variance and degrees of freedom; NaN where it is not estimable."""
    if not shifts.size:
        return np.nan, np.nan, np.nan
    rest = contrast - np.linalg.pinv(design) @ (design @ contrast)
    fit = least_squares(design, shifts)
    if fit.df < 1 or np.linalg.norm(rest) > _ESTIMABLE * np.linalg.norm(contrast):
        return np.nan, np.nan, np.nan
    return float(contrast @ fit.beta), float(contrast @ fit.covariance @ contrast), float(fit.df)
